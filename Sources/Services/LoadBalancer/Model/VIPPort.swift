// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The port that holds a balancer's addresses, on Network's side. Everything may be repeated: a port that an earlier,
/// interrupted run made is found again by the balancer's name on it.
struct VIPPort: Sendable {
    private let room: LoadBalancerService

    init(_ room: LoadBalancerService) { self.room = room }

    static func device(_ balancer: String) -> String { "lb-\(balancer)" }
    private static func owner(_ balancer: LoadBalancer) -> String {
        balancer.provider == "ovn" ? "ovn-lb-vip:distributed" : "Octavia"
    }

    /// Makes or takes the port, and writes down what it got.
    func ensure(_ id: String, requestID: String) async throws(Fault) {
        guard let balancer = try await room.database.first(LoadBalancer.self, "id = \(id)"), !balancer.isLeaving else {
            return
        }
        let port = try await port(balancer, requestID)
        let address = port.fixedIPs.first { $0.subnetID == balancer.vipSubnetID } ?? port.fixedIPs.first
        var additional = balancer.additionalVIPs
        for at in additional.indices {
            additional[at].portID = port.id
            additional[at].address =
                port.fixedIPs.first { $0.subnetID == additional[at].subnetID }?.address ?? additional[at].address
        }
        let nested = additional
        try await room.database.transaction { transaction throws(Fault) in
            guard var row = try transaction.first(LoadBalancer.self, "id = \(id)") else { return }
            row.vipPortID = port.id
            row.vipAddress = address?.address ?? row.vipAddress
            row.vipSubnetID = address?.subnetID ?? row.vipSubnetID
            row.additionalVIPs = nested
            try transaction.replace(row, where: "id = \(id)", or: LoadBalancer.notFound(id))
        }
    }

    private func port(_ balancer: LoadBalancer, _ requestID: String) async throws(Fault) -> NetworkClient.Port {
        let device = VIPPort.device(balancer.id)
        if let named = balancer.vipPortID {
            guard let port = try await room.network.port(named, requestID: requestID) else {
                throw .subresource("Port", named)
            }
            if port.deviceID == device { return port }
            var members = claim(balancer)
            members["device_id"] = .string(device)
            members["device_owner"] = .string(Self.owner(balancer))
            return try await room.network.updatePort(named, .object(members), requestID: requestID)
        }
        let name = (balancer.provider == "ovn" ? "ovn-lb-vip-" : "octavia-lb-") + balancer.id
        if let known = try await room.network.ports([("device_id", device), ("name", name)], requestID: requestID).first
        {
            return known
        }
        var members = claim(balancer)
        members["name"] = .string(name)
        members["network_id"] = .string(balancer.vipNetworkID ?? "")
        members["project_id"] = .string(balancer.projectID)
        members["device_id"] = .string(device)
        members["device_owner"] = .string(Self.owner(balancer))
        members["admin_state_up"] = true
        let first = AdditionalVIP(subnetID: balancer.vipSubnetID ?? "", address: balancer.vipAddress)
        members["fixed_ips"] = .array(
            ([first] + balancer.additionalVIPs).map { vip in
                var fixed: JSONObject = ["subnet_id": .string(vip.subnetID)]
                if let address = vip.address { fixed["ip_address"] = .string(address) }
                return .object(fixed)
            })
        do throws(Fault) {
            return try await room.network.createPort(.object(members), requestID: requestID)
        } catch {
            guard error.status == 409, let address = balancer.vipAddress else { throw error }
            // Who else has it may be ourselves: two may look for the port at once.
            let own = try await room.network.ports([("device_id", device), ("name", name)], requestID: requestID).first
            if let own { return own }
            throw .conflict("The VIP IP address is already in use: \(address)")
        }
    }

    /// What is asked of the port for this balancer: its quality and its walls. Without security groups of its own the
    /// balancer itself decides whom it listens to, so the port lets everything through.
    private func claim(_ balancer: LoadBalancer) -> JSONObject {
        var members: JSONObject = [:]
        if let host = room.providers.host(balancer.provider) { members["binding:host_id"] = .string(host) }
        if let policy = balancer.vipQosPolicyID { members["qos_policy_id"] = .string(policy) }
        // The port of OVN's own balancing is the end of a router: whatever its walls, they stand nowhere.
        guard balancer.provider != "ovn" || !balancer.vipSGIDs.isEmpty else { return members }
        members["security_groups"] = .array(balancer.vipSGIDs.map(JSON.string))
        members["port_security_enabled"] = .bool(!balancer.vipSGIDs.isEmpty)
        return members
    }

    /// Passes on what changed about a balancer's quality and walls.
    func update(_ port: String, _ request: Request) async throws(Fault) {
        guard let balancer = try await room.database.first(LoadBalancer.self, "vip_port_id = \(port)") else { return }
        var members = claim(balancer)
        members["binding:host_id"] = nil
        if balancer.vipQosPolicyID == nil, try await hasQuality(port, request.id) { members["qos_policy_id"] = .null }
        try await room.network.updatePort(port, .object(members), requestID: request.id)
    }

    private func hasQuality(_ port: String, _ requestID: String) async throws(Fault) -> Bool {
        let document = try await room.network.document("GET", "/ports/\(port)", nil, requestID: requestID)
        return document["port"]?["qos_policy_id"]?.string != nil
    }

    /// Deletes the port, or gives it back to whom it belongs.
    func release(_ balancer: LoadBalancer, requestID: String) async throws(Fault) {
        let device = VIPPort.device(balancer.id)
        for port in try await room.network.ports([("device_id", device)], requestID: requestID)
        where balancer.ownsPort || port.id != balancer.vipPortID {
            try await room.network.deletePort(port.id, requestID: requestID)
        }
        if !balancer.ownsPort {
            guard let id = balancer.vipPortID, let port = try await room.network.port(id, requestID: requestID),
                port.deviceID == device
            else { return }
            try await room.network.updatePort(
                id, ["device_id": "", "device_owner": ""], requestID: requestID)
        }
    }
}
