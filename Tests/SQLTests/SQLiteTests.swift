// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Observability
import SQL
import Synchronization
import Testing

/// What is SQLite's own: files, threads, and what goes wrong with them.
struct SQLiteTests {
    @Test("A durable database syncs every commit to a write-ahead log, and is found again")
    func durability() async throws {
        let directory = try Directory()
        let path = directory.path + "/apus.sqlite"
        let database = try Database.sqlite(path: path)
        try await database.migrate(Store.migrations)
        let pragmas = try await database.transaction { transaction throws(Fault) in
            try ["journal_mode", "synchronous", "foreign_keys"].map { name throws(Fault) in
                try transaction.rows("PRAGMA \(raw: name)")[0][0]
            }
        }
        #expect(pragmas == [.text("wal"), .integer(2), .integer(1)])
        try await database.insert(Counter(id: "a", value: 5))

        // What a process that dies leaves: the file and its log, copied while everything is open.
        let copy = directory.path + "/copy.sqlite"
        for suffix in ["", "-wal"] { try directory.copy(path + suffix, copy + suffix) }
        for found in [path, copy] {
            let again = try Database.sqlite(path: found)
            #expect(try await again.all(Counter.self) == [Counter(id: "a", value: 5)])
            #expect(try await again.integrityCheck() == [])
            await again.close()
        }
        await database.close()
        #expect(access(path + "-wal", F_OK) != 0, "the log is folded into the file at the end")
    }

    @Test("The file is its owner's alone")
    func privacy() async throws {
        let directory = try Directory()
        let database = try Database.sqlite(path: directory.path + "/apus.sqlite", durable: false)
        try await database.migrate(Store.migrations)
        for suffix in ["", "-wal"] {
            var status = stat()
            #expect(stat(directory.path + "/apus.sqlite" + suffix, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
        }
        await database.close()
    }

    @Test("A thread that ends gives its connection back, and closing gives back all")
    func threads() async throws {
        let database = try Database.temporary()
        try await database.migrate(Store.migrations)
        let before = database.engine.readersOpen
        let threads = (0..<4).map { _ in OneThread() }
        for thread in threads {
            let count = try await withTaskExecutorPreference(thread) { try await database.count(Counter.self) }
            #expect(count == 0)
        }
        #expect(database.engine.readersOpen == before + 4)
        for thread in threads { thread.end() }
        #expect(database.engine.readersOpen == before)
        _ = try await database.count(Counter.self)
        await database.close()
        #expect(database.engine.readersOpen == 0)
    }

    @Test("A database that is let go without closing ends its thread and removes its private file")
    func lettingGo() async throws {
        let files = try await Self.useAndForget()
        // The writer ends on its own thread, when the machine comes to it.
        let watch = Stopwatch()
        while access(files, F_OK) == 0, watch.elapsed < .seconds(600) { await Task.yield() }
        #expect(access(files, F_OK) != 0)
    }

    private static func useAndForget() async throws -> String {
        let database = try Database.temporary()
        try await database.migrate(Store.migrations)
        #expect(try await database.count(Counter.self) == 0)
        return try #require(try await database.rows("PRAGMA database_list")[0].text("file"))
    }

    @Test("Reading connections cannot write")
    func readOnly() async throws {
        let database = try Database.temporary()
        try await database.migrate(Store.migrations)
        let result = await fault { try await database.rows("DELETE FROM counters") }
        #expect(result?.status == 500 && result?.message.contains("needs a transaction") == true)
    }

    @Test("A file that is no database, a missing directory: 503 that says what to do")
    func unusable() async throws {
        let directory = try Directory()
        try directory.write("/junk.sqlite", Array(repeating: 65, count: 8192))
        let junk = await fault { try Database.sqlite(path: directory.path + "/junk.sqlite") }
        #expect(junk?.status == 503 && junk?.message.contains("restore a backup") == true)
        let missing = await fault { try Database.sqlite(path: directory.path + "/no/such/file.sqlite") }
        #expect(missing?.status == 503 && missing?.message.contains("Check its path") == true)
    }

    @Test("A write lock held by another process: 503, try again; and it works afterwards")
    func busy() async throws {
        let directory = try Directory()
        let path = directory.path + "/apus.sqlite"
        let log = Log(sink: .memory, level: .warning)
        let database = try Database.sqlite(path: path, durable: false, log: log)
        try await database.migrate(Store.migrations)
        try await database.execute("PRAGMA busy_timeout = 1")
        let other = try Database.sqlite(path: path, durable: false)
        let held = Gate()
        async let holder: Void = other.transaction { transaction throws(Fault) in
            try transaction.insert(Counter(id: "other"))
            held.passThrough()
        }
        await held.entered()
        let result = await fault { try await database.insert(Counter(id: "a")) }
        #expect(result?.status == 503 && result?.headers["Retry-After"] == "1")
        #expect(result?.message.contains("busy") == true)
        held.open()
        try await holder
        try await database.insert(Counter(id: "a"))
        #expect(try await database.count(Counter.self) == 2)
        await other.close()
        await database.close()
    }

    @Test("A full disk fails what does not fit, and what is there stays sound")
    func full() async throws {
        let database = try Database.temporary()
        try await database.migrate(Store.migrations)
        try await database.insert(Sample(id: "kept"))
        // No room for more pages than there are: what SQLite answers is the same as for a full disk.
        try await database.execute("PRAGMA max_page_count = 1")
        let big = Sample(id: "big", secret: Array(repeating: 1, count: 1 << 20))
        let results = await withTaskGroup(of: Fault?.self, returning: [Fault?].self) { group in
            for number in 0..<16 {
                group.addTask {
                    await fault {
                        if number % 4 == 0 { return try await database.insert(big) }
                        try await database.update(Sample.self, set: "size = \(number)", where: "id = \("kept")")
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(results.compactMap { $0?.status }.allSatisfy { $0 == 503 })
        #expect(results.compactMap { $0 }.count >= 4)
        #expect(try await database.all(Sample.self).map(\.id) == ["kept"])
        try await database.execute("PRAGMA max_page_count = 100000")
        try await database.insert(big)
        #expect(try await database.integrityCheck() == [])
    }

    @Test("A transaction kept beyond its closure is refused")
    func escaped() async throws {
        let database = try Database.temporary()
        try await database.migrate(Store.migrations)
        let kept = Kept()
        try await database.transaction { transaction throws(Fault) in kept.keep(transaction) }
        #expect(await fault { try kept.count() }?.status == 500)
    }
}
