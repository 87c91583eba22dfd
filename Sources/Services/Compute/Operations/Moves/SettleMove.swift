// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Confirms a resize or a cold migration: what was kept of the server as it was goes.
struct ConfirmMove: Operation {
    static let kind = "compute.confirm-move"

    let server: String
    let migration: String

    var subject: String { server }
    var deadline: Duration { .seconds(3600) }

    var steps: [Step<ComputeSite>] { [Step("confirm_resize", attempts: 30, do: confirm)] }

    private func confirm(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        let here = try site.mover(migration.source)
        if migration.staysOnHost {
            try await here.dropKeptDisks(of: server)
        } else {
            try await here.destroy(server)
        }
        try await site.room.forgetUnusedModuleKey(of: server)
        try await site.room.placement.release(migration.id, requestID: site.requestID)
        await VolumeJourney(site).releaseIfPossible(server)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        let (now, request, migration, server) = (site.clock.now(), site.requestID, migration, server)
        try await site.database.transaction { transaction throws(Fault) in
            guard try ServerMigration.enter(.confirmed, migration, from: [.confirming], now, transaction) else {
                return
            }
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = CASE WHEN power_state = 4 THEN 'stopped' ELSE 'active' END, updated_at = \(now),
                    generation = generation + 1
                    """,
                where: "id = \(server) AND vm_state = 'resized' AND deleted_at IS NULL")
            try InstanceAction.finish(server, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.endMove(migration, .error, fault, step: step, vmState: .error)
    }
}

/// Takes a resize or a cold migration back: the server is again what and where it was.
struct RevertMove: Operation {
    static let kind = "compute.revert-move"

    let server: String
    let migration: String

    var subject: String { server }
    var deadline: Duration { .seconds(3600) }

    var steps: [Step<ComputeSite>] {
        [
            Step("revert_resize", attempts: 30, do: leave),
            Step("finish_revert_resize", attempts: 30, budget: .seconds(300), do: comeBack),
            .plugging(server, awaitPorts),
        ]
    }

    private func leave(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        guard !migration.staysOnHost else { return }
        let there = try site.mover(migration.dest)
        try await site.ifAlive(migration.dest) { () async throws(Fault) in try await there.destroy(server) }
    }

    private func comeBack(_ site: ComputeSite) async throws(Fault) {
        let migration = try await site.migration(migration)
        do throws(Fault) { try await site.becomeOld(migration, .reverting) } catch {
            // There is no other way than back: what Block storage refuses now is asked for again.
            throw Fault(503, error.message)
        }
        let server = try await site.server(server)
        try await site.returnSource(migration)
        let here = try site.mover(migration.source)
        if migration.rebinds {
            try await ServerWiring(site.room, requestID: site.requestID).bind(server, to: migration.source)
        }
        if migration.staysOnHost {
            try await site.restore(try await site.room.guest(for: server), on: here)
        } else {
            try await site.reconnect(server, on: here)
        }
        try await site.room.forgetUnusedModuleKey(of: server.id)
        if migration.oldState == .active { try await site.wake(server.id, on: here) }
        guard !migration.staysOnHost else { return }
        try await VolumeJourney(site).complete(server.id, at: migration.source)
        await VolumeJourney(site).releaseIfPossible(server.id)
    }

    /// A server that comes back waits, as upstream's does; one that goes to another host does not.
    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let migration = try await site.migration(migration)
        guard migration.oldState == .active else { return .over }
        return try await PlugWait(site, patience).look(at: server, on: migration.source)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        let (now, request, server) = (site.clock.now(), site.requestID, server)
        let migration = try await site.migration(migration)
        let power: GuestState = migration.oldState == .active ? .running : .shutdown
        try await site.database.transaction { transaction throws(Fault) in
            guard try ServerMigration.enter(.reverted, migration.id, from: [.reverting], now, transaction) else {
                return
            }
            _ = try transaction.update(
                Server.self,
                set: """
                    power_state = \(power.rawValue), updated_at = \(now), generation = generation + 1, fault = NULL,
                    launched_at = \(now),
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """,
                where: "id = \(server) AND deleted_at IS NULL")
            try InstanceAction.finish(server, request, nil, now, transaction)
        }
    }

    /// It is in ERROR, but where it was, and nothing is held for where it went.
    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let open = try await site.migration(migration)
        if open.isOpen {
            try await site.becomeOld(open, .reverting, leavesVolumes: true)
            try await site.returnSource(open)
        }
        try await site.endMove(migration, .error, fault, step: step, vmState: .error)
    }
}
