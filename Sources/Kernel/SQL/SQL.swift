// SPDX-License-Identifier: Apache-2.0

/// A piece of SQL with its values apart: interpolations become `?`, so no value is ever spliced into the text.
/// Written for all engines alike: `?` for values, ANSI double quotes around names; an engine translates where it must.
package struct SQL: Sendable, Hashable {
    package var text: String
    package var values: [SQLValue]

    package init(text: String, values: [SQLValue] = []) {
        self.text = text
        self.values = values
    }

    package var isEmpty: Bool { text.isEmpty }

    package static func + (left: SQL, right: SQL) -> SQL {
        var sum = left
        sum += right
        return sum
    }

    package static func += (left: inout SQL, right: SQL) {
        left.text += right.text
        if !right.values.isEmpty { left.values += right.values }
    }

    /// A column or table name in quotes, so that names which are keywords work.
    package static func name(_ name: String) -> SQL { SQL(text: Dialect.ansi.quote(name)) }
}

extension [SQL] {
    /// `conditions.joined(" AND ")`; nothing when there are none.
    package func joined(_ separator: SQL) -> SQL {
        guard var sum = first else { return "" }
        // In halves when there are many: a client's long list must not nest deeper than the database allows.
        guard count <= 64 else {
            let (left, right) = (Array(prefix(count / 2)), Array(dropFirst(count / 2)))
            return "(\(sql: left.joined(separator)))\(sql: separator)(\(sql: right.joined(separator)))"
        }
        for piece in dropFirst() {
            sum += separator
            sum += piece
        }
        return sum
    }
}

extension SQL: ExpressibleByStringInterpolation {
    package init(stringLiteral text: String) { self.init(text: text) }
    package init(stringInterpolation: StringInterpolation) { self = stringInterpolation.sql }

    /// Collects the text and the values; rooms may extend it with their own `appendInterpolation`.
    package struct StringInterpolation: StringInterpolationProtocol {
        package var sql: SQL

        package init(literalCapacity: Int, interpolationCount: Int) {
            sql = SQL(text: "")
            sql.text.reserveCapacity(literalCapacity + interpolationCount)
            sql.values.reserveCapacity(interpolationCount)
        }

        package mutating func appendLiteral(_ literal: String) { sql.text += literal }

        package mutating func appendInterpolation<Value: SQLBindable>(_ value: Value) {
            sql.text += "?"
            sql.values.append(value.sqlValue)
        }

        /// Spelt out because the compiler warns of optionals that an interpolation takes as any other value.
        package mutating func appendInterpolation<Value: SQLBindable>(_ value: Value?) {
            appendInterpolation(value?.sqlValue ?? .null)
        }

        package mutating func appendInterpolation(_ value: SQLValue) {
            sql.text += "?"
            sql.values.append(value)
        }

        /// `IN \(ids)`: a list in parentheses; an empty one is `(NULL)`, which nothing equals.
        package mutating func appendInterpolation<Value: SQLBindable>(_ list: [Value]) {
            appendList(list.map(\.sqlValue))
        }

        package mutating func appendInterpolation(raw text: String) { sql.text += text }
        package mutating func appendInterpolation(sql other: SQL) { sql += other }

        /// `project_id \(is: projectID)`: `= ?`, or `IS NULL` for nil, which `=` would never match.
        package mutating func appendInterpolation<Value: SQLBindable>(is value: Value?) {
            guard let value else { return sql.text += "IS NULL" }
            sql.text += "= ?"
            sql.values.append(value.sqlValue)
        }

        // Enums need no declaration to be bound by their raw text.
        @_disfavoredOverload
        package mutating func appendInterpolation<Value: RawRepresentable<String>>(_ value: Value) {
            appendInterpolation(SQLValue.text(value.rawValue))
        }

        @_disfavoredOverload
        package mutating func appendInterpolation<Value: RawRepresentable<String>>(_ value: Value?) {
            appendInterpolation(value.map { SQLValue.text($0.rawValue) } ?? .null)
        }

        @_disfavoredOverload
        package mutating func appendInterpolation<Value: RawRepresentable<String>>(_ list: [Value]) {
            appendList(list.map { .text($0.rawValue) })
        }

        package mutating func appendList(_ list: [SQLValue]) {
            guard !list.isEmpty else { return sql.text += "(NULL)" }
            sql.text += "(?"
            for _ in 1..<list.count { sql.text += ", ?" }
            sql.text += ")"
            sql.values += list
        }
    }
}
