// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Makes a server anew on another host because its own is down. What is left on that one is cleaned when it is back.
struct EvacuateServer: Operation {
    static let kind = "compute.evacuate"

    let server: String
    let migration: String
    let placing: MovePlacing

    var subject: String { server }
    var deadline: Duration { .seconds(3600) }

    var steps: [Step<ComputeSite>] {
        [
            Step("rebuild_server", attempts: 5, budget: .seconds(300), do: place, undo: unplace),
            Step(
                "rebuild_instance", attempts: 2, budget: .seconds(900), pace: .making(server, movedBy: migration),
                do: rebuild, undo: tearDown),
            .plugging(server, awaitPorts),
            Step("rebuild_instance_finish", attempts: 2, budget: .seconds(900), do: settle),
        ]
    }

    private func place(_ site: ComputeSite) async throws(Fault) {
        try await placing.place(site, migration, then: .preMigrating)
    }

    private func unplace(_ site: ComputeSite) async throws(Fault) {
        guard try await site.migration(migration).status != .done else { return }
        try await placing.undo(site, migration)
    }

    private func rebuild(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        guard migration.status != .done else { return }
        guard let dest = migration.dest else { throw .conflict("The evacuation has no destination.") }
        let there = try site.room.hosts.find(dest)
        try await ServerWiring(site.room, requestID: site.requestID).bind(server.moved(by: migration), to: dest)
        try await VolumeJourney(site).prepare(server.id, for: dest)
        try await site.note(nil, .rebuildSpawning, migration)
        let guest = try await site.room.guest(for: server.moved(by: migration))
        try await site.bringKernel(of: server, to: there)
        try await there.boot(guest, image: try await site.imageSource(server))
    }

    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let migration = try await site.migration(migration)
        guard migration.status != .done else { return .over }
        return try await PlugWait(site, patience).look(at: server, on: migration.dest)
    }

    private func settle(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        let volumes = VolumeJourney(site)
        guard migration.status != .done else { return await volumes.releaseIfPossible(server.id) }
        guard let dest = migration.dest else { throw .conflict("The evacuation has no destination.") }
        let there = try site.room.hosts.find(dest)
        if migration.newState == .stopped { try await there.power(server.id, .stop) }
        try await volumes.complete(server.id, at: dest)
        try await commit(migration, site)
        await volumes.releaseIfPossible(server.id)
    }

    private func tearDown(_ site: ComputeSite) async throws(Fault) {
        let (server, migration) = (try await site.server(server), try await site.migration(migration))
        guard let dest = migration.dest, server.host != dest else { return }
        let there = try site.room.hosts.find(dest)
        try await site.ifAlive(dest) { () async throws(Fault) in try await there.destroy(server.id) }
        try await VolumeJourney(site).forget(server.id)
        try await ServerWiring(site.room, requestID: site.requestID).bind(
            server, to: migration.source, keptBy: migration.id)
    }

    /// From here on the server is where it was made anew.
    private func commit(_ migration: ServerMigration, _ site: ComputeSite) async throws(Fault) {
        let (now, request) = (site.clock.now(), site.requestID)
        let isStopped = migration.newState == .stopped
        let place = try migration.place(isNew: true)
        let power: GuestState = isStopped ? .shutdown : .running
        let state: VMState = isStopped ? .stopped : .active
        try await site.database.transaction { transaction throws(Fault) in
            guard try ServerMigration.enter(.done, migration.id, from: [.preMigrating], now, transaction) else {
                return
            }
            _ = try transaction.update(
                Server.self,
                set: """
                    host = \(migration.dest), node = \(migration.dest), vm_state = \(state),
                    power_state = \(power.rawValue), launched_at = \(now), updated_at = \(now), progress = 100,
                    fault = NULL, generation = generation + 1,
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """ + place,
                where: "id = \(migration.serverID) AND deleted_at IS NULL")
            try VolumeJourney.turn(migration.serverID, to: migration.dest, from: migration.source, transaction)
            try InstanceAction.finish(migration.serverID, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard migration.status != .done else { return }
        // Upstream: its host is down and nobody else takes it.
        try await site.endMove(
            migration.id, migration.dest == nil ? .error : .failed, fault, step: step, vmState: .error)
    }
}
