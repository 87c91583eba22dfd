// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import JSON
import Testing

/// What the language means: one line per fact that oslo.policy's documentation states or its users rely on.
struct PolicyTests {
    static let ann: Caller = {
        var caller = Caller(
            userID: "u-ann", userName: "ann", userDomainID: "d-users", projectID: "p-1", projectName: "one",
            projectDomainID: "d-1", roles: ["Member", "reader"])
        caller.methods = ["password"]
        return caller
    }()
    static let admin = Caller(userID: "u-root", projectID: "p-0", projectDomainID: "default", roles: ["admin"])
    static let operatorCaller = Caller(userID: "u-op", isSystem: true, roles: ["reader"])
    static let domainManager = Caller(userID: "u-dm", domainID: "d-1", roles: ["manager"])

    static let target: [String: JSON] = [
        "project_id": "p-1", "user_id": "u-ann", "target.user.domain_id": "d-1", "target.role.name": "member",
        "domain_id": nil, "shared": true, "enabled": false, "count": 7, "device_owner": "network:dhcp",
        "network:tenant_id": "p-1", "target.role.domain_id": nil, "networks:external": true, "prefix": "ann",
    ]

    struct Row: Sendable, CustomTestStringConvertible {
        var check: String
        var caller: Caller
        var allowed: Bool
        var testDescription: String { check }
        init(_ check: String, _ allowed: Bool) { self.init(check, PolicyTests.ann, allowed) }
        init(_ check: String, _ caller: Caller, _ allowed: Bool) {
            self.check = check
            self.caller = caller
            self.allowed = allowed
        }
    }

    static let rows: [Row] = [
        Row("", true), Row("@", true), Row("!", false), Row("not !", true), Row("not not @", true),
        Row("role:member", true), Row("role:MEMBER", true), Row("role:admin", false), Row("role:admin", admin, true),
        Row("role:%(target.role.name)s", true), Row("role:%(missing)s", false), Row("roles:Member", true),
        Row("roles:member", false), Row("service_roles:service", false),
        Row("user_id:%(user_id)s", true), Row("user_id:%(user_id)s", admin, false),
        Row("user_id:%(missing)s", false), Row("not user_id:%(missing)s", true),
        Row("user_id:u-ann", true), Row("user_id:u-bob", false), Row("user_id:u-%(prefix)s", true),
        Row("project_id:%(project_id)s", true), Row("tenant_id:%(project_id)s", true),
        Row("tenant_id:%(network:tenant_id)s", true), Row("project_name:one", true), Row("tenant:%(project_id)s", true),
        Row("token.project.domain.id:%(target.user.domain_id)s", true),
        Row("token.domain.id:%(target.user.domain_id)s", domainManager, true),
        Row("token.domain.id:%(target.user.domain_id)s", false), Row("token.user.domain.id:d-users", true),
        Row("token.domain.id:%(domain_id)s", false), Row("token.project.id:None", domainManager, false),
        Row("token.methods:password", true), Row("nonsense.path:%(user_id)s", false), Row("nonsense:None", false),
        Row("domain_id:%(target.user.domain_id)s", domainManager, true), Row("user_domain_id:d-users", true),
        Row("domain_id:%(domain_id)s", true), Row("domain_id:None", true), Row("domain_id:None", domainManager, false),
        Row("system_scope:all", operatorCaller, true), Row("system_scope:all", false),
        Row("system:all", operatorCaller, true),
        Row("'member':%(target.role.name)s", true), Row("\"member\":%(target.role.name)s", true),
        Row("'admin':%(target.role.name)s", false), Row("'a':a", true), Row("None:%(target.role.domain_id)s", true),
        Row("None:%(project_id)s", false), Row("None:%(missing)s", false), Row("not None:%(missing)s", true),
        Row("True:%(shared)s", true), Row("False:%(enabled)s", true), Row("True:%(enabled)s", false),
        Row("7:%(count)s", true), Row("7.50:7.5", true), Row("07x:%(count)s", false), Row("true:%(shared)s", false),
        Row("is_admin:True", admin, true), Row("is_admin:True", false), Row("is_admin:False", true),
        Row("is_admin:1", admin, false), Row("is_admin_project:True", admin, true),
        Row("field:networks:shared=True", true), Row("field:networks:enabled=True", false),
        Row("field:networks:enabled=False", true), Row("field:networks:missing=True", false),
        Row("field:networks:external=True", true), Row("field:ports:device_owner=network:dhcp", true),
        Row("field:port:device_owner=~^network:", true), Row("field:port:device_owner=~work", false),
        Row("field:port:device_owner=~net|comp", true), Row("field:port:domain_id=None", false),
        Row("role:admin or role:reader", true), Row("role:admin and role:reader", false),
        Row("role:member and role:reader", true), Row("role:member AND NOT role:admin", true),
        Row("role:member or role:admin and role:nobody", true),
        Row("(role:member or role:admin) and role:nobody", false),
        Row("role:nobody and role:admin or role:member", true),
        Row("role:nobody and (role:admin or role:member)", false),
        Row("not role:admin and role:member", true), Row("not (role:admin or role:member)", false),
        Row("not role:member or role:member", true), Row("((role:member))", true), Row("( role:member )", true),
        Row("rule:owner", true), Row("rule:owner", admin, false), Row("rule:admin_or_owner", admin, true),
        Row("not rule:owner", admin, true), Row("rule:owner and rule:reader", true),
    ]

    static let base = [
        "owner": "user_id:%(user_id)s", "reader": "role:reader", "admin": "role:admin",
        "admin_or_owner": "rule:admin or rule:owner",
    ]

    @Test("The language means what upstream says it means", arguments: rows)
    func semantics(_ row: Row) throws {
        var rules = PolicyTests.base
        rules["tested"] = row.check
        let policy = try Policy(rules: rules)
        #expect(policy.allows("tested", row.caller, PolicyTests.target) == row.allowed)
    }

    @Test("Nobody passes only where anybody does")
    func nobody() throws {
        let policy = try Policy(rules: ["open": "", "member": "role:member", "owner": "user_id:%(user_id)s"])
        #expect(policy.allows("open", .nobody))
        #expect(!policy.allows("member", .nobody, PolicyTests.target))
        #expect(!policy.allows("owner", .nobody, PolicyTests.target))
        #expect(!policy.allows("owner", .nobody, OwnedTarget()))
        #expect(!policy.allows("owner", .nobody, OwnedTarget(userID: "")))
    }

    @Test("A rule nobody declared lets nobody in; with a default rule it is judged as that")
    func unknown() throws {
        #expect(!(try Policy(rules: ["a": ""]).allows("b", PolicyTests.admin)))
        let policy = try Policy(rules: ["default": "role:admin"])
        #expect(policy.allows("b", PolicyTests.admin) && !policy.allows("b", PolicyTests.ann))
        #expect(policy.handle("b") == nil && policy.handle("default") != nil)
    }

    @Test("A rule accepts only the scopes it states")
    func scopes() throws {
        let rules = [
            PolicyRule("system", "@", scopes: .system), PolicyRule("any", "@"),
            PolicyRule("project", "@", scopes: [.project]), PolicyRule("both", "@", scopes: [.domain, .system]),
        ]
        let policy = try Policy(rules)
        let callers = [
            PolicyTests.operatorCaller, PolicyTests.domainManager, PolicyTests.ann, Caller(userID: "unscoped"),
        ]
        let expected = [
            "system": [true, false, false, false], "any": [true, true, true, true],
            "project": [false, false, true, true], "both": [true, true, false, false],
        ]
        for (rule, verdicts) in expected { #expect(callers.map { policy.allows(rule, $0) } == verdicts) }
        #expect(
            policy.judge("both", PolicyTests.ann) == .wrongScope(accepted: ["system", "domain"], given: "project"))
        let loose = try Policy(rules, enforceScope: false)
        #expect(loose.allows("system", PolicyTests.ann))
        let over = try Policy(rules, overrides: "\"system\": \"role:reader\"")
        #expect(!over.allows("system", PolicyTests.ann), "a changed check keeps the rule's scopes")
        #expect(over.allows("system", PolicyTests.operatorCaller))
    }

    @Test("is_admin is the verdict of the service's admin rule, and does not chase its own tail")
    func isAdmin() throws {
        let rules = ["context_is_admin": "role:boss or is_admin:True", "guarded": "is_admin:True"]
        let policy = try Policy(rules: rules)
        #expect(policy.allows("guarded", Caller(userID: "u", roles: ["Boss"])))
        #expect(!policy.allows("guarded", PolicyTests.admin))
    }

    @Test("A handle judges as the name does")
    func handle() throws {
        let policy = try Policy(rules: PolicyTests.base)
        let handle = try #require(policy.handle("admin_or_owner"))
        #expect(policy.allows(handle, PolicyTests.ann, OwnedTarget(userID: "u-ann")))
        #expect(!policy.allows(handle, PolicyTests.ann, OwnedTarget(userID: "u-bob")))
        #expect(policy.check("admin_or_owner")?.description == "(rule:admin or rule:owner)")
    }

    @Test("The sample states each rule, its calls and its scopes")
    func sample() {
        let text = Policy.sample([
            PolicyRule(
                "identity:get_user", "rule:reader", scopes: [.system, .project], description: "Show user details.",
                operations: ["GET  /v3/users/{user_id}"])
        ])
        #expect(
            text == """
                # Show user details.
                # GET  /v3/users/{user_id}
                # Intended scope(s): system, project
                #"identity:get_user": "rule:reader"


                """)
    }
}
