// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Chooses hosts: Placement says where there is room, filters say where it may be, weighers say where it is best. What
/// it leaves out is kept with its reason. It only decides: claiming is the caller's, in the operation that needs it.
///
///     var task = SchedulingTask([server])
///     task.excluded = [source: "the server is there now"]
///     let decision = try await Scheduler(room, requestID: id).choose(task)
///     guard decision.missing.isEmpty else { throw decision.fault }
///     try await room.placement.claim(decision.claims, requestID: id)
struct Scheduler {
    private let room: ComputeService
    private let requestID: String

    init(_ room: ComputeService, requestID: String) {
        self.room = room
        self.requestID = requestID
    }

    /// A host for each of the task's subjects, as far as there are any.
    func choose(_ task: SchedulingTask) async throws(Fault) -> Decision {
        let hosts = try await room.database.all(ComputeHost.self, "deleted_at IS NULL ORDER BY name")
        let aggregates = try await room.database.all(Aggregate.self, "1 = 1 ORDER BY id")
        let need = try HardwareBooks.Need(
            task.flavor, image: task.imageProperties, cards: task.cards, room.options.pci)
        var context = try await context(task, aggregates, need?.requests ?? [])
        var decision = Decision(task: task, resources: context.resources.amounts, at: room.clock.now())
        decision.considered = hosts.count
        var states: [HostState]
        if case .rebuild(let name) = task.purpose {
            states = try await self.states(hosts.filter { $0.name == name }, aggregates, nil, nil)
        } else {
            let limit = max(room.options.scheduler.candidatesMax, task.subjects.count)
            let candidates = try await candidates(context.resources, limit, &decision)
            states = try await self.states(hosts, aggregates, candidates, need)
            let roomy = Set(states.map(\.host.id))
            let lacking = hosts.filter { !roomy.contains($0.id) }
            if candidates.count < limit {
                try await Shortage(room, requestID: requestID, context.resources).explain(
                    lacking, isNeeded: states.count < task.subjects.count, &decision)
            }
        }
        let filters = narrow(&states, &context, &decision)
        guard task.purpose == .boot || task.purpose == .move || task.purpose == .trial else {
            finish(rebuild: states, task, &decision)
            return decision
        }
        handOut(SchedulingRound(states, context, filters, seed: seed), task, &decision)
        return decision
    }

    private var seed: UInt64 { room.ids.bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// Leaves out hosts that were ruled out or not meant, then those that a filter refuses. Answers the filters asked.
    private func narrow(
        _ states: inout [HostState], _ context: inout SchedulingContext, _ decision: inout Decision
    ) -> [HostFilter] {
        let task = context.task
        SchedulingRound.sift(&states, "Excluded", &decision) { task.excluded[$0.name] }
        if let host = task.request.host ?? task.request.node {
            SchedulingRound.sift(&states, "RequestedHost", &decision) {
                $0.name == host ? nil : "the request names \(host)"
            }
        }
        // Who forces a host by zone:host wants no filter's opinion (upstream's words: skip filters on forced host).
        if task.request.isForced == true { return [] }
        var filters = HostFilter.always + room.options.scheduler.filters.filter { $0.name != "AvailabilityZoneFilter" }
        // Who needs devices is never sent where there are none, whichever filters the operator asks.
        if states.first?.need?.requests.isEmpty == false,
            !filters.contains(where: { $0.name == HostFilter.devices.name })
        {
            filters.append(HostFilter.devices)
        }
        if case .rebuild = task.purpose { filters = filters.filter(\.runsOnRebuild) }
        for filter in filters {
            SchedulingRound.sift(&states, filter.name, &decision) { filter.judge($0, context) }
        }
        return filters
    }

    private func handOut(_ fresh: SchedulingRound, _ task: SchedulingTask, _ decision: inout Decision) {
        var round = fresh
        decision.ranking = round.ranked(Decision.kept).map { at in
            let scores = round.opinions(at).filter { $0.score != 0 }.map { ($0.weigher, $0.score) }
            return Decision.Ranked(
                host: round.hosts[at].name, weight: round.weight(at),
                scores: Dictionary(scores, uniquingKeysWith: { first, _ in first }))
        }
        for subject in task.subjects {
            guard let pick = round.pick() else {
                decision.missing.append(subject.id)
                continue
            }
            decision.choices.append(
                Decision.Choice(server: subject.id, host: pick.host.host, way: pick.way, weight: pick.weight))
        }
        if task.purpose == .trial {
            for host in round.hosts where host.way == nil {
                for name in host.lacking { decision.exhausted[name, default: 0] += 1 }
            }
        }
        let chosen = Set(decision.choices.map(\.host.name))
        let others = round.ranked(room.options.scheduler.maxAttempts - 1 + min(chosen.count, Decision.kept))
        decision.alternates = Array(
            others.map { round.hosts[$0].name }.filter { !chosen.contains($0) }
                .prefix(room.options.scheduler.maxAttempts - 1))
    }

    private func finish(rebuild states: [HostState], _ task: SchedulingTask, _ decision: inout Decision) {
        for subject in task.subjects {
            if let state = states.first {
                decision.choices.append(.init(server: subject.id, host: state.host, way: [:], weight: 0))
            } else {
                decision.missing.append(subject.id)
            }
        }
    }
}

// MARK: - Facts

extension Scheduler {
    private func context(
        _ task: SchedulingTask, _ aggregates: [Aggregate], _ devices: [PCIRequest]
    ) async throws(Fault) -> SchedulingContext {
        let options = room.options.scheduler
        var resources = ResourceRequest(
            task.flavor, image: task.imageProperties, isVolumeBacked: task.isVolumeBacked)
        if options.asksForImageMetadata { resources.requireImageMetadata(task.imageProperties) }
        if options.asksForImageType, let format = task.request.imageFormat, !task.isVolumeBacked {
            resources.rootRequired.insert("COMPUTE_IMAGE_TYPE_" + format.uppercased())
        }
        if task.purpose == .boot || task.purpose == .move {
            resources.add(try await room.resources(ofPorts: task.ports, requestID: requestID))
        }
        resources.add(devices)
        var context = SchedulingContext(
            task: task, options: options, resources: resources, serviceDownTime: room.options.serviceDownTime)
        context.group = try await ServerGroup.state(
            task.groupID, of: task.subjects[0].id, besides: task.subjects.map(\.id), room.database)
        for hint in ["same_host", "different_host"] {
            guard let value = context.hint(hint) else { continue }
            let ids = value.array?.compactMap(\.string) ?? value.string.map { [$0] } ?? []
            guard !ids.isEmpty else { continue }
            let rows = try await room.database.rows(
                "SELECT host FROM compute_servers WHERE id IN \(ids) AND deleted_at IS NULL AND host IS NOT NULL")
            context.hintHosts[hint] = Set(rows.compactMap { $0.text("host") })
        }
        if options.limitsTenantsToAggregates {
            let own = aggregates.filter { aggregate in
                aggregate.metadata.contains {
                    $0.key.hasPrefix("filter_tenant_id") && $0.value == task.subjects[0].projectID
                }
            }
            if !own.isEmpty || options.needsTenantAggregate { context.tenantAggregates = Set(own.map(\.id)) }
        }
        return context
    }

    /// Those of Placement. A class or trait that it does not know is one that no host has.
    private func candidates(
        _ resources: ResourceRequest, _ limit: Int, _ decision: inout Decision
    ) async throws(Fault) -> PlacementClient.Candidates {
        do throws(Fault) {
            return try await room.placement.candidates(resources.query(limit: limit), requestID: requestID)
        } catch {
            guard error.status == 400 else { throw error }
            decision.complaint = error.message
            return PlacementClient.Candidates()
        }
    }

    /// The hosts that have room, with everything known of them.
    private func states(
        _ hosts: [ComputeHost], _ aggregates: [Aggregate], _ candidates: PlacementClient.Candidates?,
        _ need: HardwareBooks.Need?
    ) async throws(Fault) -> [HostState] {
        let (now, limit) = (room.clock.now(), room.options.serviceDownTime)
        let loads = try await HostLoad.all(room.database)
        var byHost: [String: [Aggregate]] = [:]
        for aggregate in aggregates {
            for host in aggregate.hosts { byHost[host, default: []].append(aggregate) }
        }
        let properties = try await imageProperties()
        let holdings = try await HardwareBooks.holdings(room.database)
        let options = room.options
        return hosts.compactMap { host in
            guard candidates == nil || candidates?.ways[host.id] != nil else { return nil }
            var hardware = HardwareLeft(host.resources, holdings: holdings[host.name] ?? [])
            hardware.cpuRatio = options.cpuRatio ?? options.initialCPURatio
            hardware.memoryRatio = options.memoryRatio ?? options.initialMemoryRatio
            let ways = candidates?.ways[host.id] ?? []
            // Who takes of the host alone takes of none of its parts.
            let takesParts = ways.contains { $0.keys.contains { $0 != host.id } }
            return HostState(
                host, isUp: host.isUp(at: now, within: limit), aggregates: byHost[host.name] ?? [],
                load: loads[host.name] ?? HostLoad(), imageProperties: properties[host.name] ?? [:],
                supplies: candidates?.supplies[host.id] ?? [:], ways: ways, hardware: hardware,
                parts: takesParts ? HostParts(host, options.pci) : nil, need: need)
        }
    }

    /// By host, property and value: how many servers there have it. Counted only when it is weighed.
    private func imageProperties() async throws(Fault) -> [String: [String: [String: Int]]] {
        guard room.options.scheduler.multipliers["image_props_weight_multiplier"] ?? 0 != 0 else { return [:] }
        var counts: [String: [String: [String: Int]]] = [:]
        let rows = try await room.database.rows(
            "SELECT host, image_properties FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL")
        for row in rows {
            guard let host = row.text("host"), let text = row.text("image_properties"),
                let properties = try? JSON.parse(Array(text.utf8), limits: .trusted).object
            else { continue }
            for (name, value) in properties {
                counts[host, default: [:]][name, default: [:]][value.plain, default: 0] += 1
            }
        }
        return counts
    }
}

extension SchedulingRound {
    /// Leaves out the hosts that something is said against.
    static func sift(
        _ states: inout [HostState], _ step: String, _ decision: inout Decision, _ judge: (HostState) -> String?
    ) {
        var refusals: [(host: String, reason: String)] = []
        states.removeAll { state in
            guard let reason = judge(state) else { return false }
            refusals.append((state.name, reason))
            return true
        }
        decision.drop(step, refusals)
    }
}
