// SPDX-License-Identifier: Apache-2.0
package import JSON

/// `[column, function, value]`.
package struct OVSDBCondition: Sendable, Hashable {
    package enum Function: String, Sendable {
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case includes = "includes"
        case excludes = "excludes"
    }

    package var column: String
    package var function: Function
    package var value: OVSDBValue

    package init(_ column: String, _ function: Function = .equal, _ value: OVSDBValue) {
        self.column = column
        self.function = function
        self.value = value
    }

    package static func row(_ uuid: String) -> OVSDBCondition { OVSDBCondition("_uuid", .equal, .uuid(uuid)) }
}

/// `[column, mutator, value]`.
package struct OVSDBMutation: Sendable, Hashable {
    package enum Mutator: String, Sendable {
        case add = "+="
        case subtract = "-="
        case insert = "insert"
        case delete = "delete"
    }

    package var column: String
    package var mutator: Mutator
    package var value: OVSDBValue

    package init(_ column: String, _ mutator: Mutator, _ value: OVSDBValue) {
        self.column = column
        self.mutator = mutator
        self.value = value
    }
}

/// One operation of a transaction (RFC 7047 section 5.2).
package enum OVSDBOperation: Sendable, Hashable {
    /// The name lets other operations of the transaction refer to the row: letters, digits and underscores.
    case insert(table: String, row: [String: OVSDBValue], name: String?)
    case update(table: String, where: [OVSDBCondition], row: [String: OVSDBValue])
    case mutate(table: String, where: [OVSDBCondition], [OVSDBMutation])
    case delete(table: String, where: [OVSDBCondition])
    case select(table: String, where: [OVSDBCondition], columns: [String])
    /// Fails the transaction unless the rows that match look exactly so.
    case wait(
        table: String, where: [OVSDBCondition], rows: [[String: OVSDBValue]], columns: [String], equal: Bool = true)
    /// Text for the server's log of transactions.
    case comment(String)
}

/// What one operation answered.
package struct OVSDBResult: Sendable, Hashable {
    /// Rows changed or deleted.
    package var count = 0
    /// The row inserted.
    package var uuid: String?
    /// Rows selected.
    package var rows: [[String: OVSDBValue]] = []
}

// MARK: - Wire

extension OVSDBOperation: JSONValue {
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        switch self {
        case .insert(let table, let row, let name):
            begin("insert", table, &writer)
            OVSDBOperation.write("row", row, &writer)
            if let name {
                writer.key("uuid-name")
                writer.string(name)
            }
        case .update(let table, let conditions, let row):
            begin("update", table, &writer)
            OVSDBOperation.write(conditions, &writer)
            OVSDBOperation.write("row", row, &writer)
        case .mutate(let table, let conditions, let mutations):
            begin("mutate", table, &writer)
            OVSDBOperation.write(conditions, &writer)
            writer.key("mutations")
            OVSDBOperation.write(mutations.map { ($0.column, $0.mutator.rawValue, $0.value) }, &writer)
        case .delete(let table, let conditions):
            begin("delete", table, &writer)
            OVSDBOperation.write(conditions, &writer)
        case .select(let table, let conditions, let columns):
            begin("select", table, &writer)
            OVSDBOperation.write(conditions, &writer)
            OVSDBOperation.write(columns, &writer)
        case .wait(let table, let conditions, let rows, let columns, let equal):
            begin("wait", table, &writer)
            writer.key("timeout")
            writer.integer(0)
            OVSDBOperation.write(conditions, &writer)
            OVSDBOperation.write(columns, &writer)
            writer.key("until")
            writer.string(equal ? "==" : "!=")
            writer.key("rows")
            writer.beginArray()
            for row in rows { OVSDBOperation.write(row, &writer) }
            writer.endArray()
        case .comment(let text):
            writer.key("op")
            writer.string("comment")
            writer.key("comment")
            writer.string(text)
        }
        writer.endObject()
    }

    private func begin(_ kind: String, _ table: String, _ writer: inout JSONWriter) {
        writer.key("op")
        writer.string(kind)
        writer.key("table")
        writer.string(table)
    }

    private static func write(_ key: String, _ row: [String: OVSDBValue], _ writer: inout JSONWriter) {
        writer.key(key)
        write(row, &writer)
    }

    private static func write(_ row: [String: OVSDBValue], _ writer: inout JSONWriter) {
        writer.beginObject()
        for (column, value) in row.sorted(by: { $0.key < $1.key }) {
            writer.key(column)
            value.write(to: &writer)
        }
        writer.endObject()
    }

    private static func write(_ columns: [String], _ writer: inout JSONWriter) {
        writer.key("columns")
        writer.beginArray()
        for column in columns { writer.string(column) }
        writer.endArray()
    }

    static func write(_ conditions: [OVSDBCondition], _ writer: inout JSONWriter) {
        writer.key("where")
        write(conditions.map { ($0.column, $0.function.rawValue, $0.value) }, &writer)
    }

    private static func write(_ clauses: [(String, String, OVSDBValue)], _ writer: inout JSONWriter) {
        writer.beginArray()
        for (column, word, value) in clauses {
            writer.beginArray()
            writer.string(column)
            writer.string(word)
            value.write(to: &writer)
            writer.endArray()
        }
        writer.endArray()
    }
}

extension OVSDBResult {
    init(_ json: JSON) {
        count = json["count"]?.integer ?? 0
        uuid = json["uuid"].flatMap { OVSDBAtom($0)?.uuid }
        rows = (json["rows"]?.array ?? []).map { row in
            var values: [String: OVSDBValue] = [:]
            for (column, value) in row.object ?? JSONObject() { values[column] = OVSDBValue(value) }
            return values
        }
    }
}
