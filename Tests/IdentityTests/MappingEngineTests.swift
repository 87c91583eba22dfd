// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Testing

/// The kinds of rules that upstream publishes as samples, on people of our own.
struct MappingEngineTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String, rules: String, assertion: [String: String], result: String
        var version = "1.0"
        var testDescription: String { name }
    }

    static func map(_ rules: String, _ assertion: [String: String], version: String? = nil) throws(Fault) -> JSON {
        try MappingEngine(text: Array(rules.utf8), version: version).process(assertion).json
    }

    static let ada = [
        "login": "ada", "first": "Ada", "last": "Lovelace", "mail": "ada@example.com", "kind": "staff;lead",
        "groups": "dev;ops;admin", "one": "dev",
    ]

    static let cases = [
        Case(
            name: "direct maps in order, text around them",
            rules: """
                [{"local": [{"user": {"name": "{0} {1}", "email": "<{2}>", "id": "x{{}}"}}],
                  "remote": [{"type": "first"}, {"type": "last"}, {"type": "mail"}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "Ada Lovelace", "email": "<ada@example.com>", "id": "x{}", "type": "ephemeral"},
                 "group_ids": [], "group_names": [], "projects": []}
                """),
        Case(
            name: "any_one_of is a condition, not a match",
            rules: """
                [{"local": [{"user": {"name": "{0}"}}, {"group": {"id": "g1"}}],
                  "remote": [{"type": "kind", "any_one_of": ["lead", "head"]}, {"type": "login"}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": ["g1"], "group_names": [], "projects": []}
                """),
        Case(
            name: "rules add up, the first user stays",
            rules: """
                [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "login"}]},
                 {"local": [{"user": {"name": "other"}, "group": {"id": "g1"}}],
                  "remote": [{"type": "kind", "not_any_of": ["guest"]}]},
                 {"local": [{"group": {"id": "g2"}}], "remote": [{"type": "kind", "not_any_of": ["staff"]}]},
                 {"local": [{"group": {"id": "g3"}}], "remote": [{"type": "absent"}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": ["g1"], "group_names": [], "projects": []}
                """),
        Case(
            name: "regular expressions are searched for",
            rules: """
                [{"local": [{"user": {"name": "{0}"}, "group": {"id": "in"}}],
                  "remote": [{"type": "login"},
                             {"type": "mail", "any_one_of": [".*@example\\\\.com$"], "regex": true}]},
                 {"local": [{"group": {"id": "out"}}],
                  "remote": [{"type": "mail", "not_any_of": ["EXAMPLE", "exam"], "regex": true}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": ["in"], "group_names": [], "projects": []}
                """),
        Case(
            name: "a whitelist makes a list of groups",
            rules: """
                [{"local": [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "d1"}}],
                  "remote": [{"type": "login"}, {"type": "groups", "whitelist": ["dev", "ops", "qa"]}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": [],
                 "group_names": [{"name": "dev", "domain": {"id": "d1"}}, {"name": "ops", "domain": {"id": "d1"}}],
                 "projects": []}
                """),
        Case(
            name: "a blacklist takes out of one, with expressions too",
            rules: """
                [{"local": [{"groups": "{0}", "domain": {"name": "D"}}],
                  "remote": [{"type": "groups", "blacklist": ["^ad", "^ops$"], "regex": true}]}]
                """, assertion: ada,
            result: """
                {"user": {"type": "ephemeral"}, "group_ids": [],
                 "group_names": [{"name": "dev", "domain": {"name": "D"}}], "projects": []}
                """),
        Case(
            name: "a list that nothing is left of is no group at all",
            rules: """
                [{"local": [{"groups": "{0}", "domain": {"name": "D"}}],
                  "remote": [{"type": "groups", "whitelist": ["nobody"]}]}]
                """, assertion: ada,
            result: """
                {"user": {"type": "ephemeral"}, "group_ids": [], "group_names": [], "projects": []}
                """),
        Case(
            name: "group ids from one value and from several",
            rules: """
                [{"local": [{"group_ids": "{0}"}, {"group_ids": "{1}"}, {"group": {"id": "dev"}}],
                  "remote": [{"type": "one"}, {"type": "groups", "whitelist": ["ops", "admin"]}]}]
                """, assertion: ada,
            result: """
                {"user": {"type": "ephemeral"}, "group_ids": ["dev", "ops", "admin"], "group_names": [],
                 "projects": []}
                """),
        Case(
            name: "groups by name, in domains by name and id",
            rules: """
                [{"local": [{"group": {"name": "dev", "domain": {"name": "out"}}},
                            {"group": {"name": "qa", "domain": {"id": "d2"}}}],
                  "remote": [{"type": "login"}]}]
                """, assertion: ada,
            result: """
                {"user": {"type": "ephemeral"}, "group_ids": [],
                 "group_names": [{"name": "dev", "domain": {"name": "out"}},
                                 {"name": "dev", "domain": {"name": "out"}}, {"name": "qa", "domain": {"id": "d2"}}],
                 "projects": []}
                """),
        Case(
            name: "another cloud's groups come as JSON",
            rules: """
                [{"local": [{"user": {"name": "{0}"}, "groups": "{1}"}],
                  "remote": [{"type": "login"}, {"type": "openstack_groups"}]}]
                """,
            assertion: [
                "login": "ada",
                "openstack_groups":
                    #"JSON:{"name":"a","domain":{"name":"D"}};JSON:{"name":"b's","domain":{"name":"E"}}"#,
            ],
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": [],
                 "group_names": [{"name": "a", "domain": {"name": "D"}}, {"name": "b's", "domain": {"name": "E"}}],
                 "projects": []}
                """),
        Case(
            name: "somebody who was here before",
            rules: """
                [{"local": [{"user": {"name": "{0}", "type": "local", "domain": {"id": "default"}}}],
                  "remote": [{"type": "login"}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "local", "domain": {"id": "default"}}, "group_ids": [],
                 "group_names": [], "projects": []}
                """),
        Case(
            name: "projects with roles",
            rules: """
                [{"local": [{"user": {"name": "{0}"}},
                            {"projects": [{"name": "of {0}", "roles": [{"name": "member"}]}]}],
                  "remote": [{"type": "login"}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": [], "group_names": [],
                 "projects": [{"name": "of ada", "roles": [{"name": "member"}]}]}
                """),
        Case(
            name: "since 2.0 the domain beside them is users' and projects' own",
            rules: """
                [{"local": [{"domain": {"name": "{1}"}, "user": {"name": "{0}"},
                             "projects": [{"name": "p", "roles": []},
                                          {"name": "q", "roles": [], "domain": {"id": "z"}}]}],
                  "remote": [{"type": "login"}, {"type": "last"}]}]
                """, assertion: ada,
            result: """
                {"user": {"name": "ada", "type": "ephemeral", "domain": {"name": "Lovelace"}}, "group_ids": [],
                 "group_names": [],
                 "projects": [{"name": "p", "roles": [], "domain": {"name": "Lovelace"}},
                              {"name": "q", "roles": [], "domain": {"id": "z"}}]}
                """, version: "2.0"),
        Case(
            name: "since 3.0 an assertion may bring the projects",
            rules: """
                [{"local": [{"user": {"name": "{0}"}, "projects_json": "{1}"}],
                  "remote": [{"type": "login"}, {"type": "projects"}]}]
                """,
            assertion: ["login": "ada", "projects": #"[{"name": "p", "roles": [{"name": "reader"}]}]"#],
            result: """
                {"user": {"name": "ada", "type": "ephemeral"}, "group_ids": [], "group_names": [],
                 "projects": [{"name": "p", "roles": [{"name": "reader"}]}]}
                """, version: "3.0"),
    ]

    @Test("Rules make of an assertion what upstream's do", arguments: cases)
    func result(_ item: Case) throws {
        let expected = try JSON.parse(Array(item.result.utf8))
        let found = try Self.map(item.rules, item.assertion, version: item.version)
        #expect(Self.sorted(found) == Self.sorted(expected), "\(found.text())")
    }

    /// Members in the order of their names: it is not what these tests are about.
    static func sorted(_ value: JSON) -> JSON {
        switch value {
        case .object(let object): .object(JSONObject(object.map { ($0.key, sorted($0.value)) }.sorted { $0.0 < $1.0 }))
        case .array(let items): .array(items.map(sorted))
        default: value
        }
    }

    @Test("An assertion that no rule is about proves nobody")
    func nobody() {
        let rules = #"[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "login"}, {"type": "absent"}]}]"#
        let fault = #expect(throws: Fault.self) { try Self.map(rules, Self.ada) }
        #expect(fault?.status == 400)
        #expect(fault?.message.hasPrefix("Could not map any federated user properties") == true)
    }

    @Test("A rule that refers to a match it does not have is the operator's mistake")
    func nothing() {
        let rules =
            #"[{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "kind", "any_one_of": ["lead"]}]}]"#
        #expect(throws: Fault.self) { try Self.map(rules, Self.ada) }
        let fault = #expect(throws: Fault.self) { try Self.map(rules, Self.ada) }
        #expect(fault?.status == 500)
    }

    @Test("Names of groups need a domain")
    func domain() {
        let rules = #"[{"local": [{"groups": "{0}"}], "remote": [{"type": "one"}]}]"#
        let fault = #expect(throws: Fault.self) { try Self.map(rules, Self.ada) }
        #expect(
            fault?.message
                == "Invalid rule: {'groups': 'dev'}. Both 'groups' and 'domain' keywords must be specified.")
    }

    @Test(
        "What the schema does not allow is named as a validator names it",
        arguments: [
            (#"{}"#, "'rules' is a required property\n"),
            (#"{"rules": []}"#, "[] should be non-empty\n"),
            (#"{"rules": [{"local": []}]}"#, "'remote' is a required property\n"),
            (#"{"rules": [{"local": [], "remote": []}]}"#, "[] should be non-empty\n"),
            (
                #"{"rules": [{"local": [{"user": "name"}], "remote": [{"type": "a"}]}]}"#,
                "'name' is not of type 'object'\n"
            ),
            (
                #"{"rules": [{"local": [{"user": {"type": "odd"}}], "remote": [{"type": "a"}]}]}"#,
                "'odd' is not one of ['ephemeral', 'local']\n"
            ),
            (
                #"{"rules": [{"local": [], "remote": [{"type": "a", "any_one_of": ["b"], "invalid": true}]}]}"#,
                "{'type': 'a', 'any_one_of': ['b'], 'invalid': True} is not valid under any of the given schemas\n"
            ),
            (
                #"{"rules": [{"local": [{"group": {"name": "a"}}], "remote": [{"type": "a"}]}]}"#,
                "{'name': 'a'} is not valid under any of the given schemas\n"
            ),
            (
                #"{"rules": [{"local": [{"group": {"id": "a", "domain": {}}}], "remote": [{"type": "a"}]}]}"#,
                "{'id': 'a', 'domain': {}} is not valid under any of the given schemas\n"
            ),
            (
                #"{"rules": [{"local": [], "remote": [{"type": "a"}], "x": 1, "y": 2}]}"#,
                "Additional properties are not allowed ('x', 'y' were unexpected)\n"
            ),
            (
                #"{"rules": [{"local": [{"projects": [{"name": "p"}]}], "remote": [{"type": "a"}]}]}"#,
                "'roles' is a required property\n"
            ),
            (
                #"{"rules": [{"local": [{"projects_json": "{0}"}], "remote": [{"type": "a"}]}]}"#,
                "Additional properties are not allowed ('projects_json' was unexpected)\n"
            ),
        ])
    func schema(text: String, message: String) {
        let fault = #expect(throws: Fault.self) { try MappingEngine(text: Array(text.utf8)) }
        #expect(fault?.status == 400)
        #expect(fault?.message == message)
    }

    @Test("A version that there is none of is refused")
    func version() {
        let text = #"{"rules": [{"local": [], "remote": [{"type": "a"}]}], "schema_version": "9.9"}"#
        #expect(throws: Fault.self) { try MappingEngine(text: Array(text.utf8)) }
    }
}
