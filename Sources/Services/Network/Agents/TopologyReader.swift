// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A kind whose objects are put together from the room's rows.
protocol TopologySource: TopologySpec {
    /// The objects with these ids, or all there are.
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [Self]
}

/// Puts the rows together into what a back end makes real.
package struct TopologyReader: Sendable {
    let database: Database

    package init(_ database: Database) { self.database = database }

    /// Every kind that there is.
    static let sources: [any TopologySource.Type] = [
        SwitchSpec.self, TapMirrorSpec.self, MeteringSpec.self, AddressGroupSpec.self, QoSPolicySpec.self, LogSpec.self,
        SecurityGroupSpec.self,
        RouterSpec.self,
        PortSpec.self,
    ]

    /// All that should be.
    package func everything() async throws(Fault) -> Topology {
        var whole = Topology()
        for source in TopologyReader.sources {
            for spec in try await source.read(self, nil) { whole.put(spec) }
        }
        return whole
    }

    /// The named objects as they are now; those that are gone are to be removed.
    func change(_ references: [TopologyReference]) async throws(Fault) -> TopologyChange {
        let ids = Dictionary(grouping: references, by: \.kind).mapValues { $0.map(\.id) }
        var put: [TopologyObject] = []
        for source in TopologyReader.sources {
            guard let asked = ids[source.kind] else { continue }
            for spec in try await source.read(self, asked) { put.append(TopologyObject(spec)) }
        }
        let present = Set(put.map(\.reference))
        return TopologyChange(put: put, remove: references.filter { !present.contains($0) })
    }

    func rows<Row: Record>(_ type: Row.Type, _ ids: [String]?) async throws(Fault) -> [Row] {
        guard let ids else { return try await database.all(Row.self) }
        return try await database.all(Row.self, "id", in: ids)
    }
}

extension SwitchSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [SwitchSpec] {
        let (database, networks) = (reader.database, try await reader.rows(Network.self, ids))
        let ids = networks.map(\.id)
        let subnets = Dictionary(
            grouping: try await database.all(Subnet.self, "network_id", in: ids).sorted { $0.id < $1.id },
            by: \.networkID)
        let metadata = Dictionary(
            try await database.all(Port.self, "device_id", in: ids.map(MetadataPorts.device)).map { ($0.networkID, $0) }
        ) { first, _ in first }
        let policies = try await QoSBinding.policies(database, of: ids)
        let segments = try await Segment.several(database, ids)
        return networks.map { network in
            var spec = SwitchSpec(
                id: network.id, generation: network.revisionNumber, name: network.name, mtu: network.mtu,
                provider: network.provider, isExternal: network.external, dnsDomain: network.dnsDomain,
                subnets: (subnets[network.id] ?? []).map { $0.spec(metadata[network.id]) },
                qosPolicyID: policies[network.id], passesTags: network.vlanTransparent == true || network.qinq == true,
                more: (segments[network.id] ?? []).filter { !$0.isFirst }.map {
                    SegmentSpec(id: $0.id, provider: $0.provider)
                })
            spec.isPrivate = network.pvlan
            return spec
        }
    }
}

extension RouterSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [RouterSpec] {
        let (database, routers) = (reader.database, try await reader.rows(Router.self, ids))
        let ids = routers.map(\.id)
        let interfaces = Dictionary(
            grouping: try await database.all(
                Port.self, "device_id", in: ids, and: "device_owner = \(DeviceOwner.routerInterface)"),
            by: \.deviceID)
        let gateways = Dictionary(
            grouping: try await database.all(
                Port.self, "device_id", in: ids, and: "device_owner = \(DeviceOwner.routerGateway)"),
            by: \.deviceID
        ).mapValues { $0.map(\.id).sorted() }
        let floating = try await database.all(FloatingIP.self, "router_id", in: ids)
        let outer = Dictionary(
            try await database.all(Port.self, "id", in: floating.map(\.floatingPortID)).map { ($0.id, $0) }
        ) { first, _ in first }
        let byRouter = Dictionary(grouping: floating) { $0.routerID ?? "" }
        let forwardings = Dictionary(
            grouping: try await database.all(
                PortForwarding.self, "floating_id", in: floating.filter { $0.portID == nil }.map(\.id)),
            by: \.floatingID)
        let policies = try await QoSBinding.policies(database, of: ids + floating.map(\.id))
        let proxies = Dictionary(
            grouping: try await database.all(NDPProxy.self, "router_id", in: ids), by: \.routerID)
        return routers.map { router in
            var spec = RouterSpec(
                id: router.id, generation: router.revisionNumber, name: router.name, enabled: router.adminStateUp,
                interfaces: (interfaces[router.id] ?? []).map(\.id).sorted(),
                gateway: router.gatewayPortID.map {
                    GatewaySpec(
                        portID: $0, snat: router.enableSNAT,
                        more: (gateways[router.id] ?? []).filter { $0 != router.gatewayPortID },
                        isWatched: router.routeBFD, isShared: router.routeECMP, qosPolicyID: policies[router.id])
                },
                routes: router.routes,
                floatingIPs: (byRouter[router.id] ?? []).compactMap {
                    $0.spec(outer[$0.floatingPortID]?.macAddress, policies[$0.id])
                }.sorted { $0.id < $1.id },
                forwardings: (byRouter[router.id] ?? []).flatMap { address in
                    (forwardings[address.id] ?? []).compactMap { $0.spec(on: address.floatingIPAddress) }
                }.sorted { $0.id < $1.id }, zoneHints: router.zoneHints.sorted(), projectID: router.projectID)
            spec.ndpProxies = (proxies[router.id] ?? []).compactMap { IPAddress($0.ipAddress) }.sorted()
            spec.hosts = router.hosts.map { GatewayHost.read($0) }
            return spec
        }
    }
}

extension SecurityGroupSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [SecurityGroupSpec] {
        let groups = try await reader.rows(SecurityGroup.self, ids)
        let rules = Dictionary(
            grouping: try await reader.database.all(
                SecurityGroupRule.self, "security_group_id", in: groups.map(\.id)),
            by: \.securityGroupID)
        return groups.map { group in
            SecurityGroupSpec(
                id: group.id, generation: group.revisionNumber, name: group.name, stateful: group.stateful,
                rules: (rules[group.id] ?? []).map(\.spec).sorted { $0.id < $1.id })
        }
    }
}

extension PortSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [PortSpec] {
        let ports = try await reader.rows(Port.self, ids)
        let moving = try await PortBinding.moves(reader.database, ids)
        let policies = try await QoSBinding.policies(reader.database, of: ports.map(\.id))
        let inside = try await Subport.specs(reader.database, ids)
        let domains = try await ResolvedDomain.all(reader.database, ports)
        return ports.map { port in
            var spec = port.spec
            spec.subport = inside[port.id]
            spec.place = port.extras.place
            spec.qosPolicyID = policies[port.id]
            spec.dnsDomain = domains[port.id]
            spec.movingTo = spec.host == nil ? nil : port.profile["migrating_to"]?.string ?? moving[port.id]
            return spec
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
        case DeviceOwner.balancer: .balancer
        default: vnicType == "normal" || vnicType == "remote-managed" ? .guest : .external
        }
    }
}

extension FloatingIP {
    func spec(_ mac: MACAddress?, _ policy: String?) -> FloatingIPSpec? {
        guard let address = IPAddress(floatingIPAddress), let fixed = fixedIPAddress.flatMap({ IPAddress($0) }),
            let portID
        else { return nil }
        return FloatingIPSpec(
            id: id, address: address, fixedAddress: fixed, portID: portID, mac: mac, qosPolicyID: policy)
    }
}

extension PortForwarding {
    func spec(on floating: String) -> ForwardingSpec? {
        guard let address = IPAddress(floating), let fixed = IPAddress(fixedIPAddress) else { return nil }
        return ForwardingSpec(
            id: id, floatingID: floatingID, address: address, ipProtocol: ipProtocol, externals: externals,
            fixedAddress: fixed, internals: internals)
    }
}

extension SecurityGroupRule {
    var spec: SecurityRuleSpec {
        SecurityRuleSpec(
            id: id, direction: direction == "ingress" ? .ingress : .egress, version: ethertype == "IPv6" ? .v6 : .v4,
            ipProtocol: ipProtocol == "ipv6-icmp" ? "icmpv6" : ipProtocol, portMin: portRangeMin, portMax: portRangeMax,
            remote: remoteAddressGroupID.map { .addressGroup($0) } ?? remoteGroupID.map { .group($0) }
                ?? remoteIPPrefix.flatMap { CIDR(loose: $0) }.map { .prefix($0) }
                ?? .anyone)
    }
}
