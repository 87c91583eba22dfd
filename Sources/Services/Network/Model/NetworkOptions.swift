// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about networks; names and defaults are upstream's.
package struct NetworkOptions: Options, Sendable {
    package static let section = "neutron"

    /// The network types tried, in order, when a project asks for a network without saying which.
    package var tenantTypes = ["geneve"]
    package var globalMTU = 1500
    package var segmentationIDs = 1...65_535
    /// Physical networks by name that flat and VLAN networks may be made on; empty allows any name.
    package var physicalNetworks: [String] = []
    package var zone = "nova"
    package var integrationBridge = "br-int"
    package var dnsDomain = "openstacklocal."
    /// The largest answer to a list; 0 is no bound.
    package var pageMaximum = 0
    package var quotas: [String: Int] = [
        "network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50, "security_group": 10,
        "security_group_rule": 100, "subnetpool": -1, "rbac_policy": 10,
    ]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        globalMTU = read.int(
            "global_physnet_mtu", default: 1500, help: "MTU of the network that carries the tunnels.")
        physicalNetworks = read.list(
            "flat_networks", default: [], help: "Physical networks that flat networks may use; empty allows any.")
        zone = read.string("availability_zone", default: "nova", help: "Zone of networks and routers.")
        integrationBridge = read.string(
            "integration_bridge", default: "br-int", help: "The bridge that guests are plugged into.")
        dnsDomain = read.string("dns_domain", default: "openstacklocal.", help: "Domain of guests' names.")
        pageMaximum = read.int("pagination_max_limit", default: 0, help: "Most items in one answer; 0 is no bound.")
        for name in quotas.keys.sorted() {
            quotas[name] = read.int(
                "quota_\(name)", default: quotas[name] ?? -1, help: "How many \(name)s a project may have; -1 is any.")
        }
    }

    /// What tunnelled networks can carry: outer Ethernet, IPv4, UDP and Geneve headers with OVN's option take 58 bytes.
    var overlayMTU: Int { globalMTU - 58 }
}
