// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A balancer's ports on its members' networks. A member whose subnet lies on another network than the balancer's
/// address is reached by a port there, as upstream does; the port goes when the last such member does.
struct MemberLegs: Sendable {
    private let room: LoadBalancerService
    private let requestID: String

    init(_ room: LoadBalancerService, requestID: String) {
        self.room = room
        self.requestID = requestID
    }

    /// Makes what is missing, deletes what is not needed any more, and says what there is.
    func ensure(_ balancer: LoadBalancer, _ members: [Member]) async throws(Fault) -> [BalancerSpec.Leg] {
        var subnets: [String: JSON] = [:]
        for id in Set(members.compactMap(\.subnetID)) where id != balancer.vipSubnetID {
            subnets[id] = try await room.network.document("GET", "/subnets/\(id)", nil, requestID: requestID)["subnet"]
        }
        let byNetwork = Dictionary(grouping: subnets.sorted { $0.key < $1.key }) {
            $0.value["network_id"]?.string ?? ""
        }.filter { $0.key != balancer.vipNetworkID }
        let device = VIPPort.device(balancer.id)
        let known = try await room.network.ports([("device_id", device)], requestID: requestID).filter {
            $0.id != balancer.vipPortID && $0.deviceOwner != MonitorSources.owner
        }
        for port in known where byNetwork[port.networkID] == nil {
            try await room.network.deletePort(port.id, requestID: requestID)
        }
        var legs: [BalancerSpec.Leg] = []
        for (network, items) in byNetwork.sorted(by: { $0.key < $1.key }) {
            let wanted = Set(items.map(\.key))
            var port = known.first { $0.networkID == network }
            if let there = port, !Set(there.fixedIPs.map(\.subnetID)).isSuperset(of: wanted) {
                let kept = there.fixedIPs.map { ($0.subnetID, $0.address) }
                let missing = wanted.subtracting(kept.map(\.0)).sorted()
                let all = kept.map { fixed($0.0, $0.1) } + missing.map { fixed($0, nil) }
                port = try await room.network.updatePort(
                    there.id, ["fixed_ips": .array(all)], requestID: requestID)
            }
            legs.append(
                try await leg(try await present(port, balancer, network, wanted.sorted()), subnets))
        }
        return legs
    }

    private func fixed(_ subnet: String, _ address: String?) -> JSON {
        var members: JSONObject = ["subnet_id": .string(subnet)]
        if let address { members["ip_address"] = .string(address) }
        return .object(members)
    }

    private func present(
        _ port: NetworkClient.Port?, _ balancer: LoadBalancer, _ network: String, _ subnets: [String]
    ) async throws(Fault) -> NetworkClient.Port {
        if let port { return port }
        var members: JSONObject = [
            "name": .string("octavia-lb-member-\(balancer.id)"), "network_id": .string(network),
            "project_id": .string(balancer.projectID), "device_id": .string(VIPPort.device(balancer.id)),
            "device_owner": "Octavia", "admin_state_up": true, "security_groups": [], "port_security_enabled": false,
            "fixed_ips": .array(subnets.map { fixed($0, nil) }),
        ]
        if let host = room.providers.host(balancer.provider) { members["binding:host_id"] = .string(host) }
        return try await room.network.createPort(.object(members), requestID: requestID)
    }

    private func leg(
        _ port: NetworkClient.Port, _ subnets: [String: JSON]
    ) async throws(Fault) -> BalancerSpec.Leg {
        let network = try await room.network.network(port.networkID, requestID: requestID)
        let addresses = port.fixedIPs.map { item in
            BalancerSpec.Address(
                address: item.address, subnetID: item.subnetID, cidr: subnets[item.subnetID]?["cidr"]?.string ?? "")
        }
        return BalancerSpec.Leg(portID: port.id, mac: port.mac, mtu: network?.mtu ?? 1500, addresses: addresses)
    }
}
