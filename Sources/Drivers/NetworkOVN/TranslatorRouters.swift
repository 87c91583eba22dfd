// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

extension RouterSpec: Translated {
    var uses: [Use] {
        (interfaces + (gateway?.ports ?? [])).map { Use(reference: .port($0)) }
            + Use.metering(projectID) + Use.qos(gateway?.qosPolicyID) + floatingIPs.flatMap { Use.qos($0.qosPolicyID) }
    }

    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] { translator.routerRows(self) }
}

extension Translator {
    fileprivate func routerRows(_ router: RouterSpec) -> [NBRow] {
        let ids = [
            "neutron:router_name": router.name, "neutron:revision_number": "\(router.generation)",
        ]
        let device = NBRow(
            "Logical_Router", router.id,
            [
                "name": .string(OVNNames.device(router.id)), "enabled": .bool(router.enabled),
                "options": ["always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"],
            ], ids: ids)
        let interfaces = router.interfaces.compactMap { Attachment($0, topology) }
        let gateways = (router.gateway?.ports ?? []).compactMap { Attachment($0, topology) }
        var rows = [device] + interfaces.flatMap { portRows($0, of: router, gateway: nil) }
        if !gateways.isEmpty {
            let narrowest = interfaces.map(\.network.mtu).min()
            for gateway in gateways { rows += portRows(gateway, of: router, gateway: narrowest) }
            for gateway in router.gateway?.isShared == true ? gateways : Array(gateways.prefix(1)) {
                rows += defaultRoutes(router, gateway)
            }
            rows += natRows(router, gateways, interfaces) + meterRows(router)
            rows += forwardingRows(router, switches: interfaces.map(\.network.id))
            for gateway in gateways.prefix(1) { rows += gatewayQoSRows(router, gateway.port, gateway.network) }
        }
        return rows + routeRows(router)
    }

    /// A router's port with its network and the subnets it has addresses of.
    private struct Attachment {
        let port: PortSpec
        let network: SwitchSpec
        let places: [(address: IPAddress, subnet: SubnetSpec)]

        init?(_ portID: String, _ topology: Topology) {
            guard let port = topology.ports[portID], let network = topology.networks[port.networkID] else { return nil }
            self.port = port
            self.network = network
            places = port.addresses.compactMap { fixed in
                network.subnet(fixed.subnetID).map { (fixed.address, $0) }
            }
            if places.isEmpty { return nil }
        }
    }

    /// The router's end of a port. `gateway` is the smallest MTU behind the router, for its way out.
    private func portRows(_ here: Attachment, of router: RouterSpec, gateway: Int?) -> [NBRow] {
        let isGateway = router.gateway?.ports.contains(here.port.id) == true
        var options: [String: String] = [:]
        // Larger packets from outside get an answer (fragmentation needed) instead of vanishing in the tunnel.
        if let gateway, gateway < here.network.mtu { options["gateway_mtu"] = "\(gateway)" }
        if !isGateway, here.network.provider.physicalNetwork != nil, router.gateway != nil {
            // Routing for networks without tunnels happens where the gateway is: the fabric sees one place per MAC.
            options["reside-on-redirect-chassis"] = "true"
        }
        let ids = [
            "neutron:revision_number": "\(here.port.generation)",
            "neutron:subnet_ids": here.places.map(\.subnet.id).joined(separator: " "),
            "neutron:network_name": OVNNames.device(here.network.id), "neutron:is_ext_gw": isGateway ? "True" : "False",
            "neutron:router_name": OVNNames.device(router.id),
        ]
        let row = NBRow(
            "Logical_Router_Port", here.port.id,
            [
                "name": .string(OVNNames.routerPort(here.port.id)), "mac": .string(here.port.mac.description),
                "networks": .strings(here.places.map { "\($0.address)/\($0.subnet.cidr.prefix)" }),
                "options": .strings(options), "ipv6_ra_configs": .strings(advertisement(here, isGateway: isGateway)),
            ],
            ids: ids, in: [(OVNNames.router(router.id), "ports")])
        return [row] + (isGateway ? chassisRows(here, row.key, router) : [])
    }

    private func advertisement(_ here: Attachment, isGateway: Bool) -> [String: String] {
        guard let mode = here.places.compactMap({ $0.subnet.cidr.version == .v6 ? $0.subnet.addressMode : nil }).first
        else { return [:] }
        let word =
            switch mode {
            case .slaac: "slaac"
            case .stateless: "dhcpv6_stateless"
            case .stateful: "dhcpv6_stateful"
            }
        // Never on an external network: it is not ours to number.
        let isPeriodic = !(isGateway && here.network.isExternal)
        return ["address_mode": word, "send_periodic": isPeriodic ? "true" : "false", "mtu": "\(here.network.mtu)"]
    }

    private func chassisRows(_ here: Attachment, _ parent: NBKey, _ router: RouterSpec) -> [NBRow] {
        let computed = gateways(
            for: here.port.id, physicalNetwork: here.network.provider.physicalNetwork, zones: router.zoneHints)
        let hosts =
            router.hosts
            ?? computed.enumerated().map { GatewayHost(id: $1, priority: computed.count - $0) }
        return hosts.map { host in
            NBRow(
                "Gateway_Chassis", "\(here.port.id) \(host.id)",
                [
                    "name": .string("\(OVNNames.routerPort(here.port.id))_\(host.id)"),
                    "chassis_name": .string(host.id), "priority": .integer(host.priority),
                ], in: [(parent, "gateway_chassis")])
        }
    }

    // MARK: Routes

    private func defaultRoutes(_ router: RouterSpec, _ gateway: Attachment) -> [NBRow] {
        let isFirst = router.gateway?.portID == gateway.port.id
        return gateway.places.flatMap { place -> [NBRow] in
            guard let hop = place.subnet.gateway, hop != place.address else { return [] }
            let name = "\(router.id) default \(place.subnet.id)" + (isFirst ? "" : " \(gateway.port.id)")
            var route = NBRow(
                "Logical_Router_Static_Route", name,
                [
                    "ip_prefix": .string(CIDR.everything(place.subnet.cidr.version).description),
                    "nexthop": .string(hop.description), "output_port": .string(OVNNames.routerPort(gateway.port.id)),
                ],
                ids: ["neutron:is_ext_gw": "true", "neutron:subnet_id": place.subnet.id],
                in: [(OVNNames.router(router.id), "static_routes")])
            guard router.gateway?.isWatched == true else {
                route.references["bfd"] = .some(nil)
                return [route]
            }
            let watch = NBRow(
                "BFD", name,
                [
                    "logical_port": .string(OVNNames.routerPort(gateway.port.id)), "dst_ip": .string(hop.description),
                ])
            route.references["bfd"] = watch.key
            return [route, watch]
        }
    }

    private func routeRows(_ router: RouterSpec) -> [NBRow] {
        Set(router.routes).map { route in
            NBRow(
                "Logical_Router_Static_Route", "\(router.id) \(route.destination) \(route.nextHop)",
                [
                    "ip_prefix": .string(route.destination.description),
                    "nexthop": .string(route.nextHop.description), "output_port": .empty,
                ],
                ids: ["neutron:is_static_route": "true"], in: [(OVNNames.router(router.id), "static_routes")])
        }
    }

    // MARK: Address translation

    private func natRows(_ router: RouterSpec, _ gateways: [Attachment], _ interfaces: [Attachment]) -> [NBRow] {
        let parent = [(OVNNames.router(router.id), "nat")]
        var rows: [NBRow] = []
        let inside = Set(interfaces.flatMap { $0.places.map(\.subnet.cidr) }.filter { $0.version == .v4 })
        for gateway in gateways where router.gateway?.snat == true {
            guard let outside = gateway.places.map(\.address).first(where: { $0.version == .v4 }) else { continue }
            let isFirst = router.gateway?.portID == gateway.port.id
            rows += inside.map { block in
                var row = NBRow(
                    "NAT", "\(router.id) snat \(block)" + (isFirst ? "" : " \(gateway.port.id)"),
                    [
                        "type": "snat", "external_ip": .string(outside.description),
                        "logical_ip": .string(block.description), "logical_port": .empty, "external_mac": .empty,
                    ], in: parent)
                // With one gateway OVN finds it by itself.
                row.references["gateway_port"] = .some(
                    gateways.count > 1 ? OVNNames.routerPortKey(gateway.port.id) : nil)
                return row
            }
        }
        return rows + router.floatingIPs.map { floatingRow($0, gateways, parent) }
            + router.ndpProxies.compactMap { proxyRow($0, router, gateways, parent) }
    }

    private func floatingRow(
        _ floating: FloatingIPSpec, _ gateways: [Attachment], _ parent: [(NBKey, String)]
    ) -> NBRow {
        // A balancer's address is on no host that could answer for it.
        let isNowhere = topology.ports[floating.portID]?.kind == .balancer
        let mac = options.distributedFloatingIPs && !isNowhere ? floating.mac?.description : nil
        var row = NBRow(
            "NAT", floating.id,
            [
                "type": "dnat_and_snat", "external_ip": .string(floating.address.description),
                "logical_ip": .string(floating.fixedAddress.description),
                "logical_port": .string(floating.portID), "external_mac": .optional(mac),
            ],
            ids: ["neutron:fip_id": floating.id, "neutron:fip_port_id": floating.portID], in: parent)
        let home = gateways.first { $0.places.contains { $0.subnet.cidr.contains(floating.address) } }
        row.references["gateway_port"] = .some(
            gateways.count > 1 ? home.map { OVNNames.routerPortKey($0.port.id) } : nil)
        return row
    }

    /// An address that becomes itself: nothing is changed, but the gateway says outside that it has it.
    private func proxyRow(
        _ address: IPAddress, _ router: RouterSpec, _ gateways: [Attachment], _ parent: [(NBKey, String)]
    ) -> NBRow? {
        guard let first = gateways.first(where: { $0.port.id == router.gateway?.portID }) else { return nil }
        var row = NBRow(
            "NAT", "\(router.id) ndp \(address)",
            [
                "type": "dnat_and_snat", "external_ip": .string(address.description),
                "logical_ip": .string(address.description), "logical_port": .empty, "external_mac": .empty,
                "options": ["stateless": "true"],
            ], in: parent)
        row.references["gateway_port"] = .some(gateways.count > 1 ? OVNNames.routerPortKey(first.port.id) : nil)
        return row
    }

    // MARK: Gateway hosts

    /// The hosts that may carry a gateway, best first. Rendezvous hashing: a host that comes or goes moves only the
    /// gateways that it wins or held, and every process computes the same.
    func gateways(for portID: String, physicalNetwork: String?, zones: [String] = []) -> [String] {
        let reachable = chassis.filter { host in
            (physicalNetwork.map(host.physicalNetworks.contains) ?? true)
                && (zones.isEmpty || host.zones.isEmpty || !Set(zones).isDisjoint(with: host.zones))
        }
        let meant = reachable.filter(\.isGateway)
        let ranked = (meant.isEmpty ? reachable : meant).map { (StableHash.of("\(portID) \($0.id)"), $0.id) }
        return ranked.sorted { $0 > $1 }.prefix(options.gatewayChassisMax).map(\.1)
    }
}
