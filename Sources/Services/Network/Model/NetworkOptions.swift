// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about networks; names and defaults are upstream's.
package struct NetworkOptions: Options {
    package static let section = INI.defaultSection

    /// The network types tried, in order, when a project asks for a network without saying which.
    package var tenantTypes = ["geneve"]
    package var globalMTU = 1500
    package var segmentationIDs = 1...65_535
    /// Physical networks by name that flat and VLAN networks may be made on; empty allows any name.
    package var physicalNetworks: [String] = []
    package var zone = "nova"
    package var integrationBridge = "br-int"
    package var dnsDomain = "openstacklocal."
    /// How often everything is compared with the back end beside the changes.
    package var auditInterval: Duration = .seconds(600)
    /// The DNS service outside that names are told to.
    package var externalDNS: String?
    /// How often routers' counters are read, and how often is told what they counted.
    package var meterInterval: Duration = .seconds(30)
    package var meterReport: Duration = .seconds(300)
    /// Whether that is told apart by router and project as well.
    package var isMeterGranular = false
    /// How many things one body may ask for.
    package var bulkMaximum = 2000
    /// The largest answer to a list; 0 is no bound.
    package var pageMaximum = 0
    package var quotas: [String: Int] = [
        "network": 100, "subnet": 100, "port": 500, "router": 10, "floatingip": 50, "security_group": 10,
        "security_group_rule": 100, "subnetpool": -1, "rbac_policy": 10, "trunk": -1,
    ]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        globalMTU = read.int(
            "global_physnet_mtu", default: globalMTU, in: 1280...65_535,
            help: "How long a packet may be on the network that carries the tunnels.")
        dnsDomain = read.string("dns_domain", default: dnsDomain, help: "The domain of guests' names.")
        externalDNS = read.text(
            "external_dns_driver", "designate",
            help: "What tells the names of floating IPs and ports to a DNS service outside: designate. Unset: nothing."
        ) { $0 == "designate" ? $0 : nil }
        let most = read.int(
            "pagination_max_limit", default: -1, in: -1...Int.max,
            help: "The most items in one answer of the network API; -1 is any number.")
        pageMaximum = max(0, most)
        bulkMaximum = read.int(
            "bulk_create_max", default: bulkMaximum, in: 1...1_000_000,
            help: "How many things one request to the network API may ask for; others wait while they are made.")
        auditInterval = .seconds(
            read.int(
                "ovn_audit_interval", default: 600, in: 10...86_400,
                help: "How often, in seconds, all networks are compared with OVN and mended."))
        read.section("ml2")
        tenantTypes = read.list(
            "tenant_network_types", default: tenantTypes,
            help:
                "What a project's network is made as when nobody says: geneve, vlan, flat, vxlan or local."
        )
        let types = ["geneve", "vlan", "flat", "vxlan", "local"]
        for type in tenantTypes where !types.contains(type) {
            read.refuse("tenant_network_types: '\(type)' is not one of \(types.joined(separator: ", ")).")
        }
        if tenantTypes.isEmpty { read.refuse("tenant_network_types names none.") }
        read.section("ml2_type_flat")
        let flat = read.list(
            "flat_networks", default: ["*"],
            help: "The physical networks that flat and VLAN networks may be made on; * is any.")
        if flat.isEmpty { read.refuse("flat_networks names none; * is any.") }
        physicalNetworks = flat.contains("*") ? [] : flat
        read.section("ml2_type_geneve")
        let bounds = "range such as 1:65535"
        segmentationIDs =
            read.text("vni_ranges", bounds, default: "1:65535", help: "The numbers that tenant networks are given.") {
                NetworkOptions.range($0)
            } ?? segmentationIDs
        read.section("agent")
        zone = read.string("availability_zone", default: zone, help: "The zone of networks and routers.")
        readMetering(&read)
        read.section("quotas")
        for name in quotas.keys.sorted() {
            let what = name.replacing("_", with: " ")
            quotas[name] = read.int(
                "quota_\(name)", default: quotas[name] ?? -1, in: -1...Int.max,
                help: "How many of \(what) a project may have; -1 is any number.")
        }
    }

    private mutating func readMetering(_ read: inout OptionReader) {
        read.section("metering")
        meterInterval = .seconds(
            read.int(
                "measure_interval", default: 30, in: 1...86_400,
                help: "How often, in seconds, the traffic under metering labels is measured."))
        meterReport = .seconds(
            read.int(
                "report_interval", default: 300, in: 1...86_400,
                help: "How often, in seconds, it is told what was measured (l3.meter)."))
        isMeterGranular = read.bool(
            "granular_traffic_data", default: isMeterGranular,
            help: "Whether it is told by label, router, project and pairs of them (l3.meter.label_router and so on).")
    }

    private static func range(_ text: String) -> ClosedRange<Int>? {
        let ends = text.split(separator: ":").compactMap { Int($0) }
        guard ends.count == 2, ends[0] >= 1, ends[0] <= ends[1], ends[1] <= 16_777_215 else { return nil }
        return ends[0]...ends[1]
    }

    /// What tunnelled networks can carry: outer Ethernet, IPv4, UDP and Geneve headers with OVN's option take 58 bytes.
    var overlayMTU: Int { globalMTU - 58 }

    /// Refuses packets longer than a network of the type can carry.
    func check(mtu: Int?, of type: String) throws(Fault) {
        guard let mtu, mtu > self.mtu(of: type) else { return }
        throw .invalidInput("Requested MTU is too big, maximum is \(self.mtu(of: type))")
    }

    func mtu(of type: String) -> Int {
        switch type {
        case "geneve": overlayMTU
        case "vxlan": globalMTU - 50
        default: globalMTU
        }
    }
}
