// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How a server's processors and memory lie on its host.
enum ServerTopology: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/topology", "Show a server's topology", of: Server.visible,
            allow: .reader("/compute:server:topology:index"), show, since: "2.78")
    ]

    /// Without NUMA wishes a server has no cells of its own.
    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        .bare {
            $0.put("nodes", [JSON]())
            $0.put("pagesize_kb", Int?.none)
        }
    }
}
