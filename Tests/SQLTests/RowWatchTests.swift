// SPDX-License-Identifier: Apache-2.0
import Base
import SQL
import Synchronization
import Testing

struct RowWatchTests {
    private final class Ear: Sendable {
        let heard = Mutex<[String]>([])
        var all: [String] { heard.withLock { $0 } }
    }

    private func ready(columns: [String] = []) async throws -> (Database, Ear) {
        let database = try await Store.all[0].ready()
        let ear = Ear()
        database.watch([WatchedTable(Counter.self, columns: columns) { "id = \($0.id)" }]) { changes, transaction in
            for change in changes.of(Counter.self) {
                let (old, new) = (change.old.map { "\($0.value)" } ?? "-", change.new.map { "\($0.value)" } ?? "-")
                let id = change.new?.id ?? change.old?.id ?? ""
                ear.heard.withLock { $0.append("\(id) \(old) \(new)") }
            }
        }
        return (database, ear)
    }

    @Test("Who watches a table hears of each row once per transaction: what it was before, and what it is at the end")
    func changes() async throws {
        let (database, ear) = try await ready()
        try await database.transaction { transaction throws(Fault) in
            try transaction.insert(Counter(id: "a", value: 1))
            try transaction.insert([Counter(id: "b", value: 2), Counter(id: "c", value: 3)])
            try transaction.update(Counter.self, set: "value = value + 10", where: "id <> 'c'")
            try transaction.delete(Counter.self, "id = 'c'")
        }
        #expect(ear.all == ["a - 11", "b - 12"])
        try await database.update(Counter.self, set: "value = 0", where: "id = 'a'")
        try await database.replace(Counter(id: "b", value: 5), where: "id = 'b'", or: .notFound("b"))
        try await database.delete(Counter.self, "id = 'a'")
        #expect(ear.all.dropFirst(2) == ["a 11 0", "b 12 5", "a 0 -"])
    }

    @Test("Updates of other columns are not heard, nor is what is undone")
    func others() async throws {
        let (database, ear) = try await ready(columns: ["value"])
        try await database.insert(Counter(id: "a", value: 1))
        try await database.update(Counter.self, set: "generation = 7", where: "id = 'a'")
        await #expect(throws: Fault.self) {
            try await database.transaction { transaction throws(Fault) in
                try transaction.update(Counter.self, set: "value = 2", where: "id = 'a'")
                throw Fault.conflict("no")
            }
        }
        #expect(ear.all == ["a - 1"])
    }

    @Test("What a watcher writes belongs to the transaction, and is undone with it when the watcher refuses")
    func writing() async throws {
        let database = try await Store.all[0].ready()
        database.watch([WatchedTable(Counter.self) { "id = \($0.id)" }]) { changes, transaction throws(Fault) in
            for change in changes.of(Counter.self) {
                guard let new = change.new else { continue }
                guard new.value < 9 else { throw Fault.conflict("too many") }
                try transaction.insert(Counter(id: "seen " + new.id, value: new.value))
            }
        }
        try await database.insert(Counter(id: "a", value: 1))
        #expect(try await database.first(Counter.self, "id = 'seen a'")?.value == 1)
        await #expect(throws: Fault.self) { try await database.insert(Counter(id: "b", value: 9)) }
        #expect(try await database.count(Counter.self) == 2)
    }
}
