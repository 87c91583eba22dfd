// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CSQLite
internal import Glibc

/// SQLite in write-ahead mode: one writer, and a read-only connection per thread that reads.
final class SQLiteEngine: Engine {
    /// How much a power cut may take: nothing, the last moments, or (for files thrown away anyhow) everything.
    enum Durability: String { case full = "FULL", normal = "NORMAL", none = "OFF" }

    let path: String
    private let durability: Durability
    private let readers = SQLiteReaders()
    /// A directory to remove with the database.
    private let temporary: String?

    init(path: String, durability: Durability, temporary: String? = nil) {
        self.path = path
        self.durability = durability
        self.temporary = temporary
    }

    /// An engine on a private file in a directory of its own.
    static func temporary() throws(Fault) -> SQLiteEngine {
        var template = Array("/tmp/apus-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw .unavailable("No directory can be made in /tmp.") }
        let directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        return SQLiteEngine(path: directory + "/apus.sqlite", durability: .none, temporary: directory)
    }

    var dialect: Dialect { SQLiteConnection.dialect }

    func openWriter() throws(Fault) -> any EngineConnection {
        // Tokens and passwords' hashes are in it: made for its owner alone before SQLite makes it for everybody.
        let file = Glibc.open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        if file >= 0 { Glibc.close(file) }
        do throws(EngineError) {
            let writer = try SQLiteConnection(
                path: path, flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                setup: [
                    "PRAGMA journal_mode = WAL", "PRAGMA synchronous = \(durability.rawValue)",
                    "PRAGMA foreign_keys = ON", "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -8192",
                    "PRAGMA journal_size_limit = 67108864",
                ])
            let mode = try writer.statement("PRAGMA journal_mode")
            defer { mode.reset() }
            guard try mode.step(), mode.text(0) == "wal" else {
                throw EngineError(
                    .unavailable, "The database's file system lacks shared memory for its log. Use a local disk.")
            }
            return writer
        } catch { throw error.fault }
    }

    func read<T: Sendable>(
        _ body: @escaping @Sendable (any EngineConnection) throws(Fault) -> T
    ) async throws(Fault) -> T { try inline(body) }

    /// Reads on the calling thread: a point read takes microseconds, less than any hop to another thread.
    func inline<T>(_ body: (any EngineConnection) throws(Fault) -> T) throws(Fault) -> T {
        let reader = try readers.reader { () throws(EngineError) in try self.openReader() }
        guard reader.enter() else { throw .unavailable("The database is closed.") }
        defer { reader.leave() }
        return try body(reader.connection)
    }

    /// Without a mapping of the file: SQLite takes that down at the first read after each change, which costs all
    /// threads more than reading the pages again does.
    private func openReader() throws(EngineError) -> SQLiteConnection {
        try SQLiteConnection(
            path: path, flags: SQLITE_OPEN_READONLY,
            setup: ["PRAGMA mmap_size = 0", "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -2048"])
    }

    func integrityCheck() async throws(Fault) -> [String] {
        try inline { connection throws(Fault) in
            let session = Session(connection)
            let problems = try session.rows("PRAGMA integrity_check").compactMap { $0[0].text }.filter { $0 != "ok" }
            let orphans = try session.rows("PRAGMA foreign_key_check").map { row in
                "row \(row[1].integer ?? 0) of \(row[0].text ?? "") refers to a missing row of \(row[2].text ?? "")"
            }
            return problems + orphans
        }
    }

    var readersOpen: Int { readers.count }

    func close() {
        readers.close()
        guard let temporary else { return }
        for suffix in ["", "-wal", "-shm", "-journal"] { unlink(path + suffix) }
        rmdir(temporary)
    }
}
