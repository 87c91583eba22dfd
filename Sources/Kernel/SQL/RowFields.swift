// SPDX-License-Identifier: Apache-2.0

/// The properties of a record, as columns of the current row.
struct RowFields<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let decoder: RowDecoder

    var codingPath: [any CodingKey] { [] }
    var allKeys: [Key] { decoder.statement.columns.compactMap(Key.init(stringValue:)) }
    func contains(_ key: Key) -> Bool { decoder.plan.column(key.stringValue) >= 0 }
    func decodeNil(forKey key: Key) throws -> Bool { decoder.isNull(decoder.plan.column(key.stringValue)) }

    @inline(__always)
    private func column(_ key: Key) -> Int32 { decoder.plan.steps[decoder.next(key.stringValue)].column }

    /// Names the property in what a column's reader found wrong.
    @inline(__always)
    private func naming<T>(_ key: Key, _ body: () throws -> T) throws -> T {
        do { return try body() } catch {
            // Other errors may quote the stored value, which is nobody's business in a log.
            let problem = (error as? RowError)?.description ?? "the stored value does not fit its type"
            throw RowError("property \(key.stringValue): \(problem)")
        }
    }

    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool {
        try naming(key) { try decoder.integer(column(key)) != 0 }
    }
    func decode(_ type: String.Type, forKey key: Key) throws -> String {
        try naming(key) { try decoder.text(column(key)) }
    }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double {
        try naming(key) { try decoder.real(column(key)) }
    }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float {
        try naming(key) { Float(try decoder.real(column(key))) }
    }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int {
        try naming(key) { Int(try decoder.integer(column(key))) }
    }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 {
        try naming(key) { try decoder.integer(column(key)) }
    }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try number(type, key) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try number(type, key) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try number(type, key) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try number(type, key) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try number(type, key) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try number(type, key) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try number(type, key) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try number(type, key) }

    private func number<Number: FixedWidthInteger>(_ type: Number.Type, _ key: Key) throws -> Number {
        try naming(key) { try decoder.number(type, column(key)) }
    }

    func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
        try naming(key) { try decoder.value(type, step: decoder.next(key.stringValue)) }
    }

    // MARK: Optionals: the protocol's defaults would look a column up three times.

    func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? {
        let column = column(key)
        return decoder.isNull(column) ? nil : try naming(key) { try decoder.integer(column) != 0 }
    }
    func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? {
        let column = column(key)
        return decoder.isNull(column) ? nil : try naming(key) { try decoder.text(column) }
    }
    func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? {
        let column = column(key)
        return decoder.isNull(column) ? nil : try naming(key) { try decoder.real(column) }
    }
    func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? {
        let column = column(key)
        return decoder.isNull(column) ? nil : try naming(key) { Int(try decoder.integer(column)) }
    }
    func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? {
        let column = column(key)
        return decoder.isNull(column) ? nil : try naming(key) { try decoder.integer(column) }
    }
    func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? {
        try decodeIfPresent(Double.self, forKey: key).map(Float.init)
    }
    func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try numberIfPresent(type, key) }
    func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try numberIfPresent(type, key) }
    private func numberIfPresent<Number: FixedWidthInteger>(_ type: Number.Type, _ key: Key) throws -> Number? {
        let column = column(key)
        return decoder.isNull(column) ? nil : try naming(key) { try decoder.number(type, column) }
    }
    func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
        let place = decoder.next(key.stringValue)
        if decoder.isNull(decoder.plan.steps[place].column) { return nil }
        return try naming(key) { try decoder.value(type, step: place) }
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        throw RowError("property \(key.stringValue) must be a type of its own")
    }
    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        throw RowError("property \(key.stringValue) must be a type of its own")
    }
    func superDecoder() throws -> any Decoder { throw RowError("a record has no superclass") }
    func superDecoder(forKey key: Key) throws -> any Decoder { try superDecoder() }
}
