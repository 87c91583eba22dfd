// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

extension PortSpec: Translated {
    var uses: [Use] {
        [Use(reference: .network(networkID))]
            + Use.qos(qosPolicyID)
            + Set(securityGroupIDs).map { Use(reference: .securityGroup($0), presenceOnly: true) }
    }
    /// The keys of its records.
    var nameKeys: [Piece.NameKey] {
        guard !dnsName.isEmpty, !addresses.isEmpty else { return [] }
        var keys = [Piece.NameKey.host(dnsName.lowercased())]
        if let name = ownFullName { keys.append(.full(name)) }
        return keys + addresses.map { .address($0.address) }
    }

    /// Its name in a domain that is not its network's.
    var ownFullName: String? {
        dnsDomain.map { domain in
            "\(dnsName).\(domain.hasSuffix(".") ? String(domain.dropLast()) : domain)".lowercased()
        }
    }

    func feeds(_ graph: TopologyGraph) -> [Piece] {
        nameKeys.map { Piece(.network(networkID), .name($0)) }
            + (place == nil ? [] : [Piece(.network(networkID), .privacy)])
    }

    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] { translator.portRows(self) }
}

extension Translator {
    fileprivate func portRows(_ port: PortSpec) -> [NBRow] {
        guard let network = topology.networks[port.networkID], port.kind != .floating else { return [] }
        switch port.kind {
        case .routerInterface, .balancer: return [routerSide(port, network, isGateway: false)]
        case .routerGateway: return [routerSide(port, network, isGateway: true)]
        default: return guestRows(port, network)
        }
    }

    private func guestRows(_ port: PortSpec, _ network: SwitchSpec) -> [NBRow] {
        let isSecured = port.portSecurity && port.kind != .metadata
        let dhcpv4 = port.kind == .metadata ? nil : dhcpRows(port, network, .v4)
        let dhcpv6 = port.kind == .metadata ? nil : dhcpRows(port, network, .v6)
        var parents = [(OVNNames.switch(network.id), "ports")]
        if isSecured {
            parents.append((OVNNames.dropKey, "ports"))
            for group in Set(port.securityGroupIDs).sorted() where topology.securityGroups[group] != nil {
                parents.append((OVNNames.groupKey(group), "ports"))
            }
        }
        parents += privateGroups(port, network)
        var row = NBRow(
            "Logical_Switch_Port", port.id,
            [
                "name": .string(port.id), "type": .string(port.kind.type), "enabled": .bool(port.enabled),
                "addresses": .strings(addresses(port)),
                "port_security": isSecured ? .strings(permitted(port)) : .empty,
                "options": .strings(chassisOptions(port).merging(qosOptions(port, network)) { $1 }),
                "parent_name": .optional(port.subport?.parent), "tag_request": .optional(port.subport?.tag),
            ],
            ids: identity(port, network), in: parents)
        row.references = ["dhcpv4_options": dhcpv4?.key, "dhcpv6_options": dhcpv6?.key]
        var rows = [dhcpv4?.own, dhcpv6?.own].compactMap(\.self)
        if port.kind == .external {
            let standby = standbyRows(port, network)
            rows += standby
            row.references["ha_chassis_group"] = standby.first?.key
        }
        return [row] + rows + qosRows(port, network)
    }

    /// While a server moves, both hosts claim its port, and the new one stays silent until the guest speaks there.
    private func chassisOptions(_ port: PortSpec) -> [String: String] {
        guard let host = port.host else { return [:] }
        guard let next = port.movingTo, next != host else { return ["requested-chassis": host] }
        return ["requested-chassis": "\(host),\(next)", "activation-strategy": "rarp"]
    }

    private func identity(_ port: PortSpec, _ network: SwitchSpec) -> [String: String] {
        let cidrs = port.addresses.map { fixed in
            "\(fixed.address)/\(network.subnet(fixed.subnetID)?.cidr.prefix ?? fixed.address.version.bits)"
        }
        return [
            "neutron:port_name": port.name, "neutron:device_id": port.deviceID,
            "neutron:device_owner": port.deviceOwner, "neutron:network_name": OVNNames.device(network.id),
            "neutron:cidrs": cidrs.joined(separator: " "), "neutron:revision_number": "\(port.generation)",
            "neutron:security_group_ids": port.securityGroupIDs.sorted().joined(separator: " "),
        ]
    }

    private func own(_ port: PortSpec) -> String {
        ([port.mac.description] + port.addresses.map(\.address.description)).joined(separator: " ")
    }

    /// Where the switch sends what is for the port; `unknown` also what is for nobody it knows.
    private func addresses(_ port: PortSpec) -> Set<String> {
        var addresses: Set = [own(port)]
        if port.kind == .metadata { return addresses }
        guard port.portSecurity else { return addresses.union(["unknown"]) }
        for pair in port.allowedPairs {
            if let mac = pair.mac, mac != port.mac { addresses.insert(mac.description) }
        }
        return addresses
    }

    /// What the port may send from. Pairs with the port's own MAC go into its own entry: OVN takes one entry per MAC.
    private func permitted(_ port: PortSpec) -> Set<String> {
        var byMAC: [MACAddress: [String]] = [port.mac: port.addresses.map(\.address.description)]
        for pair in port.allowedPairs {
            let block = pair.addresses
            let text = block.prefix == block.version.bits ? block.network.description : block.description
            byMAC[pair.mac ?? port.mac, default: []].append(text)
        }
        return Set(byMAC.map { ([$0.key.description] + $0.value).joined(separator: " ") })
    }

    /// The switch's end of a router's port.
    private func routerSide(_ port: PortSpec, _ network: SwitchSpec, isGateway: Bool) -> NBRow {
        var options = ["router-port": OVNNames.routerPort(port.id)]
        if isGateway {
            // Without it nobody announces the addresses after the gateway moved to another host.
            options["nat-addresses"] = "router"
            options["exclude-lb-vips-from-garp"] = "true"
        }
        return NBRow(
            "Logical_Switch_Port", port.id,
            [
                "name": .string(port.id), "type": "router", "addresses": "router", "options": .strings(options),
                "enabled": .bool(port.enabled), "port_security": .empty,
            ],
            ids: identity(port, network),
            in: [(OVNNames.switch(network.id), "ports")] + privateGroups(port, network))
    }

    /// The hosts that stand in for a port outside our hosts.
    private func standbyRows(_ port: PortSpec, _ network: SwitchSpec) -> [NBRow] {
        let hosts = gateways(for: port.id, physicalNetwork: network.provider.physicalNetwork)
        guard !hosts.isEmpty else { return [] }
        let group = NBRow("HA_Chassis_Group", port.id, ["name": .string("neutron-extport-\(port.id)")])
        return [group]
            + hosts.enumerated().map { place, host in
                NBRow(
                    "HA_Chassis", "\(port.id) \(host)",
                    ["chassis_name": .string(host), "priority": .integer(hosts.count - place)],
                    in: [(group.key, "ha_chassis")])
            }
    }
}

extension PortKind {
    fileprivate var type: String {
        switch self {
        case .metadata: "localport"
        case .external: "external"
        default: ""
        }
    }
}
