// SPDX-License-Identifier: Apache-2.0

/// One opinion on which of the hosts that will do is best, under upstream's name. What it says is stretched to 0...1
/// over all hosts and multiplied; the host with the greatest sum wins.
struct HostWeigher: Sendable {
    typealias Weigh = @Sendable (HostState, SchedulingContext) -> Double

    let name: String
    let sentence: String
    /// The option (and the key of an aggregate's metadata) that says how much it counts.
    let option: String
    let standard: Double
    /// Where the stretch begins, when not at the least that any host has.
    let floor: Double?
    /// -1 for what counts against a host by a positive multiplier.
    let sign: Double
    let weigh: Weigh

    init(
        _ name: String, _ sentence: String, _ option: String, _ standard: Double, floor: Double? = nil,
        sign: Double = 1, _ weigh: @escaping Weigh
    ) {
        self.name = name
        self.sentence = sentence
        self.option = option
        self.standard = standard
        self.floor = floor
        self.sign = sign
        self.weigh = weigh
    }

    /// Every weigher; all are on, and those whose multiplier is 0 say nothing.
    static let all = [
        HostWeigher(
            "RAMWeigher", "Free memory; negative packs instead of spreading.", "ram_weight_multiplier", 1, floor: 0
        ) { state, _ in state.freeMemoryMiB },
        HostWeigher(
            "CPUWeigher", "Processors not promised yet.", "cpu_weight_multiplier", 1, floor: 0
        ) { state, _ in state.freeVCPUs },
        HostWeigher("DiskWeigher", "Free disk space.", "disk_weight_multiplier", 1, floor: 0) { state, _ in
            state.freeDiskMiB
        },
        HostWeigher(
            "IoOpsWeigher", "Servers being built, moved or copied.", "io_ops_weight_multiplier", -1, floor: 0
        ) { state, _ in Double(state.ioOps) },
        HostWeigher("NumInstancesWeigher", "The number of servers.", "num_instances_weight_multiplier", 0) { state, _ in
            Double(state.servers)
        },
        HostWeigher(
            "ServerGroupSoftAffinityWeigher", "Servers of the same soft-affinity group.",
            "soft_affinity_weight_multiplier", 1
        ) { state, context in
            context.group?.policy == .softAffinity ? Double(context.group?.counts[state.name] ?? 0) : 0
        },
        HostWeigher(
            "ServerGroupSoftAntiAffinityWeigher", "Servers of the same soft-anti-affinity group, counted against.",
            "soft_anti_affinity_weight_multiplier", 1
        ) { state, context in
            context.group?.policy == .softAntiAffinity ? -Double(context.group?.counts[state.name] ?? 0) : 0
        },
        HostWeigher(
            "PCIWeigher", "Few free PCI devices, so that those are left to who needs them.",
            "pci_weight_multiplier", 1
        ) { state, _ in
            Double(100 - min(state.hardware.devices.count, 99))
        },
        HostWeigher(
            "BuildFailureWeigher", "Servers that failed to start since the last that did, counted against.",
            "build_failure_weight_multiplier", 1_000_000, sign: -1
        ) { state, _ in Double(state.host.failedBuilds) },
        HostWeigher(
            "CrossCellWeigher", "There are no cells here, so all hosts are alike.",
            "cross_cell_move_weight_multiplier", 1_000_000
        ) { _, _ in 0 },
        HostWeigher(
            "HypervisorVersionWeigher", "The newer hypervisor.", "hypervisor_version_weight_multiplier", 1
        ) { state, _ in Double(state.host.resources.hypervisorVersion) },
        HostWeigher(
            "ImagePropertiesWeigher", "Servers with the same image properties.", "image_props_weight_multiplier", 0,
            weighImages),
        HostWeigher("MetricsWeigher", "What the host measures, by [metrics] weight_setting.", "weight_multiplier", 1) {
            state, context in
            var sum = 0.0
            for (name, ratio) in context.options.metricWeights {
                guard let value = state.host.resources.metrics?[name] else {
                    return context.options.unavailableMetricWeight
                }
                sum += value * ratio
            }
            return sum
        },
    ]

    private static let weighImages: Weigh = { state, context in
        let weights = context.options.imagePropertyWeights
        return context.task.imageProperties.reduce(0) { sum, property in
            let count = state.imageProperties[property.key]?[property.value] ?? 0
            return sum + Double(count) * (weights.isEmpty ? 1 : weights[property.key] ?? 0)
        }
    }
}
