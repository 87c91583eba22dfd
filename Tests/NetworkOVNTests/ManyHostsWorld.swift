// SPDX-License-Identifier: Apache-2.0
import Network

/// What several hosts carry in tests: two tenant networks behind a router, a third alone, and the outside.
enum ManyHostsWorld {
    static func block(_ text: String) -> CIDR { CIDR(strict: text)! }
    static func mac(_ number: UInt64) -> MACAddress { MACAddress(number: MACAddress.base.number + number)! }

    static func network(_ n: UInt8) -> SwitchSpec {
        SwitchSpec(
            id: "n\(n)", dnsDomain: "example.org.",
            subnets: [SubnetSpec(id: "s\(n)", cidr: block("10.\(n).0.0/24"), gateway: .v4(10, n, 0, 1))])
    }
    static let outside = SwitchSpec(
        id: "out", mtu: 1500, provider: .flat(physicalNetwork: "external"), isExternal: true,
        subnets: [
            SubnetSpec(id: "o", cidr: block("203.0.113.0/24"), gateway: .v4(203, 0, 113, 1), dhcp: false)
        ])

    static func guest(_ net: UInt8, _ n: UInt8) -> PortSpec {
        PortSpec(
            id: "g\(net)\(n)", networkID: "n\(net)", mac: mac(UInt64(net) * 16 + UInt64(n)),
            addresses: [FixedAddress(subnetID: "s\(net)", address: .v4(10, net, 0, 10 + n))],
            securityGroupIDs: ["open"], dnsName: "vm\(net)\(n)")
    }
    static func interface(_ net: UInt8) -> PortSpec {
        PortSpec(
            id: "i\(net)", networkID: "n\(net)", kind: .routerInterface(router: "r"), mac: mac(0x1000 + UInt64(net)),
            addresses: [FixedAddress(subnetID: "s\(net)", address: .v4(10, net, 0, 1))])
    }
    static let gateway = PortSpec(
        id: "gw", networkID: "out", kind: .routerGateway(router: "r"), mac: mac(0x2000),
        addresses: [FixedAddress(subnetID: "o", address: .v4(203, 0, 113, 10))])
    static func floating(_ port: PortSpec, _ last: UInt8 = 21) -> FloatingIPSpec {
        FloatingIPSpec(
            id: "f\(last)", address: .v4(203, 0, 113, last), fixedAddress: port.addresses[0].address, portID: port.id)
    }
    static let open = SecurityGroupSpec(
        id: "open", generation: 1,
        rules: [
            SecurityRuleSpec(id: "out4", direction: .egress), SecurityRuleSpec(id: "in4", direction: .ingress),
            SecurityRuleSpec(id: "out6", direction: .egress, version: .v6),
            SecurityRuleSpec(id: "in6", direction: .ingress, version: .v6),
        ])
    static func router(
        _ generation: Int = 1, floating: [FloatingIPSpec] = [], forwardings: [ForwardingSpec] = []
    ) -> RouterSpec {
        RouterSpec(
            id: "r", generation: generation, interfaces: ["i1", "i2"], gateway: GatewaySpec(portID: "gw"),
            floatingIPs: floating, forwardings: forwardings)
    }

    static func topology(_ guests: [PortSpec], _ router: RouterSpec = router()) -> Topology {
        Topology(
            networks: [network(1), network(2), network(3), outside],
            ports: guests + [interface(1), interface(2), gateway], routers: [router], securityGroups: [open])
    }
}
