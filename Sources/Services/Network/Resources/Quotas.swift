// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How much of each noun a project may have. Usage is counted from the rows, in the transaction that adds one.
package struct Quotas: Record {
    package static let table = "network_quotas"
    let projectID: String, resource: String, bound: Int
}

extension Quotas: Resource {
    /// One's own are not judged upstream; the rule is for others'.
    private static let get = "(rule:admin_only) or project_id:%(project_id)s"

    package static let routes: [Route] = [
        .get("/quotas", "List quotas that were set", of: Anything.from, allow: .rule("get_quota", get), list),
        .get("/quotas/tenant", "Show the caller's project", of: OwnScope.from, allow: .rule("get_quota", get), whose),
        .get("/quotas/{project}", "Show quotas", of: Named.from, allow: .rule("get_quota", get), show),
        .get(
            "/quotas/{project}/default", "Show default quotas", of: Named.from, allow: .rule("get_quota", get), defaults
        ),
        .get(
            "/quotas/{project}/details", "Show quotas and usage", of: Named.from, allow: .rule("get_quota", get),
            details),
        .get(
            "/quotas/{project}/details.json", "Show quotas and usage, as older clients ask", of: Named.from,
            allow: .rule("get_quota", get), details),
        .put(
            "/quotas/{project}", "Update quotas", of: Named.from, allow: .rule("update_quota", "rule:admin_only"),
            update),
        .delete(
            "/quotas/{project}", "Reset quotas", of: Named.from, allow: .rule("delete_quota", "rule:admin_only"),
            reset),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 network quotas
        CREATE TABLE network_quotas (
            project_id VARCHAR(255) NOT NULL, resource VARCHAR(64) NOT NULL, bound INTEGER NOT NULL,
            PRIMARY KEY (project_id, resource))
        """
    ]

    /// The project the path names.
    package struct Named: ProjectOwned, Asked {
        package let projectID: String
        package init(_ request: Request) { projectID = request["project"] }
    }

    private static let tables: [(resource: String, table: String)] = [
        ("floatingip", FloatingIP.table), ("network", Network.table), ("port", Port.table),
        ("rbac_policy", RBACPolicy.table), ("router", Router.table), ("security_group", SecurityGroup.table),
        ("security_group_rule", SecurityGroupRule.table), ("subnet", Subnet.table), ("subnetpool", SubnetPool.table),
        ("trunk", Trunk.table),
    ]
}

extension Quotas {
    /// Refuses a row that would be one too many.
    static func require<R: Record>(
        _ resource: String, _ type: R.Type, project: String, _ transaction: Transaction, _ options: NetworkOptions,
        adding more: Int = 1
    ) throws(Fault) {
        guard !project.isEmpty else { return }
        let own = try transaction.first(Quotas.self, "project_id = \(project) AND resource = \(resource)")
        let bound = own?.bound ?? options.quotas[resource] ?? -1
        guard bound >= 0 else { return }
        if try transaction.count(R.self, "project_id = \(project)") + more > bound { throw .overQuota(resource) }
    }

    private static func bounds(_ request: Request, _ project: String) async throws(Fault) -> [(String, Int)] {
        let own = try await request.database.all(Quotas.self, "project_id = \(project)")
        return tables.map { item in
            (
                item.resource,
                own.first { $0.resource == item.resource }?.bound ?? request.network.options.quotas[item.resource] ?? -1
            )
        }
    }

    private static func reply(_ bounds: [(String, Int)]) -> Reply {
        .object("quota") { view in
            for (resource, bound) in bounds { view.put(named: resource, bound) }
        }
    }

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let own = try await request.database.all(Quotas.self, "1 = 1 ORDER BY project_id, resource")
        let projects = Dictionary(grouping: own, by: \.projectID)
        let defaults = request.network.options.quotas
        return .list(
            "quotas",
            projects.keys.sorted().map { project in
                { view in
                    for item in tables {
                        let bound = projects[project]?.first { $0.resource == item.resource }?.bound
                        view.put(named: item.resource, bound ?? defaults[item.resource] ?? -1)
                    }
                    view.put("project_id", project)
                    view.put("tenant_id", project)
                }
            })
    }

    private static func whose(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        .object("tenant") {
            $0.put("tenant_id", scope.projectID)
            $0.put("project_id", scope.projectID)
        }
    }

    private static func show(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        reply(try await bounds(request, named.projectID))
    }

    private static func defaults(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        let defaults = request.network.options.quotas
        return reply(tables.map { ($0.resource, defaults[$0.resource] ?? -1) })
    }

    private static func details(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        var lines: [(String, Int, Int)] = []
        for (resource, bound) in try await bounds(request, named.projectID) {
            lines.append((resource, bound, try await used(request, resource, named.projectID)))
        }
        let counted = lines
        return .object("quota") { view in
            for (resource, bound, used) in counted {
                view.nest(named: resource) {
                    $0.put("limit", bound)
                    $0.put("used", used)
                    $0.put("reserved", 0)
                }
            }
        }
    }

    private static func used(_ request: Request, _ resource: String, _ project: String) async throws(Fault) -> Int {
        guard let table = tables.first(where: { $0.resource == resource })?.table else { return 0 }
        let rows = try await request.database.rows(
            "SELECT COUNT(*) FROM \(raw: table) WHERE project_id = \(project)")
        return rows.first?[0].int ?? 0
    }

    private static func update(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        var body = try request.body("quota")
        var asked: [(String, Int)] = []
        for item in tables {
            guard let bound = try body.take(item.resource, .whole(-1...Int(Int32.max))) else { continue }
            asked.append((item.resource, bound))
        }
        // Usage is looked at unless that is forbidden; the older word for it changes nothing.
        _ = try body.take("check_limit", .truth)
        let checks = try body.take("force", .truth) != true
        body.ignore("tenant_id", "project_id")
        try body.end()
        if checks {
            for (resource, bound) in asked where bound >= 0 {
                let used = try await used(request, resource, named.projectID)
                guard used <= bound else {
                    throw .httpBadRequest(
                        "Quota limit \(bound) for \(resource) must be greater than or equal to already used \(used)")
                }
            }
        }
        let changes = asked
        try await request.database.transaction { transaction throws(Fault) in
            for (resource, bound) in changes {
                try transaction.delete(
                    Quotas.self, "project_id = \(named.projectID) AND resource = \(resource)")
                try transaction.insert(Quotas(projectID: named.projectID, resource: resource, bound: bound))
            }
        }
        return reply(try await bounds(request, named.projectID))
    }

    private static func reset(_ request: Request, _ named: Named) async throws(Fault) -> Reply {
        let known = try await request.database.delete(Quotas.self, "project_id = \(named.projectID)")
        guard known > 0 else {
            throw .neutron(
                404, "TenantQuotaNotFound", "Quota for project \(named.projectID) could not be found.")
        }
        return .empty
    }
}
