// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Finds the host that a server moves to, and claims it.
struct MovePlacing: Codable, Sendable {
    /// The only host that will do; nil leaves the choice to the scheduler.
    var target: String?
    /// Whether the target is taken without asking the scheduler's filters.
    var isForced = false
    /// A host that will not do, with the reason.
    var excluded: [String: String] = [:]
    /// Those that the server could not go to, in their order.
    var tried: [String]?

    /// - Parameter status: what the migration is after this.
    func place(
        _ site: ComputeSite, _ id: String, then status: ServerMigration.Status
    ) async throws(Fault) {
        let migration = try await site.migration(id)
        guard migration.dest == nil else { return }
        let server = try await site.server(migration.serverID)
        try await site.holdSource(migration)
        // A run that ended between its claim and its record has left one.
        if try await site.room.placement.holding(migration.id, requestID: site.requestID) != nil {
            try await site.room.placement.release(server.id, requestID: site.requestID)
        }
        let (host, claim, decision) = try await choose(site, server, migration)
        try await site.room.placement.claim([claim], requestID: site.requestID)
        do throws(Fault) {
            try await record(host, claim.allocations, decision, migration, status, site)
        } catch {
            try await site.room.placement.release(server.id, requestID: site.requestID)
            throw error
        }
        try await PartsReporter(site).hold([server.id])
    }

    /// Gives back what was claimed and held.
    func undo(_ site: ComputeSite, _ id: String) async throws(Fault) {
        try await site.returnSource(try await site.migration(id))
    }

    private func choose(
        _ site: ComputeSite, _ server: Server, _ migration: ServerMigration
    ) async throws(Fault) -> (ComputeHost, PlacementClient.Claim, Decision?) {
        if isForced, let target {
            let host = try await site.database.one(
                ComputeHost.self, "name = \(target) AND deleted_at IS NULL", or: .computeHostNotFound(target))
            let claim = PlacementClient.Claim(
                consumer: server.id, allocations: try await forced(site, server, migration, host),
                project: server.projectID, user: server.userID)
            return (host, claim, nil)
        }
        let task = self.task(server, migration)
        try await site.tellScheduling("start", [server])
        let decision = try await Scheduler(site.room, requestID: site.requestID).choose(task)
        if decision.missing.isEmpty { try await site.tellScheduling("end", [server]) }
        guard decision.missing.isEmpty, let choice = decision.choices.first, let claim = decision.claims.first else {
            try await site.database.transaction { transaction throws(Fault) in try decision.record(transaction) }
            throw exhausted(decision.fault)
        }
        return (choice.host, claim, decision)
    }

    /// Why no host is left, with what those said that were tried.
    private func exhausted(_ fault: Fault) -> Fault {
        guard let tried, !tried.isEmpty else { return fault }
        let said = tried.map { "\($0): \(excluded[$0] ?? "")" }
        return Fault(
            fault.status, code: fault.code, fault.message + " Tried before: " + said.joined(separator: "; "))
    }

    /// What is taken of a host that nobody was asked about. Where the server or its ports take of parts of it,
    /// Placement says which.
    private func forced(
        _ site: ComputeSite, _ server: Server, _ migration: ServerMigration, _ host: ComputeHost
    ) async throws(Fault) -> PlacementClient.Way {
        var resources = ResourceRequest(
            migration.newFlavor, image: server.imageProperties, isVolumeBacked: server.isVolumeBacked)
        let ports = try await site.room.resources(
            ofPorts: SchedulingTask([server]).ports, requestID: site.requestID)
        let need = try HardwareBooks.Need(
            migration.newFlavor, image: server.imageProperties, site.room.options.pci)
        resources.add(need?.requests ?? [])
        guard !ports.isEmpty || resources.asksForParts(of: host, site.room.options.pci) else {
            return [host.id: resources.amounts]
        }
        resources.add(ports)
        resources.host = host.id
        let found = try await site.room.placement.candidates(
            resources.query(limit: site.room.options.scheduler.candidatesMax), requestID: site.requestID)
        let (ways, options) = (found.ways[host.id] ?? [], site.room.options)
        guard let first = ways.first else {
            throw .badRequest(
                "No valid host was found. Unable to move instance \(server.id) to host \(host.name). There is not "
                    + "enough capacity on the host for the instance.")
        }
        // When none can be followed, the booking says why.
        return try await site.database.transaction { transaction throws(Fault) in
            try HardwareBooks.first(of: ways, for: migration, on: host, options, transaction) ?? first
        }
    }

    /// The question to the scheduler.
    func task(_ server: Server, _ migration: ServerMigration) -> SchedulingTask {
        var task = SchedulingTask([server])
        task.flavor = migration.newFlavor
        task.purpose = .move
        task.excluded = excluded
        task.request.tried = nil
        task.request.host = target
        task.request.node = nil
        task.request.isForced = nil
        return task
    }

    private func record(
        _ host: ComputeHost, _ way: PlacementClient.Way, _ decision: Decision?, _ migration: ServerMigration,
        _ status: ServerMigration.Status, _ site: ComputeSite
    ) async throws(Fault) {
        let (now, options) = (site.clock.now(), site.room.options)
        try await site.database.transaction { transaction throws(Fault) in
            try HardwareBooks.book(migration, on: host, way, options, transaction)
            if let decision {
                try ServerGroup.admit(migration.serverID, on: host.name, transaction)
                try decision.record(transaction)
            }
            _ = try transaction.update(
                ServerMigration.self,
                set: """
                    dest = \(host.name), dest_ip = \(host.resources.hostIP), status = \(status), updated_at = \(now)
                    """,
                where: "id = \(migration.id)")
        }
    }
}

extension Fault {
    static func computeHostNotFound(_ host: String) -> Fault {
        .badRequest("Compute host \(host) could not be found.")
    }
}
