// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc
internal import Synchronization

/// The reading connections of one database, one for each thread that ever read. A thread's end closes its own; closing
/// the database closes all, those at work as soon as they are done.
final class SQLiteReaders: Sendable {
    private let all = Mutex<(readers: [ObjectIdentifier: SQLiteReader], isClosed: Bool)>(([:], false))

    var count: Int { all.withLock { $0.readers.count } }

    /// The calling thread's reader, opened when it has none yet.
    func reader(_ open: () throws(EngineError) -> SQLiteConnection) throws(Fault) -> SQLiteReader {
        let mine = ThreadReaders.current()
        if let reader = mine.readers.first(where: { $0.owner === self }) { return reader }
        mine.readers.removeAll { $0.isClosed }
        guard !all.withLock({ $0.isClosed }) else { throw .unavailable("The database is closed.") }
        let reader: SQLiteReader
        do { reader = SQLiteReader(try open(), owner: self) } catch { throw error.fault }
        mine.readers.append(reader)
        let isLate = all.withLock { all in
            if !all.isClosed { all.readers[ObjectIdentifier(reader)] = reader }
            return all.isClosed
        }
        if isLate { reader.close() }
        return reader
    }

    func remove(_ reader: SQLiteReader) {
        all.withLock { all in all.readers[ObjectIdentifier(reader)] = nil }
    }

    func close() {
        let readers = all.withLock { all in
            defer { all = ([:], true) }
            return Array(all.readers.values)
        }
        for reader in readers { reader.close() }
    }
}

/// One thread's connection. `@unchecked`: `state` lets only its thread use it, and only one side close it.
final class SQLiteReader: @unchecked Sendable {
    private enum State: UInt8, AtomicRepresentable { case idle, busy, closing, closed }

    let connection: SQLiteConnection
    let owner: SQLiteReaders
    private let state = Atomic(State.idle)

    init(_ connection: SQLiteConnection, owner: SQLiteReaders) {
        self.connection = connection
        self.owner = owner
    }

    var isClosed: Bool { state.load(ordering: .acquiring) == .closed }

    func enter() -> Bool {
        state.compareExchange(expected: .idle, desired: .busy, ordering: .acquiringAndReleasing).exchanged
    }

    func leave() {
        if state.compareExchange(expected: .busy, desired: .idle, ordering: .acquiringAndReleasing).exchanged { return }
        state.store(.closed, ordering: .releasing)
        connection.close()
    }

    func close() {
        while true {
            let seen = state.load(ordering: .acquiring)
            guard seen == .idle || seen == .busy else { return }
            let next: State = seen == .idle ? .closed : .closing
            guard state.compareExchange(expected: seen, desired: next, ordering: .acquiringAndReleasing).exchanged
            else {
                continue
            }
            if next == .closed { connection.close() }
            return
        }
    }
}

/// What a thread reads through; the C library calls its destructor when the thread ends.
final class ThreadReaders {
    var readers: [SQLiteReader] = []

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let code = pthread_key_create(&key) { pointer in
            guard let pointer else { return }
            Unmanaged<ThreadReaders>.fromOpaque(pointer).takeRetainedValue().end()
        }
        precondition(code == 0, "no thread-specific key is left")
        return key
    }()

    static func current() -> ThreadReaders {
        if let pointer = pthread_getspecific(key) {
            return Unmanaged<ThreadReaders>.fromOpaque(pointer).takeUnretainedValue()
        }
        let readers = ThreadReaders()
        pthread_setspecific(key, Unmanaged.passRetained(readers).toOpaque())
        return readers
    }

    private func end() {
        for reader in readers {
            reader.close()
            reader.owner.remove(reader)
        }
        readers = []
    }
}
