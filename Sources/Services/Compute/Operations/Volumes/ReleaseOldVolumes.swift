// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Lets go of what is held of volumes for a host that their server left, or for a server that is deleted: Block
/// storage could not, or would not, when it was asked first. Between a server's other operations, so that no move under
/// way loses what it has reserved.
struct ReleaseOldVolumes: Operation {
    static let kind = "compute.release-old-volumes"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("terminate_volume_connections", attempts: 8, do: release)] }

    private func release(_ site: ComputeSite) async throws(Fault) {
        let gone = try await site.database.first(Server.self, "id = \(server) AND deleted_at IS NOT NULL")
        if let gone { return try await ServerVolumes(site).release(gone) }
        try await VolumeJourney(site).release(server)
    }
}

extension MoveKeeper {
    /// For so long a deleted server's volumes are asked for again.
    private static let patience = Duration.seconds(86_400)

    /// Queues that for servers to which nothing else is being done, and for those that were deleted lately.
    func releaseOldVolumes() async throws(Fault) {
        let oldest = room.clock.now() - MoveKeeper.patience
        let rows = try await room.database.rows(
            """
            SELECT DISTINCT d.server_id FROM compute_block_devices d
            JOIN compute_servers s ON s.id = d.server_id
            WHERE d.other_host IS NOT NULL AND s.deleted_at IS NULL AND s.task_state IS NULL
            OR d.attachment_id IS NOT NULL AND s.deleted_at > \(oldest)
            """)
        let (queue, ids) = (room.queue, room.ids)
        for server in rows.compactMap({ $0.text("server_id") }) {
            let requestID = "req-" + ids.uuid()
            try await room.database.transaction { transaction throws(Fault) in
                let busy = try transaction.count(
                    OperationRecord.self, "subject = \(server) AND " + OperationRecord.unfinished)
                guard busy == 0 else { return }
                try queue.enqueue(ReleaseOldVolumes(server: server), requestID: requestID, in: transaction)
            }
        }
    }
}
