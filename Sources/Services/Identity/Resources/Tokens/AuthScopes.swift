// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What the caller could ask a token for, and the catalogue of the token it has.
enum AuthScopes: Resource {
    static let routes: [Route] = [
        .get("/auth/projects", "List own projects", of: Anything.from, allow: .anyone("get_auth_projects"), projects),
        .get(
            "/OS-FEDERATION/projects", "List own projects (older path)", of: Anything.from,
            allow: .anyone("get_auth_projects"), projects),
        .get(
            "/OS-FEDERATION/domains", "List own domains (older path)", of: Anything.from,
            allow: .anyone("get_auth_domains"), domains),
        .get("/auth/domains", "List own domains", of: Anything.from, allow: .anyone("get_auth_domains"), domains),
        .get("/auth/system", "List own system scopes", of: Anything.from, allow: .anyone("get_auth_system"), system),
        .get("/auth/catalog", "Show own catalogue", of: Anything.from, allow: .anyone("get_auth_catalog"), catalog),
    ]

    /// The caller, with the groups that a token from an identity provider names.
    private static func holder(_ request: Request) async throws(Fault) -> Holder {
        let tokens = request.identity.tokens
        guard let text = request.header("X-Auth-Token"), !text.isEmpty else {
            return try await tokens.holder(request.caller.userID)
        }
        let federation = try await tokens.open(text).payload.federation
        return try await tokens.holder(request.caller.userID, federation?.groupIDs ?? [])
    }

    static func projects(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let ids = try await request.identity.tokens.projects(of: try await holder(request))
        let page = try request.page()
        let enabled: SQL =
            """
            id IN \(ids) AND enabled = 1 AND
            (is_domain = 1 OR domain_id IN (SELECT id FROM identity_projects WHERE is_domain = 1 AND enabled = 1))
            """
        let projects = try await request.database.all(Project.self, page.condition(enabled, table: Project.table))
        return .list("projects", projects.map { $0.details }, page: page, ids: projects.map(\.id))
    }

    static func domains(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let ids = try await request.identity.tokens.domains(of: try await holder(request))
        let page = try request.page()
        let domains = try await request.database.all(
            Project.self, page.condition("id IN \(ids) AND enabled = 1 AND is_domain = 1", table: Project.table))
        return .list("domains", domains.map { $0.domainDetails }, page: page, ids: domains.map(\.id))
    }

    static func system(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let has = try await request.identity.tokens.hasSystemRole(try await holder(request))
        let links = request.endpoint + "/auth/system"
        return .bare { view in
            view.list("system", has ? [true] : []) { $0.put("all", $1) }
            view.nest("links") { $0.put("self", links) }
        }
    }

    static func catalog(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        guard let projectID = request.caller.projectID else {
            throw .forbidden("A project-scoped token is required to produce a service catalog.")
        }
        let userID = request.caller.userID
        let catalog = try await request.identity.tokens.catalog()
        return .bare { view in
            catalog.write(&view, projectID: projectID, userID: userID)
            view.links("auth/catalog")
        }
    }
}
