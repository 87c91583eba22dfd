// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import Network
package import OVSDB

/// What of OVN a site decides: `[ovn]`, under the names of Neutron's OVN driver.
package struct OVNOptions: Options, Hashable {
    package static let section = "ovn"

    /// Appended to guests' names when their network has no domain of its own.
    package var dnsDomain: String
    /// Told to guests of subnets that name no servers.
    package var dnsServers: [IPAddress]
    package var leaseTime: Int
    /// Floating addresses leave from the guest's own host instead of the gateway's.
    package var distributedFloatingIPs: Bool
    /// How many hosts stand by for a router's gateway.
    package var gatewayChassisMax: Int
    /// How many packets a second are logged, and how many at once.
    package var logRate = 100
    package var logBurst = 25
    /// Bridges of other hosts whose counters are read, too.
    package var meterSwitches: [String] = []
    /// The databases of an OVN that runs elsewhere; nil means this program's own.
    package var northbound: [OVSDBEndpoint]?
    package var southbound: [OVSDBEndpoint]?

    package init(
        dnsDomain: String = "", dnsServers: [IPAddress] = [], leaseTime: Int = 43_200,
        distributedFloatingIPs: Bool = false, gatewayChassisMax: Int = 5
    ) {
        self.dnsDomain = dnsDomain
        self.dnsServers = dnsServers
        self.leaseTime = leaseTime
        self.distributedFloatingIPs = distributedFloatingIPs
        self.gatewayChassisMax = gatewayChassisMax
    }

    package init(_ read: inout OptionReader) {
        self.init()
        northbound = OVNOptions.endpoints(&read, "ovn_nb", "northbound")
        southbound = OVNOptions.endpoints(&read, "ovn_sb", "southbound")
        if (northbound == nil) != (southbound == nil) {
            read.refuse("ovn_nb_connection and ovn_sb_connection need each other.")
        }
        let servers = read.list(
            "dns_servers", help: "Name servers told to guests of subnets that name none themselves.")
        dnsServers = servers.compactMap { IPAddress($0) }
        for server in servers where IPAddress(server) == nil {
            read.refuse("dns_servers: '\(server)' is no IP address.")
        }
        distributedFloatingIPs = read.bool(
            "enable_distributed_floating_ip", default: distributedFloatingIPs,
            help: "Whether floating IPs leave from the guest's own host instead of the gateway's.")
        read.section("metering")
        meterSwitches = read.list(
            "switches",
            help: "Where the integration bridges of other hosts are managed (tcp:ADDRESS:PORT), to read their counters "
                + "and to end connections."
        )
        read.section("network_log")
        logRate = read.int(
            "rate_limit", default: logRate, in: 100...Int(Int32.max),
            help: "How many packets a second a host writes to its log.")
        logBurst = read.int(
            "burst_limit", default: logBurst, in: 25...Int(Int32.max),
            help: "How many packets a host writes to its log at once.")
        read.section(INI.defaultSection)
        leaseTime = read.int(
            "dhcp_lease_duration", default: leaseTime, in: 60...Int(Int32.max),
            help: "How many seconds an address is lent to a guest.")
    }

    /// A database's addresses, and who we are where they speak TLS.
    private static func endpoints(
        _ read: inout OptionReader, _ prefix: String, _ which: String
    ) -> [OVSDBEndpoint]? {
        func file(_ name: String, _ what: String) -> String {
            read.string("\(prefix)_\(name)", default: "", help: "The PEM file with \(what) for the \(which) database.")
        }
        let identity = OVSDBIdentity(
            privateKey: file("private_key", "our private key"), certificate: file("certificate", "our certificate"),
            authority: file("ca_cert", "the certificate of who signed the server's"))
        let isKnown = ![identity.privateKey, identity.certificate, identity.authority].contains("")
        let help =
            "The \(which) database of an OVN that runs elsewhere (tcp:ADDRESS:PORT, ssl:ADDRESS:PORT or unix:PATH, "
            + "several parted by commas). Unset means one of this program's own."
        return read.text(
            "\(prefix)_connection", "list of OVSDB addresses such as tcp:192.0.2.1:6641, ssl: with its three files",
            help: help
        ) { try? OVSDBEndpoint.list($0, identity: isKnown ? identity : nil) }
    }
}
