// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What a request must be like for a policy to concern it; all of a policy's rules must hold.
package struct L7Rule: InnerPart {
    package static let table = "load_balancer_l7rules"
    package static let noun = "rule"
    package static let plural = "rules"
    package static let title = "L7 Rule"
    package static let ruleName = "l7rule"
    package static let kin: Set<Forest.Kind> = []
    static let most = 50
    package typealias Outer = L7Policy
    package static let (outerTitle, outerColumn) = ("L7Policy", "l7policy_id")

    package var id: String, projectID: String, loadBalancerID: String, l7policyID: String
    package var outerID: String { l7policyID }
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var type: RuleKind, compareType: RuleComparison
    var key: String?, value: String, invert: Bool
    package var tags: [String]
    package var createdAt: Timestamp
    package var updatedAt: Timestamp?
}

extension L7Rule: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/l7policies/{id}/rules") { path in
        [
            .get(path, "List L7 rules", of: around, allow: .read("l7rule:get_all"), listed),
            .post(path, "Create an L7 rule", of: L7RuleDraft.drafted, allow: .write("l7rule:post"), create),
            .get(path + "/{rule}", "Show L7 rule details", of: within, allow: .read("l7rule:get_one"), show),
            .put(path + "/{rule}", "Update an L7 rule", of: within, allow: .write("l7rule:put"), update),
            .delete(path + "/{rule}", "Remove an L7 rule", of: within, allow: .write("l7rule:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer l7 rules
        CREATE TABLE load_balancer_l7rules (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, load_balancer_id VARCHAR(36) NOT NULL,
            l7policy_id VARCHAR(36) NOT NULL, provisioning_status VARCHAR(16) NOT NULL,
            operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL, type VARCHAR(36) NOT NULL,
            compare_type VARCHAR(36) NOT NULL, key VARCHAR(255), value VARCHAR(255) NOT NULL, invert INTEGER NOT NULL,
            tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT);
        CREATE INDEX load_balancer_l7rules_by_balancer ON load_balancer_l7rules (load_balancer_id);
        CREATE INDEX load_balancer_l7rules_by_policy ON load_balancer_l7rules (l7policy_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("type"), .text("compare_type"), .text("key"), .text("value"), .truth("invert"), .text("l7policy_id"),
        .truth("admin_state_up", "enabled"), .truth("enabled"),
    ])
}

// MARK: - Handlers

extension L7Rule {
    static func create(_ request: Request, _ draft: Drafted<L7RuleDraft>) async throws(Fault) -> Reply {
        let (rule, balancer, named, id) = (draft.item, draft.balancer, request["id"], request.ids.uuid())
        try await request.database.transaction { transaction throws(Fault) in
            let policy = try transaction.one(L7Policy.self, "id = \(named)", or: .missing("L7Policy", named))
            guard policy.provisioningStatus != .pendingDelete else { throw .immutable("L7Policy", named) }
            guard try transaction.count(L7Rule.self, "l7policy_id = \(named)") < most else {
                throw .conflict("Too many rules on L7 policy \(named)")
            }
            try Quotas.require(L7Rule.self, balancer.projectID, transaction, request)
            try rule.insert(transaction, id: id, policy, request)
            try transaction.touch(balancer.id, touched(policy), request)
        }
        return try await reply(request, id: id)
    }

    private static func touched(_ policy: L7Policy) -> Touched {
        Touched(listeners: [policy.listenerID], policies: [policy.id])
    }

    static func update(_ request: Request, _ found: L7Rule) async throws(Fault) -> Reply {
        let body = try request.body("rule")
        try await change(request, found.id) { transaction, row throws(Fault) in
            var body = body
            try body.set("type", .one(of: RuleKind.self), &row.type, none: row.type)
            try body.set("compare_type", .one(of: RuleComparison.self), &row.compareType, none: row.compareType)
            try L7RuleDraft.read(&body, &row)
            try body.set("value", .line(), &row.value, none: "")
            try body.finish("l7rule_.rule")
            try L7RuleCheck.check(row)
            let id = row.l7policyID
            return touched(try transaction.one(L7Policy.self, "id = \(id)", or: L7Policy.notFound(id)))
        }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: L7Rule) async throws(Fault) -> Reply {
        try await leave(request, found.id) { transaction, row throws(Fault) in
            let id = row.l7policyID
            return touched(try transaction.one(L7Policy.self, "id = \(id)", or: L7Policy.notFound(id)))
        }
        return .empty
    }
}

// MARK: - Wire

extension L7Rule {
    package func write(_ view: inout View, _ forest: Forest) {
        writeStanding(&view)
        view.put("admin_state_up", enabled)
        view.put("type", type.rawValue)
        view.put("compare_type", compareType.rawValue)
        view.put("key", key)
        view.put("value", value)
        view.put("invert", invert)
    }
}

/// A rule as asked for.
package struct L7RuleDraft: Sendable {
    private var template: L7Rule

    static func drafted(_ request: Request) async throws(Fault) -> Drafted<L7RuleDraft> {
        var body = try request.body("rule")
        body.ignore("project_id", "tenant_id")
        let draft = try L7RuleDraft(&body, "rule_.rule")
        let policy = try await L7Rule.around(request).part
        return Drafted(item: draft, balancer: try await Drafted<L7RuleDraft>.load(request, policy.loadBalancerID))
    }

    init(_ body: inout Body, _ argument: String) throws(Fault) {
        template = L7Rule(
            id: "", projectID: "", loadBalancerID: "", l7policyID: "", provisioningStatus: .pendingCreate,
            operatingStatus: .offline, enabled: true, type: try body.need("type", .one(of: RuleKind.self)),
            compareType: try body.need("compare_type", .one(of: RuleComparison.self)), key: nil,
            value: try body.need("value", .line()), invert: false, tags: [], createdAt: Timestamp(microseconds: 0),
            updatedAt: nil)
        try L7RuleDraft.read(&body, &template)
        try body.finish(argument)
        try L7RuleCheck.check(template)
    }

    static func read(_ body: inout Body, _ row: inout L7Rule) throws(Fault) {
        try body.set("key", .line(), &row.key)
        try body.set("invert", .truth, &row.invert, none: false)
        try body.set("admin_state_up", .truth, &row.enabled, none: false)
        try body.set("tags", .several(.words()), &row.tags, none: [])
    }

    func insert(_ transaction: Transaction, id: String, _ policy: L7Policy, _ request: Request) throws(Fault) {
        var row = template
        row.id = id
        row.projectID = policy.projectID
        row.loadBalancerID = policy.loadBalancerID
        row.l7policyID = policy.id
        row.createdAt = request.now
        try row.insert(transaction)
    }
}
