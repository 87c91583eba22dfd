// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Roles: names for what somebody may do. One with a domain is that domain's own, and never stands in a token.
struct Role: Record {
    static let table = "identity_roles"

    let id: String
    var name: String
    /// Empty for a role of the whole cloud, so that the key over it works on every engine.
    let domainID: String
    var description: String?
    var options: JSONObject
    var extra: JSONObject
}

extension Role: Resource {
    static let routes: [Route] = [
        .get(
            "/roles", "List roles", of: Anything.from,
            allow: .inspector("list_roles", or: "(role:manager and not domain_id:None)"), index),
        .post("/roles", "Create role", of: Draft.from, allow: .administrator("create_role"), create),
        .get(
            "/roles/{role_id}", "Show role", of: found,
            allow: .inspector("get_role", or: "(role:manager and rule:domain_managed_target_role)"), show),
        .patch("/roles/{role_id}", "Update role", of: found, allow: .administrator("update_role"), update),
        .delete("/roles/{role_id}", "Delete role", of: found, allow: .administrator("delete_role"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity roles
        CREATE TABLE identity_roles (
            id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, domain_id VARCHAR(64) NOT NULL,
            description TEXT, options TEXT NOT NULL, extra TEXT NOT NULL, UNIQUE (domain_id, name));
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<Role> {
        let id = request["role_id"]
        let role = try await request.database.first(Role.self, "id = \(id)")
        return Found(role, or: .notFound("role", id), role?.attributes ?? [:])
    }

    var attributes: [String: JSON] {
        [
            "target.role.id": .string(id), "target.role.name": .string(name),
            "target.role.domain_id": .attribute(ownDomainID),
        ]
    }

    var ownDomainID: String? { domainID.isEmpty ? nil : domainID }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try request.requireDomainRule("list_domain_roles", request.query("domain_id"))
        let page = try request.page()
        // Without `domain_id` only the cloud's own roles are listed.
        let base: SQL = "domain_id = \(request.query("domain_id") ?? "")"
        let condition = request.filtered([.text("name"), .reference("id")], base)
        let roles = try await request.database.all(Role.self, page.condition(condition, table: table))
        return .list("roles", roles.map { $0.details }, page: page, ids: roles.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        let role = draft.role
        try request.requireDomainRule("create_domain_role", role.ownDomainID, on: draft)
        try await request.change { transaction throws(Fault) in
            if let id = role.ownDomainID { try transaction.requireDomain(id) }
            try transaction.insert(role, or: role.duplicate)
        }
        return .object("role", role.details)
    }

    static func show(_ request: Request, _ found: Found<Role>) async throws(Fault) -> Reply {
        let role = try found.get()
        try request.requireDomainRule("get_domain_role", role.ownDomainID, on: found)
        return .object("role", role.details)
    }

    static func update(_ request: Request, _ found: Found<Role>) async throws(Fault) -> Reply {
        let old = try found.get()
        try request.requireDomainRule("update_domain_role", old.ownDomainID, on: found)
        var role = old
        var body = try request.body("role")
        try body.requireSame("id", as: old.id, or: "Cannot change role ID")
        try body.requireSame("domain_id", as: old.ownDomainID, or: "Cannot change Domain ID")
        role.name = try body.take("name", .label()) ?? old.name
        if let description = try body.patch("description", .text) { role.description = description }
        role.options = old.options.merging(try body.takeImmutable(), removesNull: true)
        role.extra = old.extra.merging(body.takeExtra())
        guard !old.options.isImmutable || !role.options.isImmutable else {
            throw .immutable("role", old.id, deleting: false)
        }
        try await request.change { [role] transaction throws(Fault) in
            if role.name != old.name,
                try transaction.count(Role.self, "domain_id = \(role.domainID) AND name = \(role.name)") > 0
            {
                throw role.duplicate
            }
            try transaction.replace(role, where: "id = \(role.id)", or: .notFound("role", role.id))
        }
        return .object("role", role.details)
    }

    static func delete(_ request: Request, _ found: Found<Role>) async throws(Fault) -> Reply {
        let role = try found.get()
        try request.requireDomainRule("delete_domain_role", role.ownDomainID, on: found)
        guard !role.options.isImmutable else { throw .immutable("role", role.id, deleting: true) }
        try await request.change { transaction throws(Fault) in try transaction.remove(role) }
        return .empty
    }
}

extension Request {
    /// A domain's own roles have rules of their own, judged beside those of roles.
    fileprivate func requireDomainRule(
        _ rule: String, _ domainID: String?, on target: some PolicyTarget = NoTarget()
    ) throws(Fault) {
        guard domainID != nil, !may(rule, on: target) else { return }
        throw index.envelope.refusal(index.rulePrefix + rule)
    }
}

extension Transaction {
    func remove(_ role: Role) throws(Fault) {
        try delete(Assignment.self, "role_id = \(role.id)")
        try delete(ImpliedRole.self, "prior_id = \(role.id) OR implied_id = \(role.id)")
        try delete(Role.self, "id = \(role.id)")
    }
}

// MARK: - Wire

extension Role {
    struct Draft: Asked {
        let role: Role

        init(_ request: Request) throws(Fault) {
            var body = try request.body("role")
            role = Role(
                id: request.ids.hex(), name: try body.need("name", .label()),
                domainID: try body.option("domain_id", .id) ?? "",
                description: try body.option("description", .text), options: try body.takeImmutable() ?? [:],
                extra: body.takeExtra())
        }

        func policyAttribute(_ name: String) -> JSON? {
            name == "target.role.domain_id" ? .attribute(role.ownDomainID) : nil
        }
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("domain_id", ownDomainID)
        view.put("description", description)
        view.put("options", options)
        view.finish(extra, "roles/\(id)")
    }

    /// A role as inferences show it.
    func reference(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("domain_id", ownDomainID)
        view.put("description", description)
        view.put("options", options)
        view.links("roles/\(id)")
    }

    var duplicate: Fault {
        .duplicate(
            "role", "Duplicate entry found with name \(name)" + (ownDomainID.map { " at domain ID \($0)" } ?? ""))
    }
}
