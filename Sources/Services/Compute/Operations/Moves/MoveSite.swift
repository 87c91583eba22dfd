// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What all moves of servers have in common: their records, hosts that may be silent, and what they hold in Placement.
extension ComputeSite {
    func migration(_ id: String) async throws(Fault) -> ServerMigration {
        try await database.one(ServerMigration.self, "id = \(id)", or: .notFound("Migration \(id) could not be found."))
    }

    /// A host's ability to hand guests over, or 409 for a hypervisor that has none.
    func mover(_ host: String?) throws(Fault) -> any Hypervisor & GuestMigration {
        guard let host else { throw .conflict("The migration has no destination yet.") }
        guard let mover = try room.hosts.find(host) as? any Hypervisor & GuestMigration else {
            throw .conflict("The hypervisor of \(host) cannot hand guests over.")
        }
        return mover
    }

    func liveMover(_ host: String?) throws(Fault) -> any Hypervisor & GuestLiveMigration {
        guard let mover = try mover(host) as? any Hypervisor & GuestLiveMigration else {
            throw .badRequest(
                "Migration pre-check error: the hypervisor of \(host ?? "") does not migrate live guests.")
        }
        return mover
    }

    /// Does something on a host, or leaves it for when the host is back if it counts as down: false.
    @discardableResult
    func ifAlive(_ host: String?, _ deed: () async throws(Fault) -> Void) async throws(Fault) -> Bool {
        guard let host else { return false }
        do throws(Fault) {
            try await deed()
            return true
        } catch {
            guard error.status == 503, try await !isUp(host) else { throw error }
            room.log.warning("left for when the host is back", ["host": host, "error": error.message])
            return false
        }
    }

    func isUp(_ host: String) async throws(Fault) -> Bool {
        let row = try await database.first(ComputeHost.self, "name = \(host) AND deleted_at IS NULL")
        return row?.isUp(at: clock.now(), within: room.options.serviceDownTime) ?? false
    }

    /// Notes how far a move is: the migration's status and the server's task.
    func note(
        _ status: ServerMigration.Status?, _ task: TaskState?, _ migration: ServerMigration
    ) async throws(Fault) {
        let now = clock.now()
        try await database.transaction { transaction throws(Fault) in
            if let status { try ServerMigration.enter(status, migration.id, now, transaction) }
            guard let task else { return }
            _ = try transaction.update(
                Server.self, set: "task_state = \(task), updated_at = \(now)",
                where: """
                    id = \(migration.serverID) AND deleted_at IS NULL AND task_state IS NOT NULL
                    AND task_state <> 'deleting'
                    """)
        }
    }

    /// A move came to nothing and the server is what it was: only the action failed.
    func endMove(
        _ id: String, _ status: ServerMigration.Status, _ fault: Fault, step: String, vmState: VMState? = nil
    ) async throws(Fault) {
        let (now, request) = (clock.now(), requestID)
        let text = try ServerFault.text(
            ServerFault(
                code: fault.status == 400 ? 500 : fault.status, message: fault.message,
                details: "step \(step), request \(request)", at: now))
        let before = try await migration(id)
        if before.isOpen { try await giveUpHold(before) }
        try await database.transaction { transaction throws(Fault) in
            let migration = try transaction.one(
                ServerMigration.self, "id = \(id)", or: .notFound("Migration \(id) could not be found."))
            guard migration.isOpen else { return }
            try ServerMigration.enter(status, id, now, transaction)
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = COALESCE(\(vmState?.rawValue), vm_state), fault = \(text), updated_at = \(now),
                    progress = 0, generation = generation + 1, disk_config = \(migration.oldDiskConfig),
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """,
                where: "id = \(migration.serverID) AND deleted_at IS NULL")
            try InstanceAction.finish(migration.serverID, request, fault.message, now, transaction)
        }
        if let migration = try? await migration(id) { await GuestWatch(room).look(at: migration.serverID) }
    }
}

// MARK: - Placement

extension ComputeSite {
    /// From now on the migration holds what the server held, so that the server itself may hold of another host.
    func holdSource(_ migration: ServerMigration) async throws(Fault) {
        let placement = room.placement
        guard try await placement.holding(migration.id, requestID: requestID) == nil,
            let mine = try await placement.holding(migration.serverID, requestID: requestID)
        else { return }
        try await placement.claim(
            [
                .init(
                    consumer: migration.id, allocations: mine.allocations, project: mine.project, user: mine.user),
                .init(
                    consumer: migration.serverID, allocations: [:], project: mine.project, user: mine.user,
                    generation: mine.generation),
            ], requestID: requestID)
    }

    /// After a move that ended badly nothing is held in its name: the server holds what it has where it is said to be.
    private func giveUpHold(_ migration: ServerMigration) async throws(Fault) {
        let row = try await database.first(Server.self, "id = \(migration.serverID) AND deleted_at IS NULL")
        let isAsBefore = row.map { row in
            row.host == migration.source && (!migration.staysOnHost || row.flavor == migration.oldFlavor)
        }
        guard isAsBefore == true else {
            return try await room.placement.release(migration.id, requestID: requestID)
        }
        try await returnSource(migration)
    }

    /// The server holds again what the migration kept for it, and nothing else.
    func returnSource(_ migration: ServerMigration) async throws(Fault) {
        let placement = room.placement
        guard let kept = try await placement.holding(migration.id, requestID: requestID) else { return }
        let mine = try await placement.holding(migration.serverID, requestID: requestID)
        try await placement.claim(
            [
                .init(
                    consumer: migration.id, allocations: [:], project: kept.project, user: kept.user,
                    generation: kept.generation),
                .init(
                    consumer: migration.serverID, allocations: kept.allocations, project: kept.project,
                    user: kept.user, generation: mine?.generation),
            ], requestID: requestID)
    }
}
