// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import NetworkOVN
import OVSDB
import Testing

struct OVNOptionsTests {
    private func load(_ text: String) throws(ConfigurationErrors) -> OVNOptions {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [OVNOptions.self])[OVNOptions.self]
    }

    @Test("Neutron's names reach what they configure")
    func reading() throws {
        let options = try load(
            """
            dhcp_lease_duration = 600
            [ovn]
            ovn_nb_connection = tcp:192.0.2.1:6641,tcp:192.0.2.2:6641
            ovn_sb_connection = unix:/run/sb.sock
            dns_servers = 192.0.2.53, 2001:db8::53
            enable_distributed_floating_ip = true
            """)
        #expect(options.leaseTime == 600 && options.distributedFloatingIPs)
        #expect(options.dnsServers.map(\.description) == ["192.0.2.53", "2001:db8::53"])
        #expect(options.northbound?.count == 2 && options.southbound == [.unix(path: "/run/sb.sock")])
        #expect(try load("") == OVNOptions())
    }

    @Test("Databases that speak TLS come with who we are to them")
    func encrypted() throws {
        let options = try load(
            """
            [ovn]
            ovn_nb_connection = ssl:192.0.2.1:6641
            ovn_nb_private_key = /k
            ovn_nb_certificate = /c
            ovn_nb_ca_cert = /a
            ovn_sb_connection = tcp:192.0.2.1:6642
            """)
        let identity = OVSDBIdentity(privateKey: "/k", certificate: "/c", authority: "/a")
        #expect(options.northbound == [.tls(host: "192.0.2.1", port: 6641, identity)])
        #expect(options.southbound == [.tcp(host: "192.0.2.1", port: 6642)])
    }

    @Test(
        "Half an OVN and what is no address are refused",
        arguments: [
            "ovn_nb_connection = tcp:192.0.2.1:6641",
            "ovn_nb_connection = ssl:192.0.2.1:6641\novn_sb_connection = tcp:192.0.2.1:6642",
            "ovn_sb_connection = here",
            "dns_servers = 192.0.2.53, ns.example",
        ])
    func refusals(text: String) {
        #expect(throws: ConfigurationErrors.self) { try load("[ovn]\n" + text) }
    }
}
