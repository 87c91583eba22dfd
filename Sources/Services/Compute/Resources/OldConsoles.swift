// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Consoles of other kinds than VNC as asked for before 2.6, and what administrators once did to a server's network. No
/// driver offers these kinds yet: they are refused as upstream refuses a kind that is switched off.
enum OldConsoles: Resource {
    static let routes: [Route] = [
        console("os-getSPICEConsole", "Get a SPICE console", "spice-html5"),
        console("os-getSerialConsole", "Get a serial console", "serial"),
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

    private static func console(_ name: String, _ summary: String, _ type: String) -> Route {
        .action(
            ServerActions.path, name, summary, of: Server.visible, allow: .member("os-remote-consoles"),
            { request, server async throws(Fault) in
                var body = try request.body(name)
                _ = try body.need("type", .oneOf(type))
                try body.end()
                throw .badRequest("Unavailable console type \(type).")
            }, status: 200, until: "2.6")
    }

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
