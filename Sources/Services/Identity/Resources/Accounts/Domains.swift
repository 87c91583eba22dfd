// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Domains, which hold projects, users and groups. A domain is kept as the project at the root of its tree.
enum Domains: Resource {
    static let routes: [Route] = [
        .get(
            "/domains", "List domains", of: ListScope.from,
            allow: .inspector("list_domains", or: "(role:reader and domain_id:%(target.domain.id)s)"), index),
        .post("/domains", "Create domain", of: Anything.from, allow: .administrator("create_domain"), create),
        .get(
            "/domains/{domain_id}", "Show domain", of: found,
            allow: .inspector(
                "get_domain",
                or: "token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s"), show),
        .patch("/domains/{domain_id}", "Update domain", of: found, allow: .administrator("update_domain"), update),
        .delete("/domains/{domain_id}", "Delete domain", of: found, allow: .administrator("delete_domain"), delete),
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<Project> {
        let id = request["domain_id"]
        let domain = try await request.database.first(Project.self, "id = \(id) AND is_domain = 1")
        return Found(domain, or: .notFound("domain", id), domain.map { ["target.domain.id": .string($0.id)] } ?? [:])
    }

    static func index(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply {
        var base: SQL = "is_domain = 1"
        if let id = scope.domainID { base += " AND id = \(id)" }
        let page = try request.page()
        let condition = request.filtered([.text("name"), .flag("enabled"), .reference("id")], base)
        let domains = try await request.database.all(Project.self, page.condition(condition, table: Project.table))
        let tagged = try domains.tagged(request)
        return .list("domains", tagged.map { $0.domainDetails }, page: page, ids: tagged.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("domain")
        let id = try body.option("explicit_domain_id", .id) ?? request.ids.hex()
        let project = Project(
            id: id, name: try body.need("name", .label(1...64)), domainID: "", parentID: nil, isDomain: true,
            enabled: try body.take("enabled", .bool) ?? true,
            description: try body.option("description", .text) ?? "", tags: try body.takeTags() ?? [],
            options: try body.takeImmutable() ?? [:], extra: body.takeExtra())
        try await request.change { transaction throws(Fault) in
            try transaction.insert(project, or: project.duplicate)
        }
        return .object("domain", project.domainDetails)
    }

    static func show(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        .object("domain", try found.get().domainDetails)
    }

    static func update(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let old = try found.get()
        var domain = old
        var body = try request.body("domain")
        try body.requireSame("id", as: old.id, or: "Cannot change domain ID")
        domain.name = try body.take("name", .label(1...64)) ?? old.name
        domain.enabled = try body.take("enabled", .bool) ?? old.enabled
        if let description = try body.patch("description", .text) { domain.description = description ?? "" }
        domain.tags = try body.takeTags() ?? old.tags
        domain.options = old.options.merging(try body.takeImmutable(), removesNull: true)
        domain.extra = old.extra.merging(body.takeExtra())
        try old.requireMutable(unless: domain, kind: "domain")
        if !domain.enabled, domain.id == request.identity.options.defaultDomainID, old.enabled {
            request.log.warning("the default domain was disabled", ["domain_id": domain.id])
        }
        try await request.change { [domain] transaction throws(Fault) in
            try transaction.save(domain, was: old, at: request.now)
        }
        return .object("domain", domain.domainDetails)
    }

    static func delete(_ request: Request, _ found: Found<Project>) async throws(Fault) -> Reply {
        let domain = try found.get()
        guard !domain.enabled else {
            throw .forbidden(
                "Cannot delete a domain that is enabled, please disable it first. "
                    + "You are not authorized to perform the requested action: delete_domain.")
        }
        guard !domain.options.isImmutable else { throw .immutable("domain", domain.id, deleting: true) }
        try await request.change { transaction throws(Fault) in
            for provider in try transaction.all(IdentityProvider.self, "domain_id = \(domain.id)") {
                try transaction.remove(provider)
            }
            for project in try transaction.all(Project.self, "domain_id = \(domain.id)") {
                try transaction.remove(project)
            }
            for user in try transaction.all(User.self, "domain_id = \(domain.id)") { try transaction.remove(user) }
            for group in try transaction.all(Group.self, "domain_id = \(domain.id)") { try transaction.remove(group) }
            for role in try transaction.all(Role.self, "domain_id = \(domain.id)") { try transaction.remove(role) }
            try transaction.delete(DomainOption.self, "domain_id = \(domain.id)")
            try transaction.delete(DomainSecret.self, "domain_id = \(domain.id)")
            try transaction.forgetDirectory(of: domain.id)
            try transaction.remove(domain)
        }
        return .empty
    }
}

extension Project {
    func domainDetails(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("enabled", enabled)
        view.put("tags", tags)
        view.put("options", options)
        view.finish(extra, "domains/\(id)")
    }
}
