// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Finds hosts for the servers of one request in one pass, claims them in Placement, and starts their boots.
struct ScheduleServers: Operation {
    static let kind = "compute.schedule"

    let servers: [String]
    let reservation: String

    var subject: String { reservation }

    var steps: [Step<ComputeSite>] {
        [Step("schedule", attempts: 5, budget: .seconds(300), do: place)]
    }

    private func place(_ site: ComputeSite) async throws(Fault) {
        try await releaseForgotten(site)
        let pending = try await pending(site)
        guard !pending.isEmpty else { return }
        let decision = try await Scheduler(site).place(pending)
        try await site.database.transaction { transaction throws(Fault) in
            try decision.record(transaction)
        }
        guard decision.missing.isEmpty else { throw decision.fault }
        try await claim(decision, site)
        let orphans = try await start(decision, site)
        for orphan in orphans { try await site.room.placement.release(orphan, requestID: site.requestID) }
    }

    private func pending(_ site: ComputeSite) async throws(Fault) -> [Server] {
        try await site.database.all(
            Server.self,
            "id IN \(servers) AND host IS NULL AND task_state = 'scheduling' AND deleted_at IS NULL ORDER BY number")
    }

    /// A server that was deleted while its host was being claimed holds that claim for nobody, and a run that ended
    /// right then could not give it back.
    private func releaseForgotten(_ site: ComputeSite) async throws(Fault) {
        let forgotten = try await site.database.all(
            Server.self, "id IN \(servers) AND host IS NULL AND (deleted_at IS NOT NULL OR task_state = 'deleting')")
        for server in forgotten { try await site.room.placement.release(server.id, requestID: site.requestID) }
    }

    private func claim(_ decision: Decision, _ site: ComputeSite) async throws(Fault) {
        do throws(Fault) {
            try await site.room.placement.claim(decision.claims, requestID: site.requestID)
        } catch {
            // Either somebody was quicker, or a run before a crash left its claims: take back what is ours and look
            // again.
            if error.status == 409 {
                for claim in decision.claims {
                    try await site.room.placement.release(claim.consumer, requestID: site.requestID)
                }
            }
            throw error
        }
    }

    /// Gives the servers their hosts and queues their boots. Answers those that were deleted meanwhile.
    private func start(_ decision: Decision, _ site: ComputeSite) async throws(Fault) -> [String] {
        let (queue, requestID, now) = (site.room.queue, site.requestID, site.clock.now())
        return try await site.database.transaction { transaction throws(Fault) in
            var orphans: [String] = []
            for (server, host) in decision.chosen {
                let count = try transaction.update(
                    Server.self,
                    set: """
                        host = \(host.name), node = \(host.name), task_state = 'networking',
                        generation = generation + 1, updated_at = \(now)
                        """,
                    where: "id = \(server) AND task_state = 'scheduling' AND host IS NULL AND deleted_at IS NULL")
                guard count == 1 else {
                    orphans.append(server)
                    continue
                }
                try queue.enqueue(BootServer(server: server), requestID: requestID, in: transaction)
            }
            return orphans
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        for server in try await pending(site) {
            try await site.room.placement.release(server.id, requestID: site.requestID)
            try await site.fail(server.id, fault, step: "schedule", clearHost: true)
        }
    }
}
