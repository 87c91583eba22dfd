// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension Fault {
    static func validation(_ detail: String) -> Fault { .badRequest("Validation failure: \(detail)") }
    static func invalidOption(_ value: String, _ option: String) -> Fault {
        .badRequest("\(value) is not a valid option for \(option)")
    }
    static func missing(_ resource: String, _ id: String) -> Fault { .notFound("\(resource) \(id) not found.") }
    /// Something named in a body that is not there: the request is wrong, not the path.
    static func subresource(_ resource: String, _ id: String) -> Fault { .badRequest("\(resource) \(id) not found.") }
    static func immutable(_ resource: String, _ id: String) -> Fault {
        .conflict("\(resource) \(id) is immutable and cannot be updated.")
    }
    static func quotaMet(_ resource: String) -> Fault {
        .forbidden("Quota has been met for resources: \(resource)")
    }
    static func inUse(_ object: String, _ id: String) -> Fault {
        .conflict("\(object) \(id) is in use and cannot be modified.")
    }
    static var policyForbidden: Fault { .forbidden("Policy does not allow this request to be performed.") }
    static func unsupported(_ provider: String, _ words: String) -> Fault {
        Fault(501, "Provider '\(provider)' does not support a requested option: \(words)")
    }
    static func notImplemented(_ provider: String, _ words: String) -> Fault {
        Fault(501, "Provider '\(provider)' does not support a requested action: \(words)")
    }
}

extension Envelope {
    /// Web Services Made Easy's: `{"faultcode", "faultstring", "debuginfo"}`; without a token the words are keystone's.
    package static let octavia = Envelope(
        pageLinks: .neutron, trimsFields: true,
        refusal: { _ in .policyForbidden },
        document: { fault, title, _ in
            if fault.status == 401 {
                return ["error": ["code": 401, "title": .string(title), "message": .string(fault.message)]]
            }
            let code = fault.status < 500 ? "Client" : "Server"
            return ["faultcode": .string(code), "faultstring": .string(fault.message), "debuginfo": .null]
        })
}

extension Wording {
    package static let octavia = Wording(
        malformed: { _ in .badRequest("Request is not in valid JSON format") },
        invalid: { member, value, reason in
            switch member {
            case "sort_key": return .badRequest("Supplied sort key '\(value?.bare ?? "")' is not valid.")
            case "sort_dir": return .badRequest("Supplied sort direction '\(value?.bare ?? "")' is not valid.")
            case "limit": return .badRequest("Supplied pagination limit '\(value?.bare ?? "")' is not valid.")
            default: break
            }
            let name = member.split(separator: ".").last.map(String.init) ?? member
            return .badRequest(
                "Invalid input for field/attribute \(name). Value: '\(value?.bare ?? "None")'. \(reason)")
        },
        missing: { member in
            .badRequest("Invalid input for field/attribute \(member). Value: 'None'. Mandatory field missing.")
        },
        unknown: { members in
            .badRequest("Unknown attribute\(members.count > 1 ? "s" : ""): \(members.joined(separator: ", "))")
        })
}

extension JSON {
    /// A value inside a sentence, as Python prints it.
    var bare: String {
        switch self {
        case .null: "None"
        case .bool(let truth): truth ? "True" : "False"
        case .string(let text): text
        case .array(let items): "[" + items.map(\.quoted).joined(separator: ", ") + "]"
        case .object(let object):
            "{" + object.map { "'\($0.0)': \($0.1.quoted)" }.joined(separator: ", ") + "}"
        default: text()
        }
    }
    private var quoted: String { string.map { "'\($0)'" } ?? bare }
}

extension Body {
    /// Refuses members that nobody took, in upstream's words: `argument` is how upstream calls the place.
    func finish(_ argument: String) throws(Fault) {
        guard !isEmpty else { return }
        throw .badRequest(
            "Unknown attribute\(keys.count > 1 ? "s" : "") for argument \(argument): \(keys.joined(separator: ", "))")
    }

    /// Takes a member into its place; null puts the default there, and a missing one leaves it.
    mutating func set<Value>(
        _ name: String, _ format: Format<Value>, _ place: inout Value, none: Value
    ) throws(Fault) {
        if let change = try patch(name, format) { place = change ?? none }
    }

    mutating func set<Value>(_ name: String, _ format: Format<Value>, _ place: inout Value?) throws(Fault) {
        if let change = try patch(name, format) { place = change }
    }
}

extension Body {
    /// A nested object that may be missing or null.
    mutating func nested<Value>(
        _ name: String, _ read: (inout Body) throws(Fault) -> Value
    ) throws(Fault) -> Value? {
        if peek(name)?.isNull == true { ignore(name) }
        guard var inner = try takeObject(name) else { return nil }
        return try read(&inner)
    }

    /// A list of objects that may be missing or null, which is none.
    mutating func several<Value>(
        _ name: String, _ read: (inout Body) throws(Fault) -> Value
    ) throws(Fault) -> [Value] {
        if peek(name)?.isNull == true { ignore(name) }
        var values: [Value] = []
        for var inner in try takeObjects(name) ?? [] { values.append(try read(&inner)) }
        return values
    }
}
