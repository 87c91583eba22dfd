// SPDX-License-Identifier: Apache-2.0
internal import JSON

/// One row as the replica has it: every monitored column, defaults included.
package struct OVSDBRow: Sendable, Hashable {
    package let uuid: String
    package var columns: [String: OVSDBValue]

    package init(uuid: String, columns: [String: OVSDBValue]) {
        self.uuid = uuid
        self.columns = columns
    }

    /// Empty for a column that is not monitored.
    package subscript(column: String) -> OVSDBValue { columns[column] ?? .empty }
}

/// A row that came, went or changed. `old` is nil for a new row, `new` for a deleted one.
package struct OVSDBChange: Sendable, Hashable {
    package let table: String
    package let uuid: String
    package let old: OVSDBRow?
    package let new: OVSDBRow?

    package init(table: String, uuid: String, old: OVSDBRow?, new: OVSDBRow?) {
        self.table = table
        self.uuid = uuid
        self.old = old
        self.new = new
    }
}

/// The monitored part of a database in memory, as of one of its transactions.
package struct OVSDBReplica: Sendable {
    package private(set) var tables: [String: [String: OVSDBRow]] = [:]

    /// By table, the key of `external_ids` that is indexed, and the rows by its value.
    private var indexKeys: [String: String] = [:]
    private var indexes: [String: [String: String]] = [:]

    package init() {}

    init(indexing monitors: [OVSDBMonitor]) {
        for monitor in monitors { indexKeys[monitor.table] = monitor.index }
    }

    /// The row whose indexed key has that value; of several, the one that came last.
    package func indexed(_ table: String, _ value: String) -> OVSDBRow? {
        indexes[table]?[value].flatMap { tables[table]?[$0] }
    }

    /// Puts a row, or with nil takes it away, and keeps the index in step.
    private mutating func set(_ table: String, _ uuid: String, _ row: OVSDBRow?) {
        if let key = indexKeys[table] {
            if let old = tables[table]?[uuid]?["external_ids"][key], indexes[table]?[old] == uuid {
                indexes[table]?[old] = nil
            }
            if let new = row?["external_ids"][key] { indexes[table, default: [:]][new] = uuid }
        }
        tables[table, default: [:]][uuid] = row
    }

    package func rows(_ table: String) -> some Collection<OVSDBRow> { (tables[table] ?? [:]).values }
    package func row(_ table: String, _ uuid: String) -> OVSDBRow? { tables[table]?[uuid] }
    package func first(_ table: String, where column: String, is value: OVSDBValue) -> OVSDBRow? {
        rows(table).first { $0[column] == value }
    }
    package func count(_ table: String) -> Int { tables[table]?.count ?? 0 }
}

extension OVSDBReplica {
    /// Takes in `<table-updates2>`; nil when it does not make sense, which means that the replica is lost.
    mutating func apply(_ updates: JSON, _ schema: OVSDBSchema, _ columns: [String: [String]?]) -> [OVSDBChange]? {
        guard let updates = updates.object else { return nil }
        var changes: [OVSDBChange] = []
        for (table, rows) in updates {
            guard let types = schema.tables[table], let rows = rows.object else { return nil }
            for (uuid, update) in rows {
                let old = tables[table]?[uuid]
                guard let change = update.object?.first(where: { _ in true }) else { return nil }
                switch change.key {
                case "initial", "insert":
                    guard let row = OVSDBReplica.fresh(uuid, change.value, types, columns[table] ?? nil) else {
                        return nil
                    }
                    set(table, uuid, row)
                    changes.append(OVSDBChange(table: table, uuid: uuid, old: old, new: row))
                case "modify":
                    guard let old, let row = OVSDBReplica.modified(old, change.value, types) else { return nil }
                    set(table, uuid, row)
                    changes.append(OVSDBChange(table: table, uuid: uuid, old: old, new: row))
                case "delete":
                    set(table, uuid, nil)
                    changes.append(OVSDBChange(table: table, uuid: uuid, old: old, new: nil))
                default: return nil
                }
            }
        }
        return changes
    }

    /// What differs from another replica: the change events of a reconnection that had to start over.
    func changes(since old: OVSDBReplica) -> [OVSDBChange] {
        var changes: [OVSDBChange] = []
        for (table, rows) in tables {
            for (uuid, row) in rows where old.tables[table]?[uuid] != row {
                changes.append(OVSDBChange(table: table, uuid: uuid, old: old.tables[table]?[uuid], new: row))
            }
        }
        for (table, rows) in old.tables {
            for (uuid, row) in rows where tables[table]?[uuid] == nil {
                changes.append(OVSDBChange(table: table, uuid: uuid, old: row, new: nil))
            }
        }
        return changes
    }

    /// Columns at their default are not sent; `_version`, which is in no schema, comes with all columns and is passed
    /// over.
    private static func fresh(
        _ uuid: String, _ json: JSON, _ types: [String: OVSDBColumn], _ columns: [String]?
    ) -> OVSDBRow? {
        var values: [String: OVSDBValue] = [:]
        if let columns {
            for column in columns { values[column] = types[column]?.defaultValue }
        } else {
            for (column, type) in types { values[column] = type.defaultValue }
        }
        for (column, value) in json.object ?? JSONObject() {
            guard types[column] != nil else { continue }
            guard let value = OVSDBValue(value) else { return nil }
            values[column] = value
        }
        return OVSDBRow(uuid: uuid, columns: values)
    }

    private static func modified(_ old: OVSDBRow, _ json: JSON, _ types: [String: OVSDBColumn]) -> OVSDBRow? {
        var row = old
        for (column, json) in json.object ?? JSONObject() {
            guard let type = types[column] else { continue }
            guard let value = OVSDBValue(json) else { return nil }
            row.columns[column] = type.isComposite ? difference(old[column], value) : value
        }
        return row
    }

    /// The difference of "update2": elements that are there leave, others come; a known key with another value is
    /// replaced.
    private static func difference(_ old: OVSDBValue, _ change: OVSDBValue) -> OVSDBValue {
        switch (old, change) {
        case (.set(let old), .set(let change)): return .set(old.symmetricDifference(change))
        case (.map(var pairs), .map(let change)):
            for (key, value) in change { pairs[key] = pairs[key] == value ? nil : value }
            return .map(pairs)
        default: return change
        }
    }
}
