// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// A small cloud: a tenant network with two guests, a router to an external network, a floating address, two groups.
enum World {
    static let inside = SwitchSpec(
        id: "inside", generation: 3, name: "inside", dnsDomain: "example.org.",
        subnets: [
            SubnetSpec(
                id: "inside-4", cidr: CIDR(strict: "10.0.0.0/24")!, gateway: .v4(10, 0, 0, 1),
                dnsServers: [.v4(9, 9, 9, 9)],
                hostRoutes: [RouteSpec(destination: CIDR(strict: "10.9.0.0/16")!, nextHop: .v4(10, 0, 0, 9))],
                metadataAddress: .v4(10, 0, 0, 2)),
            SubnetSpec(
                id: "inside-6", cidr: CIDR(strict: "fd00::/64")!, gateway: IPAddress("fd00::1"), addressMode: .slaac),
        ])
    static let outside = SwitchSpec(
        id: "outside", generation: 1, name: "outside", mtu: 1500, provider: .vlan(physicalNetwork: "ext", id: 40),
        isExternal: true,
        subnets: [
            SubnetSpec(
                id: "outside-4", cidr: CIDR(strict: "203.0.113.0/24")!, gateway: .v4(203, 0, 113, 1), dhcp: false)
        ])

    static func guest(_ n: UInt8, groups: [String] = ["web"]) -> PortSpec {
        PortSpec(
            id: "guest-\(n)", generation: 5, networkID: "inside", name: "eth0",
            mac: MACAddress(number: MACAddress.base.number + UInt64(n))!,
            addresses: [FixedAddress(subnetID: "inside-4", address: .v4(10, 0, 0, 10 + n))], securityGroupIDs: groups,
            host: "c1", dnsName: "VM\(n)", deviceID: "server-\(n)", deviceOwner: "compute:nova")
    }

    static let interface = PortSpec(
        id: "interface", networkID: "inside", kind: .routerInterface(router: "r"),
        mac: MACAddress("fa:16:3e:aa:00:01")!,
        addresses: [
            FixedAddress(subnetID: "inside-4", address: .v4(10, 0, 0, 1)),
            FixedAddress(subnetID: "inside-6", address: IPAddress("fd00::1")!),
        ])
    static let gateway = PortSpec(
        id: "gateway", networkID: "outside", kind: .routerGateway(router: "r"), mac: MACAddress("fa:16:3e:bb:00:01")!,
        addresses: [FixedAddress(subnetID: "outside-4", address: .v4(203, 0, 113, 10))])
    static let metadata = PortSpec(
        id: "metadata", networkID: "inside", kind: .metadata, mac: MACAddress("fa:16:3e:aa:00:02")!,
        addresses: [FixedAddress(subnetID: "inside-4", address: .v4(10, 0, 0, 2))])
    static let router = RouterSpec(
        id: "r", generation: 2, name: "edge", interfaces: ["interface"], gateway: GatewaySpec(portID: "gateway"),
        routes: [RouteSpec(destination: CIDR(strict: "10.9.0.0/16")!, nextHop: .v4(10, 0, 0, 9))],
        floatingIPs: [
            FloatingIPSpec(
                id: "fip", address: .v4(203, 0, 113, 21), fixedAddress: .v4(10, 0, 0, 11), portID: "guest-1")
        ])
    static let web = SecurityGroupSpec(
        id: "web", generation: 4, name: "web",
        rules: [
            SecurityRuleSpec(id: "out", direction: .egress),
            SecurityRuleSpec(id: "ping", direction: .ingress, ipProtocol: "icmp", portMin: 8, portMax: 0),
            SecurityRuleSpec(
                id: "ssh", direction: .ingress, ipProtocol: "tcp", portMin: 22, portMax: 22,
                remote: .prefix(CIDR(strict: "203.0.113.0/24")!)),
            SecurityRuleSpec(
                id: "range", direction: .ingress, version: .v6, ipProtocol: "udp", portMin: 1000, portMax: 2000,
                remote: .group("web-2")),
            SecurityRuleSpec(
                id: "peers", direction: .ingress, ipProtocol: "vrrp",
                remote: .addresses([CIDR(strict: "fd00::/8")!, CIDR(strict: "192.0.2.0/24")!])),
        ])

    static let topology = Topology(
        networks: [inside, outside], ports: [guest(1), guest(2, groups: []), interface, gateway, metadata],
        routers: [router], securityGroups: [web])

    // MARK: - What a host's controller would write

    static func host(_ name: String) -> [OVSDBOperation] {
        [
            .insert(
                table: "Encap", row: ["type": "geneve", "ip": "192.0.2.1", "chassis_name": .string(name)], name: "encap"
            ),
            .insert(
                table: "Chassis",
                row: [
                    "name": .string(name), "hostname": "\(name).example.org", "encaps": .named("encap"),
                    "other_config": ["ovn-bridge-mappings": "ext:br-ex"],
                ], name: "host"),
        ]
    }

    static func binding(_ port: String, of host: String) -> [OVSDBOperation] {
        [
            .insert(table: "Datapath_Binding", row: ["tunnel_key": 1], name: "path"),
            .insert(
                table: "Port_Binding",
                row: [
                    "logical_port": .string(port), "datapath": .named("path"), "tunnel_key": 1,
                    "chassis": .named("host"), "up": true,
                ], name: nil),
        ]
    }
}
