// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network

/// The same sequence of numbers for the same seed (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }
}

/// Draws changes of a small world, in which objects often refer to what is not there yet, or no longer.
struct RandomTopology {
    var numbers: SeededNumbers
    private var generation = 0

    init(seed: UInt64) { numbers = SeededNumbers(seed: seed) }

    mutating func change() -> TopologyChange {
        generation += 1
        var change = TopologyChange()
        for _ in 0..<Int.random(in: 1...3, using: &numbers) {
            let object = object()
            if change.references.contains(object.reference) { continue }
            if chance(4) { change.remove.append(object.reference) } else { change.put.append(object) }
        }
        return change
    }

    private mutating func chance(_ of: Int) -> Bool { Int.random(in: 0..<of, using: &numbers) == 0 }
    private mutating func some(_ count: Int) -> Int { Int.random(in: 0..<count, using: &numbers) }
    private mutating func subset<T>(_ all: [T]) -> [T] {
        var picked: [T] = []
        for item in all where Bool.random(using: &numbers) { picked.append(item) }
        return picked
    }

    private mutating func object() -> TopologyObject {
        switch some(18) {
        case 16, 17: TopologyObject(metering(chance(3) ? "*" : "a"))
        case 10: TopologyObject(mirror(some(2)))
        case 11, 12: TopologyObject(policy(some(2)))
        case 13, 14: TopologyObject(addresses(some(2)))
        case 15: TopologyObject(log(some(2)))
        case 0, 1: .network(network(some(3)))
        case 2...5: .port(port(some(9)))
        case 6, 7: .router(router(some(2)))
        default: .securityGroup(group(some(3)))
        }
    }

    private mutating func policy(_ n: Int) -> QoSPolicySpec {
        func terms() -> QoSTerms {
            QoSTerms(
                limit: chance(2) ? QoSLimit(kilobits: 1000 + some(3), burst: some(2) * 100) : nil,
                mark: chance(3) ? 26 : nil, minimum: chance(4) ? 500 : nil)
        }
        return QoSPolicySpec(id: "q\(n)", generation: generation, ingress: terms(), egress: terms())
    }

    private mutating func addresses(_ n: Int) -> AddressGroupSpec {
        let blocks = ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"].compactMap { CIDR(strict: $0) }
        return AddressGroupSpec(id: "a\(n)", generation: generation, name: "blocks\(n)", addresses: subset(blocks))
    }

    private mutating func log(_ n: Int) -> LogSpec {
        LogSpec(
            id: "l\(n)", generation: generation, groups: chance(2) ? nil : subset(["g0", "g1", "g2"]),
            accepted: chance(2), dropped: chance(2))
    }

    private mutating func metering(_ id: String) -> MeteringSpec {
        let regions = [
            MeterRegion(.egress, source: CIDR(strict: "10.0.0.0/16")!),
            MeterRegion(.egress, destination: CIDR(strict: "198.51.100.0/24")!),
            MeterRegion(.ingress, source: CIDR(strict: "2001:db8::/32")!),
        ]
        // Of a set no revision is told, so each has one form for each of its ids.
        return MeteringSpec(id: id, regions: Set((id == "*" ? Array(regions.prefix(2)) : regions).compactMap(\.self)))
    }

    private mutating func maybePolicy() -> String? { chance(3) ? "q\(some(3))" : nil }

    /// It never changes, so its number alone says what it is.
    private func mirror(_ n: Int) -> TapMirrorSpec {
        TapMirrorSpec(
            id: "m\(n)", portID: "p\(n)", tunnels: n == 0 ? [.ingress: 7] : [.ingress: 8, .egress: 9],
            remote: .v4(192, 0, 2, 7), type: n == 0 ? .gre : .erspan)
    }

    private mutating func network(_ n: Int) -> SwitchSpec {
        let v4 = SubnetSpec(
            id: "s\(n)", cidr: CIDR(strict: "10.0.\(n).0/24")!, gateway: chance(5) ? nil : .v4(10, 0, UInt8(n), 1),
            dhcp: !chance(4), dnsServers: chance(2) ? [.v4(9, 9, 9, 9)] : [],
            metadataAddress: chance(2) ? .v4(10, 0, UInt8(n), 2) : nil)
        let v6 = SubnetSpec(
            id: "t\(n)", cidr: CIDR(strict: "fd00:\(n)::/64")!, gateway: IPAddress("fd00:\(n)::1"),
            addressMode: [.slaac, .stateful, .stateless][some(3)])
        var network = SwitchSpec(
            id: "n\(n)", generation: generation, name: "net\(n)", mtu: chance(2) ? 1442 : 1500,
            provider: n == 2
                ? (chance(2) ? .flat(physicalNetwork: "ext") : .vlan(physicalNetwork: "ext", id: 7)) : .overlay,
            isExternal: n == 2, dnsDomain: chance(2) ? "example.org." : "", subnets: subset([v4, v6]),
            qosPolicyID: maybePolicy(),
            more: n == 2 && chance(2)
                ? [SegmentSpec(id: "more", provider: .vlan(physicalNetwork: "ext", id: 8 + some(2)))] : [])
        network.isPrivate = chance(3)
        return network
    }

    private mutating func port(_ n: Int) -> PortSpec {
        let network = some(3)
        let kind: PortKind =
            n < 5
            ? .guest
            : n == 5 ? .routerInterface(router: "r0") : n == 6 || n == 8 ? .routerGateway(router: "r0") : .metadata
        let addresses = [
            FixedAddress(subnetID: "s\(network)", address: .v4(10, 0, UInt8(network), UInt8(10 + n))),
            FixedAddress(subnetID: "t\(network)", address: IPAddress("fd00:\(network)::\(n)0")!),
        ]
        var port = PortSpec(
            id: "p\(n)", generation: generation, networkID: "n\(network)", name: "port\(n)", kind: kind,
            mac: MACAddress(number: MACAddress.base.number + UInt64(n))!, addresses: subset(addresses),
            allowedPairs: chance(3) ? [AddressPair(addresses: CIDR(strict: "192.0.2.0/24")!)] : [],
            portSecurity: !chance(5), securityGroupIDs: subset(["g0", "g1", "g2"]), enabled: !chance(6),
            host: chance(2) ? "h1" : nil, movingTo: chance(3) ? "h2" : nil, dnsName: chance(2) ? "vm\(n)" : "",
            dhcpExtras: chance(4) ? [DHCPExtra(name: "mtu", value: "1400")] : [],
            subport: n == 4 && chance(2) ? SubportSpec(parent: "p\(some(3))", tag: 1 + some(2)) : nil,
            qosPolicyID: maybePolicy())
        port.place = [nil, .promiscuous, .isolated, .community("c\(some(2))")][some(4)]
        return port
    }

    private mutating func router(_ n: Int) -> RouterSpec {
        let floating = FloatingIPSpec(
            id: "f\(n)", address: .v4(10, 0, 2, UInt8(100 + n)), fixedAddress: .v4(10, 0, 0, 10), portID: "p0",
            qosPolicyID: maybePolicy())
        let forwarding = ForwardingSpec(
            id: "w\(n)", floatingID: "f\(n)x", address: .v4(10, 0, 2, UInt8(110 + n)),
            ipProtocol: chance(2) ? "tcp" : "udp", externals: 8080...(8080 + some(2)), fixedAddress: .v4(10, 0, 1, 10),
            internals: 80...80)
        let route = RouteSpec(destination: CIDR(strict: "172.16.0.0/12")!, nextHop: .v4(10, 0, 0, 99))
        var router = RouterSpec(
            id: "r\(n)", generation: generation, name: "router\(n)", enabled: !chance(5),
            interfaces: n == 0 ? subset(["p5"]) : [],
            gateway: n == 0 && !chance(3)
                ? GatewaySpec(
                    portID: "p6", snat: !chance(3), more: chance(2) ? ["p8"] : [], isWatched: chance(2),
                    isShared: chance(2), qosPolicyID: maybePolicy()) : nil,
            routes: subset([route]),
            floatingIPs: subset([floating]), forwardings: subset([forwarding]), projectID: chance(2) ? "a" : "b")
        router.ndpProxies = subset([IPAddress("fd00:0::10")!])
        if chance(4) {
            router.hosts = subset([GatewayHost(id: "h1", priority: 7), GatewayHost(id: "h9", priority: 3)])
        }
        return router
    }

    private mutating func group(_ n: Int) -> SecurityGroupSpec {
        let rules = [
            SecurityRuleSpec(id: "g\(n)-a", direction: .egress),
            SecurityRuleSpec(
                id: "g\(n)-b", direction: .ingress, ipProtocol: "tcp", portMin: 22, portMax: chance(2) ? 22 : 80),
            SecurityRuleSpec(id: "g\(n)-c", direction: .ingress, version: .v6, remote: .group("g\(some(3))")),
            SecurityRuleSpec(id: "g\(n)-d", direction: .ingress, remote: .addressGroup("a\(some(3))")),
        ]
        return SecurityGroupSpec(
            id: "g\(n)", generation: generation, name: "group\(n)", stateful: !chance(5), rules: subset(rules))
    }
}
