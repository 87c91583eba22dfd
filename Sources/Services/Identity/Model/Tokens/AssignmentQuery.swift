// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What `GET /role_assignments` is asked for, and the work of finding it.
struct AssignmentQuery: Sendable {
    let userID: String?, groupID: String?, roleID: String?
    let projectID: String?, domainID: String?
    let isSystem: Bool, isEffective: Bool, includesNames: Bool, includesSubtree: Bool
    let isInherited: Bool?

    init(_ request: Request) throws(Fault) {
        userID = request.query("user.id")
        groupID = request.query("group.id")
        roleID = request.query("role.id")
        projectID = request.query("scope.project.id")
        domainID = request.query("scope.domain.id")
        isSystem = request.query("scope.system") != nil
        isEffective = request.query("effective").map(Filters.truth) ?? false
        includesNames = request.query("include_names").map(Filters.truth) ?? false
        includesSubtree = request.query("include_subtree").map(Filters.truth) ?? false
        isInherited = request.query("scope.OS-INHERIT:inherited_to").map { $0 == "projects" }
        guard userID == nil || groupID == nil else { throw .badRequest("Specify a user or group, not both") }
        guard [projectID != nil, domainID != nil, isSystem].count(where: { $0 }) < 2 else {
            throw .badRequest(
                isSystem
                    ? "Specify system or \(projectID == nil ? "domain" : "project"), not both"
                    : "Specify a domain or project, not both")
        }
        if isEffective {
            guard groupID == nil else {
                throw .badRequest(
                    "Combining effective and group filter will always result in an empty list.")
            }
            guard isInherited != true || domainID == nil else {
                throw .badRequest(
                    "Combining effective, domain and inherited filters will always result in an empty list.")
            }
        }
        guard !includesSubtree || projectID != nil else {
            throw .badRequest("scope.project.id must be specified if include_subtree is also specified")
        }
    }

    func lines(_ request: Request) async throws(Fault) -> [AssignmentLine] {
        let all = try await request.database.all(Assignment.self, isEffective ? "" : plainCondition)
        var lines = all.map(AssignmentLine.init)
        if isEffective {
            lines = try await expanded(lines, request)
        }
        var targets: Set<String>?
        if let projectID {
            targets = [projectID]
            if includesSubtree {
                let projects = try await request.database.all(Project.self)
                targets?.formUnion(
                    AssignmentQuery.below(projectID, Dictionary(grouping: projects) { $0.parentID ?? "" }))
            }
        }
        return lines.filter { line in
            (userID.map { line.actor == .user && line.actorID == $0 } ?? true)
                && (groupID.map { line.actor == .group && line.actorID == $0 } ?? true)
                && (roleID.map { line.roleID == $0 } ?? true)
                && (targets.map { line.target == .project && $0.contains(line.targetID) } ?? true)
                && (domainID.map { line.target == .domain && line.targetID == $0 } ?? true)
                && (!isSystem || line.target == .system)
                && (isInherited.map { (isEffective ? line.sourceID != nil : line.inherited) == $0 } ?? true)
        }
    }

    /// What can be left out before anything is worked out.
    private var plainCondition: SQL {
        var conditions: [SQL] = []
        if let id = userID ?? groupID { conditions.append("actor_id = \(id)") }
        if let roleID { conditions.append("role_id = \(roleID)") }
        return conditions.joined(" AND ")
    }

    /// Groups become their members, inherited roles go to the projects below, roles bring those they imply.
    private func expanded(_ lines: [AssignmentLine], _ request: Request) async throws(Fault) -> [AssignmentLine] {
        let members = try await members(of: lines, request)
        let projects = try await request.database.all(Project.self)
        let children = Dictionary(grouping: projects) { $0.parentID ?? "" }
        let roles = try await request.identity.tokens.roleBook()
        var result: [AssignmentLine] = []
        var seen: Set<AssignmentLine> = []
        for line in lines {
            for held in AssignmentQuery.people(line, members) {
                if let userID, held.actorID != userID { continue }
                for placed in AssignmentQuery.places(held, children) {
                    for implied in roles.expanded(placed) where seen.insert(implied).inserted {
                        result.append(implied)
                    }
                }
            }
        }
        return result
    }

    /// Who is in the groups that the lines are about; with a user asked for, that user alone.
    private func members(
        of lines: [AssignmentLine], _ request: Request
    ) async throws(Fault) -> [String: [Membership]] {
        let condition: SQL = userID.map { "user_id = \($0)" } ?? ""
        var members = Dictionary(
            grouping: try await request.database.all(Membership.self, condition), by: \.groupID)
        guard request.people.directories.mayExist else { return members }
        if let userID {
            for group in try await request.people.directoryGroups(of: userID) {
                members[group.id] = [Membership(groupID: group.id, userID: userID)]
            }
            return members
        }
        for id in Set(lines.filter { $0.actor == .group }.map(\.actorID)) where members[id] == nil {
            members[id] = try await request.people.directoryMembers(of: id)?.map {
                Membership(groupID: id, userID: $0.id)
            }
        }
        return members
    }

    private static func people(_ line: AssignmentLine, _ members: [String: [Membership]]) -> [AssignmentLine] {
        guard line.actor == .group else { return [line] }
        return (members[line.actorID] ?? []).map { member in
            var one = line
            one.actor = .user
            one.actorID = member.userID
            one.membership = line.actorID
            return one
        }
    }

    private static func places(_ line: AssignmentLine, _ children: [String: [Project]]) -> [AssignmentLine] {
        guard line.inherited else { return [line] }
        return below(line.targetID, children).map { id in
            var one = line
            one.target = .project
            one.targetID = id
            one.sourceKind = line.target
            one.sourceID = line.targetID
            return one
        }
    }

    private static func below(_ id: String, _ children: [String: [Project]]) -> [String] {
        (children[id] ?? []).flatMap { [$0.id] + below($0.id, children) }
    }
}
