// SPDX-License-Identifier: Apache-2.0

// The bridge to Codable: by way of the tree, so that the reader and writer above stay the only ones.
extension JSON {
    /// Fits a tree to a type; the error names the path of the member that does not fit.
    package static func decode<T: Decodable>(_ type: T.Type, from json: JSON) throws -> T {
        try TreeDecoder(json, path: []).unbox(type)
    }

    package static func encode(_ value: some Encodable) throws -> JSON {
        try TreeEncoder.box(value, path: [])
    }
}

// A document as a member of a coded type: itself, when the coder is ours.
extension JSON: Codable {
    package init(from decoder: any Decoder) throws {
        if let tree = decoder as? TreeDecoder {
            self = tree.json
        } else if let members = try? decoder.container(keyedBy: PathKey.self) {
            var object = JSONObject()
            for key in members.allKeys { object[key.stringValue] = try members.decode(JSON.self, forKey: key) }
            self = .object(object)
        } else if var elements = try? decoder.unkeyedContainer() {
            var array: [JSON] = []
            while !elements.isAtEnd { array.append(try elements.decode(JSON.self)) }
            self = .array(array)
        } else {
            self = try JSON(single: decoder.singleValueContainer())
        }
    }

    private init(single value: any SingleValueDecodingContainer) throws {
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let double = try? value.decode(Double.self) {
            self = .double(double)
        } else {
            self = .string(try value.decode(String.self))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        if let tree = encoder as? TreeEncoder {
            tree.node = .leaf(self)
            return
        }
        switch self {
        case .array(let elements):
            var container = encoder.unkeyedContainer()
            for element in elements { try container.encode(element) }
        case .object(let object):
            var container = encoder.container(keyedBy: PathKey.self)
            for (key, value) in object { try container.encode(value, forKey: PathKey(key)) }
        case .null, .bool, .integer, .double, .string:
            var container = encoder.singleValueContainer()
            switch self {
            case .bool(let value): try container.encode(value)
            case .integer(let value): try container.encode(value)
            case .double(let value): try container.encode(value)
            case .string(let value): try container.encode(value)
            default: try container.encodeNil()
            }
        }
    }
}

extension JSONObject: Codable {
    package init(from decoder: any Decoder) throws {
        guard case .object(let object) = try JSON(from: decoder) else {
            throw DecodingError.typeMismatch(
                JSONObject.self, .init(codingPath: decoder.codingPath, debugDescription: "an object was expected"))
        }
        self = object
    }

    package func encode(to encoder: any Encoder) throws { try JSON.object(self).encode(to: encoder) }
}

/// Any member name or element number, for paths and for objects with free keys.
struct PathKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ name: String) { (stringValue, intValue) = (name, nil) }
    init(index: Int) { (stringValue, intValue) = ("\(index)", index) }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { self.init(index: intValue) }
}
