// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How a server's processors and memory lie on its host.
enum ServerTopology: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/topology", "Show a server's topology", of: Server.visible,
            allow: .reader("/compute:server:topology:index"), show, since: "2.78")
    ]

    /// Without NUMA wishes a server has no cells of its own. Where they are on the host is for administrators.
    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let showsHost = request.may("/compute:server:topology:host:index", on: server)
        let cells = server.numa?.cells ?? []
        return .bare { view in
            view.list("nodes", cells) { view, cell in
                view.put("vcpu_set", cell.cpus)
                view.put("siblings", JSON.array(cell.siblings.map { .array($0.map { .integer(Int64($0)) }) }))
                view.put("memory_mb", cell.memoryMiB)
                guard showsHost else { return }
                view.put("host_node", cell.hostCell)
                let pins = cell.pins.map { ("\($0.cpu)", JSON.integer(Int64($0.host))) }
                view.put("cpu_pinning", JSON.object(JSONObject(pins)))
            }
            view.put("pagesize_kb", cells.compactMap(\.pageKiB).first)
        }
    }
}
