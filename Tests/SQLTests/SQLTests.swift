// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import SQL
import Testing

struct SQLTests {
    enum Colour: String { case red, blue }
    enum Shape: String, SQLBindable { case round }

    @Test("Interpolations become places and values")
    func interpolation() {
        let colour = Colour.blue
        let none: Colour? = nil
        let sql: SQL = "a = \("x") AND b IN \([1, 2]) AND c = \(colour) AND d = \(none) AND e = \(Shape.round)"
        #expect(sql.text == "a = ? AND b IN (?, ?) AND c = ? AND d = ? AND e = ?")
        #expect(sql.values == [.text("x"), .integer(1), .integer(2), .text("blue"), .null, .text("round")])
    }

    @Test("Lists may be empty, of enums, or bytes, which are one value")
    func lists() {
        #expect(("\([String]())" as SQL) == "(NULL)")
        #expect(("\([Colour.red, .blue])" as SQL).values == [.text("red"), .text("blue")])
        #expect(("\([1, 2] as [UInt8])" as SQL).values == [.blob([1, 2])])
    }

    @Test("Pieces of SQL nest and join with their values in order")
    func pieces() {
        let inner: SQL = "b = \(2)"
        let sql: SQL = "a = \(1) AND \(sql: inner) ORDER BY \(raw: "a") LIMIT \(3)"
        #expect(sql.text == "a = ? AND b = ? ORDER BY a LIMIT ?")
        #expect(sql.values == [.integer(1), .integer(2), .integer(3)])
        #expect(
            [inner, "c = \(4)", "d"].joined(" AND ")
                == SQL(text: "b = ? AND c = ? AND d", values: [.integer(2), .integer(4)]))
        #expect([SQL]().joined(" AND ").isEmpty)
        #expect(SQL.name("or\"der").text == "\"or\"\"der\"")
    }

    @Test("Values of all kinds are bound by what they are")
    func values() {
        let sql: SQL = "\(true) \(2.5) \(Timestamp(seconds: 2)) \(Int?.none) \(JSON.array([1, nil]))"
        #expect(sql.values == [.integer(1), .real(2.5), .integer(2_000_000), .null, .text("[1,null]")])
    }

    @Test(
        "Property names become column names",
        arguments: [
            ("id", "id"), ("userID", "user_id"), ("publicKey", "public_key"), ("ipv6RAMode", "ipv6_ra_mode"),
            ("hostIP", "host_ip"), ("osType", "os_type"), ("os_type", "os_type"), ("subnetIDs", "subnet_ids"),
            ("URLPath", "url_path"), ("isL3", "is_l3"), ("sha256Sum", "sha256_sum"), ("A", "a"),
            ("IDsByHost", "ids_by_host"),
        ])
    func columnNames(property: String, column: String) {
        #expect(ColumnName.of(property) == column)
    }
}
