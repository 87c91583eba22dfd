// SPDX-License-Identifier: Apache-2.0
package import Base

/// A unit of work on the writer's thread: all of it becomes durable, or nothing of it. It is of use only inside the
/// closure that it was handed to, which must not block: every other writer waits for it.
package final class Transaction {
    private let open: Session
    private var isOver = false
    private(set) var actions: [@Sendable () -> Void] = []
    private var logs: ChangeLogs

    init(_ connection: any EngineConnection, _ watches: [RowWatch] = []) {
        open = Session(connection)
        logs = ChangeLogs(watches)
    }

    /// Tells whoever watches what was changed here.
    func tellWatchers() throws(Fault) {
        var told = logs
        // While they look they may write; by then nothing is noted any more.
        logs = ChangeLogs([])
        try told.tell(self)
    }

    /// Work that ran ended here, however it ended.
    func end() { isOver = true }

    private var session: Session {
        get throws(Fault) {
            guard !isOver else { throw .internalError("A transaction was used after its closure ended.") }
            return open
        }
    }

    /// Runs once everything here is on disk, on the writer's thread and before the caller goes on: it must be short.
    package func afterCommit(_ action: @escaping @Sendable () -> Void) { actions.append(action) }
}

// MARK: - Reading what is there, this transaction's own changes included

extension Transaction {
    package func all<R: Record>(_ type: R.Type, _ condition: SQL = "") throws(Fault) -> [R] {
        try session.all(type, condition)
    }

    package func all<R: Record>(
        _ type: R.Type, _ column: String, in list: [some SQLBindable], and condition: SQL = ""
    ) throws(Fault) -> [R] { try session.all(type, column, in: list.map(\.sqlValue), and: condition) }

    package func first<R: Record>(_ type: R.Type, _ condition: SQL) throws(Fault) -> R? {
        try session.first(type, condition)
    }

    package func one<R: Record>(
        _ type: R.Type, _ condition: SQL, or fault: @autoclosure () -> Fault
    ) throws(Fault) -> R {
        guard let record = try session.first(type, condition) else { throw fault() }
        return record
    }

    package func count<R: Record>(_ type: R.Type, _ condition: SQL = "") throws(Fault) -> Int {
        try session.count(type, condition)
    }

    package func rows(_ query: SQL) throws(Fault) -> [Row] { try session.rows(query) }

    /// What the next row of a table has as its `number`: rows are in the order that they were made in.
    package func nextNumber<R: Record>(_ type: R.Type) throws(Fault) -> Int {
        let newest = try rows("SELECT COALESCE(MAX(number), 0) AS newest FROM \(raw: R.table)").first
        return (newest?.int("newest") ?? 0) + 1
    }
}

// MARK: - Changing

extension Transaction {
    /// Adds a row; when a unique key is taken that is the given fault, or 409 "Duplicate entry".
    package func insert(_ record: some Record, or conflict: @autoclosure () -> Fault? = nil) throws(Fault) {
        // Made even when nothing is wrong: a fault costs less than a second look at the failure would.
        try session.insert(record, or: conflict())
        logs.log(type(of: record).table)?.inserted(record)
    }

    package func insert(_ records: [some Record]) throws(Fault) {
        let session = try session
        for record in records {
            try session.insert(record, or: nil)
            logs.log(type(of: record).table)?.inserted(record)
        }
    }

    /// Writes all columns of the matching row; none matching is the given fault.
    package func replace(
        _ record: some Record, where condition: SQL, or fault: @autoclosure () -> Fault
    ) throws(Fault) {
        let session = try session
        let count: Int
        if let log = logs.log(type(of: record).table) {
            count = try log.changed(session, where: condition) { () throws(Fault) in
                try session.replace(record, condition)
            }
        } else {
            count = try session.replace(record, condition)
        }
        if count == 0 { throw fault() }
    }

    /// Gives how many rows matched: with a generation in the condition this is the compare-and-swap.
    @discardableResult
    package func update<R: Record>(_ type: R.Type, set: SQL, where condition: SQL) throws(Fault) -> Int {
        let session = try session
        guard let log = logs.log(R.table, set) else { return try session.update(R.table, set: set, where: condition) }
        return try log.changed(session, where: condition) { () throws(Fault) in
            try session.update(R.table, set: set, where: condition)
        }
    }

    @discardableResult
    package func delete<R: Record>(_ type: R.Type, _ condition: SQL) throws(Fault) -> Int {
        let session = try session
        guard let log = logs.log(R.table) else { return try session.delete(R.table, condition) }
        return try log.changed(session, where: condition) { () throws(Fault) in
            try session.delete(R.table, condition)
        }
    }

    package func delete<R: Record>(
        _ type: R.Type, _ condition: SQL, or fault: @autoclosure () -> Fault
    ) throws(Fault) {
        if try delete(type, condition) == 0 { throw fault() }
    }

    @discardableResult
    package func execute(_ query: SQL) throws(Fault) -> Int { try session.change(query.text, query.values) }
}
