// SPDX-License-Identifier: Apache-2.0
internal import CSQLite
internal import Glibc

/// One SQLite connection and its prepared statements. Opened without SQLite's own locks: whoever holds it sees to it
/// that one thread uses it at a time.
final class SQLiteConnection: EngineConnection {
    static let dialect = Dialect(name: "sqlite", begin: "BEGIN IMMEDIATE", valuesMax: 30_000)
    private static let statementsMax = 256

    let plans = PlanCache()
    private var handle: OpaquePointer?
    private var statements: [String: SQLiteStatement] = [:]
    private var uses = 0
    private let isReader: Bool

    /// Once, before the first connection; a process that used SQLite before keeps its counting.
    private static let isLean: Bool = csqlite_count_no_memory() == SQLITE_OK

    init(path: String, flags: Int32, setup: [String]) throws(EngineError) {
        _ = SQLiteConnection.isLean
        isReader = flags & SQLITE_OPEN_READONLY != 0
        let code = sqlite3_open_v2(path, &handle, flags | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let handle else {
            let error = EngineError(sqlite: code, handle, "open")
            sqlite3_close_v2(handle)
            self.handle = nil
            throw error
        }
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, 5000)
        for text in setup { try run(text) }
    }

    deinit { close() }

    var dialect: Dialect { SQLiteConnection.dialect }
    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    func close() {
        statements = [:]
        sqlite3_close_v2(handle)
        handle = nil
    }

    func run(_ text: String) throws(EngineError) {
        let statement = try statement(text)
        defer { statement.reset() }
        while try statement.step() {}
    }

    func statement(_ text: String) throws(EngineError) -> any EngineStatement {
        uses += 1
        if let known = statements[text] {
            known.lastUse = uses
            return known
        }
        let statement = try SQLiteStatement(handle, text)
        // A slip of ours, to be told from a disk that is mounted read-only.
        if isReader, !statement.isReading {
            throw EngineError(.failure, "A statement that changes rows needs a transaction: \(text)")
        }
        // Long texts are lists of values: unlikely to come again at the same length.
        guard text.utf8.count < 4096 else { return statement }
        if statements.count >= SQLiteConnection.statementsMax { forgetOldest() }
        statement.lastUse = uses
        statements[text] = statement
        return statement
    }

    private func forgetOldest() {
        let middle = statements.values.map(\.lastUse).sorted()[statements.count / 2]
        statements = statements.filter { $0.value.lastUse >= middle }
    }
}

/// A prepared statement of SQLite, kept for the next use of the same text.
final class SQLiteStatement: EngineStatement {
    private let pointer: OpaquePointer
    private let handle: OpaquePointer?
    private let sql: String
    private var names: [String] = []
    private var namesShape = -1
    var plan: RowPlan?
    var lastUse = 0

    init(_ handle: OpaquePointer?, _ sql: String) throws(EngineError) {
        var pointer: OpaquePointer?
        var text = sql
        let (code, rest) = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { bytes in
                var tail: UnsafePointer<CChar>?
                let code = sqlite3_prepare_v3(
                    handle, bytes.baseAddress, Int32(bytes.count), UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, &tail)
                let used = tail.flatMap { tail in bytes.baseAddress.map { tail - $0 } } ?? bytes.count
                return (code, bytes.dropFirst(used).contains { $0 > 32 && $0 != 59 })
            }
        }
        guard code == SQLITE_OK else { throw EngineError(sqlite: code, handle, sql) }
        guard let pointer, !rest else {
            sqlite3_finalize(pointer)
            throw EngineError(.failure, "One SQL statement at a time, not: \(sql)")
        }
        self.pointer = pointer
        self.handle = handle
        self.sql = sql
    }

    deinit { sqlite3_finalize(pointer) }

    var isReading: Bool { sqlite3_stmt_readonly(pointer) != 0 }

    /// Counts how often SQLite prepared the statement again, which it does when the schema changed.
    var shape: Int { Int(sqlite3_stmt_status(pointer, SQLITE_STMTSTATUS_REPREPARE, 0)) }

    var columns: [String] {
        if namesShape != shape {
            names = (0..<sqlite3_column_count(pointer)).map { sqlite3_column_name(pointer, $0).map(String.init) ?? "" }
            namesShape = shape
        }
        return names
    }

    var changes: Int { Int(sqlite3_changes64(handle)) }

    func bind(_ values: [SQLValue]) throws(EngineError) {
        guard Int(sqlite3_bind_parameter_count(pointer)) == values.count else {
            let wanted = sqlite3_bind_parameter_count(pointer)
            throw EngineError(.failure, "\(values.count) values for \(wanted) places in SQL: \(sql)")
        }
        var place: Int32 = 0
        for value in values {
            place += 1
            let code = bind(value, place)
            guard code == SQLITE_OK else {
                reset()
                throw EngineError(sqlite: code, handle, sql)
            }
        }
    }

    private func bind(_ value: SQLValue, _ place: Int32) -> Int32 {
        // SQLITE_TRANSIENT, which is a cast that Swift does not import: SQLite copies the bytes.
        let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null: return sqlite3_bind_null(pointer, place)
        case .integer(let value): return sqlite3_bind_int64(pointer, place, value)
        case .real(let value): return sqlite3_bind_double(pointer, place, value)
        case .text(var text):
            return text.withUTF8 { bytes in
                guard let start = bytes.baseAddress else { return sqlite3_bind_text(pointer, place, "", 0, copied) }
                return start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                    sqlite3_bind_text64(
                        pointer, place, $0, sqlite3_uint64(bytes.count), copied, UInt8(SQLITE_UTF8))
                }
            }
        case .blob(let bytes):
            guard !bytes.isEmpty else { return sqlite3_bind_zeroblob(pointer, place, 0) }
            return sqlite3_bind_blob64(pointer, place, bytes, sqlite3_uint64(bytes.count), copied)
        }
    }

    func step() throws(EngineError) -> Bool {
        switch sqlite3_step(pointer) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw EngineError(sqlite: code, handle, sql)
        }
    }

    func reset() {
        sqlite3_reset(pointer)
        sqlite3_clear_bindings(pointer)
    }

    // MARK: Columns

    func kind(_ column: Int32) -> SQLKind {
        switch sqlite3_column_type(pointer, column) {
        case SQLITE_INTEGER: .integer
        case SQLITE_FLOAT: .real
        case SQLITE_TEXT: .text
        case SQLITE_BLOB: .blob
        default: .null
        }
    }

    func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(pointer, column) }
    func real(_ column: Int32) -> Double { sqlite3_column_double(pointer, column) }

    func text(_ column: Int32) -> String {
        guard let bytes = sqlite3_column_text(pointer, column) else { return "" }
        let count = Int(sqlite3_column_bytes(pointer, column))
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    func isText(_ column: Int32, _ text: String) -> Bool {
        guard let bytes = sqlite3_column_text(pointer, column) else { return false }
        let count = Int(sqlite3_column_bytes(pointer, column))
        var text = text
        return text.withUTF8 { known in
            guard known.count == count, let start = known.baseAddress else { return known.count == count }
            return memcmp(start, bytes, count) == 0
        }
    }

    func blob(_ column: Int32) -> [UInt8] {
        guard let bytes = sqlite3_column_blob(pointer, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: bytes, count: Int(sqlite3_column_bytes(pointer, column))))
    }
}

extension EngineError {
    /// Sorts SQLite's codes; the statement's text goes into the message, its values never do.
    init(sqlite code: Int32, _ handle: OpaquePointer?, _ sql: String) {
        switch code {
        // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY and _ROWID: macros that Swift does not import.
        case SQLITE_CONSTRAINT | 8 << 8, SQLITE_CONSTRAINT | 6 << 8, SQLITE_CONSTRAINT | 10 << 8:
            self.init(.conflict, "A unique key is taken already, in SQL: \(sql)")
            return
        default: break
        }
        switch code & 0xFF {
        case SQLITE_BUSY, SQLITE_LOCKED:
            self.init(.unavailable, "The database is busy: another process holds its write lock. Try again shortly.")
        case SQLITE_FULL:
            self.init(.unavailable, "The disk that holds the database is full. Free space there; nothing was written.")
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            self.init(
                .unavailable, "The database file is damaged. Stop the service, keep a copy, restore a backup.")
        case SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_AUTH:
            self.init(
                .unavailable,
                "The database file cannot be opened or written. Check its path, owner, permissions and mount.")
        case SQLITE_IOERR:
            self.init(.unavailable, "Reading or writing the database failed. Check the disk that holds it.")
        case SQLITE_NOMEM:
            self.init(.unavailable, "Out of memory in the database. Free memory or lower the load.")
        default:
            let reason = handle.flatMap { sqlite3_errmsg($0) }.map(String.init(cString:)) ?? "code \(code)"
            self.init(.failure, "SQL failed (\(reason)): \(sql)")
        }
    }
}
