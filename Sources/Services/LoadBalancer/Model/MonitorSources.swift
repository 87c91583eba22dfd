// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Where members are, for a provider without ports of its own, and the addresses on their subnets that their health is
/// asked from: a port per subnet that nobody plugs in, as ovn-octavia-provider makes it.
struct MonitorSources: Sendable {
    static let owner = "ovn-lb-hm:distributed"

    private let room: LoadBalancerService
    private let requestID: String

    init(_ room: LoadBalancerService, requestID: String) {
        self.room = room
        self.requestID = requestID
    }

    /// Fills in members' networks and, where they are watched, the address that asks.
    func fill(_ spec: inout BalancerSpec, _ balancer: LoadBalancer) async throws(Fault) {
        let kinds = room.providers.abilities(balancer.provider).sources
        // Without a subnet of its own a member is on that of the balancer that has its address.
        for pool in spec.pools.indices where kinds.contains(spec.pools[pool].protocol) {
            for at in spec.pools[pool].members.indices where spec.pools[pool].members[at].subnetID == nil {
                let address = spec.pools[pool].members[at].address
                spec.pools[pool].members[at].subnetID =
                    spec.addresses.first { AddressText.isInside(address, $0.cidr) }?.subnetID
            }
        }
        let pools = spec.pools.filter { kinds.contains($0.protocol) }
        var networks: [String: String] = [:]
        for subnet in Set(pools.flatMap(\.members).compactMap(\.subnetID)) {
            let document = try await room.network.document("GET", "/subnets/\(subnet)", nil, requestID: requestID)
            networks[subnet] = document["subnet"]?["network_id"]?.string
        }
        let watched = Set(pools.filter { $0.monitor != nil }.flatMap(\.members).compactMap(\.subnetID))
        let sources = try await ports(balancer, watched, networks)
        for pool in spec.pools.indices where kinds.contains(spec.pools[pool].protocol) {
            for at in spec.pools[pool].members.indices {
                guard let subnet = spec.pools[pool].members[at].subnetID else { continue }
                spec.pools[pool].members[at].networkID = networks[subnet]
                spec.pools[pool].members[at].monitorSource = sources[subnet]
            }
        }
    }

    private func ports(
        _ balancer: LoadBalancer, _ subnets: Set<String>, _ networks: [String: String]
    ) async throws(Fault) -> [String: String] {
        let device = VIPPort.device(balancer.id)
        let known = try await room.network.ports([("device_id", device)], requestID: requestID).filter {
            $0.deviceOwner == MonitorSources.owner
        }
        var sources: [String: String] = [:]
        for port in known {
            guard let fixed = port.fixedIPs.first, subnets.contains(fixed.subnetID), sources[fixed.subnetID] == nil
            else {
                try await room.network.deletePort(port.id, requestID: requestID)
                continue
            }
            sources[fixed.subnetID] = fixed.address
        }
        for subnet in subnets.sorted() where sources[subnet] == nil {
            let members: JSON = [
                "name": .string("ovn-lb-hm-\(subnet)"), "network_id": .string(networks[subnet] ?? ""),
                "project_id": .string(balancer.projectID), "device_id": .string(device),
                "device_owner": .string(Self.owner), "admin_state_up": true,
                "fixed_ips": [["subnet_id": .string(subnet)]],
            ]
            let port = try await room.network.createPort(members, requestID: requestID)
            sources[subnet] = port.fixedIPs.first?.address
        }
        return sources
    }
}
