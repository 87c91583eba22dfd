// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How many of each noun a project may have. Usage is counted from the rows, in the transaction that adds one.
package struct Quotas: Record {
    package static let table = "load_balancer_quotas"
    let projectID: String, resource: String, bound: Int

    static let resources = [
        "load_balancer", "listener", "pool", "member", "health_monitor", "l7policy", "l7rule",
    ]
    /// The spelling without a blank, beside which upstream still writes its first one.
    private static let today = ["load_balancer": "loadbalancer", "health_monitor": "healthmonitor"]
    /// More than any project will have; upstream takes no larger bound.
    private static let most = 2_000_000_000
}

extension Quotas: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/quotas") { path in
        [
            .get(path, "List quotas that were set", of: OwnScope.from, allow: .listing, list),
            .get(
                path + "/defaults", "Show quota defaults", of: OwnScope.from,
                allow: .rule("quota:get_defaults", "rule:load-balancer:read-quota"), defaults),
            .get(
                path + "/{project}/default", "Show quota defaults, as older clients ask", of: Named.from,
                allow: .rule("quota:get_defaults", "rule:load-balancer:read-quota"), defaults),
            .get(
                path + "/{project}", "Show project quota", of: Named.from,
                allow: .rule("quota:get_one", "rule:load-balancer:read-quota"), show),
            .put(
                path + "/{project}", "Update a quota", of: Named.from,
                allow: .rule("quota:put", "rule:load-balancer:write-quota"), update, status: 202),
            .delete(
                path + "/{project}", "Reset a quota", of: Named.from,
                allow: .rule("quota:delete", "rule:load-balancer:write-quota"), reset, status: 202),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer quotas
        CREATE TABLE load_balancer_quotas (
            project_id VARCHAR(255) NOT NULL, resource VARCHAR(64) NOT NULL, bound INTEGER NOT NULL,
            PRIMARY KEY (project_id, resource))
        """
    ]

    /// The project the path names.
    package struct Named: ProjectOwned, Asked {
        package let projectID: String
        package init(_ request: Request) { projectID = request["project"] }
    }
}

extension Quotas {
    /// Refuses a row that would be one too many.
    static func require<P: Part>(
        _ type: P.Type, _ project: String, _ transaction: Transaction, _ request: Request, adding more: Int = 1
    ) throws(Fault) {
        let resource = P.title.lowercased().split(separator: " ").joined(separator: P.title.hasPrefix("L7") ? "" : "_")
        let own = try transaction.first(Quotas.self, "project_id = \(project) AND resource = \(resource)")
        let bound = own?.bound ?? request.balancing.options.quotas[resource] ?? -1
        guard bound >= 0 else { return }
        let used = try transaction.count(
            P.self, "project_id = \(project) AND provisioning_status <> \(ProvisioningStatus.pendingDelete)")
        guard used + more <= bound else { throw .quotaMet(P.title) }
    }

    private static func write(_ view: inout View, _ bounds: [String: Int], _ defaults: [String: Int]) {
        for resource in resources {
            let bound = bounds[resource] ?? defaults[resource] ?? -1
            view.put(named: resource, bound)
            if let name = today[resource] { view.put(named: name, bound) }
        }
    }

    private static func list(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let project = try request.listedProject("quota")
        let rows = try await request.database.all(
            Quotas.self, project.map { "project_id = \($0)" } ?? "1 = 1 ORDER BY project_id")
        let byProject = Dictionary(grouping: rows, by: \.projectID)
        let defaults = request.balancing.options.quotas
        return .list(
            "quotas",
            byProject.keys.sorted().map { project in
                { view in
                    let bounds = (byProject[project] ?? []).map { ($0.resource, $0.bound) }
                    write(&view, Dictionary(bounds) { $1 }, defaults)
                    view.put("project_id", project)
                    view.put("tenant_id", project)
                }
            }
        ) { $0.put("quotas_links", [String]()) }
    }

    private static func show(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        let rows = try await request.database.all(Quotas.self, "project_id = \(named.projectID)")
        let bounds = Dictionary(rows.map { ($0.resource, $0.bound) }) { $1 }
        let defaults = request.balancing.options.quotas
        return .object("quota") { view in
            write(&view, bounds, defaults)
            view.put("project_id", named.projectID)
            view.put("tenant_id", named.projectID)
        }
    }

    private static func defaults(_ request: Request, _ target: some PolicyTarget) async throws(Fault) -> Reply {
        let defaults = request.balancing.options.quotas
        return .object("quota") { write(&$0, [:], defaults) }
    }

    private static func update(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        var body = try request.body("quota")
        var asked: [(String, Int?)] = []
        for resource in resources {
            for name in [resource, today[resource]].compactMap({ $0 }) {
                guard let bound = try body.patch(name, .whole(-1, most)) else { continue }
                asked.append((resource, bound))
            }
        }
        body.ignore("project_id", "tenant_id")
        try body.finish("quotas.quota")
        let changes = asked
        try await request.database.transaction { transaction throws(Fault) in
            for (resource, bound) in changes {
                try transaction.delete(
                    Quotas.self, "project_id = \(named.projectID) AND resource = \(resource)")
                guard let bound else { continue }
                try transaction.insert(Quotas(projectID: named.projectID, resource: resource, bound: bound))
            }
        }
        return try await show(request, named)
    }

    private static func reset(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        let known = try await request.database.delete(Quotas.self, "project_id = \(named.projectID)")
        guard known > 0 else { throw .missing("Quotas", named.projectID) }
        return try await show(request, named)
    }
}
