// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Words that a project is marked with.
enum ProjectTags: Resource {
    static let tagsMax = 80

    static let routes: [Route] = [
        .get("/projects/{project_id}/tags", "List tags", of: Project.found, allow: read("list_project_tags"), index),
        .put(
            "/projects/{project_id}/tags", "Replace tags", of: Project.found, allow: write("update_project_tags"),
            replace),
        .delete(
            "/projects/{project_id}/tags", "Delete all tags", of: Project.found, allow: write("delete_project_tags"),
            clear),
        .get(
            "/projects/{project_id}/tags/{value}", "Check tag", of: Project.found, allow: read("get_project_tag"),
            check,
            status: 204),
        .put(
            "/projects/{project_id}/tags/{value}", "Add tag", of: Project.found, allow: write("create_project_tag"),
            add,
            status: 201),
        .delete(
            "/projects/{project_id}/tags/{value}", "Delete tag", of: Project.found, allow: write("delete_project_tag"),
            remove),
    ]

    private static func read(_ name: String) -> Rule<Found<Project>> {
        .inspector(name, or: "\(Project.seen) or project_id:%(target.project.id)s")
    }

    private static func write(_ name: String) -> Rule<Found<Project>> { .administrator(name, or: Project.managed) }

    static func index(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        answer(try found.get())
    }

    static func replace(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let project = try found.get()
        var body = try request.body()
        guard body.has("tags") else { throw request.index.wording.missing("tags") }
        let tags = try body.takeTags() ?? []
        try body.end()
        return answer(try await save(tags, of: project, request))
    }

    static func clear(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        _ = try await save([], of: try found.get(), request)
        return .empty
    }

    static func check(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let project = try found.get()
        guard project.tags.contains(request["value"]) else { throw .notFound("project tag", request["value"]) }
        return .empty
    }

    static func add(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let project = try found.get()
        let value = request["value"]
        if let reason = flaw(value) { throw request.index.wording.invalid("value", .string(value), reason) }
        let tags = project.tags + [value]
        guard !project.tags.contains(value) else {
            throw request.index.wording.invalid(
                "tags", .array(tags.map(JSON.string)), "the tags have non-unique elements")
        }
        guard tags.count <= tagsMax else {
            throw request.index.wording.invalid("tags", nil, "there are \(tagsMax) tags already")
        }
        _ = try await save(tags, of: project, request)
        return .empty
    }

    static func remove(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let project = try found.get()
        guard project.tags.contains(request["value"]) else { throw .notFound("project tag", request["value"]) }
        _ = try await save(project.tags.filter { $0 != request["value"] }, of: project, request)
        return .empty
    }

    private static func save(_ tags: [String], of project: Project, _ request: Request) async throws(Fault) -> Project {
        guard !project.options.isImmutable else { throw .immutable("project", project.id, deleting: false) }
        var changed = project
        changed.tags = tags
        let stored = JSON.array(tags.map(JSON.string))
        try await request.database.update(Project.self, set: "tags = \(stored)", where: "id = \(project.id)")
        return changed
    }

    private static func answer(_ project: Project) -> Reply {
        .bare {
            $0.put("tags", project.tags)
            $0.links("projects/\(project.id)/tags")
        }
    }

    /// What is wrong with a tag; nil when nothing is.
    static func flaw(_ tag: String) -> String? {
        let count = tag.unicodeScalars.count
        if count == 0 { return "'' is too short" }
        if count > 255 { return "'\(tag)' is too long" }
        return tag.contains { $0 == "," || $0 == "/" } ? "'\(tag)' does not match '^[^,/]*$'" : nil
    }
}

extension Body {
    mutating func takeTags() throws(Fault) -> [String]? {
        let tag = Format<String>.text.map { tag throws(Misfit) in
            if let flaw = ProjectTags.flaw(tag) { throw Misfit(flaw) }
            return tag
        }
        guard let tags = try take("tags", .list(tag, 0...ProjectTags.tagsMax)) else { return nil }
        guard Set(tags).count == tags.count else {
            throw refuse("tags", .array(tags.map(JSON.string)), "the tags have non-unique elements")
        }
        return tags
    }
}

extension [Project] {
    /// Those that the query's `tags`, `tags-any`, `not-tags` and `not-tags-any` leave.
    func tagged(_ request: Request) throws(Fault) -> [Project] {
        func words(_ name: String) -> Set<String>? {
            request.query(name).map { Set($0.split(separator: ",").map(String.init)) }
        }
        let all = words("tags")
        let any = words("tags-any")
        let notAll = words("not-tags")
        let notAny = words("not-tags-any")
        if all == nil, any == nil, notAll == nil, notAny == nil { return self }
        return filter { project in
            let tags = Set(project.tags)
            return (all.map { tags.isSuperset(of: $0) } ?? true) && (any.map { !tags.isDisjoint(with: $0) } ?? true)
                && (notAll.map { !tags.isSuperset(of: $0) } ?? true)
                && (notAny.map { tags.isDisjoint(with: $0) } ?? true)
        }
    }
}
