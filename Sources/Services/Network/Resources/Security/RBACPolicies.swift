// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Lets another project see and use something of one's own.
package struct RBACPolicy: Noun {
    package static let table = "network_rbac"
    package static let noun = "rbac_policy"
    package static let plural = "rbac_policies"
    package static let collection = "rbac-policies"

    package let id: String, projectID: String
    let objectType: String
    let objectID: String
    let action: String
    var targetProject: String
    package var description: String
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package typealias Extra = Nothing

    /// The objects of a kind that a project was let in to, for `IN (...)`.
    static func granted(_ type: String, to project: String) -> SQL {
        """
        SELECT object_id FROM network_rbac WHERE object_type = \(type) \
        AND (target_project = \(project) OR target_project = '*')
        """
    }

    /// The objects that a project may use as its own.
    static func lent(_ type: String, to project: String) -> SQL {
        "\(sql: granted(type, to: project)) AND action = 'access_as_shared'"
    }

    static func forget(_ transaction: Transaction, _ type: String, _ id: String) throws(Fault) {
        try transaction.delete(RBACPolicy.self, "object_type = \(type) AND object_id = \(id)")
    }

    /// What each kind of object may be granted for.
    private static let actions: [String: [String]] = [
        "network": ["access_as_shared", "access_as_external"], "security_group": ["access_as_shared"],
        "subnetpool": ["access_as_shared"], "address_scope": ["access_as_shared"],
        "address_group": ["access_as_shared"], "qos_policy": ["access_as_shared"],
    ]
}

extension RBACPolicy: Resource {
    package static let routes: [Route] = [
        .get(
            "/rbac-policies", "List RBAC policies", of: OwnScope.from,
            allow: .anyone("list_rbac_policies"), index),
        .post(
            "/rbac-policies", "Create RBAC policy", of: drafts,
            allow: .rule("create_rbac_policy", NetworkRules.adminOrMember), create),
        .get(
            "/rbac-policies/{id}", "Show RBAC policy", of: visible,
            allow: .rule("get_rbac_policy", NetworkRules.adminOrReader), show),
        .put(
            "/rbac-policies/{id}", "Update RBAC policy", of: visible,
            allow: .rule("update_rbac_policy", NetworkRules.adminOrMember), update),
        .delete(
            "/rbac-policies/{id}", "Delete RBAC policy", of: visible,
            allow: .rule("delete_rbac_policy", NetworkRules.adminOrMember), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 network rbac
        CREATE TABLE network_rbac (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, object_type VARCHAR(32) NOT NULL,
            object_id VARCHAR(36) NOT NULL, action VARCHAR(64) NOT NULL, target_project VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE UNIQUE INDEX network_rbac_once ON network_rbac (object_id, action, target_project)
        """
    ]

    package static let filters = Filter.standard([
        .text("object_type"), .text("object_id"), .text("action"), .text("target_project"),
        .text("target_tenant", "target_project"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "RbacPolicyNotFound", "RBAC policy of type rbac_policy with ID \(id) not found")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": .string(projectID)
        case "target_project", "target_tenant": .string(targetProject)
        default: nil
        }
    }

    struct Draft: PolicyTarget {
        let projectID: String, type: String, object: String, action: String, target: String

        func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "project_id", "tenant_id": .string(projectID)
            case "target_project", "target_tenant": .string(target)
            default: nil
            }
        }
    }
}

extension RBACPolicy.Draft {
    /// Whoever gets a subnet pool must have its address scope as well.
    fileprivate func checkAddressScope(_ transaction: Transaction) throws(Fault) {
        guard type == "subnetpool",
            let scope = try transaction.first(SubnetPool.self, "id = \(object)")?.addressScopeID
        else { return }
        let granted = try transaction.count(
            RBACPolicy.self,
            "object_type = 'address_scope' AND object_id = \(scope) AND target_project IN \([target, "*"])")
        guard granted == 0 else { return }
        throw .neutron(
            400, "RbacPolicyInitError",
            "Failed to create RBAC policy on object \(object) because target project doesn't have access to associated "
                + "address scope..")
    }
}

extension RBACPolicy {
    private static func judge(_ request: Request, _ deed: String, _ target: some PolicyTarget) throws(Fault) {
        let rule = "\(deed):target_project"
        guard request.may(rule, on: target) else { throw request.index.envelope.refusal(rule) }
    }

    private static func target(_ body: inout Body) throws(Fault) -> String? {
        let older = try body.take("target_tenant", .string())
        return try body.take("target_project", .string()) ?? older
    }

    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let project = try body.takeProject(request)
            let type = try body.need(
                "object_type",
                .among("address_group", "address_scope", "network", "qos_policy", "security_group", "subnetpool"))
            let object = try body.need("object_id", .string())
            let action = try body.need("action", .string())
            guard actions[type]?.contains(action) == true else {
                throw .invalidInput(
                    "Invalid action '\(action)' for object type '\(type)'. Valid actions: "
                        + "\((actions[type] ?? []).joined(separator: ", "))")
            }
            guard let target = try target(&body) else {
                throw .httpBadRequest("Failed to parse request. Required attribute 'target_project' not specified")
            }
            let draft = Draft(projectID: project, type: type, object: object, action: action, target: target)
            try judge(request, "create_rbac_policy", draft)
            return draft
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let isAdmin = request.seesAll
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in
                try Quotas.require(
                    "rbac_policy", RBACPolicy.self, project: draft.projectID, transaction, request.network.options)
                let owner = try transaction.rows(
                    "SELECT project_id FROM \(raw: table(of: draft.type)) WHERE id = \(draft.object)"
                ).first?[0].text
                guard let owner else {
                    throw .neutron(
                        404, "RbacPolicyNotFound",
                        "RBAC policy of type \(draft.type) with ID \(draft.object) not found")
                }
                guard isAdmin || owner == request.project else {
                    throw .invalidInput("Only admins can manipulate policies on objects they do not own")
                }
                try draft.checkAddressScope(transaction)
                let policy = RBACPolicy(
                    id: request.ids.uuid(), projectID: draft.projectID, objectType: draft.type, objectID: draft.object,
                    action: draft.action, targetProject: draft.target, description: "", tags: [],
                    createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
                try transaction.insert(
                    policy,
                    or: .neutron(
                        409, "DuplicateRbacPolicy", "An RBAC policy already exists with those values."))
                try settle(transaction, draft.type, draft.object, request)
                return policy
            }
        }
        return try await reply(request, made: made)
    }

    private static func table(of type: String) -> String {
        switch type {
        case "security_group": SecurityGroup.table
        case "subnetpool": SubnetPool.table
        case "address_scope": AddressScope.table
        case "address_group": AddressGroup.table
        case "qos_policy": QoSPolicy.table
        default: Network.table
        }
    }

    static func update(_ request: Request, _ found: RBACPolicy) async throws(Fault) -> Reply {
        let policy = try await change(request, found.id) { transaction, policy throws(Fault) in
            var body = try request.body("rbac_policy")
            let before = policy
            policy.targetProject = try target(&body) ?? policy.targetProject
            try body.end()
            if policy.targetProject != before.targetProject,
                try before.isNeeded(transaction, beside: policy.targetProject)
            {
                throw inUse(policy.objectID)
            }
            try judge(request, "update_rbac_policy", policy)
            let changed = policy
            try transaction.replace(changed, where: "id = \(changed.id)", or: notFound(changed.id))
            try settle(transaction, changed.objectType, changed.objectID, request)
        }
        return try await policy.reply(request)
    }

    static func delete(_ request: Request, _ policy: RBACPolicy) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            guard try !policy.isNeeded(transaction) else {
                throw inUse(policy.objectID)
            }
            try transaction.delete(RBACPolicy.self, "id = \(policy.id)", or: notFound(policy.id))
            try settle(transaction, policy.objectType, policy.objectID, request)
        }
        return .empty
    }

    /// Whether somebody is there who was let in by this policy alone.
    /// `other`: who is let in instead.
    private func isNeeded(_ transaction: Transaction, beside other: String? = nil) throws(Fault) -> Bool {
        if other == "*" { return false }
        // The default external network is there for everybody who asks for a way out.
        if action == "access_as_external", targetProject == "*",
            try transaction.count(Network.self, "id = \(objectID) AND is_default = 1") > 0
        {
            return true
        }
        let wider = try transaction.count(
            RBACPolicy.self,
            "object_id = \(objectID) AND action = \(action) AND target_project = '*' AND id <> \(id)")
        guard wider == 0 else { return false }
        let table = RBACPolicy.table(of: objectType)
        let owner: SQL = "(SELECT project_id FROM \(raw: table) WHERE id = \(objectID))"
        let guests: SQL =
            targetProject == "*"
            ? "project_id <> '' AND project_id <> \(sql: owner) AND project_id NOT IN (\(sql: named))"
            : "project_id = \(targetProject) AND project_id <> \(sql: owner)"
        // Of networks the one who is let in instead may stay; of everything else that is not looked at.
        let others: SQL = objectType == "network" ? other.map { "project_id <> \($0)" } ?? "1 = 1" : "1 = 1"
        let uses: [SQL] =
            switch (objectType, action) {
            case ("network", "access_as_external"):
                [
                    "network_routers WHERE gateway_network_id = \(objectID)",
                    "network_floating_ips WHERE floating_network_id = \(objectID)",
                ]
            case ("network", _): ["network_ports WHERE network_id = \(objectID)"]
            case ("security_group", _):
                [
                    """
                    network_ports WHERE id IN \
                    (SELECT port_id FROM network_port_groups WHERE security_group_id = \(objectID))
                    """
                ]
            case ("qos_policy", _):
                ["network_ports", "network_networks", "network_floating_ips", "network_routers"].map {
                    "\(raw: $0) WHERE id IN (SELECT object_id FROM network_qos_bindings WHERE policy_id = \(objectID))"
                }
            case ("address_group", _):
                ["network_security_group_rules WHERE remote_address_group_id = \(objectID)"]
            case ("address_scope", _): ["network_subnetpools WHERE address_scope_id = \(objectID)"]
            default: ["network_subnets WHERE subnetpool_id = \(objectID)"]
            }
        for use in uses {
            let found = try transaction.rows(
                "SELECT 1 FROM \(sql: use) AND \(sql: guests) AND \(sql: others) LIMIT 1")
            if !found.isEmpty { return true }
        }
        return false
    }

    /// The projects that policies of the same kind name.
    private var named: SQL {
        "SELECT target_project FROM network_rbac WHERE object_id = \(objectID) AND action = \(action)"
    }

    // MARK: `shared` and `router:external` are policies for everybody

    /// Makes the object's own marks agree with its policies.
    private static func settle(
        _ transaction: Transaction, _ type: String, _ id: String, _ request: Request
    ) throws(Fault) {
        let policies = try transaction.all(RBACPolicy.self, "object_type = \(type) AND object_id = \(id)")
        let shared = policies.contains { $0.action == "access_as_shared" && $0.targetProject == "*" }
        var marks: SQL = "shared = \(shared), revision_number = revision_number + 1, updated_at = \(request.now)"
        if type == "network" { marks += ", external = \(policies.contains { $0.action == "access_as_external" })" }
        try transaction.execute("UPDATE \(raw: table(of: type)) SET \(sql: marks) WHERE id = \(id)")
        if type == "network" { try transaction.touch(.network, id, request) }
    }

    /// Lets everybody in, as `shared` or `router:external` asks, unless that is so already.
    static func open(
        _ transaction: Transaction, _ type: String, _ id: String, _ action: String, project: String, _ request: Request
    ) throws(Fault) {
        try close(transaction, id, action)
        try transaction.insert(
            RBACPolicy(
                id: request.ids.uuid(), projectID: project, objectType: type, objectID: id, action: action,
                targetProject: "*", description: "", tags: [], createdAt: request.now, updatedAt: request.now,
                revisionNumber: 0))
    }

    static func inUse(_ id: String) -> Fault {
        .neutron(
            409, "RbacPolicyInUse",
            "RBAC policy on object \(id) cannot be removed because other objects depend on it.")
    }

    static func close(_ transaction: Transaction, _ id: String, _ action: String) throws(Fault) {
        let external: SQL = action == "access_as_external" ? "" : " AND target_project = '*'"
        try transaction.delete(RBACPolicy.self, "object_id = \(id) AND action = \(action)\(sql: external)")
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("object_type", objectType)
        view.put("object_id", objectID)
        view.put("action", action)
        view.put("target_tenant", targetProject)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}
