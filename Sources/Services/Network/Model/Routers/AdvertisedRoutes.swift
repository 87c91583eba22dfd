// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Which way an address is: what speakers tell their peers.
package struct AdvertisedRoute: Sendable, Hashable, Comparable {
    package let destination: CIDR
    package let nextHop: IPAddress

    package init(destination: CIDR, nextHop: IPAddress) {
        self.destination = destination
        self.nextHop = nextHop
    }

    package static func < (left: AdvertisedRoute, right: AdvertisedRoute) -> Bool {
        (left.destination.description, left.nextHop) < (right.destination.description, right.nextHop)
    }
}

/// What follows for a speaker from routers, floating addresses and address scopes.
enum AdvertisedRoutes {
    static func of(_ speaker: BGPSpeaker, _ database: Database) async throws(Fault) -> [AdvertisedRoute] {
        let bound = try await database.all(BGPGateway.self, "speaker_id = \(speaker.id)").map(\.networkID)
        let routers = try await database.all(
            Router.self, "gateway_network_id", in: bound, and: "gateway_port_id IS NOT NULL AND admin_state_up = 1")
        guard !routers.isEmpty else { return [] }
        let hops = try await nextHops(routers, speaker, database)
        var routes: Set<AdvertisedRoute> = []
        if speaker.advertiseFloatingIPHostRoutes && speaker.ipVersion == 4 {
            let floating = try await database.all(FloatingIP.self, "router_id", in: Array(hops.keys))
            for address in floating where bound.contains(address.floatingNetworkID) {
                guard let hop = hops[address.routerID ?? ""], let block = CIDR(loose: address.floatingIPAddress)
                else { continue }
                routes.insert(AdvertisedRoute(destination: block, nextHop: hop))
            }
        }
        if speaker.advertiseTenantNetworks {
            for (router, block) in try await routed(bound, Array(hops.keys), speaker, database) {
                if let hop = hops[router] { routes.insert(AdvertisedRoute(destination: block, nextHop: hop)) }
            }
        }
        return routes.sorted()
    }

    /// Each router's own address outside, in the speaker's version.
    private static func nextHops(
        _ routers: [Router], _ speaker: BGPSpeaker, _ database: Database
    ) async throws(Fault) -> [String: IPAddress] {
        let ports = try await database.all(Port.self, "id", in: routers.compactMap(\.gatewayPortID))
        let version: IPVersion = speaker.ipVersion == 6 ? .v6 : .v4
        var hops: [String: IPAddress] = [:]
        for router in routers {
            let port = ports.first { $0.id == router.gatewayPortID }
            if let address = port?.fixedIPs.first(version)?.address { hops[router.id] = address }
        }
        return hops
    }

    /// Subnets behind the routers whose addresses mean the same outside as inside: of the address scope of the network
    /// that leads out.
    private static func routed(
        _ bound: [String], _ routers: [String], _ speaker: BGPSpeaker, _ database: Database
    ) async throws(Fault) -> [(router: String, block: CIDR)] {
        let pools = try await database.all(
            SubnetPool.self, "address_scope_id IS NOT NULL AND ip_version = \(speaker.ipVersion)")
        let scope = Dictionary(uniqueKeysWithValues: pools.map { ($0.id, $0.addressScopeID) })
        let outer = try await database.all(
            Subnet.self, "network_id", in: bound, and: "ip_version = \(speaker.ipVersion)")
        let scopes = Set(outer.compactMap { scope[$0.subnetpoolID ?? ""] ?? nil })
        guard !scopes.isEmpty else { return [] }
        let interfaces = try await database.all(
            Port.self, "device_id", in: routers, and: "device_owner = \(DeviceOwner.routerInterface)")
        let inner = try await database.all(
            Subnet.self, "id", in: interfaces.flatMap { $0.fixedIPs.entries.map(\.subnetID) },
            and: "ip_version = \(speaker.ipVersion)")
        let byID = Dictionary(uniqueKeysWithValues: inner.map { ($0.id, $0) })
        return interfaces.flatMap { port in
            port.fixedIPs.entries.compactMap { entry in
                guard let subnet = byID[entry.subnetID], !bound.contains(subnet.networkID),
                    let own = scope[subnet.subnetpoolID ?? ""] ?? nil, scopes.contains(own)
                else { return nil }
                return (port.deviceID, subnet.cidr)
            }
        }
    }
}
