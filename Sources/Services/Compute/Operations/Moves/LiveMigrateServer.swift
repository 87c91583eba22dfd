// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Moves a server to another host while it runs. Until it has arrived it can be given up, and then it runs on where it
/// was; once it has, it is only settled in.
struct LiveMigrateServer: Operation {
    static let kind = "compute.live-migrate"

    let server: String
    let migration: String
    let placing: MovePlacing

    var subject: String { server }
    var deadline: Duration { .seconds(86_400) }

    var steps: [Step<ComputeSite>] {
        [
            Step("conductor_live_migrate_instance", attempts: 5, budget: .seconds(300), do: place, undo: unplace),
            Step("pre_live_migration_volumes", attempts: 2, do: prepareVolumes, undo: forgetVolumes),
            Step("pre_live_migration", attempts: 2, budget: .seconds(900), do: prepare, undo: unprepare),
            .plugging(server, awaitPorts),
            Step("live_migration", attempts: 2, budget: .seconds(43_200), pace: .long, do: travel, undo: giveUp),
            Step("post_live_migration_at_destination", attempts: 10, budget: .seconds(300), do: settle),
        ]
    }

    private func place(_ site: ComputeSite) async throws(Fault) {
        if let refusal = try LiveChecks.refusal(try await site.server(server), site.room.options.pci) { throw refusal }
        if placing.isForced, let target = placing.target {
            let server = try await site.server(server)
            if server.host != nil, let refusal = try await LiveChecks(site.room).refusal(server, to: target) {
                throw refusal
            }
        }
        try await placing.place(site, migration, then: .queued)
    }

    private func unplace(_ site: ComputeSite) async throws(Fault) {
        guard try await !hasArrived(site) else { return }
        try await placing.undo(site, migration)
    }

    private func prepareVolumes(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        try await site.note(.preparing, nil, migration)
        if let dest = migration.dest { try await VolumeJourney(site).prepare(server, for: dest) }
    }

    private func forgetVolumes(_ site: ComputeSite) async throws(Fault) {
        guard try await !hasArrived(site) else { return }
        try await VolumeJourney(site).forget(server)
    }

    private func prepare(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard let dest = migration.dest else { throw .conflict("The migration has no destination.") }
        let moved = try await site.server(server).moved(by: migration)
        try await PortJourney(site).prepare(moved, for: dest) { () async throws(Fault) in
            _ = try await expect(migration, site)
        }
    }

    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        guard let dest = try await site.migration(migration).dest else { return .over }
        return try await PortJourney(site).look(at: server, for: dest, patience)
    }

    private func expect(_ migration: ServerMigration, _ site: ComputeSite) async throws(Fault) -> ArrivalPlace {
        let (here, there) = (try site.liveMover(migration.source), try site.liveMover(migration.dest))
        let row = try await site.server(server)
        let guest = try await site.room.guest(for: row.moved(by: migration))
        try await site.bringKernel(of: row, to: there)
        return try await there.expect(guest.underWay, disks: try await here.disks(of: server))
    }

    private func unprepare(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard try await !hasArrived(site), let dest = migration.dest else { return }
        let there = try site.mover(dest)
        try await site.ifAlive(dest) { () async throws(Fault) in try await there.destroy(server) }
        try await PortJourney(site).forget(server, dest)
    }

    // MARK: - Under way

    private func travel(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard migration.status != .postMigrating else { return }
        let here = try site.liveMover(migration.source)
        if try await !here.hasLeft(server) {
            let place = try await expect(migration, site)
            try await site.note(.running, nil, migration)
            // A card in the guest's hands stays where it is: the guest lets go of it, and has another over there.
            for nic in try await site.server(server).cardsInHand {
                try await here.unplug(port: nic.portID, from: server)
            }
            let (database, clock, id) = (site.database, site.clock, migration.id)
            try await here.depart(server, to: place) { progress in
                guard let text = try? ServerMigration.text(progress) else { return }
                _ = try? await database.update(
                    ServerMigration.self, set: "progress = \(text), updated_at = \(clock.now())", where: "id = \(id)")
            }
        }
        try await noteArrival(site, migration)
    }

    /// From here on the server is where it went.
    private func noteArrival(_ site: ComputeSite, _ migration: ServerMigration) async throws(Fault) {
        let (now, place) = (site.clock.now(), try migration.place(isNew: true))
        try await site.database.transaction { transaction throws(Fault) in
            try ServerMigration.enter(.postMigrating, migration.id, now, transaction)
            _ = try transaction.update(
                Server.self,
                set: """
                    host = \(migration.dest), node = \(migration.dest), updated_at = \(now),
                    generation = generation + 1
                    """ + place,
                where: "id = \(migration.serverID) AND deleted_at IS NULL")
            try VolumeJourney.turn(migration.serverID, to: migration.dest, from: migration.source, transaction)
        }
    }

    private func hasArrived(_ site: ComputeSite) async throws(Fault) -> Bool {
        let status = try await site.migration(migration).status
        return status == .postMigrating || status == .completed
    }

    private func giveUp(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard try await !hasArrived(site), let dest = migration.dest else { return }
        let (here, there) = (try site.liveMover(migration.source), try site.liveMover(dest))
        // It may have arrived without anybody having written it down.
        var isGone = false
        try await site.ifAlive(migration.source) { () async throws(Fault) in
            isGone = try await here.hasLeft(server)
        }
        guard isGone else {
            let row = try await site.server(server)
            try await site.ifAlive(migration.source) { () async throws(Fault) in
                for nic in row.cardsInHand { try await here.plug(nic, into: server) }
            }
            return
        }
        guard try await there.state(of: server) != nil else { return }
        try await noteArrival(site, migration)
    }

    // MARK: - Arrived

    private func settle(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        guard migration.status == .postMigrating, let dest = migration.dest else { return }
        try await PortJourney(site).complete(server, at: dest, from: migration.source)
        let guest = try await site.room.guest(for: server)
        let state: GuestState = migration.oldPower == GuestState.paused.rawValue ? .paused : .running
        let there = try site.liveMover(dest)
        try await there.arrive(guest.underWay, as: state)
        for nic in server.cardsInHand { try await there.plug(nic, into: server.id) }
        do throws(Fault) { try await VolumeJourney(site).complete(server.id, at: dest) } catch {
            // It runs over there: what Block storage refuses now is asked for again.
            throw Fault(503, error.message)
        }
        let here = try site.mover(migration.source)
        try await site.ifAlive(migration.source) { () async throws(Fault) in try await here.destroy(server.id) }
        await VolumeJourney(site).releaseIfPossible(server.id)
        try await site.room.placement.release(migration.id, requestID: site.requestID)
        let (now, request) = (site.clock.now(), site.requestID)
        try await site.database.transaction { transaction throws(Fault) in
            try ServerMigration.enter(.completed, migration.id, now, transaction)
            _ = try transaction.update(
                Server.self,
                set: """
                    power_state = \(state.rawValue), updated_at = \(now), generation = generation + 1,
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """,
                where: "id = \(migration.serverID) AND deleted_at IS NULL")
            try InstanceAction.finish(migration.serverID, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let migration = try await site.migration(migration)
        switch migration.status {
        case .completed: return
        case .postMigrating where step == "post_live_migration_at_destination":
            // It lives over there, but is not settled in: somebody has to look.
            try await site.endMove(migration.id, .error, fault, step: step, vmState: .error)
        case .postMigrating: try await settle(site)
        case .accepted: try await site.endMove(migration.id, .error, fault, step: step)
        default:
            // It may have been given up when it had failed already and was being undone.
            let isAsked = try await LiveMigrations.isGivenUp(migration, site.database)
            let isGivenUp = isAsked || fault.isCancellation
            if step == "pre_live_migration", !isGivenUp {
                let retry = MoveRetry(site: site, migration: migration, placing: placing)
                let isRetried = try await retry.goOn(after: fault, retries: site.room.options.liveMigrationRetries) {
                    LiveMigrateServer(server: server, migration: migration.id, placing: $0)
                }
                if isRetried { return }
            }
            try await site.endMove(migration.id, isGivenUp ? .cancelled : .failed, fault, step: step)
        }
    }
}

/// Lets a live migration end at once, at whatever cost to the guest.
struct HastenMigration: Operation {
    static let kind = "compute.hasten-migration"

    let server: String
    let migration: String

    /// Not the server: the migration's own operation is at work on that.
    var subject: String { migration }

    var steps: [Step<ComputeSite>] { [Step("live_migration_force_complete", attempts: 5, do: hasten)] }

    private func hasten(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard migration.status == .running else { return }
        try await site.liveMover(migration.source).hasten(server)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}
