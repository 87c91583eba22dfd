// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Ends what moves have left open: resizes that nobody confirmed in time, and guests on hosts that were silent when the
/// servers went elsewhere.
package struct MoveKeeper: Sendable {
    let room: ComputeService
    private let interval: Duration

    package init(_ room: ComputeService, interval: Duration = .seconds(60)) {
        self.room = room
        self.interval = interval
    }

    /// Looks after moves until cancelled.
    package func run() async {
        await room.clock.every(interval) {
            await attempt("resizes could not be confirmed") { () async throws(Fault) in try await confirmOverdue() }
            await attempt("volumes of hosts that were left are held still") { () async throws(Fault) in
                try await releaseOldVolumes()
                try await giveForgottenVolumesBack()
            }
            for host in room.hosts.names {
                await attempt("leftovers of moves could not be cleaned") { () async throws(Fault) in
                    try await clean(host)
                }
            }
        }
    }

    private func attempt(_ what: String, _ deed: () async throws(Fault) -> Void) async {
        do throws(Fault) { try await deed() } catch { room.log.error(what, ["error": error.description]) }
    }

    // MARK: - Confirming

    /// Confirms the resizes that have waited longer than `resize_confirm_window`.
    package func confirmOverdue() async throws(Fault) {
        guard room.options.resizeConfirmWindow > .zero else { return }
        let now = room.clock.now()
        let oldest = now - room.options.resizeConfirmWindow
        let overdue = try await room.database.all(
            ServerMigration.self, "status = 'finished' AND updated_at <= \(oldest) ORDER BY number")
        let (queue, ids) = (room.queue, room.ids)
        for migration in overdue {
            let requestID = "req-" + ids.uuid()
            try await room.database.transaction { transaction throws(Fault) in
                guard
                    let server = try transaction.first(
                        Server.self,
                        """
                        id = \(migration.serverID) AND vm_state = 'resized' AND task_state IS NULL
                        AND deleted_at IS NULL
                        """),
                    try ServerMigration.enter(.confirming, migration.id, from: [.finished], now, transaction)
                else { return }
                try server.begin(
                    "confirmResize", ActionStart(work: ConfirmMove(server: server.id, migration: migration.id)),
                    by: server.userID, requestID: requestID, at: now, queue, transaction)
            }
        }
    }

    // MARK: - Leftovers

    /// Takes down guests on a host whose servers moved away from it, or never came: only those that a migration over
    /// says so of. Then evacuations from there are complete, and what they held is free. A host that was forced down is
    /// cleaned as soon as it answers: before that it may not be forced up.
    package func clean(_ host: String) async throws(Fault) {
        let known = try await room.database.first(ComputeHost.self, "name = \(host) AND deleted_at IS NULL")
        guard let known, room.clock.now() - known.reportedAt <= room.options.serviceDownTime else { return }
        let driver = try room.hosts.find(host)
        let guests: [String]
        do throws(Fault) { guests = try await driver.guests().keys.sorted() } catch {
            guard error.status == 503, known.isForcedDown else { throw error }
            return
        }
        for server in guests where try await isLeftover(server, on: host) {
            room.log.info("a guest whose server is elsewhere is removed", ["server": server, "host": host])
            try await driver.destroy(server)
        }
        let over = try await room.database.all(
            ServerMigration.self, "source = \(host) AND kind = 'evacuation' AND status = 'done'")
        for migration in over where try await isLeftOr(migration, driver) {
            try await room.placement.release(migration.id, requestID: "req-" + room.ids.uuid())
            let now = room.clock.now()
            try await room.database.transaction { transaction throws(Fault) in
                _ = try ServerMigration.enter(.completed, migration.id, from: [.done], now, transaction)
            }
        }
    }

    /// Whether nothing of the evacuated server is on its old host any more, or it has come back there since.
    private func isLeftOr(_ migration: ServerMigration, _ driver: any Hypervisor) async throws(Fault) -> Bool {
        if try await driver.state(of: migration.serverID) == nil { return true }
        return try await room.database.count(
            Server.self, "id = \(migration.serverID) AND host = \(migration.source) AND deleted_at IS NULL") > 0
    }

    private func isLeftover(_ id: String, on host: String) async throws(Fault) -> Bool {
        guard let server = try await room.database.first(Server.self, "id = \(id)") else { return false }
        guard server.deletedAt != nil || (server.host != nil && server.host != host) else { return false }
        let busy = try await room.database.count(
            OperationRecord.self, "subject = \(id) AND " + OperationRecord.unfinished)
        guard busy == 0 else { return false }
        let mine = try await room.database.all(
            ServerMigration.self, "server_id = \(id) AND (source = \(host) OR dest = \(host))")
        guard !mine.isEmpty else { return false }
        let isNeeded = mine.contains { $0.isOpen && $0.status != .done && server.deletedAt == nil }
        return !isNeeded
    }

    /// A server is being deleted: what its moves hold on other hosts goes with it. A host that is down is cleaned when
    /// it is back.
    func forget(_ server: Server, _ site: ComputeSite) async throws(Fault) {
        let open = try await room.database.all(ServerMigration.self, ServerMigration.open(server.id))
        for migration in open {
            for host in [migration.source, migration.dest].compactMap(\.self) where host != server.host {
                let driver = try room.hosts.find(host)
                try await site.ifAlive(host) { () async throws(Fault) in try await driver.destroy(server.id) }
            }
            try await room.placement.release(migration.id, requestID: site.requestID)
            let now = room.clock.now()
            let status: ServerMigration.Status =
                switch migration.status {
                case .finished, .confirming, .reverting: .confirmed
                case .done: .completed
                default: .error
                }
            try await room.database.transaction { transaction throws(Fault) in
                _ = try ServerMigration.enter(status, migration.id, now, transaction)
            }
        }
    }
}
