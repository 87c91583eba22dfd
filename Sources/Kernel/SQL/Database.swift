// SPDX-License-Identifier: Apache-2.0
package import Base
package import Observability

/// The database: reads on the calling thread, writes through one thread that commits in groups.
package final class Database: Sendable {
    package let engine: any Engine
    private let writer: Writer
    private let clock: any WallClock
    private let log: Log
    let watches: RowWatches
    /// Whose writer this is, when it is another's.
    private let base: Database?

    /// A database on any engine; opens it at once.
    package init(
        _ engine: any Engine, log: Log = .silent, clock: any WallClock = MachineClock()
    ) throws(Fault) {
        self.engine = engine
        (watches, base) = (RowWatches(), nil)
        self.clock = clock
        self.log = log
        writer = try Writer(try engine.openWriter(), log: log, onEnd: engine.close)
    }

    /// A database file. `durable` syncs every commit to the disk; without, a power cut may take the last moments.
    package static func sqlite(
        path: String, durable: Bool = true, log: Log = .silent, clock: any WallClock = MachineClock()
    ) throws(Fault) -> Database {
        try Database(SQLiteEngine(path: path, durability: durable ? .full : .normal), log: log, clock: clock)
    }

    /// A private database for a test; its file goes with it.
    package static func temporary(log: Log = .silent, clock: any WallClock = MachineClock()) throws(Fault) -> Database {
        try Database(SQLiteEngine.temporary(), log: log, clock: clock)
    }

    /// The same database, for somebody whose transactions tell one more.
    private init(_ base: Database, _ watch: RowWatch) {
        (engine, writer, clock, log, self.base) = (base.engine, base.writer, base.clock, base.log, base)
        watches = RowWatches(base.watches.now + [watch])
    }

    deinit { if base == nil { writer.stop() } }

    /// Finishes what waits to be written, then closes; everything after is refused.
    package func close() async {
        await withUnsafeContinuation { caller in writer.stop { caller.resume() } }
    }

    /// Whether somebody waits for something to be written; for simulations, in which no time goes by meanwhile.
    package var isWriting: Bool { writer.isBusy }

    /// What is wrong with the stored data; nothing when it is sound. Reads everything: for `doctor`, not for requests.
    package func integrityCheck() async throws(Fault) -> [String] { try await engine.integrityCheck() }

    /// Applies what is not applied yet, oldest first, each in a transaction of its own.
    package func migrate(_ migrations: [Migration]) async throws(Fault) {
        let steps = try Migration.steps(migrations)
        let now = clock.now()
        try await transaction { transaction throws(Fault) in try Migration.prepare(transaction) }
        for step in steps {
            let isNew = try await transaction { transaction throws(Fault) in try step.apply(transaction, at: now) }
            if isNew { log.info("schema changed", ["migration": step.name]) }
        }
    }

    /// The names of the migrations that were applied, or stamped as if they had been.
    package func migrationsApplied() async throws(Fault) -> [String] {
        try await transaction { transaction throws(Fault) in
            try Migration.prepare(transaction)
            return try transaction.rows("SELECT name FROM schema_migrations ORDER BY name").compactMap { $0[0].text }
        }
    }

    /// Notes migrations as applied and changes nothing: for a schema that came about in another way.
    package func stamp(_ migrations: [Migration]) async throws(Fault) {
        let steps = try Migration.steps(migrations)
        let now = clock.now()
        try await transaction { transaction throws(Fault) in
            try Migration.prepare(transaction)
            for step in steps { try step.stamp(transaction, at: now) }
        }
    }

    /// Runs a closure on the writer's thread; returns once its changes are durable. It may run next to others in one
    /// group, alone in its own savepoint: when it throws, its changes alone are undone.
    package func transaction<T: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let result: Result<T, Fault> = await withUnsafeContinuation { caller in
            writer.enqueue(TransactionUnit(body, caller, watches.now))
        }
        return try result.get()
    }
}

extension Database {
    /// From now on a closure runs at the end of every transaction that changed one of the tables through the verbs;
    /// when it throws, the transaction is undone.
    package func watch(
        _ tables: [WatchedTable], _ tell: @escaping @Sendable (RowChanges, Transaction) throws(Fault) -> Void
    ) { watches.add(RowWatch(tables: tables, tell: tell)) }

    /// The same database for one caller, whose transactions alone tell of what they changed.
    package func telling(
        _ tables: [WatchedTable], _ tell: @escaping @Sendable (RowChanges, Transaction) throws(Fault) -> Void
    ) -> Database { Database(self, RowWatch(tables: tables, tell: tell)) }
}

// MARK: - Reading

extension Database {
    /// The records a condition is true of: what follows WHERE, or a bare ORDER BY or LIMIT, or nothing for all.
    package func all<R: Record>(_ type: R.Type, _ condition: SQL = "") async throws(Fault) -> [R] {
        try await engine.read { connection throws(Fault) in try Session(connection).all(type, condition) }
    }

    /// The records whose column holds one of the values, asked for in portions when the list is long.
    package func all<R: Record>(
        _ type: R.Type, _ column: String, in list: [some SQLBindable], and condition: SQL = ""
    ) async throws(Fault) -> [R] {
        let values = list.map(\.sqlValue)
        return try await engine.read { connection throws(Fault) in
            try Session(connection).all(type, column, in: values, and: condition)
        }
    }

    package func first<R: Record>(_ type: R.Type, _ condition: SQL) async throws(Fault) -> R? {
        try await engine.read { connection throws(Fault) in try Session(connection).first(type, condition) }
    }

    package func one<R: Record>(
        _ type: R.Type, _ condition: SQL, or fault: @autoclosure () -> Fault
    ) async throws(Fault) -> R {
        guard let record = try await first(type, condition) else { throw fault() }
        return record
    }

    package func count<R: Record>(_ type: R.Type, _ condition: SQL = "") async throws(Fault) -> Int {
        try await engine.read { connection throws(Fault) in try Session(connection).count(type, condition) }
    }

    package func rows(_ query: SQL) async throws(Fault) -> [Row] {
        try await engine.read { connection throws(Fault) in try Session(connection).rows(query) }
    }
}

// MARK: - The verbs, each as a transaction of one statement

extension Database {
    package func insert(_ record: some Record, or conflict: @autoclosure () -> Fault? = nil) async throws(Fault) {
        let conflict = conflict()
        try await transaction { transaction throws(Fault) in try transaction.insert(record, or: conflict) }
    }

    package func insert(_ records: [some Record]) async throws(Fault) {
        try await transaction { transaction throws(Fault) in try transaction.insert(records) }
    }

    package func replace(
        _ record: some Record, where condition: SQL, or fault: @autoclosure () -> Fault
    ) async throws(Fault) {
        let fault = fault()
        try await transaction { transaction throws(Fault) in
            try transaction.replace(record, where: condition, or: fault)
        }
    }

    @discardableResult
    package func update<R: Record>(_ type: R.Type, set: SQL, where condition: SQL) async throws(Fault) -> Int {
        try await transaction { transaction throws(Fault) in try transaction.update(type, set: set, where: condition) }
    }

    @discardableResult
    package func delete<R: Record>(_ type: R.Type, _ condition: SQL) async throws(Fault) -> Int {
        try await transaction { transaction throws(Fault) in try transaction.delete(type, condition) }
    }

    package func delete<R: Record>(
        _ type: R.Type, _ condition: SQL, or fault: @autoclosure () -> Fault
    ) async throws(Fault) {
        let fault = fault()
        try await transaction { transaction throws(Fault) in try transaction.delete(type, condition, or: fault) }
    }

    @discardableResult
    package func execute(_ query: SQL) async throws(Fault) -> Int {
        try await transaction { transaction throws(Fault) in try transaction.execute(query) }
    }
}
