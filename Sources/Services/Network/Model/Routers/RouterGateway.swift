// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a request says of a router's way out.
struct GatewayWish: Sendable {
    /// Nil takes the gateway away.
    let network: String?
    let snat: Bool?
    let fixedIPs: [AskedIP]?
    var qosPolicy: String??

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
        return try GatewayWish(&info, request, "\(deed):\(member)", on: target)
    }

    init(network: String?, snat: Bool? = nil, fixedIPs: [AskedIP]? = nil) {
        self.network = network
        self.snat = snat
        self.fixedIPs = fixedIPs
    }

    /// Reads one gateway; `rule` is what the rules on its members begin with, nil when there are none.
    init(_ info: inout Body, _ request: Request, _ rule: String?, on target: some PolicyTarget) throws(Fault) {
        for name in ["network_id", "enable_snat", "external_fixed_ips"] where info.peek(name) != nil {
            guard let rule, !request.may("\(rule):\(name)", on: target) else { continue }
            throw request.index.envelope.refusal("\(rule):\(name)")
        }
        network = try info.need("network_id", .id)
        snat = try info.take("enable_snat", .truth)
        var asked: [AskedIP]?
        for var entry in try info.takeObjects("external_fixed_ips") ?? [] {
            let ip = AskedIP(
                subnetID: try entry.option("subnet_id", .id), address: try entry.option("ip_address", .address))
            try entry.end()
            asked = (asked ?? []) + [ip]
        }
        fixedIPs = asked
        qosPolicy = try info.patch("qos_policy_id", .id)
        try info.end()
    }
}

extension Router {
    /// Gives the router the gateway asked for, or takes the one it has away.
    mutating func lead(to wish: GatewayWish, _ transaction: Transaction, _ request: Request) throws(Fault) {
        guard let networkID = wish.network else { return try leaveGateway(transaction, request) }
        let network = try wish.check(networkID, transaction, request)
        try QoSBinding.set(transaction, "router", id, to: wish.qosPolicy, request)
        enableSNAT = wish.snat ?? (gatewayNetworkID == networkID ? enableSNAT : true)
        if gatewayNetworkID == networkID, let gatewayPortID {
            guard let asked = wish.fixedIPs else { return }
            return try moveGateway(gatewayPortID, to: asked, transaction, request)
        }
        if let gatewayPortID {
            try checkReleased(gatewayPortID, transaction)
            try transaction.first(Port.self, "id = \(gatewayPortID)")?.remove(transaction, request)
            self.gatewayPortID = nil
        }
        gatewayPortID = try makeGateway(wish, on: network, transaction, request)
        gatewayNetworkID = networkID
    }

    /// A port of the router on an external network.
    func makeGateway(
        _ wish: GatewayWish, on network: Network, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> String {
        let subnets = try transaction.all(Subnet.self, "network_id = \(network.id)")
        try checkOverlap(with: subnets, transaction, isGateway: true)
        // No project: the port is the cloud's, not the user's.
        return try PortWish(
            projectID: "", deviceID: id, deviceOwner: DeviceOwner.routerGateway, fixedIPs: wish.fixedIPs,
            status: "ACTIVE"
        ).make(transaction, network, request).id
    }

    func moveGateway(
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

    /// Takes the gateway away; another one of the router's takes its place.
    mutating func leaveGateway(_ transaction: Transaction, _ request: Request) throws(Fault) {
        guard let portID = gatewayPortID else { return }
        try checkReleased(portID, transaction)
        try transaction.first(Port.self, "id = \(portID)")?.remove(transaction, request)
        let next = try gateways(transaction).first
        gatewayPortID = next?.id
        gatewayNetworkID = next?.networkID
        if next == nil { (enableSNAT, ndpProxy) = (true, false) }
        if next == nil { try QoSBinding.forget(transaction, id) }
    }

    mutating func leaveGateways(_ transaction: Transaction, _ request: Request) throws(Fault) {
        while gatewayPortID != nil { try leaveGateway(transaction, request) }
    }

    /// The ports of the router's gateways, oldest first.
    func gateways(_ transaction: Transaction) throws(Fault) -> [Port] {
        try ports(transaction).filter { $0.deviceOwner == DeviceOwner.routerGateway }
    }

    /// The last gateway on a network stays while floating addresses of that network need it.
    func checkReleased(_ portID: String, _ transaction: Transaction) throws(Fault) {
        if portID == gatewayPortID, try NDPProxy.isUsed(id, nil, transaction) {
            throw .neutron(
                409, "RouterGatewayInUseByNDPProxy",
                "Unable to unset external gateway of router \(id), There are one or more ndp proxies still in use on "
                    + "the router.")
        }
        let gateways = try gateways(transaction)
        guard let network = gateways.first(where: { $0.id == portID })?.networkID,
            gateways.filter({ $0.networkID == network }).count == 1,
            try transaction.count(FloatingIP.self, "router_id = \(id) AND floating_network_id = \(network)") > 0
        else { return }
        throw .neutron(
            409, "RouterExternalGatewayInUseByFloatingIp",
            "Gateway cannot be updated for router \(id), since a gateway to external network \(network) is required by "
                + "one or more floating IPs.")
    }

    /// A router's networks are all different: it could not tell them apart.
    /// Several gateways may be on one external network.
    func checkOverlap(
        with subnets: [Subnet], _ transaction: Transaction, isGateway: Bool = false
    ) throws(Fault) {
        let ports = try ports(transaction)
        let outer = Set(ports.filter { $0.deviceOwner == DeviceOwner.routerGateway }.map(\.networkID))
        let subnets = isGateway ? subnets.filter { !outer.contains($0.networkID) } : subnets
        let present = ports.flatMap(\.fixedIPs.entries).map(\.subnetID)
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

extension GatewayWish {
    /// The network that is asked for, when a gateway may be there.
    func check(_ id: String, _ transaction: Transaction, _ request: Request) throws(Fault) -> Network {
        let network = try transaction.one(
            Network.self, "id = \(id) AND (\(sql: request.scope(Network.self)))", or: Network.notFound(id))
        guard network.external else {
            throw .badResource("router", "Network \(id) is not an external network")
        }
        let subnets = try transaction.all(Subnet.self, "network_id = \(id)")
        for ip in fixedIPs ?? [] {
            guard let address = ip.address, subnets.contains(where: { $0.gatewayIP == address }) else { continue }
            throw .badResource("router", "External IP \(address) is the same as the gateway IP")
        }
        return network
    }
}

/// What a request says of how a router routes: flags that only administrators set.
struct RouteWish: Sendable {
    private var bfd: Bool?
    private var ecmp: Bool?

    init() {}

    init(_ body: inout Body, _ request: Request, _ deed: String, on target: some PolicyTarget) throws(Fault) {
        bfd = try RouteWish.flag("enable_default_route_bfd", &body, request, deed, target)
        ecmp = try RouteWish.flag("enable_default_route_ecmp", &body, request, deed, target)
        // Every router here has standby hosts for its gateways.
        guard try RouteWish.flag("ha", &body, request, deed, target) != false else {
            throw .invalidInput("Provider ovn does not support ha=False")
        }
    }

    private static func flag(
        _ name: String, _ body: inout Body, _ request: Request, _ deed: String, _ target: some PolicyTarget
    ) throws(Fault) -> Bool? {
        if body.peek(name)?.isNull == true {
            body.ignore(name)
            return nil
        }
        return try body.take(name, .truth, rule: "\(deed):\(name)", on: target)
    }

    func apply(to router: inout Router) {
        router.routeBFD = bfd ?? router.routeBFD
        router.routeECMP = ecmp ?? router.routeECMP
    }
}
