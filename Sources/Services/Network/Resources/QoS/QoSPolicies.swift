// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Limits, marks and guarantees for traffic under one name, for ports, networks, floating addresses and gateways.
package struct QoSPolicy: SharedNoun {
    package static let table = "network_qos_policies"
    package static let noun = "policy"
    package static let plural = "policies"
    package static let grantedAs = "qos_policy"
    package static let collection = "qos/policies"

    package let id: String, projectID: String
    var name: String
    package var description: String
    package var shared: Bool
    /// New networks of the project have it.
    var isDefault: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable { let rules: [String: [QoSRule]] }
}

extension QoSPolicy: Resource {
    private static let read = NetworkRules.adminOrReader + " or rule:shared_qos_policy"

    package static let routes: [Route] =
        [
            .get("/qos/policies", "List QoS policies", of: OwnScope.from, allow: .anyone("list_policies"), index),
            .post(
                "/qos/policies", "Create QoS policies", of: drafts,
                allow: .rule("create_policy", NetworkRules.adminOrManager), create),
            .get("/qos/policies/{id}", "Show QoS policy", of: visible, allow: .rule("get_policy", read), show),
            .put(
                "/qos/policies/{id}", "Update QoS policy", of: readable,
                allow: .rule("update_policy", NetworkRules.adminOrManager), update),
            .delete(
                "/qos/policies/{id}", "Delete QoS policy", of: visible,
                allow: .rule("delete_policy", NetworkRules.adminOrManager), delete),
        ] + tagRoutes(read: read, write: NetworkRules.adminOrManager)
        + tagRoutes(read: read, write: NetworkRules.adminOrManager, under: plural)

    package static let migrations: [Migration] = [
        """
        2026-11-29 network qos policies
        CREATE TABLE network_qos_policies (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, shared INTEGER NOT NULL, is_default INTEGER NOT NULL,
            tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL)
        """,
        QoSBinding.migration,
    ]

    package static let filters = Filter.standard([.text("name"), .lent("qos_policy"), .truth("is_default")])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "QosPolicyNotFound", "QoS policy \(id) could not be found.")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "ext_parent:project_id": .string(projectID)
        default: sharedAttribute(name)
        }
    }
}

// MARK: - Handlers

extension QoSPolicy {
    /// Whosever it is: that one may add no rule to a policy is told before whether it is there to see.
    static func whosever(_ request: Request) async throws(Fault) -> QoSPolicy {
        let id = request["id"]
        return try await request.database.one(QoSPolicy.self, "id = \(id)", or: notFound(id))
    }

    /// A change that cannot be read is told so before its policy is looked for.
    private static func readable(_ request: Request) async throws(Fault) -> QoSPolicy {
        var body = try request.body("policy")
        _ = try body.take("name", .string())
        _ = try body.take("description", .string())
        return try await visible(request)
    }

    private static func drafts(_ request: Request) async throws(Fault) -> Drafts<QoSPolicy> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            QoSPolicy(
                id: request.ids.uuid(), projectID: try body.takeProject(request),
                name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string()) ?? "",
                shared: try body.take("shared", .truth) ?? false,
                isDefault: try body.take("is_default", .truth) ?? false, tags: try body.takeTags(),
                createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
        }
    }

    private static func create(_ request: Request, _ drafts: Drafts<QoSPolicy>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for policy in drafts.items {
                try policy.checkDefault(transaction)
                try transaction.insert(policy)
                if !policy.tags.isEmpty { try Tag.set(transaction, policy.id, policy.tags) }
                if policy.shared { try policy.open(transaction, request) }
                try transaction.touch(.qosPolicy, policy.id, request)
            }
        }
        return try await reply(request, made: drafts.items)
    }

    private func open(_ transaction: Transaction, _ request: Request) throws(Fault) {
        try RBACPolicy.open(transaction, "qos_policy", id, "access_as_shared", project: projectID, request)
    }

    /// Shuts everybody out, but for those who were let in by name.
    private func close(_ transaction: Transaction) throws(Fault) {
        let named: SQL = """
            SELECT target_project FROM network_rbac WHERE object_type = 'qos_policy' AND object_id = \(id) \
            AND target_project <> '*'
            """
        let bound: SQL = "SELECT object_id FROM network_qos_bindings WHERE policy_id = \(id)"
        for table in [Port.table, Network.table, FloatingIP.table, Router.table] {
            let users = try transaction.rows(
                """
                SELECT 1 FROM \(raw: table) WHERE id IN (\(sql: bound)) AND project_id <> '' \
                AND project_id NOT IN (\(sql: named)) LIMIT 1
                """)
            guard users.isEmpty else { throw RBACPolicy.inUse(id) }
        }
        try RBACPolicy.close(transaction, id, "access_as_shared")
    }

    /// A project has one default policy at most.
    private func checkDefault(_ transaction: Transaction) throws(Fault) {
        guard isDefault,
            try transaction.count(
                QoSPolicy.self, "project_id = \(projectID) AND is_default = 1 AND id <> \(id)") > 0
        else { return }
        throw .neutron(
            409, "QoSPolicyDefaultAlreadyExists", "A default QoS policy exists for project \(projectID).")
    }

    private static func update(_ request: Request, _ found: QoSPolicy) async throws(Fault) -> Reply {
        let policy = try await change(request, found.id) { transaction, policy throws(Fault) in
            var body = try request.body("policy")
            for name in ["rules", "project_id", "tenant_id", "id"] where body.has(name) {
                throw .httpBadRequest("Cannot update read-only attribute \(name)")
            }
            policy.name = try body.take("name", .string()) ?? policy.name
            policy.description = try body.take("description", .string()) ?? policy.description
            let wasShared = policy.shared
            policy.shared = try body.take("shared", .truth) ?? policy.shared
            policy.isDefault = try body.take("is_default", .truth) ?? policy.isDefault
            try body.end()
            try policy.checkDefault(transaction)
            if policy.shared, !wasShared { try policy.open(transaction, request) }
            if wasShared, !policy.shared {
                try policy.close(transaction)
            }
            try transaction.touch(.qosPolicy, policy.id, request)
        }
        return try await policy.reply(request)
    }

    private static func delete(_ request: Request, _ found: QoSPolicy) async throws(Fault) -> Reply {
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let policy = try transaction.one(QoSPolicy.self, "id = \(found.id)", or: notFound(found.id))
            try policy.checkConstraint(expected)
            if let use = try transaction.first(QoSBinding.self, "policy_id = \(policy.id)") {
                throw .neutron(
                    409, "QosPolicyInUse",
                    "QoS Policy \(policy.id) is used by \(use.objectType) \(use.objectID).")
            }
            try transaction.delete(QoSRule.self, "policy_id = \(policy.id)")
            try RBACPolicy.forget(transaction, "qos_policy", policy.id)
            try Tag.set(transaction, policy.id, [])
            try transaction.delete(QoSPolicy.self, "id = \(policy.id)", or: notFound(policy.id))
            try transaction.touch(.qosPolicy, policy.id, request)
        }
        return .empty
    }
}

// MARK: - Wire

extension QoSPolicy {
    package static func extra(_ request: Request, _ rows: [QoSPolicy]) async throws(Fault) -> Extra {
        let rules = try await request.database.all(QoSRule.self, "policy_id", in: rows.map(\.id))
        return Extra(rules: Dictionary(grouping: rules, by: \.policyID))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("shared", shared)
        view.put("is_default", isDefault)
        view.list("rules", extra.rules[id] ?? []) { view, rule in
            rule.write(&view)
            view.put("qos_policy_id", rule.policyID)
            view.put("type", rule.type.rawValue)
        }
        writeStandard(&view)
    }
}
