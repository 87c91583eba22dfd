// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Resizes a server, or moves it while it is down: to another host as a rule, on its own if that is allowed and best.
/// What it was is kept until somebody confirms or reverts.
struct MoveServer: Operation {
    static let kind = "compute.move"

    let server: String
    let migration: String
    let placing: MovePlacing

    var subject: String { server }
    var deadline: Duration { .seconds(21_600) }

    /// Upstream's names for the events.
    var steps: [Step<ComputeSite>] {
        [
            Step("conductor_migrate_server", attempts: 5, budget: .seconds(300), do: place, undo: unplace),
            Step("prep_resize", do: prepare),
            Step("prep_resize_volumes", do: prepareVolumes, undo: forgetVolumes),
            .stopping("power_off", server, undo: wakeUp, powerOff),
            Step("resize_instance", budget: .seconds(7200), pace: .long, do: transfer, undo: takeBack),
            Step("finish_resize", budget: .seconds(900), do: finish, undo: unfinish),
        ]
    }

    // MARK: - Where to

    private func place(_ site: ComputeSite) async throws(Fault) {
        try await placing.place(site, migration, then: .preMigrating)
    }

    private func unplace(_ site: ComputeSite) async throws(Fault) { try await placing.undo(site, migration) }

    private func prepare(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        _ = try await site.mover(migration.dest).resources()
        try await site.note(.migrating, .resizeMigrating, migration)
    }

    private func prepareVolumes(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard let dest = migration.dest, !migration.staysOnHost else { return }
        try await VolumeJourney(site).prepare(server, for: dest)
    }

    private func forgetVolumes(_ site: ComputeSite) async throws(Fault) { try await VolumeJourney(site).forget(server) }

    // MARK: - The guest and its disks

    private func powerOff(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let here = try site.mover(try await site.migration(migration).source)
        return try await ShutdownWait(site: site, server: server, patience: patience).stopIfUp(on: here)
    }

    private func wakeUp(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard migration.oldState == .active else { return }
        let here = try site.mover(migration.source)
        try await site.ifAlive(migration.source) { () async throws(Fault) in try await site.wake(server, on: here) }
    }

    private func transfer(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        let (here, there) = (try site.mover(migration.source), try site.mover(migration.dest))
        let (new, old) = (migration.newFlavor, migration.oldFlavor)
        // A root disk that is a volume is as large as that.
        let isRootFit = server.isVolumeBacked || new.diskGiB == 0 || new.diskGiB >= old.diskGiB
        guard isRootFit, new.ephemeralGiB >= old.ephemeralGiB else {
            throw .badRequest("Instance rollback performed due to: Resize error: Unable to resize disk down.")
        }
        let state = try await here.state(of: server.id)
        if state == .running || state == .paused {
            // It was started again since, by whom it may be.
            try await here.power(server.id, .stop)
        }
        if migration.staysOnHost {
            try await here.keepDisks(of: server.id)
        } else {
            let guest = try await site.room.guest(for: server.moved(by: migration))
            try await site.bringKernel(of: server, to: there)
            try await there.receive(guest, disks: try await here.disks(of: server.id))
        }
        try await site.note(.postMigrating, .resizeMigrated, migration)
    }

    private func takeBack(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        let here = try site.mover(migration.source)
        if migration.staysOnHost {
            let guest = try await site.room.guest(for: server)
            try await site.ifAlive(migration.source) { () async throws(Fault) in
                try await site.restore(guest, on: here)
            }
        } else if let dest = migration.dest {
            let there = try site.mover(dest)
            try await site.ifAlive(dest) { () async throws(Fault) in try await there.destroy(server.id) }
        }
        // What starts the guest again is undoing its stop.
        guard !migration.staysOnHost else { return }
        try await site.ifAlive(migration.source) { () async throws(Fault) in
            try await site.reconnect(server, on: here)
        }
    }

    // MARK: - The other size, or the other host

    private func finish(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        // A run before a crash has finished it, and by now it may be under way to be confirmed or reverted.
        guard migration.status == .postMigrating else {
            guard migration.status == .finished else { return }
            return await VolumeJourney(site).releaseIfPossible(server.id)
        }
        try await site.note(nil, .resizeFinish, migration)
        let there = try site.mover(migration.dest)
        if let dest = migration.dest, migration.rebinds {
            try await ServerWiring(site.room, requestID: site.requestID).bind(server.moved(by: migration), to: dest)
        }
        let state = try await there.state(of: server.id)
        if state == .shutdown || state == .crashed {
            try await there.resize(try await site.room.guest(for: server.moved(by: migration)))
        }
        if migration.oldState == .active { try await there.power(server.id, .start) }
        if !migration.staysOnHost { try await VolumeJourney(site).complete(server.id, at: migration.dest) }
        try await commit(migration, site)
        await VolumeJourney(site).releaseIfPossible(server.id)
    }

    private func commit(_ migration: ServerMigration, _ site: ComputeSite) async throws(Fault) {
        let (now, request) = (site.clock.now(), site.requestID)
        let flavor = migration.newFlavor
        let text = try ServerMigration.text(flavor)
        let place = try migration.place(isNew: true)
        let power: GuestState = migration.oldState == .active ? .running : .shutdown
        try await site.database.transaction { transaction throws(Fault) in
            guard try ServerMigration.enter(.finished, migration.id, from: [.postMigrating], now, transaction) else {
                return
            }
            _ = try transaction.update(
                Server.self,
                set: """
                    host = \(migration.dest), node = \(migration.dest), flavor = \(text), vcpus = \(flavor.vcpus),
                    memory_mb = \(flavor.memoryMiB), vm_state = 'resized', power_state = \(power.rawValue),
                    launched_at = \(now), updated_at = \(now), progress = 100, fault = NULL,
                    generation = generation + 1,
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """ + place,
                where: "id = \(migration.serverID) AND deleted_at IS NULL")
            try VolumeJourney.turn(migration.serverID, to: migration.dest, from: migration.source, transaction)
            try InstanceAction.finish(migration.serverID, request, nil, now, transaction)
        }
    }

    private func unfinish(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        do throws(Fault) { try await site.becomeOld(migration, .migrating) } catch {
            guard error.status < 500 else { throw error }
            try await site.becomeOld(migration, .migrating, leavesVolumes: true)
        }
        if !migration.staysOnHost {
            try await site.unlessRefused(server) { () async throws(Fault) in
                try await VolumeJourney(site).complete(server, at: nil)
            }
        }
        guard migration.rebinds else { return }
        try await ServerWiring(site.room, requestID: site.requestID).bind(
            try await site.server(server), to: migration.source, keptBy: migration.id)
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let migration = try await site.migration(migration)
        if migration.isOpen, migration.oldState == .active, let here = try? site.mover(migration.source) {
            // Its host may have been silent when this was undone, and be back by now.
            try await site.ifAlive(migration.source) { () async throws(Fault) in
                try await site.wake(server, on: here)
            }
        }
        // Before the guest was touched another host may do as well.
        if step == "prep_resize" {
            let retry = MoveRetry(site: site, migration: migration, placing: placing)
            let isRetried = try await retry.goOn(
                after: fault, retries: site.room.options.scheduler.maxAttempts - 1
            ) { MoveServer(server: server, migration: migration.id, placing: $0) }
            if isRetried { return }
        }
        try await site.endMove(migration.id, .error, fault, step: step)
    }
}

extension ComputeSite {
    /// Gives a server the host, place and size it had before a move, and that host its volumes.
    /// - Parameter leavesVolumes: whether Block storage is not asked, because it refuses.
    func becomeOld(
        _ migration: ServerMigration, _ status: ServerMigration.Status, leavesVolumes: Bool = false
    ) async throws(Fault) {
        if !leavesVolumes, !migration.staysOnHost, try await server(migration.serverID).host == migration.dest {
            try await VolumeJourney(self).prepare(migration.serverID, for: migration.source)
        }
        let (now, flavor) = (clock.now(), migration.oldFlavor)
        let place = try migration.place(isNew: false)
        let text = try ServerMigration.text(flavor)
        try await database.transaction { transaction throws(Fault) in
            try ServerMigration.enter(status, migration.id, now, transaction)
            _ = try transaction.update(
                Server.self,
                set: """
                    host = \(migration.source), node = \(migration.source), flavor = \(text),
                    vcpus = \(flavor.vcpus), memory_mb = \(flavor.memoryMiB),
                    vm_state = CASE WHEN vm_state = 'resized' THEN \(migration.oldState) ELSE vm_state END,
                    updated_at = \(now), generation = generation + 1
                    """ + place,
                where: "id = \(migration.serverID) AND deleted_at IS NULL")
            try VolumeJourney.turn(migration.serverID, to: migration.source, from: migration.dest, transaction)
        }
    }

    /// Describes a guest that is down anew where it was left: how its volumes are reached may have changed.
    func reconnect(_ server: Server, on host: any Hypervisor & GuestMigration) async throws(Fault) {
        guard try await !BlockDevice.of(server.id, database).isEmpty else { return }
        let state = try await host.state(of: server.id)
        guard state == .shutdown || state == .crashed else { return }
        try await host.resize(try await room.guest(for: server))
    }

    /// Switches a guest off and gives it the disks and the size that were kept for it.
    func restore(_ guest: GuestSpec, on host: any Hypervisor & GuestMigration) async throws(Fault) {
        let state = try await host.state(of: guest.server)
        if state == .running || state == .paused { try await host.power(guest.server, .stop) }
        try await host.restoreDisks(guest)
    }

    /// Starts a guest that is down.
    func wake(_ server: String, on host: any Hypervisor) async throws(Fault) {
        let state = try await host.state(of: server)
        if state == .shutdown || state == .crashed { try await host.power(server, .start) }
    }
}

extension Server {
    /// As it is to be where a migration takes it.
    func moved(by migration: ServerMigration) -> Server {
        var server = self
        server.host = migration.dest
        server.flavor = migration.newFlavor
        server.numa = migration.newNUMA
        server.hostDevices = migration.newDevices
        return server
    }
}

extension ServerMigration {
    /// Whether ports are told of another host, or of another device of the same.
    var rebinds: Bool { !staysOnHost || (oldDevices + newDevices).contains { $0.portID != nil } }

    /// What is to be set of a server's place on its host, after the move or before it; nothing where nothing is booked,
    /// as by a move that began before places were.
    func place(isNew: Bool) throws(Fault) -> SQL {
        guard oldNUMA != nil || newNUMA != nil || !oldDevices.isEmpty || !newDevices.isEmpty else { return "" }
        let numa = try HardwareBooks.text(isNew ? newNUMA : oldNUMA)
        let devices = try HardwareBooks.text(isNew ? newDevices : oldDevices) ?? "[]"
        return ", numa = \(numa), host_devices = \(devices)"
    }
}

extension ServerWiring {
    /// Binds a server's ports to another host.
    /// - Parameter move: the migration that holds what is the server's on that one, where it goes back to it.
    func bind(_ server: Server, to host: String, keptBy move: String? = nil) async throws(Fault) {
        for port in try await room.network.ports([("device_id", server.id)], requestID: requestID)
        where port.host != host || server.hostDevices.contains(where: { $0.portID == port.id }) {
            let bound = try await room.network.updatePort(
                port.id, ["binding:host_id": .string(host)], requestID: requestID)
            var there = server
            there.host = host
            try await allocate(bound, of: there, keptBy: move)
        }
    }
}
