// SPDX-License-Identifier: Apache-2.0
internal import Base

/// Reads records from a statement's rows; one decoder serves all rows of an answer. It is also the container of a
/// property's single value while an enum or a wrapper reads itself.
final class RowDecoder: Decoder {
    let statement: any EngineStatement
    let plan: RowPlan
    /// How many decode calls this row has seen.
    var at = 0
    /// The column whose value reads itself; -1 at the top of a row.
    var column: Int32 = -1

    init(_ statement: any EngineStatement, _ plan: RowPlan) {
        self.statement = statement
        self.plan = plan
    }

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func row<R: Decodable>(_ type: R.Type) throws -> R {
        at = 0
        column = -1
        return try R(from: self)
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard column < 0 else { throw HasMembers() }
        return KeyedDecodingContainer(RowFields(decoder: self))
    }
    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw HasMembers() }
    func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

    /// The step of the next decode call.
    @inline(__always)
    func next(_ key: String) -> Int {
        let place = at
        at = place + 1
        if place >= plan.steps.count || plan.steps[place].key != key { plan.learn(key, at: place) }
        return place
    }

    // MARK: Columns

    func isNull(_ column: Int32) -> Bool { column < 0 || statement.kind(column) == .null }

    func integer(_ column: Int32) throws -> Int64 {
        guard column >= 0 else { throw RowError("is missing") }
        switch statement.kind(column) {
        case .integer: return statement.integer(column)
        case .real:
            guard let whole = Int64(exactly: statement.real(column)) else { throw RowError("holds a fraction") }
            return whole
        case let kind: throw RowError("holds \(kind), not a number", column, statement)
        }
    }

    func number<Number: FixedWidthInteger>(_ type: Number.Type, _ column: Int32) throws -> Number {
        guard let value = Number(exactly: try integer(column)) else {
            throw RowError("holds a number beyond \(type)", column, statement)
        }
        return value
    }

    func real(_ column: Int32) throws -> Double {
        guard column >= 0 else { throw RowError("is missing") }
        switch statement.kind(column) {
        case .integer, .real: return statement.real(column)
        case let kind: throw RowError("holds \(kind), not a number", column, statement)
        }
    }

    func text(_ column: Int32) throws -> String {
        guard column >= 0 else { throw RowError("is missing") }
        switch statement.kind(column) {
        case .text, .integer, .real: return statement.text(column)
        case let kind: throw RowError("holds \(kind), not text", column, statement)
        }
    }

    private func bytes(_ column: Int32) throws -> [UInt8] {
        guard column >= 0 else { throw RowError("is missing") }
        guard statement.kind(column) != .null else { throw RowError("holds null, not bytes", column, statement) }
        return statement.blob(column)
    }

    // MARK: Values of other types

    func value<T: Decodable>(_ type: T.Type, step place: Int) throws -> T {
        let step = plan.steps[place]
        if step.isNested { return try nested(type, place) }
        if type == Timestamp.self {
            return unsafeBitCast(Timestamp(microseconds: try integer(step.column)), to: T.self)
        }
        if type == [UInt8].self { return unsafeBitCast(try bytes(step.column), to: T.self) }
        if NestedColumn.holds(type) {
            plan.steps[place].isNested = true
            return try nested(type, place)
        }
        guard step.column >= 0 else { throw RowError("is missing") }
        column = step.column
        defer { column = -1 }
        do {
            return try T(from: self)
        } catch is HasMembers {
            plan.steps[place].isNested = true
            return try nested(type, place)
        }
    }

    private func nested<T: Decodable>(_ type: T.Type, _ place: Int) throws -> T {
        let column = plan.steps[place].column
        if isNull(column), let null = NestedColumn.null(type) { return null }
        let memo: Memo<T>
        if let known = plan.memo(at: place), known.type == ObjectIdentifier(type) {
            // A checked cast would look the generic class up for every value.
            memo = unsafeDowncast(known.memo, to: Memo<T>.self)
        } else {
            memo = Memo<T>()
            plan.keep(memo, of: type, at: place)
        }
        // Looked for before the text is made a string, which costs more than the look. A place, not an optional value:
        // that one's type would be looked up for every value as well.
        if column >= 0 {
            let known = memo.place(of: statement, column)
            if known >= 0 { return memo[known] }
        }
        let text = try text(column)
        let value = try memo.read(text) ?? NestedColumn.decode(type, text)
        memo.keep(value, of: text)
        return value
    }
}

/// The last few texts of a nested column and what they meant: rows mostly repeat each other there, and a row that is
/// read again and again repeats itself.
private final class Memo<Value> {
    private static var size: Int { 4 }
    /// Bytes of a text; what is longer is read anew, as it would be kept for as long as the statement is.
    private static var textMax: Int { 2048 }
    private let reader = Value.self as? any NestedReadable.Type
    private var texts: [String] = []
    private var values: [Value] = []
    private var oldest = 0

    subscript(place: Int) -> Value { values[place] }

    /// Where the column's text is; -1 when it is not among the last.
    func place(of statement: any EngineStatement, _ column: Int32) -> Int {
        for at in texts.indices where statement.isText(column, texts[at]) { return at }
        return -1
    }

    func read(_ text: String) -> Value? {
        guard let reader else { return nil }
        return NestedColumn.read(reader, as: Value.self, text)
    }

    func keep(_ value: Value, of text: String) {
        guard text.utf8.count <= Memo.textMax else { return }
        guard texts.count == Memo.size else {
            texts.append(text)
            return values.append(value)
        }
        texts[oldest] = text
        values[oldest] = value
        oldest = (oldest + 1) % Memo.size
    }
}

/// Thrown when a property's value asks for members: it is stored as JSON text then.
struct HasMembers: Error {}

/// A column that does not hold what the property needs.
struct RowError: Error, CustomStringConvertible {
    let description: String

    init(_ problem: String) { description = problem }
    init(_ problem: String, _ column: Int32, _ statement: any EngineStatement) {
        description = "column \(statement.columns[Int(column)]) \(problem)"
    }
}

extension RowDecoder: SingleValueDecodingContainer {
    func decodeNil() -> Bool { isNull(column) }
    func decode(_ type: Bool.Type) throws -> Bool { try integer(column) != 0 }
    func decode(_ type: String.Type) throws -> String { try text(column) }
    func decode(_ type: Double.Type) throws -> Double { try real(column) }
    func decode(_ type: Float.Type) throws -> Float { Float(try real(column)) }
    func decode(_ type: Int.Type) throws -> Int { Int(try integer(column)) }
    func decode(_ type: Int8.Type) throws -> Int8 { try number(type, column) }
    func decode(_ type: Int16.Type) throws -> Int16 { try number(type, column) }
    func decode(_ type: Int32.Type) throws -> Int32 { try number(type, column) }
    func decode(_ type: Int64.Type) throws -> Int64 { try integer(column) }
    func decode(_ type: UInt.Type) throws -> UInt { try number(type, column) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try number(type, column) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try number(type, column) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try number(type, column) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try number(type, column) }
    func decode<T: Decodable>(_ type: T.Type) throws -> T { try T(from: self) }
}
