// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Synchronization

/// What a transaction made of one row: new without what it was, gone without what it is.
package struct RowChange<R: Record>: Sendable {
    package let old: R?
    package let new: R?
}

/// A table whose changes somebody is to know of within the transactions that make them.
package struct WatchedTable: Sendable {
    let name: String
    private let columns: [String]
    private let begin: @Sendable () -> any ChangeLog

    /// - Parameters:
    ///   - columns: only updates that set one of these are looked at; none are all.
    ///   - find: the condition that is true of a record alone.
    package init<R: Record>(
        _ type: R.Type, columns: [String] = [], find: @escaping @Sendable (R) -> SQL
    ) {
        name = R.table
        self.columns = columns
        begin = { RowLog<R>(find) }
    }

    func isAbout(_ set: SQL) -> Bool { columns.isEmpty || columns.contains { set.text.contains($0) } }
    func log() -> any ChangeLog { begin() }
}

/// Somebody who is told at the end of each transaction what it changed, and may write more in it.
struct RowWatch: Sendable {
    let tables: [WatchedTable]
    let tell: @Sendable (RowChanges, Transaction) throws(Fault) -> Void
}

/// What one transaction changed of the watched tables, each row once and in the order they were first touched.
package struct RowChanges {
    fileprivate let logs: [String: any ChangeLog]

    package func of<R: Record>(_ type: R.Type) -> [RowChange<R>] { (logs[R.table] as? RowLog<R>)?.changes ?? [] }
}

/// Who watches a database.
final class RowWatches: Sendable {
    private let all: Mutex<[RowWatch]>

    init(_ watches: [RowWatch] = []) { all = Mutex(watches) }

    var now: [RowWatch] { all.withLock { $0 } }
    func add(_ watch: RowWatch) { all.withLock { $0.append(watch) } }
}

// MARK: - Within a transaction

/// What happened to the rows of one table.
protocol ChangeLog: AnyObject {
    func inserted(_ record: any Record)
    func changed(_ session: Session, where condition: SQL, _ change: () throws(Fault) -> Int) throws(Fault) -> Int
}

private final class RowLog<R: Record>: ChangeLog {
    private let find: (R) -> SQL
    private var order: [SQL] = []
    private var seen: Set<SQL> = []
    private var old: [SQL: R] = [:]
    private var new: [SQL: R] = [:]

    init(_ find: @escaping (R) -> SQL) { self.find = find }

    var changes: [RowChange<R>] {
        order.compactMap { key in
            let change = RowChange(old: old[key], new: new[key])
            return change.old == nil && change.new == nil ? nil : change
        }
    }

    func inserted(_ record: any Record) {
        guard let record = record as? R else { return }
        note(nil, record, find(record))
    }

    /// Looks at the rows before and after an update or a deletion.
    func changed(
        _ session: Session, where condition: SQL, _ change: () throws(Fault) -> Int
    ) throws(Fault) -> Int {
        let before = try session.all(R.self, condition)
        let count = try change()
        for record in before {
            let key = find(record)
            note(record, try session.first(R.self, key), key)
        }
        return count
    }

    private func note(_ was: R?, _ is_: R?, _ key: SQL) {
        if seen.insert(key).inserted {
            order.append(key)
            old[key] = was
        }
        new[key] = is_
    }
}

/// The logs of one transaction. Nobody watches as a rule, and then it costs a look at an empty list.
struct ChangeLogs {
    private let watches: [RowWatch]
    private var logs: [String: any ChangeLog] = [:]
    private var isOver = false

    init(_ watches: [RowWatch]) { self.watches = watches }

    /// The log of a table; nil when nobody watches it, or not what is set.
    mutating func log(_ table: String, _ set: SQL? = nil) -> (any ChangeLog)? {
        guard !watches.isEmpty, !isOver else { return nil }
        for watch in watches {
            guard let watched = watch.tables.first(where: { $0.name == table }) else { continue }
            if let set, !watched.isAbout(set) { continue }
            if let log = logs[table] { return log }
            let log = watched.log()
            logs[table] = log
            return log
        }
        return nil
    }

    /// Tells whoever watches; what they write themselves is not looked at.
    mutating func tell(_ transaction: Transaction) throws(Fault) {
        guard !logs.isEmpty else { return }
        isOver = true
        let changes = RowChanges(logs: logs)
        for watch in watches where watch.tables.contains(where: { logs[$0.name] != nil }) {
            try watch.tell(changes, transaction)
        }
    }
}
