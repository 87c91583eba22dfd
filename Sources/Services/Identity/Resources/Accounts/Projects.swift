// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Projects, which own what the other services make. They form a tree under their domain; the domain is its root, and
/// is kept here too, with an empty `domain_id`.
struct Project: Record {
    static let table = "identity_projects"

    let id: String
    var name: String
    let domainID: String
    let parentID: String?
    let isDomain: Bool
    var enabled: Bool
    var description: String
    var tags: [String]
    var options: JSONObject
    var extra: JSONObject
}

extension Project: Resource {
    static let routes: [Route] = [
        .get(
            "/projects", "List projects", of: ListScope.from,
            allow: .inspector("list_projects", or: "(role:reader and domain_id:%(target.domain_id)s)"), index),
        .post(
            "/projects", "Create project", of: Draft.from,
            allow: .administrator("create_project", or: managed), create),
        .get(
            "/projects/{project_id}", "Show project", of: found,
            allow: .inspector("get_project", or: "\(seen) or project_id:%(target.project.id)s"), show),
        .patch(
            "/projects/{project_id}", "Update project", of: found,
            allow: .administrator("update_project", or: managed), update),
        .delete(
            "/projects/{project_id}", "Delete project", of: found,
            allow: .administrator("delete_project", or: managed), delete),
        .get(
            "/users/{user_id}/projects", "List projects of user", of: User.found,
            allow: .inspector(
                "list_user_projects",
                or: "(role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s"), ofUser),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity projects
        CREATE TABLE identity_projects (
            id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(64) NOT NULL, domain_id VARCHAR(64) NOT NULL,
            parent_id VARCHAR(64), is_domain INTEGER NOT NULL, enabled INTEGER NOT NULL, description TEXT NOT NULL,
            tags TEXT NOT NULL, options TEXT NOT NULL, extra TEXT NOT NULL,
            UNIQUE (domain_id, name));
        CREATE INDEX identity_projects_parent ON identity_projects (parent_id);
        """
    ]

    static let seen =
        "(role:reader and domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s)"
    static let managed =
        "(role:manager and domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s)"

    static func found(_ request: Request) async throws(Fault) -> Found<Project> {
        let id = request["project_id"]
        let project = try await request.database.first(Project.self, "id = \(id)")
        var attributes: [String: JSON] = ["project_id": .string(id)]
        if let project { attributes.merge(project.attributes) { $1 } }
        return Found(project, or: .notFound("project", id), attributes)
    }

    var attributes: [String: JSON] {
        ["target.project.id": .string(id), "target.project.domain_id": .attribute(isDomain ? nil : domainID)]
    }
}

// MARK: - Handlers

extension Project {
    static func index(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply {
        var conditions: [SQL] = []
        if let id = scope.domainID { conditions.append("(domain_id = \(id) OR id = \(id))") }
        let isDomain = request.query("is_domain").map(Filters.truth) ?? false
        conditions.append("is_domain = \(isDomain)")
        let page = try request.page()
        let condition = request.filtered(
            [.text("name"), .flag("enabled"), .reference("domain_id"), .reference("parent_id"), .reference("id")],
            conditions.joined(" AND "))
        let projects = try await request.database.all(Project.self, page.condition(condition, table: table))
        let tagged = try projects.tagged(request)
        return .list("projects", tagged.map { $0.details }, page: page, ids: tagged.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        let options = request.identity.options
        let depthMax = min(options.projectDepthMax, options.limits.model.projectDepthMax ?? Int.max)
        let project = try await request.change { transaction throws(Fault) in
            let project = try draft.project(transaction, depthMax: depthMax)
            try transaction.insert(project, or: project.duplicate)
            return project
        }
        return .object("project", project.details)
    }

    static func show(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let project = try found.get()
        let tree = try await ProjectTree.asked(request, project)
        return .object("project") {
            project.members(&$0)
            tree.write(&$0)
            $0.finish(project.extra, "projects/\(project.id)")
        }
    }

    static func update(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let old = try found.get()
        let (project, _) = try old.changed(by: request)
        try await request.change { transaction throws(Fault) in
            if project.enabled != old.enabled { try transaction.requireSwitchable(project) }
            try transaction.save(project, was: old, at: request.now)
        }
        return .object("project", project.details)
    }

    static func delete(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let project = try found.get()
        guard !project.options.isImmutable else { throw .immutable("project", project.id, deleting: true) }
        guard !project.isDomain || !project.enabled else {
            throw .forbidden(
                "Cannot delete a domain that is enabled, please disable it first. "
                    + "You are not authorized to perform the requested action.")
        }
        let now = request.now
        try await request.change { transaction throws(Fault) in
            guard try transaction.count(Project.self, "parent_id = \(project.id)") == 0 else {
                throw .forbidden(
                    "Cannot delete the project \(project.id) since it is not a leaf in the hierarchy. Use the "
                        + "cascade option if you want to delete a whole subtree.")
            }
            try transaction.remove(project)
            try transaction.revoke(projectID: project.id, at: now)
        }
        return .empty
    }

    static func ofUser(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        let user = try found.get()
        let ids = try await request.identity.tokens.projects(
            of: try await request.identity.tokens.holder(user.id))
        let page = try request.page()
        let condition = request.filtered([.text("name"), .flag("enabled"), .reference("domain_id")], "id IN \(ids)")
        let projects = try await request.database.all(Project.self, page.condition(condition, table: table))
        return .list("projects", projects.map { $0.details }, page: page, ids: projects.map(\.id))
    }
}

// MARK: - Wire

extension Project {
    /// A project as asked for, before its place in the tree is known.
    struct Draft: Asked {
        let id: String, name: String, enabled: Bool, description: String, isDomain: Bool, tags: [String]
        let domainID: String?, parentID: String?, defaultDomainID: String
        let options: JSONObject, extra: JSONObject

        init(_ request: Request) throws(Fault) {
            var body = try request.body("project")
            id = request.ids.hex()
            name = try body.need("name", .label(1...64))
            enabled = try body.take("enabled", .bool) ?? true
            description = try body.option("description", .text) ?? ""
            isDomain = try body.take("is_domain", .bool) ?? false
            domainID = try body.option("domain_id", .id)
            parentID = try body.option("parent_id", .id)
            tags = try body.takeTags() ?? []
            options = try body.takeImmutable() ?? [:]
            extra = body.takeExtra()
            defaultDomainID = request.caller.domainID ?? request.identity.options.defaultDomainID
        }

        func policyAttribute(_ name: String) -> JSON? {
            name == "target.project.domain_id" ? .string(domainID ?? defaultDomainID) : nil
        }

        /// Finds the parent: by id, else the domain named, else the caller's domain or the default one.
        func project(_ transaction: Transaction, depthMax: Int) throws(Fault) -> Project {
            if isDomain {
                guard domainID == nil, parentID == nil else {
                    throw .badRequest("only root projects are allowed to act as domains.")
                }
                return make(domainID: "", parentID: nil)
            }
            let parentID = parentID ?? domainID ?? defaultDomainID
            guard let parent = try transaction.first(Project.self, "id = \(parentID)") else {
                throw self.parentID == nil ? .notFound("domain", parentID) : .notFound("project", parentID)
            }
            let domain = parent.isDomain ? parent.id : parent.domainID
            if let domainID, domainID != domain {
                throw .badRequest(
                    parent.isDomain
                        ? "Cannot create project, the parent (\(parentID)) is acting as a domain, but this project's "
                            + "domain id (\(domainID)) does not match the parent's id."
                        : "Cannot create project, since it specifies its domain_id \(domainID), but specifies a parent "
                            + "in a different domain (\(domain)).")
            }
            let ancestors = try transaction.ancestors(of: parent)
            if let closed = ([parent] + ancestors).first(where: { !$0.enabled }) {
                throw .badRequest("cannot create a project in a branch containing a disabled project: \(closed.id)")
            }
            // The domain is not counted among the levels.
            guard ancestors.count + 1 <= depthMax else {
                throw .forbidden("Max hierarchy depth reached for \(parentID) branch.")
            }
            return make(domainID: domain, parentID: parentID)
        }

        private func make(domainID: String, parentID: String?) -> Project {
            Project(
                id: id, name: name, domainID: domainID, parentID: parentID, isDomain: isDomain, enabled: enabled,
                description: description, tags: tags, options: options, extra: extra)
        }
    }

    /// The project after an update's body.
    func changed(by request: Request) throws(Fault) -> (Project, Body) {
        var project = self
        var body = try request.body("project")
        try body.requireSame("id", as: id, or: "Cannot change project ID")
        try body.requireSame("domain_id", as: isDomain ? nil : domainID, or: "Cannot change Domain ID")
        if body.has("parent_id"), try body.option("parent_id", .text) != parentID {
            throw .forbidden("Update of `parent_id` is not allowed.")
        }
        if let asked = try body.take("is_domain", .bool), asked != isDomain {
            throw .badRequest("Update of `is_domain` is not allowed.")
        }
        project.name = try body.take("name", .label(1...64)) ?? name
        project.enabled = try body.take("enabled", .bool) ?? enabled
        if let description = try body.patch("description", .text) { project.description = description ?? "" }
        project.tags = try body.takeTags() ?? tags
        project.options = options.merging(try body.takeImmutable(), removesNull: true)
        project.extra = extra.merging(body.takeExtra())
        try requireMutable(unless: project, kind: "project")
        return (project, body)
    }

    /// An immutable row takes nothing but the end of its immutability.
    func requireMutable(unless changed: Project, kind: String) throws(Fault) {
        guard options.isImmutable, changed.options.isImmutable else { return }
        throw .immutable(kind, id, deleting: false)
    }

    func members(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("domain_id", isDomain ? nil : domainID)
        view.put("description", description)
        view.put("enabled", enabled)
        view.put("parent_id", parentID)
        view.put("is_domain", isDomain)
        view.put("tags", tags)
        view.put("options", options)
    }

    func details(_ view: inout View) {
        members(&view)
        view.finish(extra, "projects/\(id)")
    }

    var duplicate: Fault {
        let what = isDomain ? "acting as domains with the same name: \(name)" : ""
        return .duplicate(
            isDomain ? "domain" : "project",
            isDomain
                ? "it is not permitted to have two projects \(what)"
                : "it is not permitted to have two projects with either the same name or same id in the same domain: "
                    + "name is \(name), project id \(id)")
    }
}
