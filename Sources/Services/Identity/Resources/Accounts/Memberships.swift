// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Who is in which group.
struct Membership: Record {
    static let table = "identity_memberships"

    let groupID: String
    let userID: String
}

extension Membership: Resource {
    static let routes: [Route] = [
        .get(
            "/groups/{group_id}/users", "List users in group", of: Group.found,
            allow: .inspector("list_users_in_group", or: Group.seen), users),
        .get(
            "/users/{user_id}/groups", "List groups of user", of: User.found,
            allow: .inspector(
                "list_groups_for_user",
                or: "(role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(user_id)s"), groups),
        .put(
            "/groups/{group_id}/users/{user_id}", "Add user to group", of: found,
            allow: .administrator("add_user_to_group", or: managed), add, status: 204),
        .get(
            "/groups/{group_id}/users/{user_id}", "Check user in group", of: found,
            allow: .inspector("check_user_in_group", or: managed.replacing("manager", with: "reader")), check,
            status: 204),
        .delete(
            "/groups/{group_id}/users/{user_id}", "Remove user from group", of: found,
            allow: .administrator("remove_user_from_group", or: managed), remove),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity memberships
        CREATE TABLE identity_memberships (
            group_id VARCHAR(64) NOT NULL, user_id VARCHAR(64) NOT NULL, PRIMARY KEY (user_id, group_id));
        CREATE INDEX identity_memberships_group ON identity_memberships (group_id);
        """
    ]

    static let managed =
        "(role:manager and domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s)"

    /// The pair, once both are there.
    static func found(_ request: Request) async throws(Fault) -> Found<Membership> {
        let (userID, groupID) = (request["user_id"], request["group_id"])
        let user = try await request.people.user(userID)
        let group = try await request.people.group(groupID)
        let attributes = (user?.attributes ?? [:]).merging(group?.attributes ?? [:]) { $1 }
        if user == nil { return Found(missing: .notFound("user", userID), attributes) }
        if group == nil { return Found(missing: .notFound("group", groupID), attributes) }
        return Found(Membership(groupID: groupID, userID: userID), attributes)
    }

    static func users(_ request: Request, _ found: Found<Group>) async throws(Fault) -> Reply {
        let group = try found.get()
        if let members = try await request.people.directoryMembers(of: group.id) {
            return try members.reply(request, filtersNames: true)
        }
        return try await User.list(
            request, "id IN (SELECT user_id FROM identity_memberships WHERE group_id = \(group.id))")
    }

    static func groups(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        let user = try found.get()
        if try await request.people.origin(of: user.id, .user) != nil {
            return try await request.people.directoryGroups(of: user.id).reply(request, filtersNames: true)
        }
        return try await Group.list(
            request, "id IN (SELECT group_id FROM identity_memberships WHERE user_id = \(user.id))")
    }

    static func add(_ request: Request, _ found: Found<Membership>) async throws(Fault) -> Reply {
        let membership = try found.get()
        try await request.people.requireWritable(membership)
        try await request.change { transaction throws(Fault) in
            guard try transaction.count(Membership.self, membership.condition) == 0 else { return }
            try transaction.insert(membership)
        }
        return .empty
    }

    static func check(_ request: Request, _ found: Found<Membership>) async throws(Fault) -> Reply {
        let membership = try found.get()
        if let members = try await request.people.directoryMembers(of: membership.groupID) {
            guard members.contains(where: { $0.id == membership.userID }) else { throw membership.missing }
            return .empty
        }
        _ = try await request.database.one(Membership.self, membership.condition, or: membership.missing)
        return .empty
    }

    static func remove(_ request: Request, _ found: Found<Membership>) async throws(Fault) -> Reply {
        let membership = try found.get()
        try await request.people.requireWritable(membership)
        try await request.change { transaction throws(Fault) in
            try transaction.delete(Membership.self, membership.condition, or: membership.missing)
        }
        return .empty
    }

    private var condition: SQL { "user_id = \(userID) AND group_id = \(groupID)" }
    private var missing: Fault { .notFound("Could not find user '\(userID)' in group '\(groupID)'.") }
}
