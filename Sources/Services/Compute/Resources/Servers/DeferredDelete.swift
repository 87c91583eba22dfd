// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Deletion that can be taken back for a while, and deletion at once.
enum DeferredDelete: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "restore", "Restore a server that is to be deleted", of: Server.visible,
            allow: .member("os-deferred-delete:restore"), restore),
        .action(
            ServerActions.path, "forceDelete", "Delete a server at once", of: Server.visible,
            allow: .member("os-deferred-delete:force"), forceDelete),
    ]

    private static func restore(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let quota = try await request.compute.quota(of: server.projectID, requestID: request.id)
        try await server.begin(.restore, request) { row, transaction throws(Fault) in
            // A server that is to be deleted counts no more, so it is judged like a new one.
            _ = try quota.admit([row], atLeast: 1, transaction)
            return ActionStart(.restoring, work: RestoreServer(server: row.id))
        }
        return .empty
    }

    private static func forceDelete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try server.refuseIfLocked(request)
        try await DeleteServer.start(server, request)
        return .empty
    }
}

extension Server {
    /// Deletes the server, or marks it to be deleted later where the cloud does that. One that holds nothing on a host
    /// is deleted at once.
    func delete(_ request: Request) async throws(Fault) {
        let isLater = request.compute.options.life.reclaimInterval > .zero
        guard isLater, host != nil, launchedAt != nil, vmState != .shelvedOffloaded, vmState != .error else {
            return try await DeleteServer.start(self, request)
        }
        guard vmState != .softDelete, taskState != .deleting, taskState != .softDeleting else { return }
        let queue = request.compute.queue
        try await begin(.softDelete, request) { row, transaction throws(Fault) in
            try queue.cancel(subject: row.id, in: transaction)
            return ActionStart(.softDeleting, work: SoftDeleteServer(server: row.id))
        }
    }
}
