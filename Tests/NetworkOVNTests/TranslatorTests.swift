// SPDX-License-Identifier: Apache-2.0
import Network
import NetworkOVN
import OVSDB
import Testing

struct TranslatorTests {
    static let hosts = ["c1", "c2"].map { name in
        ChassisFact(id: name, hostname: name, physicalNetworks: ["ext"], isGateway: name == "c2")
    }
    static let rows = Dictionary(
        Translator(TopologyGraph(World.topology), chassis: hosts).everything().map { ($0.key, $0) }
    ) { $1 }

    private func row(_ table: String, _ id: String) throws -> NBRow { try #require(Self.rows[NBKey(table, id)]) }

    @Test("A network is a switch under Neutron's name, with a localnet port when it is on a physical network")
    func networks() throws {
        #expect(try row("Logical_Switch", "inside").columns["name"] == "neutron-inside")
        let local = try row("Logical_Switch_Port", "provnet-outside")
        #expect(local.columns["type"] == "localnet")
        #expect(local.columns["tag_request"] == 40)
        #expect(local.columns["options"]?["network_name"] == "ext")
        #expect(local.links.map(\.parent) == [NBKey("Logical_Switch", "outside")])
        #expect(Self.rows[NBKey("Logical_Switch_Port", "provnet-inside")] == nil)
    }

    @Test("Guests are told gateway, MTU, name servers and routes, the way to the metadata service among them")
    func dhcp() throws {
        let told = try #require(row("DHCP_Options", "inside-4").columns["options"])
        #expect(told["router"] == "10.0.0.1")
        #expect(told["mtu"] == "1442")
        #expect(told["domain_name"] == "\"example.org\"")
        #expect(told["dns_server"] == "{9.9.9.9}")
        #expect(
            told["classless_static_route"] == "{169.254.169.254/32,10.0.0.2, 10.9.0.0/16,10.0.0.9, 0.0.0.0/0,10.0.0.1}")
        #expect(Self.rows[NBKey("DHCP_Options", "inside-6")] == nil)
        #expect(Self.rows[NBKey("DHCP_Options", "outside-4")] == nil)
    }

    @Test("A guest's port has its addresses, its security and its groups")
    func guests() throws {
        let port = try row("Logical_Switch_Port", "guest-1")
        #expect(port.columns["addresses"] == "fa:16:3e:00:00:01 10.0.0.11")
        #expect(port.columns["port_security"] == "fa:16:3e:00:00:01 10.0.0.11")
        #expect(port.columns["options"] == ["requested-chassis": "c1"])
        #expect(port.columns["external_ids"]?["neutron:revision_number"] == "5")
        #expect(port.columns["external_ids"]?["neutron:cidrs"] == "10.0.0.11/24")
        #expect(port.references["dhcpv4_options"] == NBKey("DHCP_Options", "inside-4"))
        #expect(
            Set(port.links.map(\.parent)) == [
                NBKey("Logical_Switch", "inside"), NBKey("Port_Group", "neutron_pg_drop"), NBKey("Port_Group", "web"),
            ])
    }

    @Test("Without port security a port takes everything and belongs to no group; pairs widen what it may send from")
    func portSecurity() throws {
        var open = World.guest(3)
        open.portSecurity = false
        var paired = World.guest(4)
        paired.allowedPairs = [
            AddressPair(addresses: CIDR(strict: "192.0.2.0/24")!),
            AddressPair(mac: MACAddress("00:00:5e:00:01:01"), addresses: CIDR(host: .v4(10, 0, 0, 200))),
        ]
        let topology = Topology(
            networks: [World.inside], ports: [open, paired], securityGroups: [World.web])
        let rows = Translator(TopologyGraph(topology)).everything()
        let first = try #require(rows.first { $0.key.id == "guest-3" })
        #expect(first.columns["addresses"] == ["fa:16:3e:00:00:03 10.0.0.13", "unknown"])
        #expect(first.columns["port_security"]?.isEmpty == true)
        #expect(first.links.count == 1)
        let second = try #require(rows.first { $0.key.id == "guest-4" })
        #expect(second.columns["addresses"] == ["fa:16:3e:00:00:04 10.0.0.14", "00:00:5e:00:01:01"])
        #expect(
            second.columns["port_security"] == [
                "fa:16:3e:00:00:04 10.0.0.14 192.0.2.0/24", "00:00:5e:00:01:01 10.0.0.200",
            ])
    }

    @Test("Rules read as Neutron's, and count by groups")
    func rules() throws {
        func match(_ id: String) throws -> String? { try row("ACL", id).columns["match"]?.string }
        #expect(try match("out") == "inport == @pg_web && ip4")
        #expect(try match("ping") == "outport == @pg_web && ip4 && icmp4 && icmp4.type == 8 && icmp4.code == 0")
        #expect(try match("ssh") == "outport == @pg_web && ip4 && ip4.src == 203.0.113.0/24 && tcp && tcp.dst == 22")
        #expect(
            try match("range")
                == "outport == @pg_web && ip6 && ip6.src == $pg_web_2_ip6 && udp && udp.dst >= 1000 && udp.dst <= 2000")
        #expect(try match("peers") == "outport == @pg_web && ip4 && ip4.src == {192.0.2.0/24} && ip.proto == 112")
        #expect(try row("ACL", "ssh").columns["action"] == "allow-related")
        #expect(try row("ACL", "ssh").columns["priority"] == 1002)
        #expect(try row("ACL", "neutron_pg_drop to").columns["priority"] == 1001)
        #expect(try match("neutron_pg_drop to") == "outport == @neutron_pg_drop && ip")
    }

    @Test("A router has its ports, its ways out and its translations")
    func routers() throws {
        let inner = try row("Logical_Router_Port", "interface")
        #expect(inner.columns["networks"] == ["10.0.0.1/24", "fd00::1/64"])
        #expect(inner.columns["ipv6_ra_configs"]?["address_mode"] == "slaac")
        #expect(inner.columns["ipv6_ra_configs"]?["send_periodic"] == "true")
        let outer = try row("Logical_Router_Port", "gateway")
        #expect(outer.columns["options"]?["gateway_mtu"] == "1442")
        #expect(try row("Logical_Switch_Port", "gateway").columns["options"]?["router-port"] == "lrp-gateway")
        let out = try row("Logical_Router_Static_Route", "r default outside-4")
        #expect(out.columns["ip_prefix"] == "0.0.0.0/0")
        #expect(out.columns["nexthop"] == "203.0.113.1")
        #expect(try row("Logical_Router_Static_Route", "r 10.9.0.0/16 10.0.0.9").columns["nexthop"] == "10.0.0.9")
        let hidden = try row("NAT", "r snat 10.0.0.0/24")
        #expect(hidden.columns["external_ip"] == "203.0.113.10")
        let floating = try row("NAT", "fip")
        #expect(floating.columns["type"] == "dnat_and_snat")
        #expect(floating.columns["logical_ip"] == "10.0.0.11")
        #expect(floating.columns["external_mac"]?.isEmpty == true)
        let chosen = Self.rows.keys.filter { $0.table == "Gateway_Chassis" }
        #expect(chosen == [NBKey("Gateway_Chassis", "gateway c2")])
    }

    @Test("Distributed floating addresses carry their own MAC; a router without a gateway translates nothing")
    func floating() throws {
        var router = World.router
        router.floatingIPs[0].mac = MACAddress("fa:16:3e:dd:00:01")
        var topology = World.topology
        topology.routers["r"] = router
        let rows = Translator(TopologyGraph(topology), OVNOptions(distributedFloatingIPs: true)).everything()
        #expect(rows.first { $0.key.id == "fip" }?.columns["external_mac"] == "fa:16:3e:dd:00:01")
        router.gateway = nil
        topology.routers["r"] = router
        let closed = Translator(TopologyGraph(topology)).everything()
        #expect(!closed.contains { $0.key.table == "NAT" || $0.key.id.contains("default") })
    }

    @Test("A port outside our hosts is served by those that reach its network")
    func external() throws {
        var port = World.guest(9)
        port.kind = .external
        port.networkID = "outside"
        port.addresses = []
        let topology = Topology(networks: [World.outside], ports: [port])
        let rows = Translator(TopologyGraph(topology), chassis: Self.hosts).everything()
        let group = try #require(rows.first { $0.key.table == "HA_Chassis_Group" })
        let member = try #require(rows.first { $0.key.table == "HA_Chassis" })
        #expect(member.columns["chassis_name"] == "c2")
        #expect(member.links.map(\.parent) == [group.key])
        let switchPort = try #require(rows.first { $0.key.id == "guest-9" && $0.key.table == "Logical_Switch_Port" })
        #expect(switchPort.columns["type"] == "external")
        #expect(switchPort.references["ha_chassis_group"] == group.key)
    }

    @Test("Guests are found by name, whole or short, and by address")
    func names() throws {
        let records = try #require(row("DNS", "inside").columns["records"])
        #expect(records["vm1"] == "10.0.0.11")
        #expect(records["vm1.example.org"] == "10.0.0.11")
        #expect(records["11.0.0.10.in-addr.arpa"] == "vm1.example.org")
    }

    @Test("A gateway stays where it is when other hosts come, unless one of them is chosen first")
    func gatewayStability() {
        func best(_ names: [String]) -> String? {
            let hosts = names.map { ChassisFact(id: $0, hostname: $0, physicalNetworks: ["ext"]) }
            let rows = Translator(TopologyGraph(World.topology), chassis: hosts).everything()
            return rows.filter { $0.key.table == "Gateway_Chassis" }
                .max { ($0.columns["priority"]?.integer ?? 0) < ($1.columns["priority"]?.integer ?? 0) }?
                .columns["chassis_name"]?.string
        }
        let names = (1...12).map { "host-\($0)" }
        for count in 1..<names.count {
            let before = best(Array(names[..<count]))
            let after = best(Array(names[...count]))
            #expect(after == before || after == names[count])
        }
    }

    @Test("Options of a port's own are added to the subnet's, and DHCP can be refused")
    func ownOptions() throws {
        var booting = World.guest(5)
        booting.dhcpExtras = [
            DHCPExtra(name: "bootfile-name", value: "boot.ipxe"), DHCPExtra(name: "121", value: "10.8.0.0/16,10.0.0.8"),
        ]
        var silent = World.guest(6)
        silent.dhcpExtras = [DHCPExtra(name: "dhcp_disabled", value: "true")]
        let rows = Translator(TopologyGraph(Topology(networks: [World.inside], ports: [booting, silent]))).everything()
        let own = try #require(rows.first { $0.key.id == "inside-4 guest-5" })
        #expect(own.columns["options"]?["bootfile_name"] == "\"boot.ipxe\"")
        #expect(
            own.columns["options"]?["classless_static_route"]?.hasSuffix("0.0.0.0/0,10.0.0.1, 10.8.0.0/16,10.0.0.8}")
                == true)
        #expect(rows.first { $0.key.id == "guest-5" }?.references["dhcpv4_options"] == own.key)
        #expect(rows.first { $0.key.id == "guest-6" }?.references["dhcpv4_options"] == .some(nil))
    }
}
