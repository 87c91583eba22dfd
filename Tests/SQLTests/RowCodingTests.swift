// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import SQL
import Testing

/// Records of unusual shape, and columns that hold something else than the property needs.
struct RowCodingTests {
    struct Widths: Record, Equatable {
        static let table = "widths"
        enum Level: Int, Codable { case low = 1, high = 9 }
        struct Name: Codable, Equatable {
            var text: String
            init(_ text: String) { self.text = text }
            init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                try container.encode(text)
            }
        }
        var a: Int8, b: UInt16? = nil, c: UInt32, d: UInt64? = nil, e: Float, f: Float? = nil
        var level: Level, name: Name, names: [Name], document: JSONObject, anything: JSON? = nil
        var moments: [Timestamp]? = nil, select: Int32? = nil, group: String
    }

    static let table: SQL = """
        CREATE TABLE widths (a, b, c, d, e, f, level, name, names, document, anything, moments, "select", "group", more)
        """

    @Test("Numbers of every width, wrappers, JSON and keywords come back")
    func widths() async throws {
        let database = try Database.temporary()
        try await database.execute(Self.table)
        let records = (0..<12).map { number in
            Widths(
                a: -128, b: number % 2 == 0 ? nil : 65535, c: .max, d: number % 3 == 0 ? nil : 1 << 62, e: 0.25,
                f: number % 5 == 0 ? nil : -1.5, level: number < 6 ? .low : .high, name: .init("n\(number)"),
                names: [.init("x")], document: JSONObject([("b", 1), ("a", [nil])]),
                anything: number % 4 == 0 ? nil : .integer(3), moments: number % 7 == 0 ? nil : [Timestamp(seconds: 4)],
                select: number % 2 == 0 ? nil : -5, group: "")
        }
        try await database.insert(records)
        #expect(try await database.all(Widths.self, "ORDER BY rowid") == records)
        let stored = try await database.rows(
            "SELECT level, name, names, document, moments FROM widths WHERE name = \("n1")")
        let texts: [SQLValue] = [
            .integer(1), .text("n1"), .text(#"["x"]"#), .text(#"{"b":1,"a":[null]}"#), .text("[4000000]"),
        ]
        #expect(stored.first?.values == texts)
    }

    @Test(
        "A column that does not fit names the property",
        arguments: [
            ("a", SQLValue.integer(1000)), ("a", .null), ("c", .integer(-1)), ("e", .text("x")), ("level", .integer(5)),
            ("name", .null), ("names", .text("[")), ("names", .text("{}")), ("document", .null), ("group", .blob([1])),
        ])
    func misfits(property: String, value: SQLValue) async throws {
        let database = try Database.temporary()
        try await database.execute(Self.table)
        try await database.insert(
            Widths(
                a: 1, c: 1, e: 1, level: .low, name: .init("n"), names: [], document: JSONObject(), group: "g"))
        _ = try await database.all(Widths.self)
        try await database.execute("UPDATE widths SET \(sql: .name(property)) = \(value)")
        let result = await fault { try await database.all(Widths.self) }
        #expect(result?.status == 500 && result?.message.hasPrefix("Table widths: property \(property)") == true)
    }

    @Test("A column that is missing is an error for a property that needs it, nil for an optional one")
    func missing() async throws {
        let database = try Database.temporary()
        try await database.execute("CREATE TABLE samples (id TEXT)")
        try await database.execute("INSERT INTO samples (id) VALUES (\("1"))")
        let result = await fault { try await database.all(Sample.self) }
        #expect(result?.message.contains("property kind: is missing") == true)
        struct Slim: Record {
            static let table = "samples"
            var id: String, size: Int?, place: [String]?
        }
        #expect(try await database.all(Slim.self).first?.size == nil)
    }

    struct Noted: Record, Equatable {
        static let table = "noted"
        var id: Int, names: [String], document: JSONObject
    }

    @Test("A row that is read again and again shows what was written last, short and long, and null again as null")
    func again() async throws {
        let database = try Database.temporary()
        try await database.execute("CREATE TABLE noted (id INTEGER PRIMARY KEY, names TEXT, document TEXT)")
        var row = Noted(id: 1, names: [], document: JSONObject())
        try await database.insert(row)
        let long = String(repeating: "x", count: 5000)
        for (names, note) in [(["a"], "1"), ([], "2"), (["a"], long), ([long], "1"), (["a"], "1"), (["b", "c"], "")] {
            row = Noted(id: 1, names: names, document: JSONObject([("note", .string(note))]))
            try await database.replace(row, where: "id = 1", or: .notFound("row"))
            for _ in 0..<2 { #expect(try await database.first(Noted.self, "id = 1") == row) }
        }
        try await database.execute("UPDATE noted SET names = NULL")
        let result = await fault { try await database.first(Noted.self, "id = 1") }
        #expect(result?.message.contains("property names") == true)
    }

    /// Leaves members out as it likes.
    struct Choosy: Record, Equatable {
        static let table = "choosy"
        enum CodingKeys: String, CodingKey { case id, note, weight = "kilos" }
        var id: Int, note: String?, weight: Int?

        init(_ id: Int, _ note: String?, _ weight: Int?) { (self.id, self.note, self.weight) = (id, note, weight) }
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(id, forKey: .id)
            if let note { try container.encode(note, forKey: .note) }
            if let weight { try container.encode(weight, forKey: .weight) }
        }
    }

    @Test("A type that writes other members each time is stored right each time")
    func choosy() async throws {
        let database = try Database.temporary()
        try await database.execute("CREATE TABLE choosy (id INTEGER PRIMARY KEY, note TEXT, kilos INTEGER)")
        let records = [
            Choosy(1, "a", nil), Choosy(2, nil, 5), Choosy(3, nil, nil), Choosy(4, "b", 6), Choosy(5, "c", nil),
        ]
        try await database.insert(records)
        #expect(try await database.all(Choosy.self, "ORDER BY id") == records)
    }
}
