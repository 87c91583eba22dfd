// SPDX-License-Identifier: Apache-2.0

// Filters on parts of a host that only some drivers report: NUMA cells, PCI devices, metrics.

extension HostFilter {
    static let devices = HostFilter(
        "PciPassthroughFilter",
        "The host has free devices of the aliases that the flavor names, and cards for ports.",
        watches: .host
    ) { state, context in
        for request in state.need?.requests ?? [] {
            let parts = state.hardware.mediated.count
            if request.isMediated {
                if parts < request.count { return "\(request.count) parts of cards asked, \(parts) free" }
                continue
            }
            let free = state.hardware.devices.count { request.fits($0) }
            if free >= request.count { continue }
            guard let card = request.card else {
                return "\(request.count) devices of '\(request.alias)' asked, \(free) free"
            }
            return "no free card of '\(card.physicalNetwork ?? "no physical network")' for \(request.alias)"
        }
        guard let requests = state.need?.requests, !requests.isEmpty else { return nil }
        if requests.contains(where: { $0.isCounted || $0.isMediated }) {
            return state.way == nil ? "too few devices of those parts that Placement offers" : nil
        }
        return state.hardware.fit(nil, requests) == nil ? "too few devices for all that is asked" : nil
    }

    static let hardwareFilters = [
        HostFilter("NUMATopologyFilter", "The host has the NUMA cells that flavor or image ask for.", watches: .host) {
            state, context in
            guard let numa = state.need?.numa else { return nil }
            guard let cells = state.hardware.cells else { return "the host reports no NUMA topology" }
            if numa.isPinned, numa.threadPolicy == .require, cells.allSatisfy({ $0.facts.siblings.isEmpty }) {
                return "the host's processor has no hyperthreads"
            }
            return state.hardware.fit(numa) == nil
                ? "the host's NUMA cells have no room for \(numa.cells.count) such cells" : nil
        },
        devices,
        HostFilter("MetricsFilter", "The host reports every metric of [metrics] weight_setting.") { state, context in
            for name in context.options.metricWeights.keys.sorted()
            where state.host.resources.metrics?[name] == nil {
                return "the host does not report the metric \(name)"
            }
            return nil
        },
    ]
}
