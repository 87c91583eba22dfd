// SPDX-License-Identifier: Apache-2.0
import Kernel

/// `GET /os-migrations`: what servers were moved or resized, by whom, and how it went.
extension ServerMigration: Resource {
    static let routes: [Route] = [
        .get(
            "/os-migrations", "List migrations", of: OwnScope.from,
            allow: .rule("os-migrations:index", "rule:project_manager_or_admin"), index)
    ]

    private static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        try judge(request, scope)
        try known(request)
        let filter = try filter(request)
        let showsHosts = request.may("os-migrations:index:host", on: scope)
        guard request.version >= "2.59" else {
            let all = try await request.database.all(ServerMigration.self, filter + " ORDER BY number")
            return .list("migrations", all.map { migration in { migration.details(&$0, showsHosts) } })
        }
        let page = try request.page(
            sortable: [.number("created_at", mayBeNull: false), .number("id", column: "number", mayBeNull: false)],
            defaults: ["-created_at", "-id"], maximum: request.compute.options.maxLimit)
        if let marker = page.marker, try await request.database.count(ServerMigration.self, "id = \(marker)") == 0 {
            throw .badRequest("Marker \(marker) could not be found.")
        }
        let all = try await request.database.all(ServerMigration.self, page.condition(filter, table: table))
        return .list(
            "migrations", all.map { migration in { migration.details(&$0, showsHosts) } }, page: page,
            ids: all.map(\.id))
    }

    /// All projects' migrations, or another's, are for those who may.
    private static func judge(_ request: Request, _ scope: OwnScope) throws(Fault) {
        let project = request.query("project_id")
        let rule = "os-migrations:index:all_projects"
        guard project == nil || project != scope.projectID, !request.may(rule, on: scope) else { return }
        throw request.index.envelope.refusal(request.index.rulePrefix + rule)
    }

    /// Since 2.59 a parameter that nobody knows is refused.
    private static func known(_ request: Request) throws(Fault) {
        guard request.version >= "2.59" else { return }
        var names: Set = [
            "hidden", "host", "instance_uuid", "source_compute", "status", "migration_type", "limit", "marker",
            "changes-since",
        ]
        if request.version >= "2.66" { names.insert("changes-before") }
        if request.version >= "2.80" { names.formUnion(["user_id", "project_id"]) }
        let strange = request.queryNames.filter { !names.contains($0) }
        if !strange.isEmpty { throw request.index.wording.unknown(strange) }
    }

    private static func filter(_ request: Request) throws(Fault) -> SQL {
        var filter: SQL = "1 = 1"
        if let host = request.query("host") {
            filter += " AND (source = \(host) OR dest = \(host))"
        } else if let host = request.query("source_compute") {
            filter += " AND source = \(host)"
        }
        let statuses = request.queryAll("status")
        if !statuses.isEmpty { filter += " AND status IN \(statuses)" }
        // None of ours is hidden: upstream hides one half of a move between cells.
        if try request.flag("hidden") == true { filter += " AND 1 = 0" }
        for (name, column) in [
            ("migration_type", "kind"), ("instance_uuid", "server_id"), ("user_id", "user_id"),
            ("project_id", "project_id"),
        ] {
            if let value = request.query(name) { filter += " AND \(raw: column) = \(value)" }
        }
        let (since, before) = (
            try moment("changes-since", "2.59", request), try moment("changes-before", "2.66", request)
        )
        if let since, let before, before < since {
            throw .badRequest("The value of changes-since must be less than or equal to changes-before.")
        }
        if let since { filter += " AND COALESCE(updated_at, created_at) >= \(since)" }
        if let before { filter += " AND COALESCE(updated_at, created_at) <= \(before.throughSecond)" }
        return filter
    }

    private static func moment(
        _ name: String, _ since: Microversion, _ request: Request
    ) throws(Fault) -> Timestamp? {
        guard let text = request.query(name, since: since) else { return nil }
        guard let moment = Timestamp(text.replacing(" ", with: "+")) else {
            throw request.index.wording.invalid(name, .string(text), "'\(text)' is not a 'date-time'")
        }
        return moment
    }
}

// MARK: - Wire

extension ServerMigration {
    private func details(_ view: inout View, _ showsHosts: Bool) {
        view.put("id", number)
        view.put("uuid", id, since: "2.59")
        view.put("instance_uuid", serverID)
        hosts(&view, showsHosts)
        view.put("status", status.rawValue)
        view.put("migration_type", kind.rawValue, since: "2.23")
        view.put("old_instance_type_id", oldFlavor.number)
        view.put("new_instance_type_id", newFlavor.number)
        view.put("user_id", userID, since: "2.80")
        view.put("project_id", projectID, since: "2.80")
        times(&view)
        guard kind == .live, Status.underWay.contains(status), view.version >= "2.23" else { return }
        let path = "/servers/\(serverID)/migrations/\(number)"
        view.list("links", [("self", view.endpoint + path), ("bookmark", view.lastingEndpoint + path)]) {
            $0.put("href", $1.1)
            $0.put("rel", $1.0)
        }
    }

    func hosts(_ view: inout View, _ isShown: Bool) {
        view.put("source_compute", isShown ? source : nil)
        view.put("source_node", isShown ? source : nil)
        view.put("dest_compute", isShown ? dest : nil)
        view.put("dest_node", isShown ? dest : nil)
        view.put("dest_host", isShown ? destIP : nil)
    }

    func times(_ view: inout View) {
        view.put("created_at", createdAt.iso8601Naive)
        view.put("updated_at", updatedAt?.iso8601Naive)
    }
}

extension FlavorSnapshot {
    /// Upstream shows a row's number that no other call knows. Ours have none: the id's own number, or one that is the
    /// same for the same id.
    var number: Int {
        if let number = Int(id), number >= 0 { return number }
        return Digest.hex(.sha224, id).prefix(7).reduce(0) { $0 << 4 | ($1.hexDigitValue ?? 0) }
    }
}
