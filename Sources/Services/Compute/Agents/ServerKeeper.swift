// SPDX-License-Identifier: Apache-2.0
internal import Clients
internal import Kernel

/// Does what is due: deletes servers whose time to be restored is over, takes shelved ones off their hosts, ends
/// rescues that last too long, lets images go that were reserved right before a crash, and destroys the secrets of
/// images that their owners deleted.
package struct ServerKeeper: Sendable {
    private let room: ComputeService
    private let interval: Duration

    package init(_ room: ComputeService, interval: Duration = .seconds(60)) {
        self.room = room
        self.interval = interval
    }

    package func run() async {
        await room.clock.every(interval) {
            await sweep()
        }
    }

    /// One look at all of it.
    package func sweep() async {
        let (life, now) = (room.options.life, room.clock.now())
        if life.reclaimInterval > .zero {
            await due("vm_state = 'soft-delete' AND soft_deleted_at <= \(now - life.reclaimInterval)") {
                server, requestID, transaction throws(Fault) in
                try DeleteServer.start(server, by: server.userID, requestID, now, room.queue, transaction)
            }
        }
        if let time = life.shelvedOffloadTime {
            await due("vm_state = 'shelved' AND shelved_at <= \(now - time)") {
                server, requestID, transaction throws(Fault) in
                try server.begin(
                    ActionRule.shelveOffload.name,
                    ActionStart(.shelvingOffloading, work: OffloadServer(server: server.id)), by: server.userID,
                    requestID: requestID, at: now, room.queue, transaction)
            }
        }
        if life.rescueTimeout > .zero {
            await due("vm_state = 'rescued' AND launched_at <= \(now - life.rescueTimeout)") {
                server, requestID, transaction throws(Fault) in
                try server.begin(
                    ActionRule.unrescue.name, ActionStart(.unrescuing, work: UnrescueServer(server: server.id)),
                    by: server.userID, requestID: requestID, at: now, room.queue, transaction)
            }
        }
        await attempt("intents") { () async throws(Fault) in try await dropIntents(before: now - .seconds(300)) }
        await attempt("keys") { () async throws(Fault) in try await room.forgetKeysOfDeletedImages() }
    }

    /// Begins something with the servers that a condition picks, as they are in the transaction that begins it.
    private func due(
        _ condition: SQL,
        _ begin: @escaping @Sendable (Server, String, Transaction) throws(Fault) -> Void
    ) async {
        await attempt("servers") { () async throws(Fault) in
            let ids = room.ids
            try await room.database.transaction { transaction throws(Fault) in
                let servers = try transaction.all(
                    Server.self, condition + " AND task_state IS NULL AND deleted_at IS NULL ORDER BY id LIMIT 100")
                for server in servers { try begin(server, "req-" + ids.uuid(), transaction) }
            }
        }
    }

    private func dropIntents(before moment: Timestamp) async throws(Fault) {
        for intent in try await room.database.all(SnapshotIntent.self, "created_at <= \(moment)") {
            room.log.warning("an image was reserved that nobody fills", ["image": intent.imageID])
            try await SnapshotIntent.forget(intent.imageID, room, requestID: "req-" + room.ids.uuid())
        }
    }

    private func attempt(_ what: String, _ deed: () async throws(Fault) -> Void) async {
        do throws(Fault) { try await deed() } catch {
            room.log.error("what is due could not be done", ["what": what, "error": error.description])
        }
    }
}
