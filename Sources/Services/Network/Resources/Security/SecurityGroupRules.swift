// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// One kind of traffic that a security group lets pass.
package struct SecurityGroupRule: Noun {
    package static let table = "network_security_group_rules"
    package static let noun = "security_group_rule"
    package static let plural = "security_group_rules"
    package static let collection = "security-group-rules"

    package let id: String, projectID: String, securityGroupID: String
    /// Whose the group is, for the rules on it.
    let groupProjectID: String
    let direction: String
    let ethertype: String
    /// A name or a number as it was asked for; nil is any.
    let ipProtocol: String?
    let portRangeMin: Int?
    let portRangeMax: Int?
    let remoteIPPrefix: String?
    let remoteGroupID: String?
    let remoteAddressGroupID: String?
    package var description: String
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable {
        /// Which groups are default ones.
        let defaults: Set<String>
    }

    /// A rule of those that a new group starts with.
    init(_ group: SecurityGroup, _ template: DefaultSecurityGroupRule, _ request: Request) {
        id = request.ids.uuid()
        projectID = group.projectID
        securityGroupID = group.id
        groupProjectID = group.projectID
        direction = template.direction
        ethertype = template.ethertype
        ipProtocol = template.ipProtocol
        portRangeMin = template.portRangeMin
        portRangeMax = template.portRangeMax
        remoteIPPrefix = template.remoteIPPrefix
        remoteGroupID = template.remoteGroupID == DefaultSecurityGroupRule.parent ? group.id : template.remoteGroupID
        remoteAddressGroupID = template.remoteAddressGroupID
        description = ""
        tags = []
        createdAt = request.now
        updatedAt = request.now
        revisionNumber = 0
    }

    init(_ draft: Draft, _ request: Request) {
        id = request.ids.uuid()
        projectID = draft.projectID
        securityGroupID = draft.group.id
        groupProjectID = draft.group.projectID
        direction = draft.traffic.direction
        ethertype = draft.traffic.ethertype
        ipProtocol = draft.traffic.ipProtocol
        portRangeMin = draft.traffic.portMin
        portRangeMax = draft.traffic.portMax
        remoteIPPrefix = draft.traffic.prefix
        remoteGroupID = draft.traffic.remoteGroup
        remoteAddressGroupID = draft.traffic.remoteAddressGroup
        description = draft.traffic.description
        tags = []
        createdAt = request.now
        updatedAt = request.now
        revisionNumber = 0
    }
}

extension SecurityGroupRule: Resource {
    private static let read = "(rule:admin_only) or (role:reader and rule:sg_owner)"
    private static let edit = "(rule:admin_only) or (role:member and rule:sg_owner)"

    package static let routes: [Route] = [
        .get(
            "/security-group-rules", "List security group rules", of: OwnScope.from,
            allow: .anyone("list_security_group_rules"), index),
        .post(
            "/security-group-rules", "Create security group rules", of: drafts,
            allow: .rule("create_security_group_rule", edit), create),
        .get(
            "/security-group-rules/{id}", "Show security group rule", of: visible,
            allow: .rule("get_security_group_rule", read), show),
        .delete(
            "/security-group-rules/{id}", "Delete security group rule", of: visible,
            allow: .rule("delete_security_group_rule", edit), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 network security group rules
        CREATE TABLE network_security_group_rules (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, security_group_id VARCHAR(36) NOT NULL,
            group_project_id VARCHAR(255) NOT NULL, direction VARCHAR(7) NOT NULL, ethertype VARCHAR(4) NOT NULL,
            ip_protocol VARCHAR(40), port_range_min INTEGER, port_range_max INTEGER, remote_ip_prefix VARCHAR(64),
            remote_group_id VARCHAR(36), description VARCHAR(255) NOT NULL, tags TEXT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE INDEX network_rules_by_group ON network_security_group_rules (security_group_id);
        CREATE INDEX network_rules_by_remote ON network_security_group_rules (remote_group_id);
        CREATE INDEX network_rules_by_project ON network_security_group_rules (project_id)
        """,
        """
        2026-11-29 network security group rules on address groups
        ALTER TABLE network_security_group_rules ADD COLUMN remote_address_group_id VARCHAR(36);
        CREATE INDEX network_rules_by_address_group ON network_security_group_rules (remote_address_group_id)
        """,
    ]

    package static let filters = Filter.standard([
        .text("security_group_id"), .text("direction"), .text("ethertype"), .text("protocol", "ip_protocol"),
        .number("port_range_min"), .number("port_range_max"), .text("remote_ip_prefix"), .text("remote_group_id"),
        .text("remote_address_group_id"),
    ])

    package static func scope(_ project: String) -> SQL { "project_id = \(project) OR group_project_id = \(project)" }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "SecurityGroupRuleNotFound", "Security group rule \(id) does not exist")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": .string(projectID)
        case "security_group:project_id", "ext_parent:project_id": .string(groupProjectID)
        default: nil
        }
    }
}

// MARK: - Handlers

extension SecurityGroupRule {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        let drafts = try await Drafts(request, noun, plural) { body async throws(Fault) in
            try await Draft(request, &body)
        }
        guard Set(drafts.items.map(\.group.id)).count == 1 else {
            throw .neutron(
                400, "SecurityGroupNotSingleGroupRules",
                "Only allowed to update rules for one security profile at a time")
        }
        return drafts
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            var rules: [SecurityGroupRule] = []
            for draft in drafts.items {
                let group = draft.group.id
                guard try transaction.count(SecurityGroup.self, "id = \(group)") > 0 else {
                    throw SecurityGroup.notFound(group)
                }
                try Quotas.require(
                    "security_group_rule", SecurityGroupRule.self, project: draft.projectID, transaction,
                    request.network.options)
                let rule = SecurityGroupRule(draft, request)
                for other in try transaction.all(SecurityGroupRule.self, "security_group_id = \(group)")
                where rule.says(theSameAs: other) {
                    if rules.contains(where: { $0.id == other.id }) {
                        throw .neutron(
                            409, "DuplicateSecurityGroupRuleInPost", "Duplicate Security Group Rule in POST.")
                    }
                    throw .neutron(
                        409, "SecurityGroupRuleExists", "Security group rule already exists. Rule id is \(other.id).")
                }
                try transaction.insert(rule)
                rules.append(rule)
            }
            if let group = rules.first?.securityGroupID {
                try SecurityGroup.bump(transaction, group, at: request.now)
                try transaction.touch(.securityGroup, group, request)
            }
            return rules
        }
        return try await reply(request, made: made)
    }

    static func delete(_ request: Request, _ found: SecurityGroupRule) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(SecurityGroupRule.self, "id = \(found.id)", or: notFound(found.id))
            try SecurityGroup.bump(transaction, found.securityGroupID, at: request.now)
            try transaction.touch(.securityGroup, found.securityGroupID, request)
        }
        return .empty
    }

    /// Two rules that let the same traffic pass; names and numbers of a protocol are the same.
    private func says(theSameAs other: SecurityGroupRule) -> Bool {
        func everything(_ prefix: String?) -> String? {
            prefix.flatMap { $0.hasSuffix("/0") ? nil : $0 }
        }
        return direction == other.direction && ethertype == other.ethertype
            && ipProtocol.map(IPProtocol.canonical) == other.ipProtocol.map(IPProtocol.canonical)
            && portRangeMin == other.portRangeMin && portRangeMax == other.portRangeMax
            && everything(remoteIPPrefix) == everything(other.remoteIPPrefix) && remoteGroupID == other.remoteGroupID
            && remoteAddressGroupID == other.remoteAddressGroupID
    }
}

// MARK: - Wire

extension SecurityGroupRule {
    package static func extra(_ request: Request, _ rows: [SecurityGroupRule]) async throws(Fault) -> Extra {
        let groups = try await request.database.all(
            SecurityGroup.self, "id", in: Array(Set(rows.map(\.securityGroupID))), and: "is_default = 1")
        return Extra(defaults: Set(groups.map(\.id)))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("security_group_id", securityGroupID)
        view.put("direction", direction)
        view.put("ethertype", ethertype)
        view.put("protocol", ipProtocol)
        view.put("port_range_min", portRangeMin)
        view.put("port_range_max", portRangeMax)
        view.put("remote_ip_prefix", remoteIPPrefix)
        view.put("normalized_cidr", remoteIPPrefix.flatMap { CIDR(loose: $0)?.description })
        view.put("remote_group_id", remoteGroupID)
        view.put("remote_address_group_id", remoteAddressGroupID)
        view.put("belongs_to_default_sg", extra.defaults.contains(securityGroupID))
        writeStandard(&view)
    }
}
