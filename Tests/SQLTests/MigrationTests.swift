// SPDX-License-Identifier: Apache-2.0
import Base
import SQL
import Testing

struct MigrationTests {
    static let first: Migration = """
        2026-01-02 first
        CREATE TABLE first (id INTEGER);
        -- a remark; with a semicolon;
        INSERT INTO first (id) VALUES (1);
        INSERT INTO first (id)
        VALUES (2);
        """

    @Test("Migrations are applied once, by date, within a day as given")
    func order() async throws {
        let database = try Database.temporary()
        let second: Migration = "2026-01-03 second\nINSERT INTO first (id) SELECT 10 + COUNT(*) FROM first"
        let third: Migration = "2026-01-03 a third\nINSERT INTO first (id) SELECT 100 + COUNT(*) FROM first"
        for _ in 1...2 { try await database.migrate([second, third, Self.first, second]) }
        let ids = try await database.rows("SELECT id FROM first ORDER BY id").map { $0[0].int }
        #expect(ids == [1, 2, 12, 103])
        let names = try await database.rows("SELECT name FROM schema_migrations ORDER BY name").map { $0[0].text }
        #expect(names == ["2026-01-02 first", "2026-01-03 a third", "2026-01-03 second"])
    }

    @Test("A migration that was changed after it was applied is refused")
    func changed() async throws {
        let database = try Database.temporary()
        try await database.migrate([Self.first])
        let edited = Migration(Self.first.text + "INSERT INTO first (id) VALUES (3);")
        let result = await fault { try await database.migrate([edited]) }
        #expect(result?.message.contains("changed after it was applied") == true)
        // White space at line ends is no change.
        try await database.migrate([Migration(Self.first.text + "  \n\n")])
    }

    @Test("A migration that fails leaves nothing behind")
    func failing() async throws {
        let database = try Database.temporary()
        let broken: Migration = "2026-01-02 broken\nCREATE TABLE half (id INTEGER);\nCREATE TABLE ("
        let result = await fault { try await database.migrate([broken]) }
        #expect(result?.status == 500 && result?.message.contains("'2026-01-02 broken'") == true)
        #expect(await fault { try await database.rows("SELECT * FROM half") }?.status == 500)
        #expect(try await database.rows("SELECT * FROM schema_migrations").isEmpty)
    }

    @Test("A migration without a date or a name is refused", arguments: ["", "first", "2026-13-01 x", "2026-01-01"])
    func malformed(text: String) async throws {
        let database = try Database.temporary()
        #expect(await fault { try await database.migrate([Migration(text)]) }?.status == 500)
    }

    @Test("A cached query follows a change of the schema")
    func reshaping() async throws {
        let database = try Database.temporary()
        try await database.execute("CREATE TABLE counters (extra TEXT, id TEXT, generation BIGINT, value BIGINT)")
        try await database.insert(Counter(id: "a", value: 1, generation: 2))
        for change in ["ALTER TABLE counters ADD COLUMN more TEXT", "ALTER TABLE counters DROP COLUMN extra"] as [SQL] {
            #expect(try await database.all(Counter.self) == [Counter(id: "a", value: 1, generation: 2)])
            try await database.execute(change)
        }
        #expect(try await database.all(Counter.self) == [Counter(id: "a", value: 1, generation: 2)])
        #expect(
            try await database.rows("SELECT * FROM counters").first?.columns == ["id", "generation", "value", "more"])
    }
}
