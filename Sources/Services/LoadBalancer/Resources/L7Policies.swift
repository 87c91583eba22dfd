// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What a listener does with requests that fit all of its rules, in the order of positions.
package struct L7Policy: Part {
    package static let table = "load_balancer_l7policies"
    package static let noun = "l7policy"
    package static let plural = "l7policies"
    package static let title = "L7 Policy"
    package static let ruleName = "l7policy"
    package static let kin: Set<Forest.Kind> = [.rules]

    package var id: String, projectID: String, loadBalancerID: String, listenerID: String
    var name: String, description: String
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var action: PolicyAction
    var redirectPoolID: String?, redirectURL: String?, redirectPrefix: String?, redirectHTTPCode: Int?
    var position: Int
    package var tags: [String]
    package var createdAt: Timestamp
    package var updatedAt: Timestamp?
}

extension L7Policy: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/l7policies") { path in
        [
            .get(path, "List L7 policies", of: OwnScope.from, allow: .listing, index),
            .post(path, "Create an L7 policy", of: L7PolicyDraft.drafted, allow: .write("l7policy:post"), create),
            .get(path + "/{id}", "Show L7 policy details", of: found, allow: .read("l7policy:get_one"), show),
            .put(path + "/{id}", "Update an L7 policy", of: found, allow: .write("l7policy:put"), update),
            .delete(path + "/{id}", "Remove an L7 policy", of: found, allow: .write("l7policy:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer l7 policies
        CREATE TABLE load_balancer_l7policies (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, load_balancer_id VARCHAR(36) NOT NULL,
            listener_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL,
            provisioning_status VARCHAR(16) NOT NULL, operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL,
            action VARCHAR(36) NOT NULL, redirect_pool_id VARCHAR(36), redirect_url TEXT, redirect_prefix TEXT,
            redirect_http_code INTEGER, position BIGINT NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT);
        CREATE INDEX load_balancer_l7policies_by_balancer ON load_balancer_l7policies (load_balancer_id);
        CREATE INDEX load_balancer_l7policies_by_pool ON load_balancer_l7policies (redirect_pool_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("name"), .text("description"), .text("action"), .text("listener_id"), .text("redirect_pool_id"),
        .text("redirect_url"), .text("redirect_prefix"), .number("redirect_http_code"), .number("position"),
        .truth("admin_state_up", "enabled"), .truth("enabled"),
    ])
}

// MARK: - Handlers

extension L7Policy {
    static func create(_ request: Request, _ draft: Drafted<L7PolicyDraft>) async throws(Fault) -> Reply {
        let (policy, balancer, id) = (draft.item, draft.balancer, request.ids.uuid())
        try await request.database.transaction { transaction throws(Fault) in
            let named = policy.listenerID
            let listener = try transaction.one(Listener.self, "id = \(named)", or: Listener.notFound(named))
            guard listener.provisioningStatus != .pendingDelete else { throw .immutable("Listener", named) }
            guard listener.protocol != .prometheus else { throw .noChildren }
            try Quotas.require(L7Policy.self, balancer.projectID, transaction, request)
            try policy.insert(transaction, id: id, listener, pools: [:], request)
            try transaction.touch(balancer.id, Touched(listeners: [named]), request)
        }
        return try await reply(request, id: id)
    }

    static func update(_ request: Request, _ found: L7Policy) async throws(Fault) -> Reply {
        let body = try request.body("l7policy")
        try await change(request, found.id) { transaction, row throws(Fault) in
            var body = body
            let before = row.position
            try L7PolicyDraft.read(&body, &row, isNew: false)
            try body.finish("l7policy_.l7policy")
            let listener = try transaction.one(
                Listener.self, "id = \(row.listenerID)", or: Listener.notFound(row.listenerID))
            try L7PolicyDraft.checkPool(transaction, row, listener)
            if row.position != before { try row.place(transaction, leaving: before) }
            return Touched(listeners: [row.listenerID])
        }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: L7Policy) async throws(Fault) -> Reply {
        try await leave(request, found.id) { _, row in Touched(listeners: [row.listenerID]) }
        return .empty
    }

    /// Makes room at the wanted place; positions stay 1, 2, 3 without a gap.
    /// - Parameter leaving: where the row stood so far; nil when it is new.
    mutating func place(_ transaction: Transaction, leaving: Int?) throws(Fault) {
        let own = id
        let others = try transaction.all(
            L7Policy.self,
            """
            listener_id = \(listenerID) AND id <> \(own) \
            AND provisioning_status <> \(ProvisioningStatus.pendingDelete) ORDER BY position, created_at, id
            """)
        position = min(max(position, 1), others.count + 1)
        var next = 1
        for other in others {
            if next == position { next += 1 }
            if other.position != next {
                try transaction.update(L7Policy.self, set: "position = \(next)", where: "id = \(other.id)")
            }
            next += 1
        }
    }
}

// MARK: - Wire

extension L7Policy {
    package func write(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.links("rules", forest.rules(of: self).map(\.id))
    }

    func writeFull(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.list("rules", forest.rules(of: self)) { $1.write(&$0, forest) }
    }

    private func writeOwn(_ view: inout View) {
        writeStanding(&view)
        view.put("name", name)
        view.put("description", description)
        view.put("admin_state_up", enabled)
        view.put("action", action.rawValue)
        view.put("listener_id", listenerID)
        view.put("redirect_pool_id", redirectPoolID)
        view.put("redirect_url", redirectURL)
        view.put("redirect_prefix", redirectPrefix)
        view.put("redirect_http_code", redirectHTTPCode)
        view.put("position", position)
    }
}

/// A policy as asked for, alone or inside a balancer's creation.
package struct L7PolicyDraft: Sendable {
    private var template: L7Policy
    /// Only inside a balancer's creation: the pool it sends to, whole or by name.
    var redirectPool: PoolDraft?
    private let rules: [L7RuleDraft]

    var listenerID: String { template.listenerID }

    static func drafted(_ request: Request) async throws(Fault) -> Drafted<L7PolicyDraft> {
        var body = try request.body("l7policy")
        body.ignore("project_id", "tenant_id")
        let named = try body.need("listener_id", .id)
        var draft = try L7PolicyDraft(&body, "l7policy_.l7policy", isNested: false)
        draft.template.listenerID = named
        let listener = try await request.database.one(
            Listener.self, "id = \(named)", or: Listener.notFound(named))
        return Drafted(
            item: draft, balancer: try await Drafted<L7PolicyDraft>.load(request, listener.loadBalancerID))
    }

    init(_ body: inout Body, _ argument: String, isNested: Bool) throws(Fault) {
        template = L7Policy(
            id: "", projectID: "", loadBalancerID: "", listenerID: "", name: "", description: "",
            provisioningStatus: .pendingCreate, operatingStatus: .offline, enabled: true, action: .reject,
            redirectPoolID: nil, redirectURL: nil, redirectPrefix: nil, redirectHTTPCode: nil,
            position: Int(Int32.max), tags: [], createdAt: Timestamp(microseconds: 0), updatedAt: nil)
        if isNested {
            redirectPool = try body.nested("redirect_pool") { body throws(Fault) in
                try PoolDraft(&body, argument + ".redirect_pool", isNamed: true)
            }
        }
        rules = try body.several("rules") { body throws(Fault) in try L7RuleDraft(&body, argument + ".rules") }
        try L7PolicyDraft.read(&body, &template, isNew: true, namesPool: redirectPool != nil)
        try body.finish(argument)
    }

    /// Takes what is said, and lets the target that was named last decide the action, as upstream does.
    static func read(
        _ body: inout Body, _ row: inout L7Policy, isNew: Bool, namesPool: Bool = false
    ) throws(Fault) {
        try body.set("name", .words(), &row.name, none: "")
        try body.set("description", .words(), &row.description, none: "")
        try body.set("admin_state_up", .truth, &row.enabled, none: false)
        try body.set("position", .whole(1, Int(Int32.max)), &row.position, none: Int(Int32.max))
        try body.set("tags", .several(.words()), &row.tags, none: [])
        let actions = Format<PolicyAction>.one(of: PolicyAction.self)
        var action = isNew ? try body.need("action", actions) : try body.option("action", actions)
        let pool = try body.option("redirect_pool_id", .id)
        let url = try body.option("redirect_url", .webAddress)
        let prefix = try body.option("redirect_prefix", .webAddress)
        let code = try body.option("redirect_http_code", .among([301, 302, 303, 307, 308]))
        if action == .redirectToURL, url == nil { throw .policyArguments("redirect_url must not be None") }
        if action == .redirectToPool, pool == nil, !namesPool {
            throw .policyArguments("redirect_pool_id or redirect_pool must not be None")
        }
        if action == .redirectPrefix, prefix == nil { throw .policyArguments("redirect_prefix must not be None") }
        let namesWeb = action != .reject && (url != nil || prefix != nil)
        if pool != nil || namesPool, namesWeb, action != .redirectToURL {
            throw .policyArguments(
                "Cannot specify redirect_pool_id and redirect_url or redirect_prefix at the same time")
        }
        if action == nil { action = pool != nil ? .redirectToPool : url != nil ? .redirectToURL : nil }
        if action == nil, prefix != nil { action = .redirectPrefix }
        if let action {
            row.action = action
            row.redirectPoolID = action == .redirectToPool ? pool : nil
            row.redirectURL = action == .redirectToURL ? url : nil
            row.redirectPrefix = action == .redirectPrefix ? prefix : nil
            row.redirectHTTPCode = action == .redirectToURL || action == .redirectPrefix ? code ?? 302 : nil
        } else if let code, row.redirectURL != nil || row.redirectPrefix != nil {
            row.redirectHTTPCode = code
        }
    }

    func insert(
        _ transaction: Transaction, id: String, _ listener: Listener, pools: [String: String], _ request: Request
    ) throws(Fault) {
        var row = template
        row.id = id
        row.projectID = listener.projectID
        row.loadBalancerID = listener.loadBalancerID
        row.listenerID = listener.id
        row.createdAt = request.now
        if let pool = redirectPool {
            guard let made = pools[pool.name] else {
                throw .badRequest("Missing details for Pool object: \(pool.name)")
            }
            row.redirectPoolID = made
        }
        guard rules.count <= L7Rule.most else { throw .conflict("Too many rules on L7 policy \(id)") }
        try L7PolicyDraft.checkPool(transaction, row, listener)
        try row.place(transaction, leaving: nil)
        try ProviderRules(listener.loadBalancerID, transaction, request).check(row)
        try row.insert(transaction)
        for rule in rules { try rule.insert(transaction, id: request.ids.uuid(), row, request) }
    }

    static func checkPool(_ transaction: Transaction, _ row: L7Policy, _ listener: Listener) throws(Fault) {
        guard let id = row.redirectPoolID else { return }
        let pool = try transaction.one(Pool.self, "id = \(id)", or: Pool.notFound(id))
        guard pool.loadBalancerID == row.loadBalancerID else { throw Pool.notFound(id) }
        try ListenerDraft.checkProtocols(listener.protocol, pool.protocol)
    }
}

extension Fault {
    fileprivate static func policyArguments(_ words: String) -> Fault {
        .badRequest("Invalid L7 Policy arguments: \(words)")
    }
}
