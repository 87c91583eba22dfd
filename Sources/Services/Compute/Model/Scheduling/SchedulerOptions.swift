// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set of scheduling, under upstream's names: `[scheduler]`, `[filter_scheduler]`, `[metrics]`.
package struct SchedulerOptions: Options {
    package static let section = "scheduler"

    package var maxAttempts = 3
    package var candidatesMax = 10_000
    package var isolatesAggregates = false
    package var limitsTenantsToAggregates = false
    package var needsTenantAggregate = false
    package var asksForImageType = false
    package var asksForImageMetadata = false
    package var hostSubsetSize = 1
    package var ioOpsMax = 8
    package var serversMax = 50
    package var enabledFilters = HostFilter.all.filter(\.isDefault).map(\.name)
    package var weigherNames = ["all_weighers"]
    package var shufflesBest = false
    package var defaultArchitecture: String?
    package var isolatedImages: [String] = []
    package var isolatedHosts: [String] = []
    package var keepsIsolatedHosts = true
    package var isolationNamespace: String?
    package var isolationSeparator = "."
    package var imagePropertyWeights: [String: Double] = [:]
    package var metricWeights: [String: Double] = [:]
    package var metricsAreRequired = true
    package var unavailableMetricWeight = -10_000.0
    /// Of each weigher, by the name of its option.
    package var multipliers: [String: Double] = [:]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        readRequestFilters(&read)
        readFilters(&read)
        readWeighers(&read)
    }

    private mutating func readRequestFilters(_ read: inout OptionReader) {
        read.section(SchedulerOptions.section)
        maxAttempts = read.int(
            "max_attempts", default: maxAttempts, in: 1...Int.max,
            help: "How many hosts a server is tried on, and how often lost races are run again.")
        candidatesMax = read.int(
            "max_placement_results", default: candidatesMax, in: 1...Int.max,
            help: "The most hosts that one decision looks at; more when more servers are asked for at once.")
        isolatesAggregates = read.bool(
            "enable_isolated_aggregate_filtering", default: isolatesAggregates,
            help: "Whether aggregates whose metadata says trait:X=required are kept for servers that ask for X.")
        limitsTenantsToAggregates = read.bool(
            "limit_tenants_to_placement_aggregate", default: limitsTenantsToAggregates,
            help: "Whether a project named by filter_tenant_id of aggregates is kept to those aggregates.")
        needsTenantAggregate = read.bool(
            "placement_aggregate_required_for_tenants", default: needsTenantAggregate,
            help: "Whether a project that no aggregate names then gets no host at all.")
        asksForImageType = read.bool(
            "query_placement_for_image_type_support", default: asksForImageType,
            help: "Whether hosts must have the trait COMPUTE_IMAGE_TYPE_... of the image's disk format.")
        asksForImageMetadata = read.bool(
            "image_metadata_prefilter", default: asksForImageMetadata,
            help: "Whether hosts must have the traits of what an image's properties ask for (buses, models).")
    }

    private mutating func readFilters(_ read: inout OptionReader) {
        read.section("filter_scheduler")
        enabledFilters = read.list(
            "enabled_filters", default: enabledFilters, help: "What refuses hosts, in this order.")
        for name in enabledFilters where HostFilter.named(name) == nil {
            read.refuse(
                "enabled_filters: there is no '\(name)'; known are "
                    + HostFilter.all.map(\.name).joined(separator: ", "))
        }
        _ = read.list(
            "available_filters", default: ["nova.scheduler.filters.all_filters"],
            help: "Read and ignored: it names Python classes, and every filter there is here is available.")
        hostSubsetSize = read.int(
            "host_subset_size", default: hostSubsetSize, in: 1...Int.max,
            help: "From how many of the best hosts one is drawn.")
        ioOpsMax = read.int(
            "max_io_ops_per_host", default: ioOpsMax, in: 0...Int.max,
            help: "IoOpsFilter: from how many servers being built, moved or copied on a host it is refused.")
        serversMax = read.int(
            "max_instances_per_host", default: serversMax, in: 1...Int.max,
            help: "NumInstancesFilter: from how many servers on a host it is refused.")
        defaultArchitecture = read.string(
            "image_properties_default_architecture",
            help: "ImagePropertiesFilter: the architecture of images that name none.")
        isolatedImages = read.list(
            "isolated_images", help: "IsolatedHostsFilter: images that run on the isolated hosts only.")
        isolatedHosts = read.list("isolated_hosts", help: "IsolatedHostsFilter: hosts kept for isolated images.")
        keepsIsolatedHosts = read.bool(
            "restrict_isolated_hosts_to_isolated_images", default: keepsIsolatedHosts,
            help: "IsolatedHostsFilter: whether other images are refused on isolated hosts.")
        isolationNamespace = read.string(
            "aggregate_image_properties_isolation_namespace",
            help: "AggregateImagePropertiesIsolation: looks only at metadata that begins with this.")
        isolationSeparator = read.string(
            "aggregate_image_properties_isolation_separator", default: isolationSeparator,
            help: "AggregateImagePropertiesIsolation: what follows the namespace.")
    }

    private mutating func readWeighers(_ read: inout OptionReader) {
        weigherNames = read.list(
            "weight_classes", default: ["nova.scheduler.weights.all_weighers"],
            help: "Which weighers rank hosts: all_weighers, or the names of classes (only the last part is read)."
        ).map { String($0.split(separator: ".").last ?? "") }
        for name in weigherNames where name != "all_weighers" && !HostWeigher.all.contains(where: { $0.name == name }) {
            read.refuse(
                "weight_classes: there is no '\(name)'; known are all_weighers, "
                    + HostWeigher.all.map(\.name).joined(separator: ", "))
        }
        shufflesBest = read.bool(
            "shuffle_best_same_weighed_hosts", default: shufflesBest,
            help: "Whether one of equally good hosts is drawn; else the first by name is taken.")
        for weigher in HostWeigher.all where weigher.name != "MetricsWeigher" {
            multipliers[weigher.option] = read.double(
                weigher.option, default: weigher.standard,
                help: "\(weigher.name): \(weigher.sentence) Aggregates may set their own.")
        }
        imagePropertyWeights = SchedulerOptions.pairs(
            "image_props_weight_setting", "ImagePropertiesWeigher: name=ratio of each property; all alike when empty.",
            &read)
        read.section("metrics")
        multipliers["weight_multiplier"] = read.double(
            "weight_multiplier", default: 1, help: "MetricsWeigher: how much what hosts measure counts.")
        metricWeights = SchedulerOptions.pairs(
            "weight_setting", "MetricsFilter, MetricsWeigher: name=ratio of each metric that counts.", &read)
        metricsAreRequired = read.bool(
            "required", default: metricsAreRequired,
            help: "MetricsWeigher: whether a host without a metric that counts is refused.")
        unavailableMetricWeight = read.double(
            "weight_of_unavailable", default: unavailableMetricWeight,
            help: "MetricsWeigher: what a metric that a host does not have counts, unless it is required.")
    }

    private static func pairs(_ name: String, _ help: String, _ read: inout OptionReader) -> [String: Double] {
        var pairs: [String: Double] = [:]
        for item in read.list(name, help: help) {
            let parts = item.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, let ratio = Double(parts[1]) else {
                read.refuse("\(name): '\(item)' is no name=ratio")
                continue
            }
            pairs[parts[0]] = ratio
        }
        return pairs
    }

    /// Those that are on, in the order given.
    var filters: [HostFilter] { enabledFilters.compactMap(HostFilter.named) }

    /// Those that are on and would change something.
    var weighers: [HostWeigher] {
        HostWeigher.all.filter { weigherNames.contains("all_weighers") || weigherNames.contains($0.name) }
    }

    func multiplier(_ weigher: HostWeigher) -> Double { multipliers[weigher.option] ?? weigher.standard }
}
