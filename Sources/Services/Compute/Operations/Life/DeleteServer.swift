// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Takes a server down and everything it holds. It stops whatever else is being done to the server, and is tried until
/// it works: a server can always be deleted.
struct DeleteServer: Operation {
    static let kind = "compute.delete"

    let server: String

    var subject: String { server }
    var deadline: Duration { .seconds(86_400) }

    var steps: [Step<ComputeSite>] {
        [
            Step("destroy", attempts: 30, budget: .seconds(120), do: destroy),
            Step("volumes", attempts: 30, do: releaseVolumes),
            Step("ports", attempts: 30, do: disconnect),
            Step("release", attempts: 30, do: release),
            Step("image", attempts: 30, do: forgetImage),
            Step("forget", attempts: 30, do: forget),
        ]
    }

    /// Marks the server and queues its deletion; asking again changes nothing.
    static func start(_ server: Server, _ request: Request) async throws(Fault) {
        let (queue, requestID, now, userID) = (request.compute.queue, request.id, request.now, request.caller.userID)
        try await request.database.transaction { transaction throws(Fault) in
            try start(server, by: userID, requestID, now, queue, transaction)
        }
    }

    /// The same within a transaction, for what no request asks for.
    static func start(
        _ server: Server, by user: String, _ requestID: String, _ now: Timestamp, _ queue: OperationQueue,
        _ transaction: Transaction
    ) throws(Fault) {
        let isFirst =
            try transaction.update(
                Server.self,
                set: "task_state = 'deleting', generation = generation + 1, updated_at = \(now)",
                where: """
                    id = \(server.id) AND deleted_at IS NULL
                    AND (task_state IS NULL OR task_state <> 'deleting' OR vm_state = 'error')
                    """) == 1
        guard isFirst else { return }
        try transaction.insert(
            InstanceAction("delete", on: server, by: user, requestID: requestID, at: now),
            or: .conflict("The request \(requestID) was used before."))
        try queue.cancel(subject: server.id, in: transaction)
        try queue.enqueue(DeleteServer(server: server.id), requestID: requestID, in: transaction)
    }

    private func destroy(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        try await MoveKeeper(site.room).forget(server, site)
        guard server.host != nil else { return }
        // On a host that is down the guest is left to `HostKeeper`, who ends it when the host is back.
        try await site.ifAlive(server.host) { () async throws(Fault) in
            try await site.hypervisor(of: server).destroy(server.id)
        }
    }

    private func releaseVolumes(_ site: ComputeSite) async throws(Fault) {
        try await ServerVolumes(site).release(try await site.server(server))
    }

    private func disconnect(_ site: ComputeSite) async throws(Fault) {
        try await ServerWiring(site.room, requestID: site.requestID).disconnect(try await site.server(server))
    }

    private func release(_ site: ComputeSite) async throws(Fault) {
        try await site.room.placement.release(server, requestID: site.requestID)
    }

    /// A shelved server's disk is an image that nobody needs any more; nor does anybody need what its disks were
    /// encrypted with.
    private func forgetImage(_ site: ComputeSite) async throws(Fault) {
        try await site.room.forgetKeys(of: server)
        guard let image = try await site.server(server).shelvedImage else { return }
        try await site.room.deleteImage(image, requestID: site.requestID)
    }

    private func forget(_ site: ComputeSite) async throws(Fault) {
        let (now, id, request) = (site.clock.now(), server, site.requestID)
        try await site.database.transaction { transaction throws(Fault) in
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = 'deleted', task_state = NULL, power_state = 0, ports = '[]', deleted_at = \(now),
                    terminated_at = \(now), updated_at = \(now), generation = generation + 1
                    """,
                where: "id = \(id) AND deleted_at IS NULL")
            try ServerGroup.leave(id, transaction)
            try InjectedFile.forget(id, transaction)
            _ = try transaction.delete(DecisionRecord.self, "server_id = \(id)")
            try InstanceAction.finish(id, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.fail(server, fault, step: step)
    }
}
