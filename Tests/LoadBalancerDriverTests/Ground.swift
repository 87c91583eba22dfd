// SPDX-License-Identifier: Apache-2.0
import LoadBalancer
import Network

/// What the networks and balancers of these tests are called: two networks, and the world outside.
enum Ground {
    static func guest(_ id: String, _ network: String, _ last: UInt8) -> PortSpec {
        var addresses = [FixedAddress(subnetID: "\(network)-4", address: address(network, last))]
        if network == "near" {
            addresses.append(FixedAddress(subnetID: "near-6", address: IPAddress("fd00::\(last)")!))
        }
        return PortSpec(
            id: id, networkID: network, mac: mac(network, last), addresses: addresses, portSecurity: false)
    }

    private static func address(_ network: String, _ last: UInt8) -> IPAddress {
        switch network {
        case "near": .v4(10, 0, 0, last)
        case "far": .v4(10, 1, 0, last)
        default: .v4(203, 0, 113, last)
        }
    }
    private static func mac(_ network: String, _ last: UInt8) -> MACAddress {
        let base = ["near": 256, "far": 512][network] ?? 1024
        return MACAddress(number: MACAddress.base.number + UInt64(base) + UInt64(last))!
    }

    static let members = [guest("m0", "near", 11), guest("m1", "near", 12)]
    static let farMember = guest("f0", "far", 11)
    static let client = guest("client", "near", 20)
    static let farClient = guest("fclient", "far", 20)
    static let worldMember = guest("w0", "world", 51)

    static let balancerPort = own("vip", "near", 5)
    static let secondPort = own("vip2", "near", 7)
    static let worldPort = own("wvip", "world", 50)
    private static func own(_ id: String, _ network: String, _ last: UInt8) -> PortSpec {
        var port = guest(id, network, last)
        port.kind = .balancer
        return port
    }

    static func topology(_ guests: [PortSpec]) -> Topology {
        Topology(
            networks: [
                SwitchSpec(
                    id: "near",
                    subnets: [
                        SubnetSpec(
                            id: "near-4", cidr: CIDR(strict: "10.0.0.0/24")!, gateway: .v4(10, 0, 0, 1), dhcp: false),
                        SubnetSpec(
                            id: "near-6", cidr: CIDR(strict: "fd00::/64")!, gateway: IPAddress("fd00::1"), dhcp: false),
                    ]),
                SwitchSpec(
                    id: "far",
                    subnets: [
                        SubnetSpec(
                            id: "far-4", cidr: CIDR(strict: "10.1.0.0/24")!, gateway: .v4(10, 1, 0, 1), dhcp: false)
                    ]),
                SwitchSpec(
                    id: "world", mtu: 1500, provider: .flat(physicalNetwork: "external"), isExternal: true,
                    subnets: [
                        SubnetSpec(
                            id: "world-4", cidr: CIDR(strict: "203.0.113.0/24")!, gateway: .v4(203, 0, 113, 1),
                            dhcp: false)
                    ]),
            ], ports: guests + [balancerPort, secondPort, worldPort], routers: [], securityGroups: [])
    }

    /// Leads from both networks to each other and out; `floating` stands for the balancer's address.
    static func router(floating: Bool) -> TopologyChange {
        let interfaces = ["near": [.v4(10, 0, 0, 1), IPAddress("fd00::1")!], "far": [.v4(10, 1, 0, 1)]].map {
            network, own -> PortSpec in
            var port = guest("r-\(network)", network, 1)
            port.kind = .routerInterface(router: "r")
            port.addresses = own.map {
                FixedAddress(subnetID: "\(network)-\($0.version == .v6 ? "6" : "4")", address: $0)
            }
            return port
        }
        var gateway = guest("r-world", "world", 10)
        gateway.kind = .routerGateway(router: "r")
        let address = FloatingIPSpec(
            id: "floating", address: .v4(203, 0, 113, 21), fixedAddress: .v4(10, 0, 0, 5), portID: "vip")
        let router = RouterSpec(
            id: "r", generation: floating ? 2 : 1, interfaces: interfaces.map(\.id),
            gateway: GatewaySpec(portID: gateway.id), floatingIPs: floating ? [address] : [])
        return TopologyChange(put: interfaces.map { .port($0) } + [.port(gateway), .router(router)])
    }

    // MARK: - Balancers

    static let id = "11111111-2222-4333-8444-555555555555"

    static func balancer(_ members: [PortSpec], _ more: (inout BalancerSpec) -> Void = { _ in }) -> BalancerSpec {
        var pools: [PoolSpec] = []
        var listeners: [ListenerSpec] = []
        for (name, kind, pool, front, back) in [
            ("stream", ListenerProtocol.tcp, PoolProtocol.tcp, 80, 8080), ("packets", .udp, .udp, 90, 9090),
        ] {
            var serving = PoolSpec(id: "\(name)-pool", protocol: pool, algorithm: .sourceIPPort)
            serving.members = members.flatMap { guest in
                guest.addresses.map { fixed in
                    let suffix = fixed.address.version == .v6 ? "-6" : ""
                    var member = MemberSpec(
                        id: "\(name)-\(guest.id)\(suffix)", address: fixed.address.description, port: back)
                    (member.subnetID, member.networkID) = (fixed.subnetID, guest.networkID)
                    return member
                }
            }
            pools.append(serving)
            var listener = ListenerSpec(id: name, protocol: kind, port: front)
            listener.defaultPoolID = serving.id
            listeners.append(listener)
        }
        var spec = BalancerSpec(
            id: id, projectID: "p", networkID: "near", portID: balancerPort.id, mac: balancerPort.mac.description,
            mtu: 1442,
            addresses: [
                BalancerSpec.Address(
                    address: "10.0.0.5", subnetID: "near-4", cidr: "10.0.0.0/24", gateway: "10.0.0.1"),
                BalancerSpec.Address(address: "fd00::5", subnetID: "near-6", cidr: "fd00::/64", gateway: "fd00::1"),
            ], listeners: listeners, pools: pools)
        more(&spec)
        return spec
    }

    /// Without listeners and pools; the first or the second.
    static func bare(_ number: Int) -> BalancerSpec {
        balancer([]) {
            ($0.listeners, $0.pools) = ([], [])
            guard number == 2 else { return }
            ($0.id, $0.portID, $0.mac) = (
                "21111111-2222-4333-8444-555555555555", secondPort.id, secondPort.mac.description
            )
            $0.addresses = [BalancerSpec.Address(address: "10.0.0.7", subnetID: "near-4", cidr: "10.0.0.0/24")]
        }
    }

    /// With its address on the physical network.
    static func onTheWorld(_ members: [PortSpec]) -> BalancerSpec {
        balancer(members) {
            ($0.networkID, $0.portID, $0.mac) = ("world", worldPort.id, worldPort.mac.description)
            $0.addresses = [
                BalancerSpec.Address(
                    address: "203.0.113.50", subnetID: "world-4", cidr: "203.0.113.0/24", gateway: "203.0.113.1")
            ]
        }
    }
}
