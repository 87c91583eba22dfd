// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What may reach a port and what it may reach. Every project has one called `default`.
package struct SecurityGroup: SharedNoun {
    package static let table = "network_security_groups"
    package static let noun = "security_group"
    package static let plural = "security_groups"
    package static let collection = "security-groups"

    package let id: String, projectID: String
    var name: String
    package var description: String
    var stateful: Bool
    package var shared: Bool
    let isDefault: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable { let rules: [String: [SecurityGroupRule]] }
}

extension SecurityGroup: Resource {
    package static let routes: [Route] =
        [
            .get(
                "/security-groups", "List security groups", of: OwnScope.from,
                allow: .anyone("list_security_groups"), list),
            .post(
                "/security-groups", "Create security groups", of: drafts,
                allow: .rule("create_security_group", NetworkRules.adminOrMember), create),
            .get(
                "/security-groups/{id}", "Show security group", of: visible,
                allow: .rule("get_security_group", NetworkRules.getGroup), show),
            .put(
                "/security-groups/{id}", "Update security group", of: visible,
                allow: .rule("update_security_group", NetworkRules.adminOrMember), update),
            .delete(
                "/security-groups/{id}", "Delete security group", of: visible,
                allow: .rule("delete_security_group", NetworkRules.adminOrMember), delete),
        ] + tagRoutes(read: NetworkRules.getGroup, write: NetworkRules.adminOrMember)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network security groups
        CREATE TABLE network_security_groups (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, stateful INTEGER NOT NULL, shared INTEGER NOT NULL,
            is_default INTEGER NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL);
        CREATE INDEX network_security_groups_by_project ON network_security_groups (project_id)
        """,
        """
        2026-11-30 network security groups are looked up as the default one
        CREATE INDEX network_security_groups_default ON network_security_groups (project_id, is_default)
        """,
    ]

    package static let filters = Filter.standard([.text("name"), .truth("stateful"), .lent("security_group")])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "SecurityGroupNotFound", "Security group \(id) does not exist")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "security_group:project_id", "ext_parent:project_id": .string(projectID)
        default: sharedAttribute(name)
        }
    }

    struct Draft: ProjectOwned {
        let projectID: String, name: String, description: String, stateful: Bool?, tags: [String]
    }
}

// MARK: - Handlers

extension SecurityGroup {
    /// A project's first look at its groups finds the default one.
    static func list(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let project = request.query("project_id") ?? request.query("tenant_id") ?? scope.projectID
        if request.seesAll || project == scope.projectID, !project.isEmpty {
            let known = try await request.database.count(
                SecurityGroup.self, "project_id = \(project) AND is_default = 1")
            if known == 0 {
                try await request.database.transaction { transaction throws(Fault) in
                    _ = try ensureDefault(transaction, project: project, request)
                }
            }
        }
        return try await index(request, scope)
    }

    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let name = try body.take("name", .string()) ?? ""
            guard name.lowercased() != "default" else { throw defaultExists }
            return Draft(
                projectID: try body.takeProject(request), name: name,
                description: try body.take("description", .string()) ?? "",
                stateful: try body.take("stateful", .truth), tags: try body.takeTags())
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in
                try ensureDefault(transaction, project: draft.projectID, request)
                return try insert(transaction, draft, isDefault: false, request)
            }
        }
        return try await reply(request, made: made)
    }

    static func update(_ request: Request, _ found: SecurityGroup) async throws(Fault) -> Reply {
        let group = try await change(request, found.id) { transaction, group throws(Fault) in
            var body = try request.body("security_group")
            if let name = try body.take("name", .string()), name != group.name {
                guard !group.isDefault else {
                    throw .neutron(
                        409, "SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
                }
                guard name.lowercased() != "default" else { throw defaultExists }
                group.name = name
            }
            group.description = try body.take("description", .string()) ?? group.description
            if let stateful = try body.take("stateful", .truth), stateful != group.stateful {
                guard try group.ports(transaction) == 0 else { throw inUse(group.id) }
                group.stateful = stateful
            }
            try body.end()
            try transaction.touch(.securityGroup, group.id, request)
        }
        return try await group.reply(request)
    }

    static func delete(_ request: Request, _ found: SecurityGroup) async throws(Fault) -> Reply {
        let id = found.id
        let expected = try request.constraint()
        let isAdmin = request.seesAll
        try await request.database.transaction { transaction throws(Fault) in
            let group = try transaction.one(SecurityGroup.self, "id = \(id)", or: notFound(id))
            try group.checkConstraint(expected)
            guard try group.ports(transaction) == 0 else { throw inUse(id) }
            guard !group.isDefault || isAdmin else {
                throw .neutron(
                    409, "SecurityGroupCannotRemoveDefault",
                    "Insufficient rights for removing default security group.")
            }
            // Rules of other groups that point here go with it.
            for rule in try transaction.all(
                SecurityGroupRule.self, "remote_group_id = \(id) AND security_group_id <> \(id)")
            {
                try transaction.delete(SecurityGroupRule.self, "id = \(rule.id)")
                try SecurityGroup.bump(transaction, rule.securityGroupID, at: request.now)
                try transaction.touch(.securityGroup, rule.securityGroupID, request)
            }
            try transaction.delete(SecurityGroupRule.self, "security_group_id = \(id)")
            try RBACPolicy.forget(transaction, "security_group", id)
            try NetworkLog.forget(transaction, of: id, request)
            try Tag.set(transaction, id, [])
            try transaction.delete(SecurityGroup.self, "id = \(id)", or: notFound(id))
            try transaction.touch(.securityGroup, id, request)
        }
        return .empty
    }

    private func ports(_ transaction: Transaction) throws(Fault) -> Int {
        try transaction.rows("SELECT COUNT(*) FROM network_port_groups WHERE security_group_id = \(id)")
            .first?[0].int ?? 0
    }

    private static var defaultExists: Fault {
        .neutron(409, "SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
    }
    private static func inUse(_ id: String) -> Fault {
        .neutron(409, "SecurityGroupInUse", "Security Group \(id) in use.")
    }
}

// MARK: - The default group

extension SecurityGroup {
    /// The project's default group, made when it is not there yet.
    @discardableResult
    static func ensureDefault(_ transaction: Transaction, project: String, _ request: Request) throws(Fault) -> String {
        guard !project.isEmpty else { return "" }
        let known = try transaction.rows(
            "SELECT id FROM network_security_groups WHERE project_id = \(project) AND is_default = 1")
        if let id = known.first?[0].text { return id }
        let draft = Draft(
            projectID: project, name: "default", description: "Default security group", stateful: nil, tags: [])
        return try insert(transaction, draft, isDefault: true, request).id
    }

    private static func insert(
        _ transaction: Transaction, _ draft: Draft, isDefault: Bool, _ request: Request
    ) throws(Fault) -> SecurityGroup {
        let templates = try transaction.all(
            DefaultSecurityGroupRule.self,
            "\(raw: isDefault ? "used_in_default" : "used_in_other") = 1 ORDER BY direction, ethertype, id")
        if !isDefault {
            try Quotas.require(
                "security_group", SecurityGroup.self, project: draft.projectID, transaction, request.network.options)
            try Quotas.require(
                "security_group_rule", SecurityGroupRule.self, project: draft.projectID, transaction,
                request.network.options, adding: templates.count)
        }
        var stateful = true
        if let asked = draft.stateful {
            stateful = asked
        } else {
            stateful = try DefaultStatefulness.holds(transaction, project: draft.projectID)
        }
        let group = SecurityGroup(
            id: request.ids.uuid(), projectID: draft.projectID, name: draft.name, description: draft.description,
            stateful: stateful, shared: false, isDefault: isDefault, tags: draft.tags, createdAt: request.now,
            updatedAt: request.now, revisionNumber: 1)
        try transaction.insert(group)
        if !draft.tags.isEmpty { try Tag.set(transaction, group.id, draft.tags) }
        for template in templates { try transaction.insert(SecurityGroupRule(group, template, request)) }
        try transaction.touch(.securityGroup, group.id, request)
        return group
    }
}

// MARK: - Wire

extension SecurityGroup {
    package static func extra(_ request: Request, _ rows: [SecurityGroup]) async throws(Fault) -> Extra {
        let rules = try await request.database.all(
            SecurityGroupRule.self, "security_group_id", in: rows.map(\.id))
        return Extra(rules: Dictionary(grouping: rules, by: \.securityGroupID))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("stateful", stateful)
        view.put("shared", shared)
        view.list("security_group_rules", extra.rules[id] ?? []) {
            $1.write(&$0, SecurityGroupRule.Extra(defaults: isDefault ? [id] : []))
        }
        writeStandard(&view)
    }
}
