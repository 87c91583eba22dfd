// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import SQL
import Synchronization
import Testing

/// What every engine owes the rooms.
struct StoreSuite {
    @Test("A record comes back as it went in", arguments: Store.all)
    func roundTrip(store: Store) async throws {
        let database = try await store.ready()
        let bare = Sample(id: "bare")
        let full = Sample(
            id: "full", userID: "ann", kind: .fancy, order: .min, size: .max, ratio: -1e300, isPublic: true,
            createdAt: Timestamp(microseconds: 1_700_000_000_123_456), deletedAt: Timestamp(seconds: -5),
            hostIPs: ["10.0.0.1", "it's", "\"quoted\"", "日本\u{0}語"], extra: ["a": "b", "": "'"],
            tree: ["n": 1, "list": [true, nil, 2.5]], secret: [0, 255, 39], place: .init(zone: "z", racks: [1, 2]))
        try await database.insert([bare, full])
        #expect(try await database.all(Sample.self, "ORDER BY id") == [bare, full])
        #expect(try await database.first(Sample.self, "deleted_at IS NULL") == bare)
        #expect(try await database.first(Sample.self, "deleted_at = \(full.deletedAt) AND is_public = \(true)") == full)
    }

    @Test("An answer mixing NULLs and values keeps them apart", arguments: Store.all)
    func nulls(store: Store) async throws {
        let database = try await store.ready()
        let samples = (0..<20).map { number in
            Sample(
                id: "\(100 + number)", size: number % 2 == 0 ? nil : number,
                extra: number % 3 == 0 ? nil : ["n": "\(number)"])
        }
        try await database.insert(samples)
        #expect(try await database.all(Sample.self, "ORDER BY id") == samples)
        #expect(try await database.count(Sample.self, "size \(is: Int?.none)") == 10)
        #expect(try await database.count(Sample.self, "size \(is: 3)") == 1)
    }

    @Test("A value is never part of the text", arguments: Store.all)
    func injection(store: Store) async throws {
        let database = try await store.ready()
        let evil = "x'; DROP TABLE samples; --"
        try await database.insert(Sample(id: evil, userID: "\" OR 1=1"))
        #expect(try await database.first(Sample.self, "id = \(evil)")?.userID == "\" OR 1=1")
        #expect(try await database.count(Sample.self, "user_id = \("' OR '1'='1")") == 0)
        #expect(try await database.delete(Sample.self, "id IN \([evil, "'"])") == 1)
    }

    @Test("A taken key is the fault that the caller names", arguments: Store.all)
    func conflict(store: Store) async throws {
        let database = try await store.ready()
        try await database.insert(Sample(id: "1", userID: "ann", order: 7))
        #expect(
            await fault { try await database.insert(Sample(id: "1"), or: .conflict("Taken.")) } == .conflict("Taken."))
        #expect(await fault { try await database.insert(Sample(id: "1")) } == .conflict("Duplicate entry"))
        let second = Sample(id: "2", userID: "ann", order: 7)
        #expect(await fault { try await database.insert(second, or: .conflict("Order.")) } == .conflict("Order."))
        #expect(try await database.count(Sample.self) == 1)
    }

    @Test("Changes say what they found", arguments: Store.all)
    func changes(store: Store) async throws {
        let database = try await store.ready()
        try await database.insert([Counter(id: "a"), Counter(id: "b"), Counter(id: "c")])
        #expect(try await database.update(Counter.self, set: "value = value + \(2)", where: "id IN \(["a", "b"])") == 2)
        #expect(try await database.update(Counter.self, set: "value = \(2)", where: "id = \("a")") == 1)
        try await database.replace(Counter(id: "c", value: 9, generation: 4), where: "id = \("c")", or: .notFound("c"))
        #expect(try await database.one(Counter.self, "id = \("c")", or: .notFound("c")).value == 9)
        let lost = Fault.notFound("No such counter.")
        #expect(await fault { try await database.one(Counter.self, "id = \("z")", or: lost) } == lost)
        #expect(await fault { try await database.replace(Counter(id: "z"), where: "id = \("z")", or: lost) } == lost)
        #expect(await fault { try await database.delete(Counter.self, "id = \("z")", or: lost) } == lost)
        #expect(try await database.delete(Counter.self, "value >= \(2)") == 3)
    }

    @Test("A transaction sees its own changes and takes all back when it throws", arguments: Store.all)
    func rollback(store: Store) async throws {
        let database = try await store.ready()
        let refusal = Fault.forbidden("No.")
        let result = await fault {
            try await database.transaction { transaction throws(Fault) in
                try transaction.insert(Counter(id: "a", value: 1))
                guard try transaction.count(Counter.self) == 1 else { throw .internalError("not seen") }
                throw refusal
            }
        }
        #expect(result == refusal)
        #expect(try await database.count(Counter.self) == 0)
    }

    @Test("Writers in one group do not disturb each other", arguments: Store.all)
    func groups(store: Store) async throws {
        let database = try await store.ready()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<64 {
                group.addTask { try await Self.write(database, writer) }
            }
            try await group.waitForAll()
        }
        #expect(try await database.count(Counter.self) == 64 * (0..<20).filter { $0 % 3 != 0 && $0 % 5 != 1 }.count)
        #expect(try await database.integrityCheck() == [])
    }

    /// Twenty transactions, of which some fail; each is looked for as soon as it is told to be done.
    private static func write(_ database: Database, _ writer: Int) async throws {
        for turn in 0..<20 {
            let id = "\(writer)-\(turn)"
            let result = await fault {
                try await database.transaction { transaction throws(Fault) in
                    try transaction.insert(Counter(id: id, value: writer))
                    if turn % 3 == 0 { try transaction.insert(Counter(id: id)) }
                    if turn % 5 == 1 { throw .forbidden(id) }
                }
            }
            let expected: Int? = turn % 3 == 0 ? 409 : turn % 5 == 1 ? 403 : nil
            #expect(result?.status == expected)
            let found = try await database.count(Counter.self, "id = \(id)")
            #expect(found == (expected == nil ? 1 : 0))
        }
    }

    @Test("A generation moves once for each that swaps it", arguments: Store.all)
    func compareAndSwap(store: Store) async throws {
        let database = try await store.ready()
        try await database.insert(Counter(id: "a"))
        let swaps = 25
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var done = 0
                    while done < swaps {
                        let seen = try await database.one(Counter.self, "id = \("a")", or: .notFound("a"))
                        done += try await database.update(
                            Counter.self, set: "value = \(seen.value + 1), generation = \(seen.generation + 1)",
                            where: "id = \("a") AND generation = \(seen.generation)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(
            try await database.first(Counter.self, "id = \("a")")
                == Counter(id: "a", value: 16 * swaps, generation: 16 * swaps))
    }

    @Test(
        "What waits for the commit runs before the caller goes on, and not at all after a failure", arguments: Store.all
    )
    func afterCommit(store: Store) async throws {
        let database = try await store.ready()
        let told = Told()
        for (id, fails) in [("a", false), ("b", true), ("c", false)] {
            _ = await fault {
                try await database.transaction { transaction throws(Fault) in
                    try transaction.insert(Counter(id: id))
                    transaction.afterCommit { told.names.withLock { $0.append(id) } }
                    if fails { throw .forbidden("No.") }
                }
            }
        }
        #expect(told.names.withLock { $0 } == ["a", "c"])
    }

    @Test("A list longer than an engine takes is asked for in portions", arguments: Store.all)
    func longLists(store: Store) async throws {
        let database = try await store.ready()
        try await database.insert((0..<200).map { Counter(id: "\($0)", value: $0) })
        let ids = (0..<65_000).map { "\($0)" } + ["5", "199"]
        #expect(try await database.all(Counter.self, "id", in: ids).count == 200)
        #expect(try await database.all(Counter.self, "id", in: ids, and: "value < \(3) OR value = \(9)").count == 4)
        #expect(try await database.all(Counter.self, "id", in: [String]()).isEmpty)
        let tooMany = await fault { try await database.all(Counter.self, "id IN \(ids)") }
        #expect(tooMany?.status == 500 && tooMany?.message.contains("all(_:_:in:)") == true)
    }

    @Test("A mistake in the SQL names the SQL, never the values", arguments: Store.all)
    func mistakes(store: Store) async throws {
        let database = try await store.ready()
        let result = await fault { try await database.count(Counter.self, "nothing = \("sesame")") }
        #expect(result?.status == 500)
        #expect(result?.message.contains("nothing = ?") == true && result?.message.contains("sesame") == false)
        try await database.execute("UPDATE samples SET kind = kind")
        try await database.insert(Sample(id: "1"))
        try await database.execute("UPDATE samples SET kind = \("odd-value")")
        let unread = await fault { try await database.all(Sample.self) }
        #expect(unread?.message.contains("kind") == true && unread?.message.contains("odd-value") == false)
    }

    @Test("Rows are read by name and by place", arguments: Store.all)
    func rows(store: Store) async throws {
        let database = try await store.ready()
        try await database.insert([Counter(id: "a", value: 2), Counter(id: "b", value: 3)])
        let rows = try await database.rows("SELECT COUNT(*) AS n, SUM(value) AS total, NULL AS none FROM counters")
        #expect(rows.count == 1 && rows[0].int("n") == 2 && rows[0][1].integer == 5 && rows[0]["none"].isNull)
        #expect(rows[0]["missing"].isNull && rows[0][9].isNull)
    }

    @Test("A closed database has finished its writes and refuses more", arguments: Store.all)
    func closing(store: Store) async throws {
        let database = try await store.ready()
        async let first: Void = database.insert(Counter(id: "a"))
        try await first
        await database.close()
        await database.close()
        #expect(await fault { try await database.insert(Counter(id: "b")) }?.status == 503)
        #expect(await fault { try await database.count(Counter.self) }?.status == 503)
    }
}

/// What was told, from any thread.
final class Told: Sendable {
    let names = Mutex<[String]>([])
}
