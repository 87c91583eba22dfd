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

    /// Reports until cancelled. What fails is tried again with the next report.
    package func run() async {
        while !Task.isCancelled {
            guard (try? await room.clock.sleep(interval)) != nil else { return }
            do throws(Fault) {
                try await report()
            } catch {
                room.log.error("hosts could not be reported", ["error": error.description])
            }
        }
    }

    /// One report of all hosts: a heartbeat for each, and the facts of those that changed.
    package func report() async throws(Fault) {
        let names = room.hosts.names
        let known = try await room.database.all(ComputeHost.self, "name", in: names, and: "deleted_at IS NULL")
        let byName = Dictionary(known.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let new = names.filter { byName[$0] == nil }
        if !new.isEmpty { try await register(new) }
        for host in known {
            let facts = try await room.hosts.find(host.name).resources()
            guard HostReporter.capacity(facts) != HostReporter.capacity(host.resources) else { continue }
            try await publish(host.id, host.name, facts)
        }
        let now = room.clock.now()
        for start in stride(from: 0, to: names.count, by: 1000) {
            let part = Array(names[start..<min(start + 1000, names.count)])
            _ = try await room.database.update(
                ComputeHost.self, set: "reported_at = \(now)", where: "name IN \(part)")
        }
    }

    private func register(_ names: [String]) async throws(Fault) {
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
        try await room.database.transaction { transaction throws(Fault) in
            var next =
                try transaction.rows("SELECT COALESCE(MAX(number), 0) AS newest FROM compute_hosts").first?
                .int("newest") ?? 0
            var numbered: [ComputeHost] = []
            for host in fresh {
                next += 1
                numbered.append(host.numbered(next))
            }
            try transaction.insert(numbered)
        }
        try await withFaultGroup(fresh, width: 64) { host async throws(Fault) in
            try await self.publish(host.id, host.name, host.resources)
        }
    }

    /// Tells Placement, then keeps the facts: a crash between the two repeats the telling.
    private func publish(_ id: String, _ name: String, _ facts: HostResources) async throws(Fault) {
        let (placement, requestID, options) = (room.placement, "req-" + room.ids.uuid(), room.options)
        try await placement.ensureProvider(id, name: name, requestID: requestID)
        try await placement.setInventory(
            id,
            [
                "VCPU": (facts.vcpus, 0, options.cpuRatio),
                "MEMORY_MB": (
                    facts.memoryMiB, min(options.reservedMemoryMiB, facts.memoryMiB / 4), options.memoryRatio
                ),
                "DISK_GB": (facts.diskGiB, 0, options.diskRatio),
            ], requestID: requestID)
        let text: String
        do { text = try JSON.encode(facts).text() } catch {
            throw .internalError("a host's facts cannot be stored: \(error)")
        }
        _ = try await room.database.update(
            ComputeHost.self, set: "resources = \(text), updated_at = \(room.clock.now())", where: "id = \(id)")
    }

    private static func capacity(_ facts: HostResources) -> [Int] { [facts.vcpus, facts.memoryMiB, facts.diskGiB] }
}
