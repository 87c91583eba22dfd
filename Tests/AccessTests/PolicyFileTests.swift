// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Access

struct PolicyFileTests {
    static let everyForm = """
        ---
        # What operators write.
        "identity:list_users": "role:admin or role:reader"   # double quotes
        'os_compute_api:servers:index': 'role:o''brien'
        os_compute_api:servers:create: rule:member # plain
        get_network: "rule:a
          or rule:b"
        plain_continued: role:a and
          role:b

          and role:c
        folded: >
          role:a
          or (role:b
              and role:c)
        stripped: >-
            role:a

            or role:b
        literal: |
          role:a
          or role:b
        next_line:
          "role:a"
        escaped: "'\\x61\\u0062':%(x)s"
        open: ""
        closed: "!"
        flow: [["role:a", "role:b"], ["role:c"], "role:d"]
        flow_lines: [["role:a"],
          ["role:b"]]
        block:
          - role:a
          - ["role:b", "role:c"]
          - - role:d
            - 'role:e'
        always: []
        """

    static let read: [String: PolicyFile.Value] = [
        "identity:list_users": .text("role:admin or role:reader"),
        "os_compute_api:servers:index": .text("role:o'brien"),
        "os_compute_api:servers:create": .text("rule:member"), "get_network": .text("rule:a or rule:b"),
        "plain_continued": .text("role:a and role:b and role:c"), "folded": .text("role:a or (role:b and role:c)"),
        "stripped": .text("role:a or role:b"), "literal": .text("role:a or role:b"), "next_line": .text("role:a"),
        "escaped": .text("'ab':%(x)s"), "open": .text(""), "closed": .text("!"),
        "flow": .list([["role:a", "role:b"], ["role:c"], ["role:d"]]), "flow_lines": .list([["role:a"], ["role:b"]]),
        "block": .list([["role:a"], ["role:b", "role:c"], ["role:d", "role:e"]]), "always": .list([]),
    ]

    @Test("Every form in which operators write is read")
    func forms() {
        let file = PolicyFile(PolicyFileTests.everyForm)
        #expect(file.mistakes == [])
        for entry in file.entries { #expect(entry.value == PolicyFileTests.read[entry.name], "\(entry.name)") }
        #expect(file.entries.count == PolicyFileTests.read.count)
        #expect(file.entries.first?.line == 3)
    }

    @Test("Line ends of other systems and a byte order mark do no harm")
    func lineEnds() {
        let file = PolicyFile("\u{FEFF}\"a\": \"role:a\"\r\n\r\nb: role:b\r\n")
        #expect(file.mistakes == [])
        #expect(file.entries.map(\.value) == [.text("role:a"), .text("role:b")])
    }

    @Test("A JSON policy is read as well")
    func json() {
        let file = PolicyFile("{\n  \"a\": \"role:a\",\n  \"b\": [[\"role:b\"], [\"role:c\", \"role:d\"]],\n}\n")
        #expect(file.mistakes == [])
        #expect(file.entries.map(\.name) == ["a", "b"])
        #expect(file.entries.map(\.line) == [2, 3])
        #expect(file.entries.last?.value == .list([["role:b"], ["role:c", "role:d"]]))
    }

    @Test("An empty file, or one of comments, changes nothing", arguments: ["", "\n\n", "# nothing\n", "---\n", "{}"])
    func empty(text: String) {
        let file = PolicyFile(text)
        #expect(file.entries.isEmpty && file.mistakes.isEmpty)
    }

    @Test(
        "What cannot be read is reported with its line",
        arguments: [
            ("just words", 1, "expected \"name\": \"check\""), ("\n  a: b:c", 2, "indented"),
            ("a: \"role:x", 1, "never closed"), ("a: \"role:x\" y", 1, "follows the closing"),
            ("a:", 1, "no check"), ("a: ~", 1, "no check"), ("a: !", 1, "quotes"), ("a: @", 1, "quotes"),
            ("a: b: c", 1, "quotes"), ("a: [[\"x\"", 1, "list of lists"), ("a: >x\n  b", 1, "begin a folded"),
            ("{\n\"a\" \"b\"}", 2, "inside braces"), ("x: role:x\n- a", 2, "expected \"name\""),
        ])
    func mistakes(text: String, line: Int, reason: String) {
        let mistakes = PolicyFile(text).mistakes
        #expect(mistakes.first?.line == line)
        #expect(mistakes.first?.message.contains(reason) == true, "\(mistakes)")
    }

    @Test("All mistakes of a policy are reported at once: syntax, names that do not exist, circles")
    func together() {
        let text = """
            "identity:get_user": "role:admin or"
            "identity:list_users": "rule:admin_requierd"
            junk
            """
        let rules = [
            PolicyRule("admin_required", "role:admin"), PolicyRule("identity:get_user", "rule:admin_required"),
            PolicyRule("identity:list_users", "rule:admin_required"),
        ]
        let error = #expect(throws: PolicyMistakes.self) { try Policy(rules, overrides: text) }
        #expect(
            error?.description == """
                line 3: expected "name": "check", found "junk"
                line 1: "identity:get_user": ends where a check is expected
                line 2: "identity:list_users": refers to rule "admin_requierd", which does not exist; \
                did you mean "admin_required"?
                """)
    }

    @Test("Rules that refer to themselves are reported with the way round")
    func circles() {
        let error = #expect(throws: PolicyMistakes.self) {
            try Policy(rules: ["a": "rule:b"], overrides: "b: rule:c\nc: not rule:b\nd: rule:d")
        }
        #expect(
            error?.mistakes.map(\.message) == [
                "refers to itself: \"b\" -> \"c\" -> \"b\"", "refers to itself: \"d\" -> \"d\"",
            ])
    }

    @Test("Names that nothing uses, attributes that no caller has and repeated lines are warnings")
    func warnings() throws {
        let text = """
            "identity:list_user": "rule:mine"
            mine: userid:%(user_id)s
            mine: user_ids:%(user_id)s
            """
        let policy = try Policy([PolicyRule("identity:list_users", "role:admin")], overrides: text)
        #expect(
            policy.warnings.map(\.description) == [
                "line 3: \"mine\": stands on line 2 as well; this one holds",
                "line 1: \"identity:list_user\": no such rule, and no other rule uses the name; "
                    + "did you mean \"identity:list_users\"?",
                "line 3: \"mine\": no caller has an attribute \"user_ids\", so the check never holds; "
                    + "did you mean \"user_id\"?",
            ])
    }
}
