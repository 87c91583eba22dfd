// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Why a server is where it is, or nowhere: the scheduler's decision as it was kept. Apus's own addition to the API.
extension DecisionRecord: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/placement-explain", "Explain a server's placement", of: Server.visible,
            allow: .reader("servers:show"), show)
    ]

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let record = try await request.database.one(
            DecisionRecord.self, "server_id = \(server.id)",
            or: .notFound("Instance \(server.id) has not been scheduled yet."))
        // Names of hosts are for those who may see where servers run.
        let maySeeHosts = request.may("os-extended-server-attributes", on: server)
        return .object("placement_explanation") { view in
            view.put("server_id", record.serverID)
            view.put("decided_at", record.at)
            view.put("resources", record.resources)
            view.put("hosts_considered", record.considered)
            if maySeeHosts {
                view.put("host", record.host)
                view.put("alternates", record.alternates)
            }
            view.list("removed", record.dropped) { view, dropped in
                view.put("filter", dropped.filter)
                view.put("hosts", dropped.hosts)
                view.put("reason", dropped.reason)
                if maySeeHosts { view.put("examples", dropped.examples) }
            }
            view.put("remedy", record.remedy)
            guard maySeeHosts else { return }
            view.list("nearest_misses", record.misses) { view, miss in
                view.put("host", miss.host)
                view.put("step", miss.step)
                view.put("reason", miss.reason)
            }
            view.list("best_hosts", record.ranking) { view, ranked in
                view.put("host", ranked.host)
                view.put("weight", ranked.weight)
                view.put("scores", ranked.scores)
            }
        }
    }
}
