// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// An object of the metadata definitions as a client sends it, read under the name of its schema.
struct MetadefBody: Sendable {
    let schema: String
    private var rest: JSONObject

    init(_ request: Request, schema: String, readOnly: [String] = ["created_at", "updated_at"]) throws(Fault) {
        guard let json = request.json else { throw .badRequest("Body expected in request.") }
        try self.init(json, schema: schema)
        for name in readOnly where rest[name] != nil { throw .forbidden("Attribute '\(name)' is read-only.") }
    }

    init(_ json: JSON, schema: String) throws(Fault) {
        guard case .object(let object) = json else {
            throw .badObject(schema, "\(json.text()) is not of type 'object'")
        }
        self.schema = schema
        rest = object
    }

    mutating func need<Value>(_ name: String, _ format: Format<Value>) throws(Fault) -> Value {
        guard let value = try take(name, format) else {
            throw .badObject(schema, "'\(name)' is a required property")
        }
        return value
    }

    mutating func take<Value>(_ name: String, _ format: Format<Value>) throws(Fault) -> Value? {
        guard let value = rest.removeValue(forKey: name) else { return nil }
        do throws(Misfit) {
            return try format.read(value, false)
        } catch {
            throw .badObject(schema, "\(error.reason)\n\nOn instance['\(name)']")
        }
    }

    /// The values of a member that is a list of objects, or an object of objects.
    mutating func takeItems(_ name: String) throws(Fault) -> [JSON] { try take(name, .list(.any)) ?? [] }
    mutating func takeMembers(_ name: String) throws(Fault) -> JSONObject? { try take(name, .object) }

    func end() throws(Fault) {
        guard rest.isEmpty else {
            let names = rest.keys.map { "'\($0)'" }.joined(separator: ", ")
            let verb = rest.count == 1 ? "was" : "were"
            throw .badObject(schema, "Additional properties are not allowed (\(names) \(verb) unexpected)")
        }
    }
}

/// The definition of one property: a JSON schema of a few known members.
enum MetadefDefinition {
    private static let types = ["array", "boolean", "integer", "number", "object", "string"]

    /// A definition as a client sends it; `isNamed` when it stands alone and must say its own name.
    static func read(_ json: JSON, isNamed: Bool) throws(Fault) -> (name: String, definition: JSON) {
        var body = try MetadefBody(json, schema: "property")
        return try read(&body, isNamed: isNamed)
    }

    static func read(_ body: inout MetadefBody, isNamed: Bool) throws(Fault) -> (name: String, definition: JSON) {
        var kept = JSONObject()
        let name = isNamed ? try body.need("name", .text(0...80)) : try body.take("name", .text(0...80))
        kept["type"] = try body.need("type", type)
        kept["title"] = .string(try body.need("title", .text))
        for member in ["description", "pattern"] {
            if let text = try body.take(member, .text) { kept[member] = .string(text) }
        }
        for member in ["operators", "required"] {
            if let list = try body.take(member, .list(.text)) { kept[member] = .array(list.map(JSON.string)) }
        }
        for member in ["minimum", "maximum"] {
            if let number = try body.take(member, number) { kept[member] = number }
        }
        for member in ["maxLength", "minLength", "maxItems", "minItems"] {
            if let count = try body.take(member, .integer(0...Int.max)) { kept[member] = .integer(Int64(count)) }
        }
        for member in ["readonly", "uniqueItems", "additionalItems"] {
            if let flag = try body.take(member, .bool) { kept[member] = .bool(flag) }
        }
        if let choices = try body.take("enum", .list(.any)) { kept["enum"] = .array(choices) }
        // A default is kept as text, whatever its type.
        if let value = try body.take("default", .any) { kept["default"] = .string(value.string ?? value.text()) }
        if let items = try body.take("items", .object) {
            var item = try MetadefBody(.object(items), schema: "property")
            var shape = JSONObject()
            shape["type"] = try item.need("type", type)
            if let choices = try item.take("enum", .list(.any)) { shape["enum"] = .array(choices) }
            kept["items"] = .object(shape)
        }
        try body.end()
        return (name ?? "", .object(kept))
    }

    /// Many definitions by name.
    static func readAll(_ members: JSONObject) throws(Fault) -> JSONObject {
        var all = JSONObject()
        for (name, value) in members { all[name] = try read(value, isNamed: false).definition }
        return all
    }

    private static var type: Format<JSON> {
        Format { value, _ throws(Misfit) in
            if value.isNull { return value }
            guard let text = value.string, types.contains(text) else {
                let list = types.map { "'\($0)'" }.joined(separator: ", ")
                throw Misfit("\(value.text()) is not one of [\(list), None]")
            }
            return value
        }
    }

    private static var number: Format<JSON> {
        Format { value, _ throws(Misfit) in
            guard value.integer != nil || value.double != nil else {
                throw Misfit("\(value.text()) is not of type 'number'")
            }
            return value
        }
    }
}

extension Fault {
    static func badObject(_ schema: String, _ reason: String) -> Fault {
        .badRequest("Provided object does not match schema '\(schema)': \(reason)")
    }
}
