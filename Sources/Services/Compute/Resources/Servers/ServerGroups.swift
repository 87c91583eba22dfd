// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Servers that belong on one host, or on different ones.
struct ServerGroup: Record {
    static let table = "compute_server_groups"

    enum Policy: String, Codable, Sendable, CaseIterable {
        case affinity, antiAffinity = "anti-affinity", softAffinity = "soft-affinity"
        case softAntiAffinity = "soft-anti-affinity"
    }

    let id: String
    let projectID: String
    let userID: String
    let name: String
    let policy: Policy
    /// `max_server_per_host` of an anti-affinity group.
    let perHostMax: Int?
    let createdAt: Timestamp
    /// Grows whenever a member is given a host.
    var generation = 0

    struct Member: Record {
        static let table = "compute_server_group_members"
        let groupID: String
        let serverID: String
    }
}

extension ServerGroup: Resource, ProjectOwned {
    static let routes: [Route] = [
        .get(
            "/os-server-groups", "List server groups", of: OwnScope.from, allow: .reader("os-server-groups:index"),
            index),
        .post(
            "/os-server-groups", "Create a server group", of: ServerGroupDraft.from,
            allow: .member("os-server-groups:create"), create, status: 200),
        .get(
            "/os-server-groups/{group_id}", "Show a server group", of: visible, allow: .reader("os-server-groups:show"),
            show),
        .delete(
            "/os-server-groups/{group_id}", "Delete a server group", of: visible,
            allow: .member("os-server-groups:delete"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 compute server groups
        CREATE TABLE compute_server_groups (
            id VARCHAR(36) NOT NULL PRIMARY KEY, project_id VARCHAR(64) NOT NULL, user_id VARCHAR(64) NOT NULL,
            name VARCHAR(255) NOT NULL, policy VARCHAR(32) NOT NULL, per_host_max INTEGER, created_at BIGINT NOT NULL);
        CREATE TABLE compute_server_group_members (
            group_id VARCHAR(36) NOT NULL, server_id VARCHAR(36) NOT NULL PRIMARY KEY);
        CREATE INDEX compute_server_group_members_group ON compute_server_group_members (group_id)
        """,
        """
        2026-11-21 compute server groups with generations
        ALTER TABLE compute_server_groups ADD COLUMN generation BIGINT NOT NULL DEFAULT 0
        """,
    ]

    private static func visible(_ request: Request) async throws(Fault) -> ServerGroup {
        let id = request["group_id"]
        let scope: SQL =
            request.caller.has(role: "admin") ? "" : " AND project_id = \(request.caller.projectID ?? "")"
        return try await request.database.one(
            ServerGroup.self, "id = \(id)" + scope, or: .notFound("Instance group \(id) could not be found."))
    }
}

// MARK: - Handlers

extension ServerGroup {
    private static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let isAll =
            request.query("all_projects") != nil && request.may("os-server-groups:index:all_projects", on: scope)
        let number: (String) throws(Fault) -> Int? = { name throws(Fault) in
            guard let text = request.query(name) else { return nil }
            guard let value = Int(text), value >= 0 else {
                throw request.index.wording.invalid(name, .string(text), "'\(text)' is not a non-negative integer")
            }
            return value
        }
        let most = request.compute.options.maxLimit
        let (limit, offset) = (min(try number("limit") ?? most, most), try number("offset") ?? 0)
        let filter: SQL = isAll ? "1 = 1" : "project_id = \(scope.projectID)"
        let groups = try await request.database.all(
            ServerGroup.self, filter + " ORDER BY created_at, id LIMIT \(limit) OFFSET \(offset)")
        let members = try await members(of: groups, request.database)
        return .list("server_groups", groups.map { group in { group.details(&$0, members[group.id] ?? []) } })
    }

    private static func create(_ request: Request, _ draft: ServerGroupDraft) async throws(Fault) -> Reply {
        let quota = try await request.quota()
        let group = ServerGroup(
            id: request.ids.uuid(), projectID: draft.projectID, userID: request.caller.userID, name: draft.name,
            policy: draft.policy, perHostMax: draft.perHostMax, createdAt: request.now)
        try await request.database.transaction { transaction throws(Fault) in
            let count = try transaction.count(ServerGroup.self, "project_id = \(group.projectID)")
            try quota.require(
                "server_groups", used: count, more: 1, of: group.projectID, transaction,
                or: .forbidden("Quota exceeded, too many server groups."))
            try transaction.insert(group)
        }
        return .object("server_group") { group.details(&$0, []) }
    }

    private static func show(_ request: Request, _ group: ServerGroup) async throws(Fault) -> Reply {
        let members = try await members(of: [group], request.database)
        return .object("server_group") { group.details(&$0, members[group.id] ?? []) }
    }

    private static func delete(_ request: Request, _ group: ServerGroup) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            _ = try transaction.delete(Member.self, "group_id = \(group.id)")
            _ = try transaction.delete(ServerGroup.self, "id = \(group.id)")
        }
        return .empty
    }

    private static func members(of groups: [ServerGroup], _ database: Database) async throws(Fault) -> [String:
        [String]]
    {
        let all = try await database.all(Member.self, "group_id", in: groups.map(\.id))
        return Dictionary(grouping: all, by: \.groupID).mapValues { $0.map(\.serverID) }
    }

    private func details(_ view: inout View, _ members: [String]) {
        view.put("id", id)
        view.put("name", name)
        view.put("policies", [policy.rawValue], until: "2.64")
        view.put("policy", policy.rawValue, since: "2.64")
        let most = perHostMax
        view.nest("rules", since: "2.64") { if let most { $0.put("max_server_per_host", most) } }
        view.put("members", members)
        view.nest("metadata", until: "2.64") { _ in }
        view.put("project_id", projectID, since: "2.13")
        view.put("user_id", userID, since: "2.13")
    }
}

/// A server group as asked for.
struct ServerGroupDraft: ProjectOwned, Asked {
    let projectID: String
    let name: String
    let policy: ServerGroup.Policy
    let perHostMax: Int?

    init(_ request: Request) throws(Fault) {
        projectID = request.caller.projectID ?? ""
        var body = try request.body("server_group")
        name = try body.need("name", .name)
        guard request.version >= "2.64" else {
            let policies = try body.need("policies", .list(.choice(ServerGroup.Policy.self), 1...1))
            let isSoft = policies[0] == .softAffinity || policies[0] == .softAntiAffinity
            guard request.version >= "2.15" || !isSoft else {
                throw body.refuse(
                    "policies", nil, "'\(policies[0].rawValue)' is not one of ['anti-affinity', 'affinity']")
            }
            (policy, perHostMax) = (policies[0], nil)
            try body.end()
            return
        }
        policy = try body.need("policy", .choice(ServerGroup.Policy.self))
        var rules = try body.takeObject("rules")
        perHostMax = try rules?.take("max_server_per_host", .integer(1...0x7FFF_FFFF))
        try rules?.end()
        try body.end()
        guard perHostMax == nil || policy == .antiAffinity else {
            throw .badRequest("Only anti-affinity policy supports rules.")
        }
    }
}

// MARK: - Membership

extension ServerGroup {
    /// The groups a server is in; there is at most one.
    static func holding(_ server: String, _ database: Database) async throws(Fault) -> [String] {
        try await database.all(Member.self, "server_id = \(server)").map(\.groupID)
    }

    static func join(
        _ servers: [String], to id: String, _ quota: Quota, _ transaction: Transaction
    ) throws(Fault) {
        guard let group = try transaction.first(ServerGroup.self, "id = \(id)") else {
            throw .badRequest("Instance group \(id) could not be found.")
        }
        let members = try transaction.count(Member.self, "group_id = \(id)")
        try quota.require(
            "server_group_members", used: members, more: servers.count, of: group.projectID, transaction,
            or: .forbidden("Quota exceeded, too many servers in group"))
        try transaction.insert(servers.map { Member(groupID: id, serverID: $0) })
    }

    static func leave(_ server: String, _ transaction: Transaction) throws(Fault) {
        _ = try transaction.delete(Member.self, "server_id = \(server)")
    }

    /// The group that binds a server, and where its other members are; nil without one.
    /// - Parameters:
    ///   - group: the group by id, when the server is not in it yet.
    ///   - besides: servers that are being placed themselves, wherever they are now.
    static func state(
        _ group: String?, of server: String, besides: [String], _ database: Database
    ) async throws(Fault) -> GroupState? {
        let found: String?
        if let group { found = group } else { found = try await holding(server, database).first }
        guard let id = found, let group = try await database.first(ServerGroup.self, "id = \(id)") else { return nil }
        return GroupState(group, hosts: try hosts(of: await database.rows(members(of: id)), besides: besides))
    }

    /// Holds a host against the policy of the server's group, within the transaction that gives the server the host:
    /// the group's row is written first, so that of two such transactions the second sees what the first did.
    static func admit(_ server: String, on host: String, _ transaction: Transaction) throws(Fault) {
        let mine: SQL = "id IN (SELECT group_id FROM compute_server_group_members WHERE server_id = \(server))"
        let count = try transaction.update(ServerGroup.self, set: "generation = generation + 1", where: mine)
        guard count > 0, let group = try transaction.first(ServerGroup.self, mine) else { return }
        let taken = try hosts(of: transaction.rows(members(of: group.id)), besides: [server])
        if let refusal = GroupState(group, hosts: taken).refusal(host) {
            throw .conflict("The policy \(group.policy.rawValue) of group \(group.id) forbids \(host): \(refusal)")
        }
    }

    /// Where a group's servers are, and where those go, or may go back to, that are being moved.
    private static func members(of group: String) -> SQL {
        let closed = ServerMigration.Status.closed.map(\.rawValue)
        let moving: SQL = "m.group_id = \(group) AND s.deleted_at IS NULL AND g.status NOT IN \(closed)"
        return """
            SELECT s.id AS id, s.host AS host FROM compute_servers s
            JOIN compute_server_group_members m ON m.server_id = s.id
            WHERE m.group_id = \(group) AND s.deleted_at IS NULL AND s.host IS NOT NULL
            UNION SELECT s.id AS id, g.dest AS host FROM compute_servers s
            JOIN compute_server_group_members m ON m.server_id = s.id
            JOIN compute_migrations g ON g.server_id = s.id WHERE \(sql: moving) AND g.dest IS NOT NULL
            UNION SELECT s.id AS id, g.source AS host FROM compute_servers s
            JOIN compute_server_group_members m ON m.server_id = s.id
            JOIN compute_migrations g ON g.server_id = s.id WHERE \(sql: moving) AND g.kind <> 'evacuation'
            """
    }

    private static func hosts(of rows: [Row], besides: [String]) -> [String] {
        let besides = Set(besides)
        return rows.filter { !besides.contains($0.text("id") ?? "") }.compactMap { $0.text("host") }
    }
}
