// SPDX-License-Identifier: Apache-2.0
internal import Kernel

extension Envelope {
    /// Keystone's: `{"error": {"code": 404, "message": "...", "title": "Not Found"}}`.
    static let keystone = Envelope(
        pageLinks: .keystone, vary: "X-Auth-Token",
        refusal: { .forbidden("You are not authorized to perform the requested action: \($0).") },
        document: { fault, title, _ in
            [
                "error": [
                    "code": .integer(Int64(fault.status)), "message": .string(fault.message), "title": .string(title),
                ]
            ]
        })
}

extension Wording {
    /// Keystone's JSON schemas: strict about types.
    static let keystone = Wording(
        lenient: false,
        invalid: { member, value, reason in
            let name = member.split(separator: ".").last.map(String.init) ?? member
            return .badRequest(
                "Invalid input for field/attribute \(name). Value: \(plain(value)). \(reason)")
        },
        missing: { .badRequest("'\($0)' is a required property") },
        unknown: Wording.nova.unknown)
}

extension Fault {
    static func expecting(_ attribute: String, in target: String) -> Fault {
        .badRequest(
            "Expecting to find \(attribute) in \(target). The server could not comply with the request since it is "
                + "either malformed or otherwise incorrect. The client is assumed to be in error.")
    }

    static func duplicate(_ kind: String, _ details: String) -> Fault {
        .conflict("Conflict occurred attempting to store \(kind) - \(details).")
    }

    static func notFound(_ kind: String, _ id: String) -> Fault { .notFound("Could not find \(kind): \(id).") }

    static func immutable(_ kind: String, _ id: String, deleting: Bool) -> Fault {
        .forbidden(
            "Unable to \(deleting ? "delete" : "update") immutable \(kind) resource: `\(id)`. Set resource option "
                + "\"immutable\" to false first.")
    }
}

extension Format where Value == String {
    /// A name: not only blanks, which are cut from both ends.
    static func label(_ length: ClosedRange<Int> = 1...255) -> Format {
        text(length).map { text throws(Misfit) in
            let trimmed = text.trimmedOfSpace
            guard !trimmed.isEmpty else { throw Misfit("'\(text)' does not match '[\\\\S]+'") }
            return trimmed
        }
    }

    /// An id as upstream's schemas take it.
    static var id: Format {
        text(1...64).map { text throws(Misfit) in
            guard text.utf8.allSatisfy({ isWordOrDash($0) }) else {
                throw Misfit("'\(text)' does not match '^[a-zA-Z0-9-]+$'")
            }
            return text
        }
    }

    private static func isWordOrDash(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45 || byte == 95
    }
}

extension Body {
    /// What no schema names is kept and shown again, as upstream does.
    mutating func takeExtra() -> JSONObject {
        ignore("id", "links")
        return takeRest()
    }

    /// Refuses a change of a member that cannot change.
    mutating func requireSame(_ name: String, as value: String?, or message: String) throws(Fault) {
        guard has(name) else { return }
        let asked = try option(name, .text)
        guard asked == value else { throw .badRequest(message) }
    }

    /// The one option that projects, domains and roles have.
    mutating func takeImmutable() throws(Fault) -> JSONObject? {
        guard var options = try takeObject("options") else { return nil }
        var taken = JSONObject()
        if let immutable = try options.patch("immutable", .bool) {
            taken["immutable"] = immutable.map(JSON.bool) ?? .null
        }
        try options.end()
        return taken
    }
}

extension JSONObject {
    /// The members of a change over those kept; null removes an option.
    func merging(_ change: JSONObject?, removesNull: Bool = false) -> JSONObject {
        var merged = self
        for (key, value) in change ?? JSONObject() {
            merged[key] = removesNull && value.isNull ? nil : value
        }
        return merged
    }

    var isImmutable: Bool { self["immutable"]?.bool == true }
}

extension View {
    /// Members beyond the known ones, and the link to the thing itself.
    mutating func finish(_ extra: JSONObject, _ path: String) {
        for (name, value) in extra { put(named: name, value) }
        links(path)
    }

    mutating func links(_ path: String) {
        let href = endpoint + "/" + path
        nest("links") { $0.put("self", href) }
    }
}
