// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Reads a server's ports from Network again, after Network said that something about them changed.
struct RefreshServer: Operation {
    static let kind = "compute.refresh"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("ports", attempts: 5, do: refresh)] }

    /// Queues a refresh unless one waits already: it will see this change too.
    static func enqueue(
        _ server: String, _ queue: OperationQueue, _ requestID: String, _ transaction: Transaction
    ) throws(Fault) {
        let waiting = try transaction.count(
            OperationRecord.self, "subject = \(server) AND state = 'queued' AND kind = \(kind)")
        guard waiting == 0 else { return }
        try queue.enqueue(RefreshServer(server: server), requestID: requestID, in: transaction)
    }

    func refresh(_ site: ComputeSite) async throws(Fault) {
        guard let server = try await site.database.first(Server.self, "id = \(server) AND deleted_at IS NULL") else {
            return
        }
        let ports = try await ServerWiring(site.room, requestID: site.requestID).refresh(server)
        guard ports != server.ports else { return }
        let text = try ServerWiring.text(ports)
        _ = try await site.database.update(
            Server.self, set: "ports = \(text), updated_at = \(site.clock.now())", where: "id = \(server.id)")
    }
}
