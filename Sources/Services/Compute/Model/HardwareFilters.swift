// SPDX-License-Identifier: Apache-2.0

// Filters on parts of a host that only some drivers report: NUMA cells, PCI devices, metrics.

extension HostFilter {
    static let hardwareFilters = [
        HostFilter("NUMATopologyFilter", "The host has the NUMA cells that flavor or image ask for.", watches: .host) {
            state, context in
            let cells = state.host.resources.numaCells
            let threads = context.wish("hw:cpu_thread_policy", "hw_cpu_thread_policy")
            if cells != nil, context.wish("hw:cpu_policy", "hw_cpu_policy") == "dedicated", threads == "require",
                state.host.resources.cpu.threads < 2
            {
                return "the host's processor has no hyperthreads"
            }
            guard let wanted = NUMARequest(context) else { return nil }
            guard let cells else { return "the host reports no NUMA topology" }
            return wanted.fits(cells) ? nil : "the host's NUMA cells have no room for \(wanted.cells.count) such cells"
        },
        HostFilter(
            "PciPassthroughFilter", "The host has free devices of the aliases that the flavor names.", watches: .host
        ) { state, context in
            for (alias, count) in PCIRequest.aliases(context.task.flavor) {
                let free = state.host.resources.pciDevices?[alias] ?? 0
                if free < count { return "\(count) devices of '\(alias)' asked, \(free) free" }
            }
            return nil
        },
        HostFilter("MetricsFilter", "The host reports every metric of [metrics] weight_setting.") { state, context in
            for name in context.options.metricWeights.keys.sorted()
            where state.host.resources.metrics?[name] == nil {
                return "the host does not report the metric \(name)"
            }
            return nil
        },
    ]
}

/// The cells a guest shall have.
struct NUMARequest: Sendable {
    let cells: [(vcpus: Int, memoryMiB: Int)]

    /// nil when nothing asks for a topology: no number of cells, no pinning, no size of pages.
    init?(_ context: SchedulingContext) {
        let flavor = context.task.flavor
        let count = context.wish("hw:numa_nodes", "hw_numa_nodes").flatMap { Int($0) }
        let policy = context.wish("hw:cpu_policy", "hw_cpu_policy") ?? ""
        let pages = context.wish("hw:mem_page_size", "hw_mem_page_size")
        guard count != nil || pages != nil || policy == "dedicated" || policy == "mixed" else { return nil }
        let nodes = max(1, count ?? 1)
        cells = (0..<nodes).map { node in
            let cpus = context.wish("hw:numa_cpus.\(node)", "hw_numa_cpus.\(node)").map(NUMARequest.count)
            let memory = context.wish("hw:numa_mem.\(node)", "hw_numa_mem.\(node)").flatMap { Int($0) }
            return (cpus ?? flavor.vcpus / nodes, memory ?? flavor.memoryMiB / nodes)
        }
    }

    /// How many processors `0-3,6` names.
    private static func count(_ text: String) -> Int {
        text.split(separator: ",").reduce(0) { sum, part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            return sum + (ends.count == 2 ? max(0, ends[1] - ends[0] + 1) : ends.count)
        }
    }

    /// Whether each cell finds another one of the host with room for it.
    func fits(_ host: [HostResources.NUMACell]) -> Bool { place(cells[...], host) }

    private func place(_ rest: ArraySlice<(vcpus: Int, memoryMiB: Int)>, _ free: [HostResources.NUMACell]) -> Bool {
        guard let cell = rest.first else { return true }
        return free.indices.contains { at in
            guard free[at].freeVCPUs >= cell.vcpus, free[at].freeMemoryMiB >= cell.memoryMiB else { return false }
            var others = free
            others.remove(at: at)
            return place(rest.dropFirst(), others)
        }
    }
}

/// Devices by the operator's names for them: `pci_passthrough:alias = gpu:2,nic:1`.
enum PCIRequest {
    static func aliases(_ flavor: FlavorSnapshot) -> [(alias: String, count: Int)] {
        (flavor.extraSpecs["pci_passthrough:alias"] ?? "").split(separator: ",").map { item in
            let parts = item.split(separator: ":").map { String($0.filter { !$0.isWhitespace }) }
            return (parts[0], parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
        }
    }
}
