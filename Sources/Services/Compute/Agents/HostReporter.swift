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
    struct Told: Hashable {
        let stock: [String: PlacementClient.Stock]
        let traits: Set<String>
        let aggregates: Set<String>
        let facts: [String]
        let parts: [HostParts.Part]
        /// What servers have of its parts.
        let held: [String: PlacementClient.Way]
    }

    /// What one report leaves to the next.
    struct Memory {
        /// Of hosts that Placement knows as they were last.
        var told: [String: Told] = [:]
        var held: PartsReporter.Held = [:]
        var reports = 0
        /// Why hosts could not be told of, as it was last said.
        var complaints: [String: String] = [:]
    }

    /// With how many reports it is looked up once what servers have of parts: rows and Placement hardly ever differ.
    private static let heldEvery = 6

    /// Reports until cancelled. What fails is tried again with the next report. The first tells Placement everything
    /// again, whatever it was told before.
    package func run() async {
        var memory = Memory()
        await room.clock.every(interval, waitsFirst: true) {
            do throws(Fault) {
                try await report(&memory)
            } catch {
                room.log.error("hosts could not be reported", ["error": error.description])
            }
        }
    }

    /// One report of all hosts: a heartbeat for each, and what changed of them. Answers the hosts that Placement could
    /// not be told of, each with the reason; the others do not wait for them.
    @discardableResult
    package func report() async throws(Fault) -> [String: Fault] {
        var memory = Memory()
        return try await report(&memory)
    }

    @discardableResult
    func report(_ memory: inout Memory) async throws(Fault) -> [String: Fault] {
        let names = room.hosts.names
        var known = try await room.database.all(ComputeHost.self, "name", in: names, and: "deleted_at IS NULL")
        let listed = Set(known.map(\.name))
        let new = names.filter { !listed.contains($0) }
        var silent: [String: Fault] = [:]
        if !new.isEmpty { known += try await register(new, &silent) }
        var alive: [HostParts] = []
        for var host in known {
            // A host that does not answer is not reported, and so counts as down before long.
            guard let facts = try? await room.hosts.find(host.name).resources() else { continue }
            host.resources = facts
            alive.append(HostParts(host, room.options.pci))
        }
        let aggregates = try await memberships()
        if memory.reports % HostReporter.heldEvery == 0 {
            memory.held = try await PartsReporter(room, requestID: "req-" + room.ids.uuid()).held(by: alive)
        }
        memory.reports += 1
        var changed: [Change] = []
        for parts in alive {
            let name = parts.host.name
            let now = told(parts, aggregates[name] ?? [], memory.held[name] ?? [:])
            let last = memory.told[name]
            if last != now { changed.append(Change(parts: parts, told: now, last: last)) }
        }
        let failures = await publish(changed, &memory).merging(silent) { told, _ in told }
        complain(failures, &memory)
        let now = room.clock.now()
        for start in stride(from: 0, to: alive.count, by: 1000) {
            let part = alive[start..<min(start + 1000, alive.count)].map(\.host.name)
            _ = try await room.database.update(
                ComputeHost.self, set: "reported_at = \(now)", where: "name IN \(part)")
        }
        return failures
    }

    /// A host that Placement must be told of, and what it was told of it last.
    private struct Change {
        let parts: HostParts
        let told: Told
        let last: Told?
    }

    /// Tells Placement of hosts, some at once; what went wrong with one is no other's business.
    private func publish(_ changes: [Change], _ memory: inout Memory) async -> [String: Fault] {
        var failures: [String: Fault] = [:]
        await withTaskGroup(of: (Change, Result<Bool, Fault>).self) { group in
            var rest = changes[...]
            func next() {
                guard let change = rest.popFirst() else { return }
                group.addTask {
                    do throws(Fault) { return (change, .success(try await publish(change))) } catch {
                        return (change, .failure(error))
                    }
                }
            }
            for _ in 0..<32 { next() }
            for await (change, outcome) in group {
                next()
                let name = change.parts.host.name
                switch outcome {
                case .success(let isSettled): memory.told[name] = isSettled ? change.told : nil
                case .failure(let fault):
                    memory.told[name] = nil
                    failures[name] = fault
                }
            }
        }
        return failures
    }

    /// Says once what is wrong with hosts, and again when it is something else.
    private func complain(_ failures: [String: Fault], _ memory: inout Memory) {
        let fresh = failures.filter { memory.complaints[$0.key] != $0.value.message }
        memory.complaints = failures.mapValues(\.message)
        for (reason, hosts) in Dictionary(grouping: fresh.keys.sorted(), by: { failures[$0]?.message ?? "" }) {
            let more = hosts.count > 10 ? " and \(hosts.count - 10) more" : ""
            room.log.error(
                "Placement could not be told of hosts; it is tried again with each report",
                ["hosts": hosts.prefix(10).joined(separator: ", ") + more, "error": reason])
        }
    }

    /// The aggregates of each host.
    private func memberships() async throws(Fault) -> [String: [Aggregate]] {
        var byHost: [String: [Aggregate]] = [:]
        for aggregate in try await room.database.all(Aggregate.self) {
            for host in aggregate.hosts { byHost[host, default: []].append(aggregate) }
        }
        return byHost
    }

    /// - Parameter silent: those that do not answer yet, and why; they are registered once they do.
    private func register(_ names: [String], _ silent: inout [String: Fault]) async throws(Fault) -> [ComputeHost] {
        var hosts: [ComputeHost] = []
        for name in names {
            let facts: HostResources
            do throws(Fault) { facts = try await room.hosts.find(name).resources() } catch {
                silent[name] = error
                continue
            }
            let now = room.clock.now()
            hosts.append(
                ComputeHost(
                    id: room.ids.uuid(), serviceID: room.ids.uuid(), number: 0, name: name,
                    resources: facts, isDisabled: false, disabledReason: nil,
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
        _ parts: HostParts, _ aggregates: [Aggregate], _ held: [String: PlacementClient.Way]
    ) -> Told {
        let (host, facts) = (parts.host, parts.host.resources)
        return Told(
            stock: stock(facts, aggregates), traits: HostTraits.of(facts, isDisabled: host.isDisabled),
            aggregates: Set(aggregates.map(\.uuid)),
            facts: [
                "\(facts.hypervisorType) \(facts.hypervisorVersion) \(facts.hostIP)", facts.cpu.model,
                "\(facts.vcpus) \(facts.memoryMiB) \(facts.diskGiB)",
                "\(facts.numaCells ?? [])", "\(facts.pciDevices ?? [])", "\(facts.mediatedSources ?? [])",
                "\((facts.metrics ?? [:]).sorted { $0.key < $1.key })",
            ], parts: parts.all, held: held)
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

    /// What Placement should say of hosts, by what they reported last.
    func inventories(of hosts: [ComputeHost]) async throws(Fault) -> [String: [String: PlacementClient.Stock]] {
        let aggregates = try await memberships()
        return Dictionary(
            hosts.map { ($0.id, stock($0.resources, aggregates[$0.name] ?? [])) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Tells Placement of a host as it is now.
    func publish(_ host: ComputeHost) async throws(Fault) {
        var host = host
        if let driver = try? room.hosts.find(host.name) { host.resources = try await driver.resources() }
        let parts = HostParts(host, room.options.pci)
        let held = try await PartsReporter(room, requestID: "req-" + room.ids.uuid()).held(by: [parts])
        let now = told(parts, try await memberships()[host.name] ?? [], held[host.name] ?? [:])
        _ = try await publish(Change(parts: parts, told: now, last: nil))
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

    /// Tells Placement, then keeps the facts: a crash between the two repeats the telling. Answers whether nothing is
    /// left to be told.
    private func publish(_ change: Change) async throws(Fault) -> Bool {
        let (placement, requestID) = (room.placement, "req-" + room.ids.uuid())
        let (host, told) = (change.parts.host, change.told)
        try await placement.ensureProvider(host.id, name: host.name, requestID: requestID)
        try await placement.setInventory(host.id, told.stock, requestID: requestID)
        try await placement.setTraits(host.id, told.traits, isOwn: HostTraits.isOwn, requestID: requestID)
        try await placement.setAggregates(host.id, told.aggregates, requestID: requestID)
        let reporter = PartsReporter(room, requestID: requestID)
        var isSettled = true
        if change.last?.parts != told.parts || change.parts.mistake != nil {
            isSettled = try await reporter.publish(change.parts)
        }
        if change.last?.held != told.held, await !reporter.heal(told.held, of: change.parts) { isSettled = false }
        let text: String
        do { text = try JSON.encode(host.resources).text() } catch {
            throw .internalError("a host's facts cannot be stored: \(error)")
        }
        _ = try await room.database.update(
            ComputeHost.self, set: "resources = \(text), updated_at = \(room.clock.now())", where: "id = \(host.id)")
        return isSettled
    }
}
