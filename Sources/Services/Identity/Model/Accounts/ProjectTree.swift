// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The parts of a project's tree that a request asks for with `parents_as_list` and its kin.
struct ProjectTree {
    private var members: [(name: String, value: JSON)] = []

    static func asked(_ request: Request, _ project: Project) async throws(Fault) -> ProjectTree {
        let asked = ["parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids"].filter {
            request.query($0) != nil
        }
        var tree = ProjectTree()
        guard !asked.isEmpty else { return tree }
        if asked.contains("parents_as_list"), asked.contains("parents_as_ids") {
            throw .badRequest("Cannot use parents_as_list and parents_as_ids query params at the same time.")
        }
        if asked.contains("subtree_as_list"), asked.contains("subtree_as_ids") {
            throw .badRequest("Cannot use subtree_as_list and subtree_as_ids query params at the same time.")
        }
        let domainID = project.isDomain ? project.id : project.domainID
        let all = try await request.database.all(Project.self, "domain_id = \(domainID) OR id = \(domainID)")
        let byID = Dictionary(all.map { ($0.id, $0) }) { first, _ in first }
        let visible = try await request.identity.tokens.projects(
            of: try await request.identity.tokens.holder(request.caller.userID))
        for name in asked {
            switch name {
            case "parents_as_ids": tree.members.append(("parents", parents(project.parentID, byID)))
            case "subtree_as_ids": tree.members.append(("subtree", subtree(project.id, all)))
            case "parents_as_list":
                var list: [Project] = []
                var next = project.parentID
                while let id = next, let parent = byID[id] {
                    list.append(parent)
                    next = parent.parentID
                }
                tree.append("parents", list, visible, request)
            default: tree.append("subtree", descendants(project.id, all), visible, request)
            }
        }
        return tree
    }

    func write(_ view: inout View) {
        for (name, value) in members { view.put(named: name, value) }
    }

    /// Lists hold only what the caller has a role on, whoever that is.
    private mutating func append(_ name: String, _ list: [Project], _ visible: [String], _ request: Request) {
        let items = list.filter { visible.contains($0.id) }.map { project -> JSON in
            var view = View(request)
            view.object { $0.nest("project", project.details) }
            return (try? JSON.parse(view.writer.bytes, limits: .trusted)) ?? .null
        }
        members.append((name, .array(items)))
    }

    private static func parents(_ id: String?, _ byID: [String: Project]) -> JSON {
        guard let id, let parent = byID[id] else { return .null }
        return [id: parents(parent.parentID, byID)]
    }

    private static func subtree(_ id: String, _ all: [Project]) -> JSON {
        let children = all.filter { $0.parentID == id }
        guard !children.isEmpty else { return .null }
        return .object(JSONObject(children.map { ($0.id, subtree($0.id, all)) }))
    }

    private static func descendants(_ id: String, _ all: [Project]) -> [Project] {
        all.filter { $0.parentID == id }.flatMap { [$0] + descendants($0.id, all) }
    }
}

extension Transaction {
    /// From the parent upwards to the domain.
    func ancestors(of project: Project) throws(Fault) -> [Project] {
        var ancestors: [Project] = []
        var next = project.parentID
        while let id = next, let parent = try first(Project.self, "id = \(id)") {
            ancestors.append(parent)
            next = parent.parentID
        }
        return ancestors
    }

    /// Enabled needs enabled parents; disabled needs a disabled subtree, but for a domain: what is in it goes with it.
    func requireSwitchable(_ project: Project) throws(Fault) {
        if project.enabled {
            guard try !ancestors(of: project).contains(where: { !$0.enabled }) else {
                throw .forbidden("Cannot enable project \(project.id) since it has disabled parents.")
            }
            return
        }
        guard !project.isDomain else { return }
        var open = [project.id]
        while let id = open.popLast() {
            for child in try all(Project.self, "parent_id = \(id)") {
                guard !child.enabled else {
                    throw .forbidden(
                        "Cannot disable project \(project.id) since its subtree contains enabled projects.")
                }
                open.append(child.id)
            }
        }
    }

    /// Stores a changed project or domain; one that is disabled takes the tokens for it along.
    func save(_ project: Project, was old: Project, at now: Timestamp) throws(Fault) {
        if project.name != old.name,
            try count(Project.self, "domain_id = \(project.domainID) AND name = \(project.name)") > 0
        {
            throw project.duplicate
        }
        try replace(project, where: "id = \(project.id)", or: .notFound("project", project.id))
        if old.enabled, !project.enabled {
            if project.isDomain {
                try revoke(domainID: project.id, at: now)
            } else {
                try revoke(projectID: project.id, at: now)
            }
        }
    }

    /// Takes a project away with everything that hangs on it.
    func remove(_ project: Project) throws(Fault) {
        try delete(Assignment.self, "target_id = \(project.id)")
        try delete(Credential.self, "project_id = \(project.id)")
        try delete(ApplicationCredential.self, "project_id = \(project.id)")
        try delete(Trust.self, "project_id = \(project.id)")
        try removeEndpointFilters(of: project)
        try removeOAuthTokens(ofProject: project.id)
        try delete(Limit.self, "project_id = \(project.id) OR domain_id = \(project.id)")
        try update(User.self, set: "default_project_id = NULL", where: "default_project_id = \(project.id)")
        try delete(Project.self, "id = \(project.id)")
    }
}
