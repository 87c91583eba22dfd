// SPDX-License-Identifier: Apache-2.0
import Base
import Config
import Engines
import Testing

struct EngineOptionsTests {
    private func load(_ text: String) throws(ConfigurationErrors) -> EngineOptions {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [EngineOptions.self])[
                EngineOptions.self]
    }

    @Test("The world outside is where the operator puts it")
    func reading() throws {
        let options = try load(
            """
            host = rack-7
            [external]
            gateway = 198.51.100.1/25
            location = host
            address_translation = true
            physical_network = public
            [ovs]
            datapath_type = netdev
            local_ip = 192.0.2.9/24
            underlay = eth1
            [ovn]
            ovn_sb_connection = ssl:192.0.2.1:6642
            ovn_sb_private_key = /etc/ovn/key.pem
            ovn_sb_certificate = /etc/ovn/cert.pem
            ovn_sb_ca_cert = /etc/ovn/ca.pem
            """)
        var expected = EngineOptions()
        expected.chassisName = "rack-7"
        expected.externalGateway = "198.51.100.1/25"
        expected.external = .host
        expected.addressTranslation = true
        expected.physicalNetwork = "public"
        expected.datapath = .userspace
        expected.tunnelAddress = "192.0.2.9/24"
        expected.underlay = "eth1"
        expected.southbound = "ssl:192.0.2.1:6642"
        expected.southboundFiles = ["/etc/ovn/key.pem", "/etc/ovn/cert.pem", "/etc/ovn/ca.pem"]
        #expect(options == expected)
        #expect(try load("") == EngineOptions())
    }

    @Test(
        "What cannot be an address or a name is refused",
        arguments: [
            "[external]\ngateway = 198.51.100.1", "[external]\ngateway = 1.2.3/24", "[external]\ngateway = 1.2.3.4/33",
            "[ovs]\nlocal_ip = here/24", "[external]\nphysical_network = a:b", "host = two words",
            "[ovn]\novn_sb_connection = ssl:192.0.2.1:6642",
        ])
    func refusals(text: String) {
        #expect(throws: ConfigurationErrors.self) { try load(text) }
    }
}
