// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A server's addresses by network.
enum ServerAddresses: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/ips", "List a server's addresses", of: Server.visible, allow: .reader("ips:index"),
            index),
        .get(
            "/servers/{server_id}/ips/{network_label}", "Show a server's addresses in one network", of: Server.visible,
            allow: .reader("ips:show"), show),
    ]

    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        .bare { view in view.nest("addresses") { server.labelled(&$0, isShort: true) } }
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let label = request["network_label"]
        guard server.ports.contains(where: { $0.label == label }) else {
            throw .notFound("Instance is not a member of specified network")
        }
        return .bare { server.labelled(&$0, only: label, isShort: true) }
    }
}
