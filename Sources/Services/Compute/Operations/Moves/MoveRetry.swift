// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Sends a server that could not be received to another host, where nobody named the one it was to go to.
struct MoveRetry {
    let site: ComputeSite
    let migration: ServerMigration
    /// What it was tried with; all of that is undone.
    let placing: MovePlacing

    /// - Parameters:
    ///   - retries: how many hosts may be tried after the first one; nil is any number.
    ///   - work: the same move, placed differently.
    /// - Returns: whether it goes on.
    func goOn<Work: Operation>(
        after fault: Fault, retries: Int?, _ work: (MovePlacing) -> Work
    ) async throws(Fault) -> Bool {
        let tried = placing.tried ?? []
        guard placing.target == nil, !placing.isForced, let dest = migration.dest, migration.isOpen,
            !fault.isCancellation, tried.count < retries ?? Int.max
        else { return false }
        var next = placing
        next.tried = tried + [dest]
        next.excluded[dest] = "the server could not go there: \(fault.message)"
        let (again, id, server) = (work(next), migration.id, migration.serverID)
        let task = migration.kind == .live ? TaskState.migrating : .resizePrep
        let (queue, requestID, now) = (site.room.queue, site.requestID, site.clock.now())
        let isQueued = try await site.database.transaction { transaction throws(Fault) in
            let count = try transaction.update(
                Server.self, set: "task_state = \(task), updated_at = \(now), generation = generation + 1",
                where: "id = \(server) AND deleted_at IS NULL AND task_state <> 'deleting'")
            guard count == 1 else { return false }
            _ = try transaction.update(
                ServerMigration.self,
                set: """
                    dest = NULL, dest_ip = NULL, new_numa = NULL, new_devices = '[]', progress = NULL,
                    status = 'accepted', updated_at = \(now)
                    """,
                where: "id = \(id)")
            try queue.enqueue(again, requestID: requestID, in: transaction)
            return true
        }
        guard isQueued else { return false }
        site.room.log.warning(
            "a server could not go to a host; another one is looked for",
            ["server": server, "host": dest, "error": fault.message])
        return true
    }
}
