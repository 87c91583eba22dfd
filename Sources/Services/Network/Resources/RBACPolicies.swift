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

    static func forget(_ transaction: Transaction, _ type: String, _ id: String) throws(Fault) {
        try transaction.delete(RBACPolicy.self, "object_type = \(type) AND object_id = \(id)")
    }

    /// What each kind of object may be granted for.
    private static let actions: [String: [String]] = [
        "network": ["access_as_shared"], "security_group": ["access_as_shared"],
        "subnetpool": ["access_as_shared"], "address_scope": ["access_as_shared"],
    ]
}

extension RBACPolicy: Resource {
    package static let routes: [Route] = [
        .get(
            "/rbac-policies", "List RBAC policies", of: OwnScope.from,
            allow: .rule("get_rbac_policy", NetworkRules.adminOrReader), index),
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
            let type = try body.need("object_type", .among("network", "security_group", "subnetpool", "address_scope"))
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
                guard let owner, isAdmin || owner == request.project else {
                    throw .neutron(
                        404, "RbacPolicyNotFound",
                        "RBAC policy of type \(draft.type) with ID \(draft.object) not found")
                }
                let policy = RBACPolicy(
                    id: request.ids.uuid(), projectID: draft.projectID, objectType: draft.type, objectID: draft.object,
                    action: draft.action, targetProject: draft.target, description: "", tags: [],
                    createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
                try transaction.insert(
                    policy,
                    or: .neutron(
                        409, "DuplicateRbacPolicy", "An RBAC policy already exists with those values."))
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
        default: Network.table
        }
    }

    static func update(_ request: Request, _ found: RBACPolicy) async throws(Fault) -> Reply {
        let policy = try await change(request, found.id) { _, policy throws(Fault) in
            var body = try request.body("rbac_policy")
            policy.targetProject = try target(&body) ?? policy.targetProject
            try body.end()
            try judge(request, "update_rbac_policy", policy)
        }
        return try await policy.reply(request)
    }

    static func delete(_ request: Request, _ policy: RBACPolicy) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            if policy.objectType == "network" {
                // Whoever was let in may still be there.
                let left = try transaction.count(
                    Port.self, "network_id = \(policy.objectID) AND project_id = \(policy.targetProject)")
                guard left == 0 || policy.action != "access_as_shared" else {
                    throw .neutron(
                        409, "RbacPolicyInUse",
                        "RBAC policy on object \(policy.objectID) cannot be removed because other objects depend on it."
                    )
                }
            }
            try transaction.delete(RBACPolicy.self, "id = \(policy.id)", or: notFound(policy.id))
        }
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("object_type", objectType)
        view.put("object_id", objectID)
        view.put("action", action)
        view.put("target_project", targetProject)
        view.put("target_tenant", targetProject)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}
