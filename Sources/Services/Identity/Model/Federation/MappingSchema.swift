// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What mappings must look like, as JSON schemas of upstream's three versions, and complaints in a validator's words.
enum MappingSchema {
    static let versions = ["1.0", "2.0", "3.0"]

    /// Refuses a mapping that its own version's schema does not allow; gives that version.
    @discardableResult
    static func require(_ mapping: JSON) throws(Fault) -> String {
        let asked = mapping["schema_version"]
        let version = asked == nil ? "1.0" : asked?.string ?? ""
        guard versions.contains(version) else {
            throw .badRequest(
                "Invalid schema version \(PythonText.repr(asked ?? .null)): expected one of "
                    + PythonText.repr(.array(versions.map(JSON.string))))
        }
        try require(mapping, schema(version))
        return version
    }

    /// Refuses a list of projects, as an assertion may carry it since version 3.0.
    static func requireProjects(_ projects: JSON) throws(Fault) { try require(projects, projectsTwo) }

    private static func require(_ value: JSON, _ schema: JSON) throws(Fault) {
        let complaints = Validator(definitions: definitions).complaints(value, schema).sorted()
        guard complaints.isEmpty else { throw .badRequest(complaints.map { $0 + "\n" }.joined()) }
    }

    // MARK: The schemas

    private static func object(_ properties: JSON, required: [JSON] = []) -> JSON {
        ["type": "object", "properties": properties, "required": .array(required), "additionalProperties": false]
    }

    private static func list(_ items: JSON) -> JSON { ["type": "array", "items": items] }

    private static let text: JSON = ["type": "string"]
    private static let domain = object(["id": text, "name": text])
    private static let roles = list(object(["name": text], required: ["name"]))
    private static let projectsOne = list(object(["name": text, "roles": roles], required: ["name", "roles"]))
    private static let projectsTwo = list(
        object(["name": text, "roles": roles, "domain": domain], required: ["name", "roles"]))

    private static func requirement(_ kind: String) -> JSON {
        var properties: JSONObject = ["type": text, "regex": ["type": "boolean"]]
        properties[kind] = ["type": "array"]
        return object(.object(properties), required: ["type", .string(kind)])
    }

    private static let definitions: [String: JSON] = [
        "group_by_id": object(["id": text], required: ["id"]),
        "group_by_name": object(["name": text, "domain": domain], required: ["name", "domain"]),
        "empty": object(["type": text], required: ["type"]),
        "any_one_of": requirement("any_one_of"), "not_any_of": requirement("not_any_of"),
        "blacklist": requirement("blacklist"), "whitelist": requirement("whitelist"),
    ]

    private static func choice(_ names: String...) -> JSON {
        ["type": "object", "oneOf": .array(names.map { ["$ref": .string($0)] })]
    }

    private static func schema(_ version: String) -> JSON {
        let user = object([
            "id": text, "name": text, "email": text, "domain": domain,
            "type": ["type": "string", "enum": ["ephemeral", "local"]],
        ])
        var local: JSONObject = [
            "user": user, "projects": version == "1.0" ? projectsOne : projectsTwo,
            "group": choice("group_by_id", "group_by_name"), "groups": text, "group_ids": text, "domain": domain,
        ]
        if version == "3.0" { local["projects_json"] = text }
        let remote = choice("empty", "any_one_of", "not_any_of", "blacklist", "whitelist")
        let rule = object(
            [
                "local": list(object(.object(local))),
                "remote": ["type": "array", "minItems": 1, "items": remote],
            ], required: ["local", "remote"])
        return [
            "type": "object", "required": ["rules"],
            "properties": ["rules": ["type": "array", "minItems": 1, "items": rule], "schema_version": text],
        ]
    }
}

/// As much of JSON schema as the schemas above use.
private struct Validator {
    let definitions: [String: JSON]

    func complaints(_ value: JSON, _ schema: JSON) -> [String] {
        if let name = schema["$ref"]?.string { return complaints(value, definitions[name] ?? true) }
        var found: [String] = []
        if let type = schema["type"]?.string, !isOf(type, value) {
            found.append("\(PythonText.repr(value)) is not of type '\(type)'")
        }
        if let words = schema["enum"], words.array?.contains(value) == false {
            found.append("\(PythonText.repr(value)) is not one of \(PythonText.repr(words))")
        }
        if let object = value.object { found += members(object, schema) }
        if let items = value.array {
            if let least = schema["minItems"]?.integer, items.count < least {
                found.append("\(PythonText.repr(value)) should be non-empty")
            }
            if let item = schema["items"] { for element in items { found += complaints(element, item) } }
        }
        if let choices = schema["oneOf"]?.array {
            let fitting = choices.filter { complaints(value, $0).isEmpty }
            if fitting.isEmpty {
                found.append("\(PythonText.repr(value)) is not valid under any of the given schemas")
            } else if fitting.count > 1 {
                let names = fitting.map { PythonText.repr($0) }.joined(separator: ", ")
                found.append("\(PythonText.repr(value)) is valid under each of \(names)")
            }
        }
        return found
    }

    private func members(_ object: JSONObject, _ schema: JSON) -> [String] {
        var found: [String] = []
        for name in schema["required"]?.array ?? [] where object[name.string ?? ""] == nil {
            found.append("\(PythonText.repr(name)) is a required property")
        }
        let known = schema["properties"]?.object ?? [:]
        var unknown: [String] = []
        for (name, member) in object {
            if let schema = known[name] { found += complaints(member, schema) } else { unknown.append(name) }
        }
        if schema["additionalProperties"] == false, !unknown.isEmpty {
            let names = unknown.map(PythonText.repr).joined(separator: ", ")
            found.append(
                "Additional properties are not allowed (\(names) \(unknown.count == 1 ? "was" : "were") unexpected)")
        }
        return found
    }

    private func isOf(_ type: String, _ value: JSON) -> Bool {
        switch (type, value) {
        case ("object", .object), ("array", .array), ("string", .string), ("boolean", .bool): true
        default: false
        }
    }
}
