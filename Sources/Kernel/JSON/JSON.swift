// SPDX-License-Identifier: Apache-2.0

/// A JSON document as a value. Whole numbers stay whole (`Int64`), objects keep the order of their members.
package enum JSON: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

// MARK: - Reading

extension JSON {
    /// Reads one document; anything but white space after it is refused.
    package static func parse(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits = .request) throws(JSONError) -> JSON
    {
        var reader = JSONReader(bytes, limits: limits)
        return try reader.document()
    }

    package static func parse(_ bytes: [UInt8], limits: JSONLimits = .request) throws(JSONError) -> JSON {
        try bytes.withUnsafeBufferPointer { all throws(JSONError) in
            try parse(UnsafeRawBufferPointer(all), limits: limits)
        }
    }

    package static func parse(
        _ bytes: some Collection<UInt8>, limits: JSONLimits = .request
    ) throws(JSONError) -> JSON {
        try parse(Array(bytes), limits: limits)
    }

    package static func parse(_ text: String, limits: JSONLimits = .request) throws(JSONError) -> JSON {
        try parse(Array(text.utf8), limits: limits)
    }
}

// MARK: - Looking inside

extension JSON {
    /// A member of an object; nil when there is none, or when this is no object. Setting nil removes it.
    package subscript(key: String) -> JSON? {
        get { object?[key] }
        set {
            guard case .object(var object) = self else { preconditionFailure("no object to set '\(key)' in") }
            self = .null  // the object is then held once, so that it changes in place
            object[key] = newValue
            self = .object(object)
        }
    }

    /// An element of an array; nil when it is too short, or when this is no array.
    package subscript(index: Int) -> JSON? {
        guard case .array(let array) = self, array.indices.contains(index) else { return nil }
        return array[index]
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    package var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    package var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    package var isNull: Bool { self == .null }

    /// A whole number written as one: `1`, not `1.0`.
    package var integer: Int? { if case .integer(let value) = self { Int(value) } else { nil } }

    /// Any number.
    package var double: Double? {
        switch self {
        case .double(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }

    /// What kind of value this is, in the words of a schema error: "is not of type 'string'".
    package var kind: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer: "integer"
        case .double: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

// MARK: - Writing

extension JSON: CustomStringConvertible {
    package func bytes() -> [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.finish()
    }

    package func text(pretty: Bool = false) -> String {
        guard pretty else { return String(decoding: bytes(), as: UTF8.self) }
        var writer = JSONWriter()
        writer.pretty(self)
        return String(decoding: writer.finish(), as: UTF8.self)
    }

    package var description: String { text() }
}

// MARK: - Literals

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringInterpolation, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    package init(nilLiteral: ()) { self = .null }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(floatLiteral value: Double) { self = .double(value) }
    package init(stringLiteral value: String) { self = .string(value) }
    package init(arrayLiteral elements: JSON...) { self = .array(elements) }
    package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }
}
