// SPDX-License-Identifier: Apache-2.0

// Filters that read what aggregates say of their hosts, and the one that keeps images to hosts.

extension HostFilter {
    static let aggregateFilters = [
        HostFilter(
            "AggregateInstanceExtraSpecsFilter", "The host's aggregates say what the flavor's extra specs ask for."
        ) { state, context in
            for (key, wanted) in context.task.flavor.extraSpecs.sorted(by: { $0.key < $1.key }) {
                var name = key
                if let colon = key.firstIndex(of: ":") {
                    guard key[..<colon] == "aggregate_instance_extra_specs" else { continue }
                    name = String(key[key.index(after: colon)...])
                }
                guard let values = state.metadata[name], !values.isEmpty else {
                    return "no aggregate of the host says \(name)"
                }
                guard values.contains(where: { SpecMatch.holds($0, wanted) }) else {
                    return "the host's aggregates say another \(name) than \(wanted)"
                }
            }
            return nil
        },
        HostFilter(
            "AggregateImagePropertiesIsolation",
            "What the host's aggregates say does not contradict the image's properties.", runsOnRebuild: true
        ) { state, context in
            let namespace = context.options.isolationNamespace.map { $0 + context.options.isolationSeparator }
            for (key, values) in state.metadata where namespace.map(key.hasPrefix) ?? true {
                if let value = context.task.imageProperties[key], !value.isEmpty, !values.contains(value) {
                    return "the host's aggregates want another \(key) than the image's \(value)"
                }
            }
            return nil
        },
        HostFilter(
            "AggregateMultiTenancyIsolation", "Hosts of aggregates with filter_tenant_id are for those projects only."
        ) { state, context in
            let tenants = state.metadata.filter { $0.key.hasPrefix("filter_tenant_id") }.reduce(into: Set<String>()) {
                $0.formUnion($1.value)
            }
            guard !tenants.isEmpty, !tenants.contains(context.task.subjects[0].projectID) else { return nil }
            return "the host is kept for other projects"
        },
        HostFilter(
            "AggregateTypeAffinityFilter", "The flavor is among the instance_type of the host's aggregates, if any."
        ) { state, context in
            guard let names = state.metadata["instance_type"], !names.contains(context.task.flavor.name) else {
                return nil
            }
            return "the host's aggregates are for other flavors"
        },
    ]

    static let isolatedHosts = HostFilter(
        "IsolatedHostsFilter", "Isolated images run on isolated hosts, and nothing else does.", runsOnRebuild: true
    ) { state, context in
        let options = context.options
        let isHost = options.isolatedHosts.contains(state.name)
        let isImage = context.task.imageID.map(options.isolatedImages.contains) ?? false
        if isImage, !isHost { return "the image runs on isolated hosts only" }
        if options.keepsIsolatedHosts, isHost, !isImage { return "the host is kept for isolated images" }
        return nil
    }

    // MARK: - Request filters: upstream asks Placement, here the aggregates' rows themselves answer

    static let tenantAggregate = HostFilter("require_tenant_aggregate", "The project's own aggregates, if it has any.")
    { state, context in
        guard let own = context.tenantAggregates else { return nil }
        if own.isEmpty { return "no aggregate is for this project" }
        return state.aggregates.contains { own.contains($0.id) } ? nil : "the project has aggregates of its own"
    }

    static let isolatedAggregates = HostFilter(
        "isolate_aggregates", "Aggregates with trait:X=required are for servers that require X."
    ) { state, context in
        guard context.options.isolatesAggregates else { return nil }
        let wanted = context.resources.requiredTraits
        for aggregate in state.aggregates {
            let kept = ResourceRequest.traits(requiredBy: aggregate.metadata).subtracting(wanted)
            if let trait = kept.min() { return "the host is kept for servers that require \(trait)" }
        }
        return nil
    }

    /// Those that are asked whatever is enabled, in upstream's order.
    static let always = [tenantAggregate, availabilityZone, isolatedAggregates]
}
