// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Upstream's virtual machines, which no provider here has: the list is empty and none is found.
package enum Amphorae: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/octavia/amphorae") { path in
        [
            .get(path, "List amphorae", of: OwnScope.from, allow: .operate("amphora:get_all"), list),
            .get(
                path + "/{id}", "Show amphora details", of: OwnScope.from, allow: .operate("amphora:get_one"), missing),
            .get(
                path + "/{id}/stats", "Show amphora statistics", of: OwnScope.from, allow: .operate("amphora:get_stats")
            ) { request, _ async throws(Fault) in throw .missing("Amphora stats for", request["id"]) },
            .put(
                path + "/{id}/config", "Configure amphora", of: OwnScope.from, allow: .operate("amphora:put_config"),
                missing, status: 202),
            .put(
                path + "/{id}/failover", "Failover amphora", of: OwnScope.from, allow: .operate("amphora:put_failover"),
                missing, status: 202),
            .delete(path + "/{id}", "Remove an amphora", of: OwnScope.from, allow: .operate("amphora:delete"), missing),
        ]
    }

    private static func list(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        .list("amphorae", []) { $0.put("amphorae_links", [String]()) }
    }

    private static func missing(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        throw .missing("Amphora", request["id"])
    }
}
