// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where floating addresses come from: the IPv4 subnets of the external networks that the caller may use.
package enum FloatingIPPools: Resource {
    // Upstream serves the one; its reference says the other.
    package static let routes: [Route] = ["/floatingip-pools", "/floatingip_pools"].map { path in
        .get(
            path, "List floating IP pools", of: OwnScope.from,
            allow: .rule("get_floatingip_pool", NetworkRules.adminOrReader), list)
    }

    private static let filters: [Filter] = [
        .text("subnet_id", "id"), .text("subnet_name", "name"), .text("network_id"), .text("cidr"),
        .other("project_id") { _ in "1 = 1" }, .other("tenant_id") { _ in "1 = 1" },
    ]

    private static func list(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let narrowed = try Filter.condition(filters, request)
        let page = try request.page(
            sortable: [
                .text("subnet_name", column: "name"), .text("network_id"), .text("cidr"),
                .text("subnet_id", column: "id"),
            ], defaults: ["subnet_id"])
        let networks: SQL =
            "SELECT id FROM network_networks WHERE external = 1 AND (\(sql: request.scope(Network.self)))"
        let condition: SQL = "ip_version = 4 AND network_id IN (\(sql: networks))\(sql: narrowed)"
        let subnets = try await request.database.all(Subnet.self, page.condition(condition, table: Subnet.table))
        let items = subnets.map { subnet in
            { (view: inout View) in
                view.put("subnet_id", subnet.id)
                view.put("subnet_name", subnet.name)
                view.put("network_id", subnet.networkID)
                view.put("cidr", subnet.cidr.description)
                view.put("project_id", scope.projectID)
                view.put("tenant_id", scope.projectID)
            }
        }
        return .list("floatingip_pools", items, page: page, ids: subnets.map(\.id))
    }
}
