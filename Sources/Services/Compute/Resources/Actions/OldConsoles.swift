// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A console of a kind that is no more, and what administrators once did to a server's network.
enum OldConsoles: Resource {
    static let routes: [Route] = [
        // Upstream's last driver with RDP is gone.
        .action(
            ServerActions.path, "os-getRDPConsole", "Get an RDP console: no more", of: Server.visible,
            allow: .member("os-remote-consoles"),
            { _, _ async throws(Fault) in throw .badRequest("The server could not comply with the request.") },
            status: 200, until: "2.6"),
        .action(
            ServerActions.path, "injectNetworkInfo", "Inject network information", of: Server.visible,
            allow: .adminOnly("os-admin-actions:inject_network_info"), inject),
    ]

    /// Guests learn of their network from DHCP and from metadata: there is nothing to write into them, which is what
    /// upstream's driver for libvirt does as well. The actions log says that it was asked for.
    private static func inject(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try server.refuseIfLocked(request)
        let (now, user, requestID) = (request.now, request.caller.userID, request.id)
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.insert(
                InstanceAction("inject_network_info", on: server, by: user, requestID: requestID, at: now))
            try InstanceAction.finish(server.id, requestID, nil, now, transaction)
        }
        return .empty
    }
}
