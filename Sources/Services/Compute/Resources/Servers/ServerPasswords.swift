// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The password a guest posted, encrypted with its user's key; and setting one through an agent in the guest.
enum ServerPasswords: Resource {
    static let routes: [Route] = [
        .get(path, "Show a server's password", of: Server.visible, allow: .reader("os-server-password:show"), show),
        .delete(
            path, "Clear a server's password", of: Server.visible, allow: .member("os-server-password:clear"), clear),
        .action(
            ServerActions.path, "changePassword", "Change a server's password", of: Server.visible,
            allow: .member("os-admin-password"), change),
    ]

    private static let path = "/servers/{server_id}/os-server-password"

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        .bare { $0.put("password", server.guestPassword) }
    }

    private static func clear(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try await request.database.update(Server.self, set: "guest_password = ''", where: "id = \(server.id)")
        return .empty
    }

    /// Answered when the guest has done it: passwords are not written into the queue.
    private static func change(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("changePassword")
        let password = try body.need("adminPass", .text)
        try body.end()
        try server.refuseIfLocked(request)
        try server.admit(.changePassword)
        let driver = try request.compute.hosts.find(server.host ?? "")
        guard let agent = driver as? any GuestAgent else {
            throw .conflict("Set admin password is not supported.")
        }
        let user = server.imageProperties["os_admin_user"]
        let isWindows = server.imageProperties["os_type"] == "windows"
        let action = InstanceAction(
            ActionRule.changePassword.name, on: server, by: request.caller.userID, requestID: request.id,
            at: request.now)
        try await request.database.transaction { transaction throws(Fault) in try transaction.insert(action) }
        var failure: Fault?
        do throws(Fault) {
            try await agent.changePassword(
                of: server.id, user: user ?? (isWindows ? "Administrator" : "root"), to: password)
        } catch { failure = error }
        let (now, id, message) = (request.clock.now(), request.id, failure?.message)
        try await request.database.transaction { transaction throws(Fault) in
            try InstanceAction.finish(server.id, id, message, now, transaction)
        }
        if let failure { throw failure }
        return .empty
    }
}
