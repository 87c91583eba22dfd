// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about load balancing; names and defaults are upstream's, where upstream has them.
package struct LoadBalancerOptions: Options {
    package static let section = "api_settings"

    package var provider = "haproxy"
    package var pageMaximum = 1000
    package var allowsPing = true
    package var allowsTermination = true
    package var allowsPrometheus = true
    package var prohibitedCiphers: [String] = []
    package var minimumTLS: String?
    package var leastDatagramDelay = 3
    package var reservedAddresses = ["169.254.169.254"]
    package var quotas: [String: Int] = Dictionary(uniqueKeysWithValues: Quotas.resources.map { ($0, -1) })
    /// How often members' health and the figures are asked for.
    package var reportInterval: Duration = .seconds(2)
    /// Where certificates lie that listeners refer to; nil: in the cloud's own folder.
    package var certificates: String?

    /// The zone of Compute that the machine lies in.
    package var computeZone = "nova"

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        provider = read.choice(
            "default_provider_driver", of: BalancerProviders.names, default: provider,
            help: "What makes a balancer real when nobody says.")
        pageMaximum = read.int(
            "pagination_max_limit", default: pageMaximum, in: 1...Int.max,
            help: "The most items in one answer of the load balancing API.")
        allowsPing = read.bool(
            "allow_ping_health_monitors", default: allowsPing, help: "Whether health monitors may ping.")
        allowsTermination = read.bool(
            "allow_tls_terminated_listeners", default: allowsTermination,
            help: "Whether listeners may end TLS themselves.")
        allowsPrometheus = read.bool(
            "allow_prometheus_listeners", default: allowsPrometheus,
            help: "Whether listeners may serve a balancer's figures to Prometheus.")
        prohibitedCiphers = read.list(
            "tls_cipher_prohibit_list", default: [], help: "OpenSSL's names of ciphers that nobody may ask for.")
        minimumTLS = read.string("minimum_tls_version", help: "The oldest version of TLS that may be asked for.")
        if let minimumTLS, !TLSSettings.allVersions.contains(minimumTLS) {
            read.refuse("minimum_tls_version: '\(minimumTLS)' is not one of \(TLSSettings.allVersions).")
        }
        leastDatagramDelay = read.int(
            "udp_connect_min_interval_health_monitor", default: leastDatagramDelay, in: 1...3600,
            help: "The shortest pause in seconds between two looks at a member over UDP.")
        read.section("networking")
        reservedAddresses = read.list(
            "reserved_ips", default: reservedAddresses, help: "Addresses that no member may have.")
        read.section("certificates")
        certificates = read.string(
            "folder", help: "The folder of PEM files that listeners' certificate references are looked up in.")
        read.section("nova")
        computeZone = read.string(
            "availability_zone", default: computeZone,
            help: "The availability zone of Compute that this machine, where balancers' processes run, lies in.")
        read.section("health_manager")
        reportInterval = read.duration(
            "health_update_interval", default: reportInterval, atLeast: .milliseconds(200),
            help: "How often members' health and the figures of traffic are read.")
        read.section("load_balancer_quotas")
        for name in Quotas.resources {
            quotas[name] = read.int(
                "default_\(name)_quota", default: -1, in: -1...2_000_000_000,
                help: "How many of \(name) a project may have; -1 is any number.")
        }
    }
}
