// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension SecurityGroupRule {
    /// A rule as asked for.
    package struct Draft: PolicyTarget {
        let projectID: String
        let group: SecurityGroup
        let traffic: AskedTraffic

        init(_ request: Request, _ body: inout Body) async throws(Fault) {
            let groupID = try body.need("security_group_id", .string(36))
            projectID = try body.takeProject(request)
            group = try await SecurityGroup.asked(groupID, request)
            traffic = try await AskedTraffic(request, &body)
        }

        package func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "project_id", "tenant_id": .string(projectID)
            case "security_group:project_id", "ext_parent:project_id": .string(group.projectID)
            default: nil
            }
        }
    }
}

extension SecurityGroup {
    /// A group that a request names and the caller sees.
    static func asked(_ id: String, _ request: Request) async throws(Fault) -> SecurityGroup {
        try await request.database.one(
            SecurityGroup.self, "id = \(id) AND (\(sql: request.scope(SecurityGroup.self)))",
            or: SecurityGroup.notFound(id))
    }
}

/// The traffic that a rule lets pass, as asked for.
struct AskedTraffic: Sendable {
    let direction: String
    let ethertype: String
    let ipProtocol: String?
    let portMin: Int?
    let portMax: Int?
    let prefix: String?
    let remoteGroup: String?
    let remoteAddressGroup: String?
    let description: String

    /// `allowsParent`: whether `PARENT` may stand for the group that the rule will be in.
    init(_ request: Request, _ body: inout Body, allowsParent: Bool = false) async throws(Fault) {
        direction = try body.need("direction", .among("ingress", "egress"))
        ethertype = try AskedTraffic.ethertype(&body)
        description = try body.option("description", .string()) ?? ""
        prefix = try AskedTraffic.prefix(&body, ethertype)
        remoteGroup = try body.option("remote_group_id", .string(36))
        remoteAddressGroup = try body.option("remote_address_group_id", .string(36))
        guard [prefix, remoteGroup, remoteAddressGroup].compactMap(\.self).count < 2 else {
            throw .invalidInput(
                "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
                type: "SecurityGroupMultipleRemoteEntites")
        }
        if let remoteGroup, !(allowsParent && remoteGroup == DefaultSecurityGroupRule.parent) {
            _ = try await SecurityGroup.asked(remoteGroup, request)
        }
        if let remoteAddressGroup {
            _ = try await request.database.one(
                AddressGroup.self, "id = \(remoteAddressGroup) AND (\(sql: request.scope(AddressGroup.self)))",
                or: AddressGroup.notFound(remoteAddressGroup))
        }
        var name = try AskedTraffic.ipProtocol(&body)
        if ethertype == "IPv6" {
            // The IPv4 names of ICMP mean IPv6's there, as they always did.
            if let spelled = name, ["icmp", "icmpv6"].contains(spelled) { name = "ipv6-icmp" }
            if name == "1" { name = "58" }
        }
        ipProtocol = name
        var low = try AskedTraffic.port(&body, "port_range_min")
        var high = try AskedTraffic.port(&body, "port_range_max")
        if low == 1, high == 65_535 { (low, high) = (nil, nil) }
        portMin = low
        portMax = high
        try check()
    }

    private static func ethertype(_ body: inout Body) throws(Fault) -> String {
        guard let said = try body.take("ethertype", .any) else { return "IPv4" }
        switch said.string?.lowercased() {
        case "ipv4": return "IPv4"
        case "ipv6": return "IPv6"
        default:
            throw .invalidInput(
                "Security group rule for ethertype '\(said.bare)' not supported. Allowed values are "
                    + "['IPv4', 'IPv6'].", type: "SecurityGroupRuleInvalidEtherType")
        }
    }

    private static func prefix(_ body: inout Body, _ ethertype: String) throws(Fault) -> String? {
        guard let said = try body.take("remote_ip_prefix", .any), !said.isNull, said.string != "" else {
            return nil
        }
        guard let text = said.string, let block = CIDR(loose: text) else {
            throw .neutron(400, "InvalidCIDR", "Invalid CIDR \(said.bare) given as IP prefix.")
        }
        guard "IPv\(block.version.rawValue)" == ethertype else {
            throw .invalidInput(
                "Conflicting value ethertype \(ethertype) for CIDR \(text)",
                type: "SecurityGroupRuleParameterConflict")
        }
        return text.contains("/") ? text : "\(text)/\(block.prefix)"
    }

    private static func ipProtocol(_ body: inout Body) throws(Fault) -> String? {
        guard let said = try body.take("protocol", .any), !said.isNull else { return nil }
        let text = (said.string ?? said.text()).lowercased()
        if text == "any" || text == "" { return nil }
        if IPProtocol.number(text) != nil { return text }
        let names = IPProtocol.numbers.keys.sorted().map { "'\($0)'" }.joined(separator: ", ")
        throw .invalidInput(
            "Security group rule protocol \(said.bare) not supported. Only protocol values "
                + "[None, 'any', \(names)] and integer representations [0 to 255] are supported.",
            type: "SecurityGroupRuleInvalidProtocol")
    }

    private static func port(_ body: inout Body, _ name: String) throws(Fault) -> Int? {
        guard let said = try body.take(name, .any), !said.isNull else { return nil }
        guard let port = said.integer ?? said.string.flatMap({ Int($0) }), (0...65_535).contains(port) else {
            throw .invalidInput("Invalid value for port \(said.bare)", type: "SecurityGroupInvalidPortValue")
        }
        return port
    }

    private func check() throws(Fault) {
        let number = ipProtocol.flatMap(IPProtocol.number)
        if let number, IPProtocol.onlyV6.contains(number), ethertype == "IPv4" {
            throw .invalidInput(
                "Invalid ethertype \(ethertype) for protocol \(ipProtocol ?? "").",
                type: "SecurityGroupEthertypeConflictWithProtocol")
        }
        guard portMin != nil || portMax != nil else { return }
        guard let number else {
            throw .invalidInput(
                "Must also specify protocol if port range is given.",
                type: "SecurityGroupProtocolRequiredWithPorts")
        }
        if IPProtocol.withPorts.contains(number) {
            if portMin == 0 || portMax == 0 {
                throw .invalidInput("Invalid value for port 0", type: "SecurityGroupInvalidPortValue")
            }
            guard let portMin, let portMax, portMin <= portMax else {
                throw .invalidInput(
                    "For TCP/UDP protocols, port_range_min must be <= port_range_max",
                    type: "SecurityGroupInvalidPortRange")
            }
        } else if number == 1 || number == 58 {
            try checkICMP()
        } else {
            throw .invalidInput(
                "Ports cannot be specified for protocol \(number). Ports are only supported for "
                    + "DCCP, SCTP, TCP, UDP, UDPLITE.", type: "SecurityGroupInvalidProtocolForPort")
        }
    }

    private func checkICMP() throws(Fault) {
        for (attribute, field, value) in [("port_range_min", "type", portMin), ("port_range_max", "code", portMax)] {
            guard let value, value > 255 else { continue }
            throw .invalidInput(
                "Invalid value for ICMP \(field) (\(attribute)) \(value). It must be 0 to 255.",
                type: "SecurityGroupInvalidIcmpValue")
        }
        if let portMax, portMin == nil {
            throw .invalidInput(
                "ICMP code (port-range-max) \(portMax) is provided but ICMP type (port-range-min) is missing.",
                type: "SecurityGroupMissingIcmpType")
        }
    }
}
