// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Who has which role where: a user or a group, on a project, a domain or the system. An inherited one holds for the
/// projects below its target and not for the target itself.
struct Assignment: Record, Hashable {
    static let table = "identity_assignments"

    enum Actor: String, Codable, CaseIterable { case user, group }
    enum Target: String, Codable, CaseIterable { case project, domain, system }

    let actor: Actor
    let actorID: String
    let target: Target
    /// `system` for the system.
    let targetID: String
    let roleID: String
    let inherited: Bool
}

extension Assignment: Resource {
    static let routes: [Route] = [Target.project, .domain].flatMap { target in
        Actor.allCases.flatMap { actor in
            grants(target, actor, inherited: false) + grants(target, actor, inherited: true)
        }
    }

    /// The list of one place, and the three verbs on each grant there.
    private static func grants(_ target: Target, _ actor: Actor, inherited: Bool) -> [Route] {
        let end = inherited ? "/inherited_to_projects" : ""
        let path = (inherited ? "/OS-INHERIT" : "") + "/\(target)s/{\(target)_id}/\(actor)s/{\(actor)_id}/roles"
        let role = path + "/{role_id}" + end
        let kind = inherited ? "inherited role" : "role"
        let place = find(target, actor, inherited: inherited, hasRole: false)
        let found = find(target, actor, inherited: inherited)
        let listed: Rule<Found<Grant>> = .administrator("list_grants", or: GrantRules.list)
        let made: Rule<Found<Grant>> = .administrator("create_grant", or: GrantRules.change)
        let seen: Rule<Found<Grant>> = .administrator("check_grant", or: GrantRules.check)
        let ended: Rule<Found<Grant>> = .administrator("revoke_grant", or: GrantRules.change)
        return [
            .get(path + end, "List \(kind)s of \(actor) on \(target)", of: place, allow: listed, list),
            .put(role, "Assign \(kind) to \(actor) on \(target)", of: found, allow: made, assign, status: 204),
            .get(role, "Check \(kind) of \(actor) on \(target)", of: found, allow: seen, check, status: 204),
            .delete(role, "Unassign \(kind) from \(actor) on \(target)", of: found, allow: ended, unassign),
        ]
    }

    static let migrations: [Migration] = [
        """
        2026-11-20 identity assignments
        CREATE TABLE identity_assignments (
            actor VARCHAR(8) NOT NULL, actor_id VARCHAR(64) NOT NULL, target VARCHAR(8) NOT NULL,
            target_id VARCHAR(64) NOT NULL, role_id VARCHAR(64) NOT NULL, inherited INTEGER NOT NULL,
            PRIMARY KEY (actor_id, target_id, role_id, inherited, actor, target));
        CREATE INDEX identity_assignments_target ON identity_assignments (target_id);
        CREATE INDEX identity_assignments_role ON identity_assignments (role_id);
        """
    ]
}

// MARK: - Finding

/// Where a grant stands, and the role when the path names one.
struct Grant: Sendable {
    let actor: Assignment.Actor
    let actorID: String
    let target: Assignment.Target
    let targetID: String
    let inherited: Bool
    let role: Role?

    var place: SQL {
        "actor = \(actor) AND actor_id = \(actorID) AND target = \(target) AND target_id = \(targetID) "
            + "AND inherited = \(inherited)"
    }

    var assignment: Assignment? {
        role.map {
            Assignment(
                actor: actor, actorID: actorID, target: target, targetID: targetID, roleID: $0.id,
                inherited: inherited)
        }
    }

    var missing: Fault {
        .notFound(
            "Could not find role assignment with role: \(role?.id ?? ""), user or group: \(actorID), project, "
                + "domain, or system: \(targetID).")
    }
}

extension Assignment {
    static func find(
        _ target: Target, _ actor: Actor, inherited: Bool = false, hasRole: Bool = true
    ) -> Route.Finder<Found<Grant>> {
        { request async throws(Fault) in
            try await found(request, target, actor, inherited: inherited, hasRole: hasRole)
        }
    }

    /// Looks up everything that the path names; what is missing is the fault of whoever may learn it.
    static func found(
        _ request: Request, _ target: Target, _ actor: Actor, inherited: Bool, hasRole: Bool
    ) async throws(Fault) -> Found<Grant> {
        var attributes: [String: JSON] = [:]
        var missing: Fault?
        var role: Role?
        if hasRole {
            let id = request["role_id"]
            role = try await request.database.first(Role.self, "id = \(id)")
            if let role { attributes.merge(role.attributes) { $1 } } else { missing = .notFound("role", id) }
        }
        let actorID = request["\(actor)_id"]
        switch actor {
        case .user:
            let user = try await request.people.user(actorID)
            if let user { attributes.merge(user.attributes) { $1 } } else { missing = .notFound("user", actorID) }
        case .group:
            let group = try await request.people.group(actorID)
            if let group { attributes.merge(group.attributes) { $1 } } else { missing = .notFound("group", actorID) }
        }
        let targetID = target == .system ? "system" : request["\(target)_id"]
        if target != .system {
            let project = try await request.database.first(Project.self, "id = \(targetID)")
            if let project, target == .project || project.isDomain {
                attributes.merge(
                    target == .project ? project.attributes : ["target.domain.id": .string(project.id)]
                ) { $1 }
            } else {
                missing = .notFound("\(target)", targetID)
            }
        }
        if let missing { return Found(missing: missing, attributes) }
        return Found(
            Grant(
                actor: actor, actorID: actorID, target: target, targetID: targetID, inherited: inherited, role: role),
            attributes)
    }
}

// MARK: - Handlers

extension Assignment {
    static func list(_ request: Request, _ found: Found<Grant>) async throws(Fault) -> Reply {
        let grant = try found.get()
        let page = try request.page()
        let roles = try await request.database.all(
            Role.self,
            "id IN (SELECT role_id FROM identity_assignments WHERE \(sql: grant.place)) ORDER BY id")
        return .list("roles", roles.map { $0.details }, page: page, ids: roles.map(\.id))
    }

    static func assign(_ request: Request, _ found: Found<Grant>) async throws(Fault) -> Reply {
        let grant = try found.get()
        guard let role = grant.role, let assignment = grant.assignment else { throw grant.missing }
        if grant.target == .system, role.ownDomainID != nil {
            throw .badRequest(
                "Role \(role.id) is a domain-specific role. Unable to use a domain-specific role in a "
                    + "system assignment.")
        }
        try await request.change { transaction throws(Fault) in
            guard try transaction.count(Assignment.self, grant.place + " AND role_id = \(role.id)") == 0 else { return }
            try transaction.insert(assignment)
        }
        return .empty
    }

    static func check(_ request: Request, _ found: Found<Grant>) async throws(Fault) -> Reply {
        let grant = try found.get()
        let condition = grant.place + " AND role_id = \(grant.role?.id ?? "")"
        _ = try await request.database.one(Assignment.self, condition, or: grant.missing)
        return .empty
    }

    static func unassign(_ request: Request, _ found: Found<Grant>) async throws(Fault) -> Reply {
        let grant = try found.get()
        try await request.change { transaction throws(Fault) in
            let condition = grant.place + " AND role_id = \(grant.role?.id ?? "")"
            try transaction.delete(Assignment.self, condition, or: grant.missing)
        }
        return .empty
    }
}
