// SPDX-License-Identifier: Apache-2.0

/// Builds a tree from an `Encodable`. A class, because containers are filled after they were handed out.
final class TreeEncoder: Encoder {
    /// What was encoded so far.
    enum Node {
        case leaf(JSON)
        case members(JSONObject)
        case elements([JSON])
    }

    var node: Node?
    /// Values still being built: containers and super encoders handed out, and where they belong.
    private var open: [(place: Place, encoder: TreeEncoder)] = []
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    enum Place {
        case member(String)
        case element(Int)
    }

    init(path: [any CodingKey]) { codingPath = path }

    /// The finished tree.
    func close() -> JSON {
        for (place, encoder) in open {
            let value = encoder.close()
            switch place {
            case .member(let key): put(value, key)
            case .element(let index):
                guard case .elements(var elements) = node else { continue }
                elements[index] = value
                node = .elements(elements)
            }
        }
        open.removeAll()
        return switch node {
        case .leaf(let json): json
        case .members(let object): .object(object)
        case .elements(let elements): .array(elements)
        case nil: .object([:])
        }
    }

    static func box<T: Encodable>(_ value: T, path: [any CodingKey]) throws -> JSON {
        switch value {
        case let json as JSON: return json
        case let text as String: return .string(text)
        default:
            let encoder = TreeEncoder(path: path)
            try value.encode(to: encoder)
            return encoder.close()
        }
    }

    func put(_ value: JSON, _ key: String) {
        guard case .members(var object) = node ?? .members([:]) else { preconditionFailure("two kinds of container") }
        node = nil  // held once, so that it grows in place
        object[key] = value
        node = .members(object)
    }

    func add(_ value: JSON) {
        guard case .elements(var elements) = node ?? .elements([]) else {
            preconditionFailure("two kinds of container")
        }
        node = nil
        elements.append(value)
        node = .elements(elements)
    }

    var elementCount: Int { if case .elements(let elements) = node { elements.count } else { 0 } }

    func child(_ place: Place, _ key: any CodingKey) -> TreeEncoder {
        let encoder = TreeEncoder(path: codingPath + [key])
        switch place {
        case .member(let name): put(.null, name)
        case .element: add(.null)
        }
        open.append((place, encoder))
        return encoder
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        if node == nil { node = .members([:]) }
        return KeyedEncodingContainer(MemberWriter(encoder: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        if node == nil { node = .elements([]) }
        return ElementWriter(encoder: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    fileprivate func whole(_ value: some FixedWidthInteger) throws -> JSON {
        guard let fit = Int64(exactly: value) else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: codingPath, debugDescription: "\(value) is out of range"))
        }
        return .integer(fit)
    }

    fileprivate func finite(_ value: Double) throws -> JSON {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, .init(codingPath: codingPath, debugDescription: "\(value) has no JSON form"))
        }
        return .double(value)
    }
}

extension TreeEncoder: SingleValueEncodingContainer {
    func encodeNil() { node = .leaf(.null) }
    func encode(_ value: Bool) { node = .leaf(.bool(value)) }
    func encode(_ value: String) { node = .leaf(.string(value)) }
    func encode(_ value: Double) throws { node = .leaf(try finite(value)) }
    func encode(_ value: Float) throws { node = .leaf(try finite(Double(value))) }
    func encode(_ value: Int) throws { node = .leaf(try whole(value)) }
    func encode(_ value: Int8) throws { node = .leaf(try whole(value)) }
    func encode(_ value: Int16) throws { node = .leaf(try whole(value)) }
    func encode(_ value: Int32) throws { node = .leaf(try whole(value)) }
    func encode(_ value: Int64) throws { node = .leaf(try whole(value)) }
    func encode(_ value: UInt) throws { node = .leaf(try whole(value)) }
    func encode(_ value: UInt8) throws { node = .leaf(try whole(value)) }
    func encode(_ value: UInt16) throws { node = .leaf(try whole(value)) }
    func encode(_ value: UInt32) throws { node = .leaf(try whole(value)) }
    func encode(_ value: UInt64) throws { node = .leaf(try whole(value)) }
    func encode<T: Encodable>(_ value: T) throws { node = .leaf(try TreeEncoder.box(value, path: codingPath)) }
}

// MARK: - Containers

/// Members of the object that an encoder builds.
private struct MemberWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: TreeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil(forKey key: Key) { encoder.put(.null, key.stringValue) }
    func encode(_ value: Bool, forKey key: Key) { encoder.put(.bool(value), key.stringValue) }
    func encode(_ value: String, forKey key: Key) { encoder.put(.string(value), key.stringValue) }
    func encode(_ value: Int, forKey key: Key) { encoder.put(.integer(Int64(value)), key.stringValue) }
    func encode(_ value: Int64, forKey key: Key) { encoder.put(.integer(value), key.stringValue) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws {
        encoder.put(try TreeEncoder.box(value, path: codingPath + [key]), key.stringValue)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        encoder.child(.member(key.stringValue), key).container(keyedBy: type)
    }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        encoder.child(.member(key.stringValue), key).unkeyedContainer()
    }
    func superEncoder() -> any Encoder { encoder.child(.member("super"), PathKey("super")) }
    func superEncoder(forKey key: Key) -> any Encoder { encoder.child(.member(key.stringValue), key) }
}

/// Elements of the array that an encoder builds.
private struct ElementWriter: UnkeyedEncodingContainer {
    let encoder: TreeEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }
    var count: Int { encoder.elementCount }

    func encodeNil() { encoder.add(.null) }
    func encode(_ value: String) { encoder.add(.string(value)) }
    func encode<T: Encodable>(_ value: T) throws {
        encoder.add(try TreeEncoder.box(value, path: codingPath + [PathKey(index: count)]))
    }

    private func next() -> TreeEncoder { encoder.child(.element(count), PathKey(index: count)) }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        next().container(keyedBy: type)
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { next().unkeyedContainer() }
    func superEncoder() -> any Encoder { next() }
}
