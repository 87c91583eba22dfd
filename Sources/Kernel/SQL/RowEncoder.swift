// SPDX-License-Identifier: Apache-2.0
internal import Base

/// Turns a record into its columns' values, in the order of its plan. It is also the container of a property's single
/// value while an enum or a wrapper writes itself.
final class RowEncoder: Encoder {
    let plan: RecordPlan
    private(set) var values: [SQLValue] = []
    /// Keys came in another order than the plan's: the type encodes itself by its own rules.
    private(set) var isAstray = false
    /// Whether a property's value is writing itself, and what it wrote.
    private var isInside = false
    private var single: SQLValue?
    private var hasMembers = false

    init(_ plan: RecordPlan) {
        self.plan = plan
        values.reserveCapacity(plan.keys.count)
    }

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        guard isInside else { return KeyedEncodingContainer(RecordFields(encoder: self)) }
        hasMembers = true
        return KeyedEncodingContainer(NoFields())
    }
    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        hasMembers = true
        return NoElements()
    }
    func singleValueContainer() -> any SingleValueEncodingContainer { self }

    @inline(__always)
    func put(_ key: String, _ value: SQLValue) {
        let place = values.count
        if place == plan.keys.count {
            plan.append(key)
        } else if plan.keys[place] != key {
            isAstray = true
        }
        values.append(value)
    }

    /// Any value that is not a plain column type.
    func put<T: Encodable>(_ key: String, any value: T) throws {
        let place = values.count
        if place < plan.keys.count, plan.keys[place] == key, plan.nested[place] {
            return put(key, .text(try NestedColumn.encode(value)))
        }
        if T.self == Timestamp.self {
            return put(key, .integer(unsafeBitCast(value, to: Timestamp.self).microseconds))
        }
        if T.self == [UInt8].self, let bytes = value as? [UInt8] { return put(key, .blob(bytes)) }
        if !NestedColumn.holds(T.self), let single = try alone(value) { return put(key, single) }
        put(key, .text(try NestedColumn.encode(value)))
        if !isAstray { plan.nested[place] = true }
    }

    /// What a value writes when it is a single one; nil when it has members.
    private func alone<T: Encodable>(_ value: T) throws -> SQLValue? {
        isInside = true
        single = nil
        hasMembers = false
        defer { isInside = false }
        do { try value.encode(to: self) } catch is HasMembers { return nil }
        return hasMembers ? nil : single ?? .null
    }
}

extension RowEncoder: SingleValueEncodingContainer {
    func encodeNil() throws { single = .null }
    func encode(_ value: Bool) throws { single = .integer(value ? 1 : 0) }
    func encode(_ value: String) throws { single = .text(value) }
    func encode(_ value: Double) throws { single = .real(value) }
    func encode(_ value: Float) throws { single = .real(Double(value)) }
    func encode(_ value: Int) throws { single = .integer(Int64(value)) }
    func encode(_ value: Int8) throws { single = .integer(Int64(value)) }
    func encode(_ value: Int16) throws { single = .integer(Int64(value)) }
    func encode(_ value: Int32) throws { single = .integer(Int64(value)) }
    func encode(_ value: Int64) throws { single = .integer(value) }
    func encode(_ value: UInt) throws { single = try SQLValue(exactly: value) }
    func encode(_ value: UInt8) throws { single = .integer(Int64(value)) }
    func encode(_ value: UInt16) throws { single = .integer(Int64(value)) }
    func encode(_ value: UInt32) throws { single = .integer(Int64(value)) }
    func encode(_ value: UInt64) throws { single = try SQLValue(exactly: value) }
    func encode<T: Encodable>(_ value: T) throws { try value.encode(to: self) }
}

extension SQLValue {
    fileprivate init(exactly value: some FixedWidthInteger) throws {
        guard let integer = Int64(exactly: value) else { throw RowError("\(value) is beyond a 64-bit signed column") }
        self = .integer(integer)
    }
}

/// The properties of a record on their way into columns; a missing optional is a NULL, so that the columns stay.
private struct RecordFields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: RowEncoder

    var codingPath: [any CodingKey] { [] }

    func encodeNil(forKey key: Key) throws { encoder.put(key.stringValue, .null) }
    func encode(_ value: Bool, forKey key: Key) throws { encoder.put(key.stringValue, .integer(value ? 1 : 0)) }
    func encode(_ value: String, forKey key: Key) throws { encoder.put(key.stringValue, .text(value)) }
    func encode(_ value: Double, forKey key: Key) throws { encoder.put(key.stringValue, .real(value)) }
    func encode(_ value: Int, forKey key: Key) throws { encoder.put(key.stringValue, .integer(Int64(value))) }
    func encode(_ value: Int64, forKey key: Key) throws { encoder.put(key.stringValue, .integer(value)) }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try encoder.put(key.stringValue, any: value) }

    func encodeIfPresent(_ value: Bool?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: String?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Double?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int64?, forKey key: Key) throws { try optional(value, key) }
    func encodeIfPresent(_ value: Int8?, forKey key: Key) throws { try optional(value.map(Int64.init), key) }
    func encodeIfPresent(_ value: Int16?, forKey key: Key) throws { try optional(value.map(Int64.init), key) }
    func encodeIfPresent(_ value: Int32?, forKey key: Key) throws { try optional(value.map(Int64.init), key) }
    func encodeIfPresent(_ value: UInt8?, forKey key: Key) throws { try optional(value.map(Int64.init), key) }
    func encodeIfPresent(_ value: UInt16?, forKey key: Key) throws { try optional(value.map(Int64.init), key) }
    func encodeIfPresent(_ value: UInt32?, forKey key: Key) throws { try optional(value.map(Int64.init), key) }
    func encodeIfPresent(_ value: UInt?, forKey key: Key) throws { try wide(value, key) }
    func encodeIfPresent(_ value: UInt64?, forKey key: Key) throws { try wide(value, key) }
    func encodeIfPresent(_ value: Float?, forKey key: Key) throws { try optional(value.map(Double.init), key) }
    func encodeIfPresent<T: Encodable>(_ value: T?, forKey key: Key) throws {
        guard let value else { return encoder.put(key.stringValue, .null) }
        try encoder.put(key.stringValue, any: value)
    }
    private func optional(_ value: (some SQLBindable)?, _ key: Key) throws {
        encoder.put(key.stringValue, value?.sqlValue ?? .null)
    }
    private func wide(_ value: (some FixedWidthInteger)?, _ key: Key) throws {
        encoder.put(key.stringValue, try value.map { try SQLValue(exactly: $0) } ?? .null)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { KeyedEncodingContainer(NoFields()) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { NoElements() }
    func superEncoder() -> any Encoder { encoder }
    func superEncoder(forKey key: Key) -> any Encoder { encoder }
}

/// Ends the attempt to write a value as a single one as soon as it writes a member.
private struct NoFields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    var codingPath: [any CodingKey] { [] }
    func encodeNil(forKey key: Key) throws { throw HasMembers() }
    func encode<T: Encodable>(_ value: T, forKey key: Key) throws { throw HasMembers() }
    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { KeyedEncodingContainer(NoFields<Nested>()) }
    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { NoElements() }
    func superEncoder() -> any Encoder { RowEncoder(RecordPlan(table: "")) }
    func superEncoder(forKey key: Key) -> any Encoder { superEncoder() }
}

private struct NoElements: UnkeyedEncodingContainer {
    var codingPath: [any CodingKey] { [] }
    var count: Int { 0 }
    func encodeNil() throws { throw HasMembers() }
    func encode<T: Encodable>(_ value: T) throws { throw HasMembers() }
    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        KeyedEncodingContainer(NoFields<Nested>())
    }
    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { NoElements() }
    func superEncoder() -> any Encoder { RowEncoder(RecordPlan(table: "")) }
}
