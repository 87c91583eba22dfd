// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// All assignments in one list, as they were made or, with `effective`, as they come out.
enum RoleAssignments: Resource {
    static let routes: [Route] = [
        .get(
            "/role_assignments", "List role assignments", of: ListScope.from,
            allow: .rule("list_role_assignments", IdentityRules.listAssignments), index)
    ]

    static func index(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply {
        let asked = try AssignmentQuery(request)
        if asked.includesSubtree, !request.may("list_role_assignments_for_tree", on: scope) {
            throw request.index.envelope.refusal("identity:list_role_assignments_for_tree")
        }
        var lines = try await asked.lines(request)
        if let domainID = scope.domainID {
            let inDomain = try await request.database.all(Project.self, "domain_id = \(domainID) OR id = \(domainID)")
            let ids = Set(inDomain.map(\.id))
            lines = lines.filter { ids.contains($0.targetID) }
        }
        let names = asked.includesNames ? try await AssignmentNames(request, lines) : nil
        return .list("role_assignments", lines.map { line in { line.write(&$0, names) } }, page: try request.page())
    }
}

/// One assignment of the list, with where it comes from when it was worked out.
struct AssignmentLine: Sendable, Hashable {
    var actor: Assignment.Actor
    var actorID: String
    var target: Assignment.Target
    var targetID: String
    var roleID: String
    var inherited: Bool
    /// The group that a user has it through.
    var membership: String?
    /// The role that implies it.
    var prior: String?
    /// The target that it was inherited from.
    var source: (kind: Assignment.Target, id: String)? {
        sourceID.map { (sourceKind ?? .project, $0) }
    }
    var sourceKind: Assignment.Target?
    var sourceID: String?

    init(_ assignment: Assignment) {
        actor = assignment.actor
        actorID = assignment.actorID
        target = assignment.target
        targetID = assignment.targetID
        roleID = assignment.roleID
        inherited = assignment.inherited
    }

    func write(_ view: inout View, _ names: AssignmentNames?) {
        view.nest("role") { names.write(&$0, roleID, role: true) }
        view.nest(named: actor.rawValue) { names.write(&$0, actorID) }
        view.nest("scope") {
            if target == .system {
                $0.nest("system") { $0.put("all", true) }
            } else {
                $0.nest(named: target.rawValue) { names.write(&$0, targetID) }
            }
            if inherited { $0.put("OS-INHERIT:inherited_to", "projects") }
        }
        view.nest("links") {
            $0.put("assignment", $0.endpoint + path)
            if let membership { $0.put("membership", $0.endpoint + "/groups/\(membership)/users/\(actorID)") }
            if let prior { $0.put("prior_role", $0.endpoint + "/roles/\(prior)") }
        }
    }

    /// The assignment that stands behind the line.
    private var path: String {
        let kind = membership == nil ? actor.rawValue : "group"
        let who = "\(kind)s/\(membership ?? actorID)/roles/\(prior ?? roleID)"
        if target == .system { return "/system/" + who }
        if let source { return "/OS-INHERIT/\(source.kind)s/\(source.id)/\(who)/inherited_to_projects" }
        let place = "\(target)s/\(targetID)/" + who
        return inherited ? "/OS-INHERIT/" + place + "/inherited_to_projects" : "/" + place
    }
}

/// The names that `include_names` adds, fetched once for all lines.
struct AssignmentNames: Sendable {
    private var names: [String: (name: String, domainID: String)] = [:]
    private var domains: [String: String] = [:]

    init(_ request: Request, _ lines: [AssignmentLine]) async throws(Fault) {
        let users = try await request.people.users(
            Array(Set(lines.filter { $0.actor == .user }.map(\.actorID))))
        let groups = try await request.people.groups(
            Array(Set(lines.filter { $0.actor == .group }.map(\.actorID))))
        let projects = try await request.database.all(Project.self, "id", in: Array(Set(lines.map(\.targetID))))
        let roles = try await request.database.all(Role.self, "id", in: Array(Set(lines.map(\.roleID))))
        for user in users { names[user.id] = (user.name, user.domainID) }
        for group in groups { names[group.id] = (group.name, group.domainID) }
        for project in projects { names[project.id] = (project.name, project.domainID) }
        for role in roles { names[role.id] = (role.name, role.domainID) }
        for domain in try await request.database.all(Project.self, "is_domain = 1") {
            domains[domain.id] = domain.name
        }
    }

    fileprivate func write(_ view: inout View, _ id: String, role: Bool) {
        view.put("id", id)
        guard let (name, domainID) = names[id] else { return }
        view.put("name", name)
        guard !domainID.isEmpty else { return }
        view.nest("domain") {
            $0.put("id", domainID)
            $0.put("name", domains[domainID])
        }
    }
}

extension AssignmentNames? {
    fileprivate func write(_ view: inout View, _ id: String, role: Bool = false) {
        guard let self else { return view.put("id", id) }
        self.write(&view, id, role: role)
    }
}
