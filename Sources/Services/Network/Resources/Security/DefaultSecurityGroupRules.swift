// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A rule that new security groups begin with. They are the cloud's, no project's.
package struct DefaultSecurityGroupRule: PlainNoun {
    package static let table = "network_default_rules"
    package static let noun = "default_security_group_rule"
    package static let plural = "default_security_group_rules"
    package static let collection = "default-security-group-rules"

    package let id: String
    let direction: String
    let ethertype: String
    let ipProtocol: String?
    let portRangeMin: Int?
    let portRangeMax: Int?
    let remoteIPPrefix: String?
    /// `PARENT` is the group that begins with the rule.
    let remoteGroupID: String?
    let remoteAddressGroupID: String?
    package var description: String
    /// Whether projects' default groups begin with it, and whether all others do.
    let usedInDefault: Bool
    let usedInOther: Bool

    package var projectID: String { "" }

    private enum CodingKeys: String, CodingKey {
        case id, direction, ethertype, ipProtocol, portRangeMin, portRangeMax, remoteIPPrefix, remoteGroupID,
            remoteAddressGroupID, description, usedInDefault, usedInOther
    }

    package typealias Extra = Nothing
    static let parent = "PARENT"
}

extension DefaultSecurityGroupRule: Resource {
    package static let routes: [Route] = [
        .get(
            "/default-security-group-rules", "List default security group rules", of: OwnScope.from,
            allow: .anyone("list_default_security_group_rules"), index),
        .post(
            "/default-security-group-rules", "Create default security group rule", of: drafts,
            allow: .rule("create_default_security_group_rule", NetworkRules.admin), create),
        .get(
            "/default-security-group-rules/{id}", "Show default security group rule", of: visible,
            allow: .rule("get_default_security_group_rule", "role:reader"), show),
        .delete(
            "/default-security-group-rules/{id}", "Delete default security group rule", of: visible,
            allow: .rule("delete_default_security_group_rule", NetworkRules.admin), delete),
    ]

    /// What upstream begins with: everything may leave, and into a default group its members may come.
    package static let migrations: [Migration] = [
        """
        2026-11-29 network default security group rules
        CREATE TABLE network_default_rules (
            id VARCHAR(36) PRIMARY KEY, direction VARCHAR(7) NOT NULL, ethertype VARCHAR(4) NOT NULL,
            ip_protocol VARCHAR(40), port_range_min INTEGER, port_range_max INTEGER, remote_ip_prefix VARCHAR(64),
            remote_group_id VARCHAR(36), remote_address_group_id VARCHAR(36), description VARCHAR(255) NOT NULL,
            used_in_default INTEGER NOT NULL, used_in_other INTEGER NOT NULL);
        INSERT INTO network_default_rules VALUES
            ('c7e40e09-51c5-4f0c-9a3f-d59e7bb1c001', 'egress', 'IPv4', NULL, NULL, NULL, NULL, NULL, NULL,
             'Legacy default SG rule for egress traffic', 1, 1),
            ('c7e40e09-51c5-4f0c-9a3f-d59e7bb1c002', 'egress', 'IPv6', NULL, NULL, NULL, NULL, NULL, NULL,
             'Legacy default SG rule for egress traffic', 1, 1),
            ('c7e40e09-51c5-4f0c-9a3f-d59e7bb1c003', 'ingress', 'IPv4', NULL, NULL, NULL, NULL, 'PARENT', NULL,
             'Legacy default SG rule for ingress traffic', 1, 0),
            ('c7e40e09-51c5-4f0c-9a3f-d59e7bb1c004', 'ingress', 'IPv6', NULL, NULL, NULL, NULL, 'PARENT', NULL,
             'Legacy default SG rule for ingress traffic', 1, 0)
        """
    ]

    package static let filters: [Filter] = [
        .text("direction"), .text("ethertype"), .text("protocol", "ip_protocol"), .number("port_range_min"),
        .number("port_range_max"), .text("remote_ip_prefix"), .text("remote_group_id"),
        .text("remote_address_group_id"), .text("description"), .truth("used_in_default_sg", "used_in_default"),
        .truth("used_in_non_default_sg", "used_in_other"), .text("id"),
    ]

    package static func scope(_ project: String) -> SQL { "1 = 1" }

    package static func notFound(_ id: String) -> Fault {
        .neutron(
            404, "DefaultSecurityGroupRuleNotFound", "Default Security Group rule \(id) does not exist")
    }
}

// MARK: - Handlers

extension DefaultSecurityGroupRule {
    private static func drafts(_ request: Request) async throws(Fault) -> Drafts<DefaultSecurityGroupRule> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in
            let inDefault = try body.take("used_in_default_sg", .truth) ?? false
            let inOther = try body.take("used_in_non_default_sg", .truth) ?? true
            body.ignore("project_id", "tenant_id")
            let traffic = try await AskedTraffic(request, &body, allowsParent: true)
            return DefaultSecurityGroupRule(
                id: request.ids.uuid(), direction: traffic.direction, ethertype: traffic.ethertype,
                ipProtocol: traffic.ipProtocol, portRangeMin: traffic.portMin, portRangeMax: traffic.portMax,
                remoteIPPrefix: traffic.prefix, remoteGroupID: traffic.remoteGroup,
                remoteAddressGroupID: traffic.remoteAddressGroup, description: traffic.description,
                usedInDefault: inDefault, usedInOther: inOther)
        }
    }

    private static func create(
        _ request: Request, _ drafts: Drafts<DefaultSecurityGroupRule>
    ) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for rule in drafts.items {
                for other in try transaction.all(DefaultSecurityGroupRule.self)
                where rule.traffic == other.traffic
                    && (rule.usedInDefault && other.usedInDefault || rule.usedInOther && other.usedInOther)
                {
                    throw .neutron(
                        409, "DefaultSecurityGroupRuleExists",
                        "Default Security group rule already exists. Rule id is \(other.id).")
                }
                try transaction.insert(rule)
            }
        }
        return try await reply(request, made: drafts.items)
    }

    /// What two rules that say the same have in common.
    private var traffic: [String?] {
        let wide = remoteIPPrefix.flatMap { $0.hasSuffix("/0") ? nil : $0 }
        return [
            direction, ethertype, ipProtocol.map(IPProtocol.canonical), portRangeMin.map(String.init),
            portRangeMax.map(String.init), wide, remoteGroupID, remoteAddressGroupID,
        ]
    }

    private static func delete(_ request: Request, _ rule: DefaultSecurityGroupRule) async throws(Fault) -> Reply {
        try await request.database.delete(
            DefaultSecurityGroupRule.self, "id = \(rule.id)", or: notFound(rule.id))
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("direction", direction)
        view.put("ethertype", ethertype)
        view.put("protocol", ipProtocol)
        view.put("port_range_min", portRangeMin)
        view.put("port_range_max", portRangeMax)
        view.put("remote_ip_prefix", remoteIPPrefix)
        view.put("remote_group_id", remoteGroupID)
        view.put("remote_address_group_id", remoteAddressGroupID)
        view.put("description", description)
        view.put("used_in_default_sg", usedInDefault)
        view.put("used_in_non_default_sg", usedInOther)
    }
}
