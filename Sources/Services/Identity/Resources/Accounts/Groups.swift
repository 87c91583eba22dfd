// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Groups of users, which hold roles for all of them.
struct Group: Record {
    static let table = "identity_groups"

    let id: String
    var name: String
    let domainID: String
    var description: String
    var extra: JSONObject
}

extension Group: Resource {
    static let routes: [Route] = [
        .get("/groups", "List groups", of: ListScope.from, allow: .inspector("list_groups", or: seen), index),
        .post("/groups", "Create group", of: Draft.from, allow: .administrator("create_group", or: managed), create),
        .get("/groups/{group_id}", "Show group", of: found, allow: .inspector("get_group", or: seen), show),
        .patch(
            "/groups/{group_id}", "Update group", of: found,
            allow: .administrator("update_group", or: managed), update),
        .delete(
            "/groups/{group_id}", "Delete group", of: found,
            allow: .administrator("delete_group", or: managed), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity groups
        CREATE TABLE identity_groups (
            id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, domain_id VARCHAR(64) NOT NULL,
            description TEXT NOT NULL, extra TEXT NOT NULL, UNIQUE (domain_id, name));
        """
    ]

    static let seen = "(role:reader and domain_id:%(target.group.domain_id)s)"
    static let managed = "(role:manager and domain_id:%(target.group.domain_id)s)"

    static func found(_ request: Request) async throws(Fault) -> Found<Group> {
        let id = request["group_id"]
        let group = try await request.people.group(id)
        return Found(group, or: .notFound("group", id), group?.attributes ?? [:])
    }

    var attributes: [String: JSON] {
        ["target.group.id": .string(id), "target.group.domain_id": .string(domainID)]
    }

    // MARK: Handlers

    static func index(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply {
        if let reply = try await DirectoryLists.groups(request, scope) { return reply }
        return try await list(request, DirectoryLists.domainID(request, scope).map { "domain_id = \($0)" })
    }

    static func list(_ request: Request, _ base: SQL?) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("name"), .reference("domain_id"), .reference("id")], base)
        let groups = try await request.database.all(Group.self, page.condition(condition, table: table))
        return .list("groups", groups.map { $0.details }, page: page, ids: groups.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        let group = draft.group
        try await request.people.requireWritable(group.domainID)
        try await request.change { transaction throws(Fault) in
            try transaction.requireDomain(group.domainID)
            try transaction.insert(group, or: group.duplicate)
        }
        return .object("group", group.details)
    }

    static func show(_ request: Request, _ found: Found<Group>) async throws(Fault) -> Reply {
        .object("group", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<Group>) async throws(Fault) -> Reply {
        let old = try found.get()
        try await request.people.requireWritable(old)
        var group = old
        var body = try request.body("group")
        try body.requireSame("id", as: old.id, or: "Cannot change group ID")
        try body.requireSame("domain_id", as: old.domainID, or: "Cannot change Domain ID")
        group.name = try body.take("name", .label(1...64)) ?? old.name
        if let description = try body.patch("description", .text) { group.description = description ?? "" }
        group.extra = old.extra.merging(body.takeExtra())
        try await request.change { [group] transaction throws(Fault) in
            if group.name != old.name,
                try transaction.count(Group.self, "domain_id = \(group.domainID) AND name = \(group.name)") > 0
            {
                throw group.duplicate
            }
            try transaction.replace(group, where: "id = \(group.id)", or: .notFound("group", group.id))
        }
        return .object("group", group.details)
    }

    static func delete(_ request: Request, _ found: Found<Group>) async throws(Fault) -> Reply {
        let group = try found.get()
        try await request.people.requireWritable(group)
        try await request.change { transaction throws(Fault) in try transaction.remove(group) }
        return .empty
    }
}

extension Transaction {
    func remove(_ group: Group) throws(Fault) {
        try delete(Assignment.self, "actor_id = \(group.id)")
        try delete(Membership.self, "group_id = \(group.id)")
        try delete(ExpiringMembership.self, "group_id = \(group.id)")
        try delete(Group.self, "id = \(group.id)")
    }
}

// MARK: - Wire

extension Group {
    struct Draft: Asked {
        let group: Group

        init(_ request: Request) throws(Fault) {
            var body = try request.body("group")
            let domainID = try body.option("domain_id", .id)
            group = Group(
                id: request.ids.hex(), name: try body.need("name", .label(1...64)),
                domainID: domainID ?? request.caller.domainID ?? request.identity.options.defaultDomainID,
                description: try body.option("description", .text) ?? "", extra: body.takeExtra())
        }

        func policyAttribute(_ name: String) -> JSON? {
            name == "target.group.domain_id" ? .string(group.domainID) : nil
        }
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("domain_id", domainID)
        view.put("description", description)
        view.finish(extra, "groups/\(id)")
    }

    var duplicate: Fault {
        .duplicate("group", "Duplicate entry found with name \(name) at domain ID \(domainID)")
    }
}
