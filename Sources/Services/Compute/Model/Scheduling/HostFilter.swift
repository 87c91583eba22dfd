// SPDX-License-Identifier: Apache-2.0
import Kernel

/// One reason for a host not to be chosen, under upstream's name. The table `all` is every filter there is.
struct HostFilter: Sendable {
    /// What its answer hangs on, and so when it is asked again while servers are handed out.
    enum Watches: Sendable {
        /// The request and the host as reported: asked once.
        case request
        /// What servers take of the host: asked again of a host that was given one.
        case host
        /// Where others of the request went: asked again of all hosts.
        case group
    }

    /// Why the host will not do; nil when it will.
    typealias Judge = @Sendable (HostState, SchedulingContext) -> String?

    let name: String
    let sentence: String
    let isDefault: Bool
    let watches: Watches
    /// Whether it is asked about a rebuild, which takes nothing and stays where it is.
    let runsOnRebuild: Bool
    let judge: Judge

    init(
        _ name: String, _ sentence: String, isDefault: Bool = false, watches: Watches = .request,
        runsOnRebuild: Bool = false, _ judge: @escaping Judge
    ) {
        self.name = name
        self.sentence = sentence
        self.isDefault = isDefault
        self.watches = watches
        self.runsOnRebuild = runsOnRebuild
        self.judge = judge
    }

    /// Every filter; `[filter_scheduler] enabled_filters` says which are asked, by default those marked so.
    static let all: [HostFilter] =
        [
            compute, computeCapabilities, imageProperties, antiAffinity, affinity, availabilityZone, allHosts,
        ] + hintFilters + aggregateFilters + loadFilters + [isolatedHosts] + hardwareFilters

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    static func named(_ name: String) -> HostFilter? { byName[name] }

    static let allHosts = HostFilter("AllHostsFilter", "Refuses nothing.") { _, _ in nil }
}

// MARK: - Filters that are on by default, and the zone's, which is always on

extension HostFilter {
    static let compute = HostFilter(
        "ComputeFilter", "The host is enabled and has reported lately.", isDefault: true
    ) { state, context in
        if state.host.isDisabled { return "the host is disabled or has not reported for \(context.serviceDownTime)" }
        return state.isUp ? nil : "the host is disabled or has not reported for \(context.serviceDownTime)"
    }

    static let antiAffinity = HostFilter(
        "ServerGroupAntiAffinityFilter", "No more servers of an anti-affinity group on a host than its rule allows.",
        isDefault: true, watches: .host
    ) { state, context in
        guard let group = context.group, group.policy == .antiAffinity else { return nil }
        return group.refusal(state.name)
    }

    static let affinity = HostFilter(
        "ServerGroupAffinityFilter", "Servers of an affinity group are on one host.", isDefault: true, watches: .group
    ) { state, context in
        guard let group = context.group, group.policy == .affinity else { return nil }
        return group.refusal(state.name)
    }

    static let availabilityZone = HostFilter(
        "AvailabilityZoneFilter", "The host is in the zone that was asked for. It is on whether it is listed or not."
    ) { state, context in
        guard let zone = context.task.request.zone, zone != state.zone else { return nil }
        return "the host is not in zone \(zone)"
    }
}

// MARK: - Hints

extension HostFilter {
    static let hintFilters = [
        HostFilter(
            "DifferentHostFilter", "Not where the servers of the hint different_host are.", isDefault: true
        ) { state, context in
            context.hintHosts["different_host"]?.contains(state.name) == true ? "the hint different_host" : nil
        },
        HostFilter("SameHostFilter", "Where a server of the hint same_host is.", isDefault: true) { state, context in
            guard let hosts = context.hintHosts["same_host"] else { return nil }
            return hosts.contains(state.name) ? nil : "the hint same_host"
        },
        HostFilter(
            "SimpleCIDRAffinityFilter", "The host's address is in the network of the hints build_near_host_ip and cidr."
        ) { state, context in
            guard let address = context.hint("build_near_host_ip")?.string else { return nil }
            let cidr = context.hint("cidr")?.string ?? "/24"
            return AddressText.isInside(state.host.resources.hostIP, address + cidr)
                ? nil : "the host's address is not in \(address)\(cidr)"
        },
        HostFilter("JsonFilter", "What the hint query says of the host is true.", watches: .host) { state, context in
            guard let query = context.hint("query") else { return nil }
            return HostQuery(query).holds(of: state) ? nil : "the hint query"
        },
    ]
}

// MARK: - Load

extension HostFilter {
    static let loadFilters = [
        HostFilter(
            "IoOpsFilter", "Fewer servers being built, moved or copied than max_io_ops_per_host.", watches: .host
        ) { state, context in tooMany(state.ioOps, context.options.ioOpsMax, "servers in the works") },
        HostFilter(
            "AggregateIoOpsFilter", "The same, with the least max_io_ops_per_host of the host's aggregates.",
            watches: .host
        ) { state, context in
            let most = state.least("max_io_ops_per_host").map { Int($0) } ?? context.options.ioOpsMax
            return tooMany(state.ioOps, most, "servers in the works")
        },
        HostFilter("NumInstancesFilter", "Fewer servers than max_instances_per_host.", watches: .host) {
            state, context in tooMany(state.servers, context.options.serversMax, "servers")
        },
        HostFilter(
            "AggregateNumInstancesFilter", "The same, with the least max_instances_per_host of the host's aggregates.",
            watches: .host
        ) { state, context in
            let most = state.least("max_instances_per_host").map { Int($0) } ?? context.options.serversMax
            return tooMany(state.servers, most, "servers")
        },
    ]

    private static func tooMany(_ count: Int, _ most: Int, _ what: String) -> String? {
        count < most ? nil : "the host has \(count) \(what), and \(most) is the most"
    }
}
