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
        [Step("schedule", attempts: 8, budget: .seconds(300), do: place)]
    }

    /// How many servers are claimed, and then given their hosts, at once: the database is others', too.
    private static let portion = 500

    private func place(_ site: ComputeSite) async throws(Fault) {
        try await releaseForgotten(site)
        let pending = try await pending(site)
        guard !pending.isEmpty else { return }
        try await site.tellScheduling("start", pending)
        let decision = try await Scheduler(site.room, requestID: site.requestID).choose(SchedulingTask(pending))
        if decision.missing.isEmpty { try await site.tellScheduling("end", pending) }
        try await site.database.transaction { transaction throws(Fault) in
            try decision.record(transaction)
        }
        guard decision.missing.isEmpty else { throw decision.fault }
        try await claim(decision, site)
        for start in stride(from: 0, to: decision.choices.count, by: Self.portion) {
            let part = Array(decision.choices.dropFirst(start).prefix(Self.portion))
            let refused = try await self.start(part, site)
            for server in refused.forgotten {
                try await site.room.placement.release(server, requestID: site.requestID)
            }
            try await PartsReporter(site).hold(refused.started.sorted())
            guard let reason = refused.reason else { continue }
            // Another request took the group's place while this one was deciding: give back and decide again.
            for choice in decision.choices.dropFirst(start) where !refused.started.contains(choice.server) {
                try await site.room.placement.release(choice.server, requestID: site.requestID)
            }
            throw reason
        }
    }

    private func pending(_ site: ComputeSite) async throws(Fault) -> [Server] {
        try await site.database.all(
            Server.self, "id", in: servers, and: "host IS NULL AND task_state = 'scheduling' AND deleted_at IS NULL"
        ).sorted { $0.number < $1.number }
    }

    /// A server that was deleted while its host was being claimed holds that claim for nobody, and a run that ended
    /// right then could not give it back.
    private func releaseForgotten(_ site: ComputeSite) async throws(Fault) {
        let forgotten = try await site.database.all(
            Server.self, "id", in: servers,
            and: "host IS NULL AND (deleted_at IS NOT NULL OR task_state = 'deleting')")
        for server in forgotten { try await site.room.placement.release(server.id, requestID: site.requestID) }
    }

    private func claim(_ decision: Decision, _ site: ComputeSite) async throws(Fault) {
        let claims = decision.claims
        for start in stride(from: 0, to: claims.count, by: Self.portion) {
            let part = Array(claims.dropFirst(start).prefix(Self.portion))
            do throws(Fault) {
                try await site.room.placement.claim(part, requestID: site.requestID)
            } catch {
                // Either somebody was quicker, or a run before a crash left its claims: take back what is ours and look
                // again.
                if error.status == 409 {
                    for claim in claims.prefix(start + part.count) {
                        try await site.room.placement.release(claim.consumer, requestID: site.requestID)
                    }
                }
                throw error
            }
        }
    }

    /// What became of a portion.
    private struct Started: Sendable {
        var started: Set<String> = []
        /// Servers deleted meanwhile.
        var forgotten: [String] = []
        /// Why the rest was not started.
        var reason: Fault?
    }

    /// Gives the servers their hosts and queues their boots, those of a group as far as its policy still allows.
    private func start(_ choices: [Decision.Choice], _ site: ComputeSite) async throws(Fault) -> Started {
        let (queue, requestID, now) = (site.room.queue, site.requestID, site.clock.now())
        let options = site.room.options
        return try await site.database.transaction { transaction throws(Fault) in
            var outcome = Started()
            for choice in choices {
                let (server, host) = (choice.server, choice.host.name)
                do throws(Fault) {
                    try ServerGroup.admit(server, on: host, transaction)
                    try HardwareBooks.admit(server, on: choice.host, choice.way, options, transaction)
                } catch {
                    guard error.status == 409 else { throw error }
                    outcome.reason = error
                    return outcome
                }
                let count = try transaction.update(
                    Server.self,
                    set: """
                        host = \(host), node = \(host), task_state = 'networking',
                        generation = generation + 1, updated_at = \(now)
                        """,
                    where: "id = \(server) AND task_state = 'scheduling' AND host IS NULL AND deleted_at IS NULL")
                guard count == 1 else {
                    outcome.forgotten.append(server)
                    continue
                }
                outcome.started.insert(server)
                try queue.enqueue(BootServer(server: server, host: host), requestID: requestID, in: transaction)
            }
            return outcome
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        // Clients know 500 as the code of servers that found no host.
        let fault = Fault(500, fault.message)
        for server in try await pending(site) {
            try await site.room.placement.release(server.id, requestID: site.requestID)
            // One that another host refused before has volumes held for it.
            try await ServerVolumes(site).giveBack(server.id)
            let decision = try await site.database.first(DecisionRecord.self, "server_id = \(server.id)")
            try await site.fail(
                server.id, fault, step: "schedule", clearHost: true, details: decision?.details ?? "")
        }
    }
}
