// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a request says of a router's way out.
struct GatewayWish: Sendable {
    /// Nil takes the gateway away.
    let network: String?
    let snat: Bool?
    let fixedIPs: [AskedIP]?

    /// Reads `external_gateway_info` and judges the rules on what it holds; nil when it was not there.
    static func take(
        _ body: inout Body, _ request: Request, _ deed: String, on target: some PolicyTarget
    ) throws(Fault) -> GatewayWish? {
        let member = "external_gateway_info"
        guard let said = body.peek(member) else { return nil }
        func judge(_ rule: String) throws(Fault) {
            guard request.may(rule, on: target) else { throw request.index.envelope.refusal(rule) }
        }
        try judge("\(deed):\(member)")
        if said.isNull {
            body.ignore(member)
            return GatewayWish(network: nil, snat: nil, fixedIPs: nil)
        }
        var info = try body.needObject(member)
        if info.isEmpty { return GatewayWish(network: nil, snat: nil, fixedIPs: nil) }
        for name in ["network_id", "enable_snat", "external_fixed_ips"] where info.peek(name) != nil {
            try judge("\(deed):\(member):\(name)")
        }
        let network = try info.need("network_id", .id)
        let snat = try info.take("enable_snat", .truth)
        var asked: [AskedIP]?
        for var entry in try info.takeObjects("external_fixed_ips") ?? [] {
            let ip = AskedIP(
                subnetID: try entry.option("subnet_id", .id), address: try entry.option("ip_address", .address))
            try entry.end()
            asked = (asked ?? []) + [ip]
        }
        info.ignore("qos_policy_id")
        try info.end()
        return GatewayWish(network: network, snat: snat, fixedIPs: asked)
    }
}

extension Router {
    /// Gives the router the gateway asked for, or takes the one it has away.
    mutating func lead(to wish: GatewayWish, _ transaction: Transaction, _ request: Request) throws(Fault) {
        guard let networkID = wish.network else { return try leaveGateway(transaction, request) }
        let network = try transaction.one(
            Network.self, "id = \(networkID) AND (\(sql: request.scope(Network.self)))",
            or: Network.notFound(networkID))
        guard network.external else {
            throw .badResource("router", "Network \(networkID) is not an external network")
        }
        let subnets = try transaction.all(Subnet.self, "network_id = \(networkID)")
        for ip in wish.fixedIPs ?? [] {
            guard let address = ip.address, subnets.contains(where: { $0.gatewayIP == address }) else { continue }
            throw .badResource("router", "External IP \(address) is the same as the gateway IP")
        }
        enableSNAT = wish.snat ?? (gatewayNetworkID == networkID ? enableSNAT : true)
        if gatewayNetworkID == networkID, let gatewayPortID {
            guard let asked = wish.fixedIPs else { return }
            return try moveGateway(gatewayPortID, to: asked, transaction, request)
        }
        if gatewayPortID != nil { try leaveGateway(transaction, request, snat: enableSNAT) }
        try checkOverlap(with: subnets, transaction)
        // No project: the port is the cloud's, not the user's.
        let port = try PortWish(
            projectID: "", deviceID: id, deviceOwner: DeviceOwner.routerGateway, fixedIPs: wish.fixedIPs,
            status: "ACTIVE"
        ).make(transaction, network, request)
        gatewayPortID = port.id
        gatewayNetworkID = networkID
    }

    private func moveGateway(
        _ port: String, to asked: [AskedIP], _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        guard var port = try transaction.first(Port.self, "id = \(port)") else { return }
        let book = try AddressBook(transaction, network: port.networkID, request.ids)
        let before = port.fixedIPs
        let named = before.entries.filter { entry in
            asked.contains { $0.address == entry.address || ($0.address == nil && $0.subnetID == entry.subnetID) }
        }
        try book.release(before.entries.filter { !named.contains($0) })
        port.fixedIPs = try book.assign(
            asked, to: port.id, mac: port.macAddress, owner: port.deviceOwner, keeping: FixedIPs(named))
        port.revisionNumber += 1
        port.updatedAt = request.now
        try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
        try transaction.touch(.port, port.id, request)
    }

    mutating func leaveGateway(
        _ transaction: Transaction, _ request: Request, snat: Bool = true
    ) throws(Fault) {
        guard let portID = gatewayPortID else { return }
        guard try transaction.count(FloatingIP.self, "router_id = \(id)") == 0 else {
            throw .neutron(
                409, "RouterExternalGatewayInUseByFloatingIp",
                "Gateway cannot be updated for router \(id), since a gateway to external network "
                    + "\(gatewayNetworkID ?? "") is required by one or more floating IPs.")
        }
        if let port = try transaction.first(Port.self, "id = \(portID)") { try port.remove(transaction, request) }
        gatewayPortID = nil
        gatewayNetworkID = nil
        enableSNAT = snat
    }

    /// A router's networks are all different: it could not tell them apart.
    func checkOverlap(with subnets: [Subnet], _ transaction: Transaction) throws(Fault) {
        let present = try ports(transaction).flatMap(\.fixedIPs.entries).map(\.subnetID)
        for other in try transaction.all(Subnet.self, "id", in: present) {
            for subnet in subnets {
                if other.id == subnet.id {
                    throw .badResource("router", "Router already has a port on subnet \(subnet.id)")
                }
                if other.cidr.overlaps(subnet.cidr) {
                    throw .badResource(
                        "router",
                        "Cidr \(subnet.cidr) of subnet \(subnet.id) overlaps with cidr \(other.cidr) of subnet "
                            + "\(other.id)")
                }
            }
        }
    }
}
