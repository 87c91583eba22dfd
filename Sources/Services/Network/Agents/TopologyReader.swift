// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Puts the rows together into what a back end makes real.
package struct TopologyReader: Sendable {
    let database: Database

    package init(_ database: Database) { self.database = database }

    /// All that should be.
    package func everything() async throws(Fault) -> Topology {
        let networks = try await specs(try await database.all(Network.self))
        let ports = try await database.all(Port.self)
        let routers = try await specs(try await database.all(Router.self))
        let groups = try await specs(try await database.all(SecurityGroup.self))
        return Topology(networks: networks, ports: ports.map(\.spec), routers: routers, securityGroups: groups)
    }

    /// The named objects as they are now; those that are gone are to be removed.
    func change(_ references: [TopologyReference]) async throws(Fault) -> TopologyChange {
        var ids: (networks: [String], ports: [String], routers: [String], groups: [String]) = ([], [], [], [])
        for reference in references {
            switch reference {
            case .network(let id): ids.networks.append(id)
            case .port(let id): ids.ports.append(id)
            case .router(let id): ids.routers.append(id)
            case .securityGroup(let id): ids.groups.append(id)
            }
        }
        var put: [TopologyObject] = []
        put += try await specs(try await database.all(Network.self, "id", in: ids.networks)).map { .network($0) }
        put += try await specs(try await database.all(SecurityGroup.self, "id", in: ids.groups)).map {
            .securityGroup($0)
        }
        put += try await specs(try await database.all(Router.self, "id", in: ids.routers)).map { .router($0) }
        put += try await database.all(Port.self, "id", in: ids.ports).map { .port($0.spec) }
        let present = Set(put.map(\.reference))
        return TopologyChange(put: put, remove: references.filter { !present.contains($0) })
    }

    private func specs(_ networks: [Network]) async throws(Fault) -> [SwitchSpec] {
        let ids = networks.map(\.id)
        let subnets = Dictionary(
            grouping: try await database.all(Subnet.self, "network_id", in: ids).sorted { $0.id < $1.id },
            by: \.networkID)
        let metadata = Dictionary(
            try await database.all(Port.self, "device_id", in: ids.map(MetadataPorts.device)).map { ($0.networkID, $0) }
        ) { first, _ in first }
        return networks.map { network in
            SwitchSpec(
                id: network.id, generation: network.revisionNumber, name: network.name, mtu: network.mtu,
                provider: network.provider, isExternal: network.external, dnsDomain: network.dnsDomain,
                subnets: (subnets[network.id] ?? []).map { $0.spec(metadata[network.id]) })
        }
    }

    private func specs(_ routers: [Router]) async throws(Fault) -> [RouterSpec] {
        let ids = routers.map(\.id)
        let interfaces = Dictionary(
            grouping: try await database.all(
                Port.self, "device_id", in: ids, and: "device_owner = \(DeviceOwner.routerInterface)"),
            by: \.deviceID)
        let floating = try await database.all(FloatingIP.self, "router_id", in: ids)
        let outer = Dictionary(
            try await database.all(Port.self, "id", in: floating.map(\.floatingPortID)).map { ($0.id, $0) }
        ) { first, _ in first }
        let byRouter = Dictionary(grouping: floating) { $0.routerID ?? "" }
        return routers.map { router in
            RouterSpec(
                id: router.id, generation: router.revisionNumber, name: router.name, enabled: router.adminStateUp,
                interfaces: (interfaces[router.id] ?? []).map(\.id).sorted(),
                gateway: router.gatewayPortID.map { GatewaySpec(portID: $0, snat: router.enableSNAT) },
                routes: router.routes,
                floatingIPs: (byRouter[router.id] ?? []).compactMap { $0.spec(outer[$0.floatingPortID]?.macAddress) }
                    .sorted { $0.id < $1.id })
        }
    }

    private func specs(_ groups: [SecurityGroup]) async throws(Fault) -> [SecurityGroupSpec] {
        let rules = Dictionary(
            grouping: try await database.all(SecurityGroupRule.self, "security_group_id", in: groups.map(\.id)),
            by: \.securityGroupID)
        return groups.map { group in
            SecurityGroupSpec(
                id: group.id, generation: group.revisionNumber, name: group.name, stateful: group.stateful,
                rules: (rules[group.id] ?? []).map(\.spec).sorted { $0.id < $1.id })
        }
    }
}

extension Network {
    var provider: SwitchProvider {
        switch (networkType, physicalNetwork) {
        case ("flat", let physical?): .flat(physicalNetwork: physical)
        case ("vlan", let physical?): .vlan(physicalNetwork: physical, id: segmentationID ?? 0)
        default: .overlay
        }
    }
}

extension Subnet {
    func spec(_ metadata: Port?) -> SubnetSpec {
        SubnetSpec(
            id: id, cidr: cidr, gateway: gatewayIP, dhcp: enableDHCP,
            dnsServers: dnsServers.compactMap { IPAddress($0) },
            hostRoutes: hostRoutes,
            metadataAddress: metadata?.fixedIPs.entries.first { $0.subnetID == id && $0.address.version == .v4 }?
                .address,
            addressMode: ipv6AddressMode, advertisementMode: ipv6RAMode)
    }
}

extension Port {
    var spec: PortSpec {
        PortSpec(
            id: id, generation: revisionNumber, networkID: networkID, name: name, kind: kind, mac: macAddress,
            addresses: fixedIPs.entries.map { FixedAddress(subnetID: $0.subnetID, address: $0.address) },
            allowedPairs: allowedAddressPairs.compactMap { pair in
                CIDR(loose: pair.ipAddress).map { AddressPair(mac: MACAddress(pair.macAddress), addresses: $0) }
            },
            portSecurity: portSecurityEnabled, securityGroupIDs: securityGroupIDs, enabled: adminStateUp,
            host: host.isEmpty ? nil : host, dnsName: dnsName,
            dhcpExtras: extraDHCPOptions.map {
                DHCPExtra(name: $0.name, value: $0.value, version: $0.ipVersion == 6 ? .v6 : .v4)
            },
            deviceID: deviceID, deviceOwner: deviceOwner)
    }

    private var kind: PortKind {
        switch deviceOwner {
        case DeviceOwner.routerInterface: .routerInterface(router: deviceID)
        case DeviceOwner.routerGateway: .routerGateway(router: deviceID)
        case DeviceOwner.metadata: .metadata
        case DeviceOwner.floatingIP: .floating
        default: vnicType == "normal" || vnicType == "remote-managed" ? .guest : .external
        }
    }
}

extension FloatingIP {
    func spec(_ mac: MACAddress?) -> FloatingIPSpec? {
        guard let address = IPAddress(floatingIPAddress), let fixed = fixedIPAddress.flatMap({ IPAddress($0) }),
            let portID
        else { return nil }
        return FloatingIPSpec(id: id, address: address, fixedAddress: fixed, portID: portID, mac: mac)
    }
}

extension SecurityGroupRule {
    var spec: SecurityRuleSpec {
        SecurityRuleSpec(
            id: id, direction: direction == "ingress" ? .ingress : .egress, version: ethertype == "IPv6" ? .v6 : .v4,
            ipProtocol: ipProtocol == "ipv6-icmp" ? "icmpv6" : ipProtocol, portMin: portRangeMin, portMax: portRangeMax,
            remote: remoteGroupID.map { .group($0) } ?? remoteIPPrefix.flatMap { CIDR(loose: $0) }.map { .prefix($0) }
                ?? .anyone)
    }
}
