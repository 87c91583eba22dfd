// SPDX-License-Identifier: Apache-2.0
package import Base

/// What a column holds, in the five kinds that every engine has.
package enum SQLValue: Sendable, Hashable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)
    case blob([UInt8])

    package var isNull: Bool { self == .null }
    package var text: String? { if case .text(let value) = self { value } else { nil } }
    package var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    package var int: Int? { integer.map(Int.init) }
    package var bool: Bool? { integer.map { $0 != 0 } }
    package var timestamp: Timestamp? { integer.map(Timestamp.init(microseconds:)) }
    package var bytes: [UInt8]? { if case .blob(let value) = self { value } else { nil } }
    package var real: Double? {
        switch self {
        case .real(let value): value
        case .integer(let value): Double(value)
        default: nil
        }
    }
}

/// A Swift value that can stand in an SQL interpolation.
package protocol SQLBindable {
    var sqlValue: SQLValue { get }
}

extension String: SQLBindable { package var sqlValue: SQLValue { .text(self) } }
extension Substring: SQLBindable { package var sqlValue: SQLValue { .text(String(self)) } }
extension Int: SQLBindable { package var sqlValue: SQLValue { .integer(Int64(self)) } }
extension Int32: SQLBindable { package var sqlValue: SQLValue { .integer(Int64(self)) } }
extension Int64: SQLBindable { package var sqlValue: SQLValue { .integer(self) } }
extension Bool: SQLBindable { package var sqlValue: SQLValue { .integer(self ? 1 : 0) } }
extension Double: SQLBindable { package var sqlValue: SQLValue { .real(self) } }
extension Timestamp: SQLBindable { package var sqlValue: SQLValue { .integer(microseconds) } }
/// Only bytes are bound as one value; every other array is a list of values.
extension [UInt8]: SQLBindable { package var sqlValue: SQLValue { .blob(self) } }
extension Optional: SQLBindable where Wrapped: SQLBindable {
    package var sqlValue: SQLValue { self?.sqlValue ?? .null }
}

extension SQLBindable where Self: RawRepresentable<String> {
    package var sqlValue: SQLValue { .text(rawValue) }
}

/// One line of an answer that is not a record: counts, sums, joins within a room.
package struct Row: Sendable {
    package let columns: [String]
    package let values: [SQLValue]

    package init(columns: [String], values: [SQLValue]) {
        self.columns = columns
        self.values = values
    }

    package subscript(index: Int) -> SQLValue { index < values.count ? values[index] : .null }
    package subscript(name: String) -> SQLValue { columns.firstIndex(of: name).map { values[$0] } ?? .null }

    package func text(_ name: String) -> String? { self[name].text }
    package func int(_ name: String) -> Int? { self[name].int }
    package func real(_ name: String) -> Double? { self[name].real }
    package func bool(_ name: String) -> Bool? { self[name].bool }
    package func timestamp(_ name: String) -> Timestamp? { self[name].timestamp }
    package func bytes(_ name: String) -> [UInt8]? { self[name].bytes }
}
