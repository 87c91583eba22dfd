// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Access

struct PolicyParserTests {
    @Test(
        "What cannot be read is refused with a reason",
        arguments: [
            ("   ", "only white space"), ("admin", "is no check"), (":x", "nothing before its colon"),
            ("rule:", "names no rule"), ("role:a role:b", "\"and\" or \"or\" is missing"),
            ("role:a and", "ends where a check is expected"), ("and role:a", "stands where a check"),
            ("role:a or or role:b", "stands where a check"), ("(role:a", "without its \")\""),
            ("role:a)", "without its \"(\""), ("()", "stands where a check"), ("not", "ends where a check is expected"),
            ("user_id:%(user_id)", "does not begin \"%(attribute)s\""), ("user_id:%user_id", "does not begin"),
            ("user_id:%()s", "names no attribute"), ("http://example.org/check", "not supported"),
            ("https://example.org/%(user_id)s", "not supported"), ("field:networks", "field:resources:name=value"),
            ("field:networks:=x", "field:resources:name=value"),
            (String(repeating: "(", count: 100), "nested more than"),
            (String(repeating: "not ", count: 100) + "@", "nested more than"),
        ])
    func refused(text: String, reason: String) {
        let error = #expect(throws: PolicySyntaxError.self) { try PolicyParser.parse(text) }
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
    }

    @Test("\"and\" binds more than \"or\", \"not\" more than both")
    func precedence() throws {
        func text(_ check: String) throws -> String { try PolicyParser.parse(check).description }
        #expect(try text("role:a or role:b and role:c") == "(role:a or (role:b and role:c))")
        #expect(try text("role:a and role:b or role:c and role:d") == "((role:a and role:b) or (role:c and role:d))")
        #expect(try text("not role:a and role:b") == "(not role:a and role:b)")
        #expect(try text("role:a or not role:b and role:c") == "(role:a or (not role:b and role:c))")
        #expect(try text("'a':%(b)s and None:%(c)s") == "('a':%(b)s and 'None':%(c)s)")
        #expect(try text("field:port:device_owner=~^network:") == "field:port:device_owner=~^network:")
    }

    @Test("A right side may mix text, attributes and doubled percent signs")
    func templates() throws {
        #expect(
            try PolicyParser.template("a%(b)sc%%d%(e.f:g)s").parts == [
                .text("a"), .attribute("b"), .text("c%d"), .attribute("e.f:g"),
            ])
        #expect(try PolicyParser.template("").parts == [.text("")])
        #expect(try PolicyParser.template("%(a)s").description == "%(a)s")
    }

    @Test("The older lists of lists: or outside, and inside")
    func lists() throws {
        #expect(try PolicyParser.parse(list: []) == .always)
        #expect(try PolicyParser.parse(list: [[]]) == .never)
        #expect(try PolicyParser.parse(list: [["role:a"]]).description == "role:a")
        #expect(
            try PolicyParser.parse(list: [["role:a", "rule:b"], ["role:c"]]).description
                == "((role:a and rule:b) or role:c)")
        #expect(throws: PolicySyntaxError.self) { try PolicyParser.parse(list: [["oops"]]) }
    }

    @Test("Two spellings of a role differ only by case")
    func roles() {
        for (left, right, same) in [
            ("admin", "Admin", true), ("ADMIN", "admin", true), ("admin", "admim", false), ("a@", "a`", false),
            ("größe", "GRÖßE", true), ("é", "è", false), ("[", "{", false), ("", "", true), ("a", "ab", false),
        ] {
            #expect(left.equalsIgnoringCase(right) == same, "\(left) \(right)")
        }
    }
}
