// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Observability
import Testing

/// One file for the services `id` and `net`, which both have a rule `admin_required`.
struct PolicyBookTests {
    static let chapters = [
        PolicyBook.Chapter("id", [.init("admin_required", "role:admin"), .init("id:list", "rule:admin_required")]),
        PolicyBook.Chapter(
            "net", [.init("admin_required", "role:admin"), .init("owner", "!"), .init("net:list", "rule:owner")]),
    ]
    static let boss = Caller(userID: "u", projectID: "p", projectDomainID: "d", roles: ["boss"])

    private func book(_ text: String, log: Log = .silent) throws -> PolicyBook {
        try PolicyBook(PolicyBookTests.chapters, overrides: text, log: log)
    }

    private func mistakes(_ text: String) -> [String] {
        do {
            _ = try PolicyBook(PolicyBookTests.chapters, overrides: text)
            return []
        } catch { return error.mistakes.map(\.description) }
    }

    @Test("Each service takes its own rules, and a rule that both have is replaced in both")
    func own() throws {
        let book = try book("\"admin_required\": \"role:boss\"\n\"net:list\": \"role:admin or rule:owner\"")
        #expect(try #require(book["id"]).allows("id:list", PolicyBookTests.boss))
        #expect(try #require(book["net"]).allows("admin_required", PolicyBookTests.boss))
        #expect(try #require(book["net"]).allows("net:list", PolicyBookTests.boss) == false)
        #expect(book.warnings.isEmpty)
    }

    @Test("The rules of one service are no riddle to another, nor are names of the operator's own")
    func noFalseWarnings() throws {
        let log = Log(sink: .memory)
        let book = try book(
            "\"bosses\": \"role:boss or rule:owner\"\n\"net:list\": \"rule:bosses\"\n\"id:list\": \"role:boss\"",
            log: log)
        #expect(book.warnings.isEmpty)
        #expect(log.lines.isEmpty)
        #expect(try #require(book["net"]).allows("net:list", PolicyBookTests.boss))
        #expect(try #require(book["id"]).names == ["admin_required", "id:list"])
    }

    @Test("A name that no service has is warned of once, with the rule that was probably meant")
    func unknown() throws {
        let log = Log(sink: .memory)
        let warnings = try book("\"nett:list\": \"role:boss\"", log: log).warnings.map(\.description)
        #expect(
            warnings == [
                "line 1: \"nett:list\": no service has this rule, and no other rule uses the name; "
                    + "did you mean \"net:list\"?"
            ])
        #expect(log.lines.count == 1)
    }

    @Test("A mistake in what both have is told once")
    func mistakenOnce() {
        #expect(mistakes("\"admin_required\": \"role:admin and\"\n").count == 1)
        #expect(
            mistakes("\"admin_required\": \"rule:nowhere\"\n") == [
                "line 1: \"admin_required\": refers to rule \"nowhere\", which does not exist"
            ])
    }

    @Test("default stands in for what a service has not declared")
    func standIn() throws {
        let book = try book("\"default\": \"role:boss\"")
        #expect(try #require(book["id"]).allows("id:undeclared", PolicyBookTests.boss))
        #expect(book.warnings.isEmpty)
    }
}
