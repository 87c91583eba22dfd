// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension Fault {
    static func neutron(_ status: Int, _ type: String, _ message: String) -> Fault {
        Fault(status, code: type, message)
    }
    static func invalidInput(_ message: String, type: String = "InvalidInput") -> Fault {
        .neutron(400, type, type == "InvalidInput" ? "Invalid input for operation: \(message)." : message)
    }
    static func badResource(_ resource: String, _ message: String) -> Fault {
        .neutron(400, "BadRequest", "Bad \(resource) request: \(message).")
    }
    static func httpBadRequest(_ message: String) -> Fault { .neutron(400, "HTTPBadRequest", message) }
    static var resourceNotFound: Fault { .neutron(404, "HTTPNotFound", "The resource could not be found.") }
    static func revision(_ expected: Int, _ current: Int) -> Fault {
        .neutron(
            412, "RevisionNumberConstraintFailed", "Constrained to \(expected), but current revision is \(current)")
    }
    static func overQuota(_ resource: String) -> Fault {
        .neutron(409, "OverQuota", "Quota exceeded for resources: ['\(resource)'].")
    }
}

extension Envelope {
    /// Neutron's: `{"NeutronError": {"type", "message", "detail"}}`; without a token the words are keystone's.
    package static let neutron = Envelope(
        pageLinks: .neutron, trimsFields: true,
        refusal: { rule in
            // A rule on a member is told together with the rule on the deed, as upstream does.
            let parts = rule.split(separator: ":", maxSplits: 1)
            let words = parts.count > 1 ? "(rule:\(parts[0]) and rule:\(rule))" : "rule:\(rule)"
            return .neutron(403, "PolicyNotAuthorized", "\(words) is disallowed by policy")
        },
        document: { fault, title, _ in
            if fault.status == 401 {
                return ["error": ["code": 401, "title": .string(title), "message": .string(fault.message)]]
            }
            let type = fault.code.isEmpty ? "HTTP" + title.filter { $0 != " " } : fault.code
            let message =
                fault.status == 500
                ? "Request Failed: internal server error while processing your request." : fault.message
            return ["NeutronError": ["type": .string(type), "message": .string(message), "detail": ""]]
        })
}

extension Wording {
    package static let neutron = Wording(
        invalid: { member, _, reason in
            let ending = reason.hasSuffix(".") ? "" : "."
            return .httpBadRequest("Invalid input for \(member). Reason: \(reason)\(ending)")
        },
        missing: { member in
            .httpBadRequest("Failed to parse request. Required attribute '\(member)' not specified")
        },
        unknown: { members in .httpBadRequest("Unrecognized attribute(s) '\(members.joined(separator: ", "))'") })
}
