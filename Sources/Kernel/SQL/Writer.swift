// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc
internal import Observability

/// The one thread that writes. What waits is committed together: each unit of work in its own savepoint, one sync of
/// the disk for all of them, and everybody goes on once that is done.
/// `@unchecked`: the queue is guarded by `lock`, the connection belongs to the thread.
final class Writer: @unchecked Sendable {
    /// Beyond this many waiting units the disk is not keeping up, and more would only wait longer.
    private static let waitingMax = 20_000
    /// Bounds how long the first of a group waits for the last.
    private static let groupMax = 512

    private let connection: any EngineConnection
    private let log: Log
    private let onEnd: @Sendable () -> Void
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>
    private var waiting: [any Unit] = []
    /// How many have not been told yet what became of theirs.
    private var unanswered = 0
    private var isIdle = false
    private var isStopping = false
    private var isEnded = false
    private var afterEnd: [@Sendable () -> Void] = []

    /// Starts the thread, which owns the connection from now on and closes it at the end.
    init(_ connection: any EngineConnection, log: Log, onEnd: @escaping @Sendable () -> Void) throws(Fault) {
        self.connection = connection
        self.log = log
        self.onEnd = onEnd
        lock = .allocate(capacity: 1)
        wake = .allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        pthread_cond_init(wake, nil)
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<Writer>.fromOpaque(pointer!).takeRetainedValue().loop()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        guard code == 0 else {
            Unmanaged.passUnretained(self).release()
            throw .unavailable("No thread can be started for the database. Raise the limit on threads.")
        }
        pthread_detach(thread)
    }

    deinit {
        pthread_mutex_destroy(lock)
        pthread_cond_destroy(wake)
        lock.deallocate()
        wake.deallocate()
    }

    func enqueue(_ unit: any Unit) {
        pthread_mutex_lock(lock)
        let refusal: Fault? =
            if isStopping {
                .unavailable("The database is closed.")
            } else if waiting.count >= Writer.waitingMax {
                .unavailable("Too much is waiting to be written to the database. Try again shortly.", retryAfter: 2)
            } else { nil }
        if refusal == nil {
            waiting.append(unit)
            unanswered += 1
        }
        let mustWake = isIdle
        isIdle = false
        pthread_mutex_unlock(lock)
        if mustWake { pthread_cond_signal(wake) }
        if let refusal { unit.finish(refusal) }
    }

    /// Takes no more work, finishes what waits, closes; then calls back.
    func stop(_ ended: (@Sendable () -> Void)? = nil) {
        pthread_mutex_lock(lock)
        isStopping = true
        let isLate = isEnded
        if !isLate, let ended { afterEnd.append(ended) }
        pthread_mutex_unlock(lock)
        pthread_cond_signal(wake)
        if isLate { ended?() }
    }

    /// Whether somebody waits for it: until it has told them.
    var isBusy: Bool {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return unanswered > 0 || isStopping && !isEnded
    }

    // MARK: The thread

    private func loop() {
        while let group = next() {
            commit(group[...])
            pthread_mutex_lock(lock)
            unanswered -= group.count
            pthread_mutex_unlock(lock)
        }
        // The readers first: the last to close folds the log into the file, which only a writer may.
        onEnd()
        connection.close()
        pthread_mutex_lock(lock)
        isEnded = true
        let callbacks = afterEnd
        pthread_mutex_unlock(lock)
        for callback in callbacks { callback() }
    }

    /// Everything that came while the last group was being written; nil when stopping and nothing is left.
    private func next() -> [any Unit]? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while waiting.isEmpty {
            if isStopping { return nil }
            isIdle = true
            pthread_cond_wait(wake, lock)
        }
        isIdle = false
        if waiting.count <= Writer.groupMax {
            defer { waiting.removeAll(keepingCapacity: true) }
            return waiting
        }
        let group = Array(waiting.prefix(Writer.groupMax))
        waiting.removeFirst(Writer.groupMax)
        return group
    }

    private func commit(_ units: ArraySlice<any Unit>) {
        do { try connection.run(connection.dialect.begin) } catch {
            log.error("database refuses to write", ["reason": error.message])
            for unit in units { unit.finish(error.unavailable) }
            return
        }
        var done: [any Unit] = []
        var rest = units
        while let unit = rest.popFirst() {
            if let fault = run(unit, isAlone: units.count == 1) {
                unit.finish(fault)
            } else {
                done.append(unit)
            }
            // A full disk or lost memory ends the whole transaction: what ran is undone, what did not run yet may.
            guard connection.isInTransaction else {
                log.error("database gave up a group of changes", ["lost": done.count])
                let lost = Fault.unavailable("The database gave up a group of changes. Try again.", retryAfter: 1)
                for unit in done { unit.finish(lost) }
                return rest.isEmpty ? () : commit(rest)
            }
        }
        finish(done)
    }

    /// Runs one unit; what it changed is gone again when it fails.
    private func run(_ unit: any Unit, isAlone: Bool) -> Fault? {
        if isAlone { return unit.run(connection) }
        do {
            try connection.run("SAVEPOINT unit")
            let fault = unit.run(connection)
            guard connection.isInTransaction else { return fault ?? .unavailable("The database gave up a change.") }
            if fault != nil { try connection.run("ROLLBACK TO SAVEPOINT unit") }
            try connection.run("RELEASE SAVEPOINT unit")
            return fault
        } catch { return error.fault }
    }

    private func finish(_ done: [any Unit]) {
        guard !done.isEmpty else {
            try? connection.run("ROLLBACK")
            return
        }
        let watch = Stopwatch()
        do { try connection.run("COMMIT") } catch {
            log.error("database cannot commit", ["reason": error.message, "lost": done.count])
            if connection.isInTransaction { try? connection.run("ROLLBACK") }
            for unit in done { unit.finish(error.unavailable) }
            return
        }
        let took = watch.elapsed
        if took > .seconds(1) {
            log.warning("database disk is slow", ["seconds": took.asSeconds, "changes": done.count])
        }
        for unit in done { unit.finish(nil) }
    }
}

extension EngineError {
    /// What begins or commits a group is never the fault of one request in it.
    fileprivate var unavailable: Fault {
        kind == .unavailable ? fault : .unavailable("The database could not commit: \(message)", retryAfter: 1)
    }
}

/// A unit of work, its caller waiting.
protocol Unit: AnyObject {
    /// Does the work on the writer's thread; gives why it failed.
    func run(_ connection: any EngineConnection) -> Fault?
    /// Tells the caller: nil once the work is durable.
    func finish(_ fault: Fault?)
}

/// The unit that a transaction's closure is. `@unchecked`: handed from the caller to the writer's thread.
final class TransactionUnit<T: Sendable>: Unit, @unchecked Sendable {
    private let body: @Sendable (Transaction) throws(Fault) -> T
    private let caller: UnsafeContinuation<Result<T, Fault>, Never>
    private let watches: [RowWatch]
    private var value: T?
    private var actions: [@Sendable () -> Void] = []

    init(
        _ body: @escaping @Sendable (Transaction) throws(Fault) -> T,
        _ caller: UnsafeContinuation<Result<T, Fault>, Never>, _ watches: [RowWatch]
    ) {
        self.body = body
        self.caller = caller
        self.watches = watches
    }

    func run(_ connection: any EngineConnection) -> Fault? {
        let transaction = Transaction(connection, watches)
        defer { transaction.end() }
        do {
            value = try body(transaction)
            try transaction.tellWatchers()
            actions = transaction.actions
            return nil
        } catch { return error }
    }

    func finish(_ fault: Fault?) {
        if let fault { return caller.resume(returning: .failure(fault)) }
        for action in actions { action() }
        caller.resume(returning: value.map(Result.success) ?? .failure(.internalError("A unit of work did not run.")))
    }
}
