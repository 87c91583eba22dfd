// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Reports the hosts of this process: that they live, what they have, and to Placement how much may be taken of them.
package struct HostReporter: Sendable {
    private let room: ComputeService
    private let interval: Duration

    package init(_ room: ComputeService, interval: Duration = .seconds(10)) {
        self.room = room
        self.interval = interval
    }

    /// What Placement was last told of a host.
    private struct Told: Hashable {
        let stock: [String: PlacementClient.Stock]
        let traits: Set<String>
        let aggregates: Set<String>
        let facts: [String]
        /// What servers have of its parts.
        let held: [String: PlacementClient.Way]
    }

    /// Reports until cancelled. What fails is tried again with the next report. The first tells Placement everything
    /// again, whatever it was told before.
    package func run() async {
        var told: [String: Told] = [:]
        await room.clock.every(interval, waitsFirst: true) {
            do throws(Fault) {
                try await report(&told)
            } catch {
                room.log.error("hosts could not be reported", ["error": error.description])
            }
        }
    }

    /// One report of all hosts: a heartbeat for each, and what changed of them.
    package func report() async throws(Fault) {
        var told: [String: Told] = [:]
        try await report(&told)
    }

    private func report(_ told: inout [String: Told]) async throws(Fault) {
        let names = room.hosts.names
        var known = try await room.database.all(ComputeHost.self, "name", in: names, and: "deleted_at IS NULL")
        let listed = Set(known.map(\.name))
        let new = names.filter { !listed.contains($0) }
        if !new.isEmpty { known += try await register(new) }
        var reached: [String] = []
        var alive: [(host: ComputeHost, before: HostResources)] = []
        for var host in known {
            // A host that does not answer is not reported, and so counts as down before long.
            guard let facts = try? await room.hosts.find(host.name).resources() else { continue }
            reached.append(host.name)
            let before = host.resources
            host.resources = facts
            alive.append((host, before))
        }
        var changed: [Change] = []
        let aggregates = try await memberships()
        let held = try await PartsReporter(room, requestID: "req-" + room.ids.uuid()).held(by: alive.map(\.host))
        for (host, before) in alive {
            let now = self.told(host, aggregates[host.name] ?? [], held[host.name] ?? [:])
            if told[host.name] != now { changed.append(Change(host: host, told: now, before: before)) }
        }
        let width = 32
        for start in stride(from: 0, to: changed.count, by: 1000) {
            let part = Array(changed[start..<min(start + 1000, changed.count)])
            try await withFaultGroup(part, width: width) { item async throws(Fault) in
                try await self.publish(item)
            }
            for change in part { told[change.host.name] = change.told }
        }
        let now = room.clock.now()
        for start in stride(from: 0, to: reached.count, by: 1000) {
            let part = Array(reached[start..<min(start + 1000, reached.count)])
            _ = try await room.database.update(
                ComputeHost.self, set: "reported_at = \(now)", where: "name IN \(part)")
        }
    }

    /// A host that Placement must be told of, and what it had before.
    private struct Change {
        let host: ComputeHost
        let told: Told
        let before: HostResources
    }

    /// The aggregates of each host.
    private func memberships() async throws(Fault) -> [String: [Aggregate]] {
        var byHost: [String: [Aggregate]] = [:]
        for aggregate in try await room.database.all(Aggregate.self) {
            for host in aggregate.hosts { byHost[host, default: []].append(aggregate) }
        }
        return byHost
    }

    private func register(_ names: [String]) async throws(Fault) -> [ComputeHost] {
        var hosts: [ComputeHost] = []
        for name in names {
            let now = room.clock.now()
            hosts.append(
                ComputeHost(
                    id: room.ids.uuid(), serviceID: room.ids.uuid(), number: 0, name: name,
                    resources: try await room.hosts.find(name).resources(), isDisabled: false, disabledReason: nil,
                    isForcedDown: false, reportedAt: now, createdAt: now, updatedAt: now, deletedAt: nil))
        }
        let fresh = hosts
        return try await room.database.transaction { transaction throws(Fault) in
            let next = try transaction.nextNumber(ComputeHost.self)
            let numbered = fresh.enumerated().map { $1.numbered(next + $0) }
            try transaction.insert(numbered)
            return numbered
        }
    }
}

// MARK: - What Placement is told

extension HostReporter {
    private func told(
        _ host: ComputeHost, _ aggregates: [Aggregate], _ held: [String: PlacementClient.Way]
    ) -> Told {
        let facts = host.resources
        return Told(
            stock: stock(facts, aggregates), traits: HostTraits.of(facts, isDisabled: host.isDisabled),
            aggregates: Set(aggregates.map(\.uuid)),
            facts: [
                "\(facts.hypervisorType) \(facts.hypervisorVersion) \(facts.hostIP)", facts.cpu.model,
                "\(facts.vcpus) \(facts.memoryMiB) \(facts.diskGiB)",
                "\(facts.numaCells ?? [])", "\(facts.pciDevices ?? [])", "\(facts.mediatedSources ?? [])",
                "\((facts.metrics ?? [:]).sorted { $0.key < $1.key })",
            ], held: held)
    }

    /// What may be taken of a host: aggregates' ratios before the configured ones, the least of several.
    private func stock(_ facts: HostResources, _ aggregates: [Aggregate]) -> [String: PlacementClient.Stock] {
        let options = room.options
        func ratio(_ name: String, _ configured: Double?) -> Double? {
            aggregates.compactMap { $0.metadata[name].flatMap { Double($0) } }.filter { $0 > 0 }.min() ?? configured
        }
        // Processors that are given to guests for themselves are given once, whatever the ratio of the others.
        var stock: [String: PlacementClient.Stock] = [:]
        let shared = facts.sharedCPUs ?? (facts.ownCPUs == nil ? facts.vcpus : 0)
        if shared > 0 {
            stock["VCPU"] = .init(
                total: shared, reserved: min(options.reservedCPUs, max(0, shared - 1)),
                ratio: ratio("cpu_allocation_ratio", options.cpuRatio), initialRatio: options.initialCPURatio)
        }
        if let own = facts.ownCPUs, own > 0 {
            stock["PCPU"] = .init(total: own, reserved: 0, ratio: 1, initialRatio: 1)
        }
        let rest: [String: PlacementClient.Stock] = [
            "MEMORY_MB": .init(
                total: facts.memoryMiB, reserved: min(options.reservedMemoryMiB, facts.memoryMiB / 4),
                ratio: ratio("ram_allocation_ratio", options.memoryRatio), initialRatio: options.initialMemoryRatio),
            "DISK_GB": .init(
                total: facts.diskGiB,
                reserved: min((options.reservedDiskMiB + 1023) / 1024, max(0, facts.diskGiB - 1)),
                ratio: ratio("disk_allocation_ratio", options.diskRatio), initialRatio: options.initialDiskRatio),
        ]
        return stock.merging(rest) { own, _ in own }
    }

    /// What Placement should say of a host, by what it reported last.
    func inventory(of host: ComputeHost) async throws(Fault) -> [String: PlacementClient.Stock] {
        stock(host.resources, try await memberships()[host.name] ?? [])
    }

    /// Tells Placement of a host as it is now.
    func publish(_ host: ComputeHost) async throws(Fault) {
        var host = host
        let before = host.resources
        if let driver = try? room.hosts.find(host.name) { host.resources = try await driver.resources() }
        let parts = PartsReporter(room, requestID: "req-" + room.ids.uuid())
        let held = try await parts.held(by: [host])[host.name] ?? [:]
        let now = told(host, try await memberships()[host.name] ?? [], held)
        try await publish(Change(host: host, told: now, before: before))
    }

    /// Tells Placement at once that a host is given no more work, or may have some again; what cannot be told now is
    /// told with the host's next report.
    func publishStatus(_ host: ComputeHost, requestID: String) async {
        guard host.isUp(at: room.clock.now(), within: room.options.serviceDownTime) else { return }
        let traits = HostTraits.of(host.resources, isDisabled: host.isDisabled)
        do throws(Fault) {
            try await room.placement.setTraits(host.id, traits, isOwn: HostTraits.isOwn, requestID: requestID)
        } catch {
            room.log.warning("Placement was not told of a host", ["host": host.name, "error": error.message])
        }
    }

    /// Tells Placement, then keeps the facts: a crash between the two repeats the telling.
    private func publish(_ change: Change) async throws(Fault) {
        let (placement, requestID) = (room.placement, "req-" + room.ids.uuid())
        let (host, told) = (change.host, change.told)
        try await placement.ensureProvider(host.id, name: host.name, requestID: requestID)
        try await placement.setInventory(host.id, told.stock, requestID: requestID)
        try await placement.setTraits(host.id, told.traits, isOwn: HostTraits.isOwn, requestID: requestID)
        try await placement.setAggregates(host.id, told.aggregates, requestID: requestID)
        let parts = PartsReporter(room, requestID: requestID)
        try await parts.publish(host, before: change.before)
        await parts.heal(told.held, on: host)
        let text: String
        do { text = try JSON.encode(host.resources).text() } catch {
            throw .internalError("a host's facts cannot be stored: \(error)")
        }
        _ = try await room.database.update(
            ComputeHost.self, set: "resources = \(text), updated_at = \(room.clock.now())", where: "id = \(host.id)")
    }
}
