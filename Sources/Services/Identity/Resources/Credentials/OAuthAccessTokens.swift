// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a user has let consumers do, which the user sees and takes back here.
enum OAuthAccessTokens: Resource {
    static let routes: [Route] = [
        .get(path, "List access tokens", of: Anything.from, allow: rule("list_access_tokens"), index),
        .get(one, "Show access token", of: found, allow: rule("get_access_token"), show),
        .delete(one, "Delete access token", of: found, allow: rule("delete_access_token"), delete),
        .get(one + "/roles", "List roles of access token", of: found, allow: rule("list_access_token_roles"), roles),
        .get(
            one + "/roles/{role_id}", "Show role of access token", of: found, allow: rule("get_access_token_role"),
            role),
    ]

    private static let path = "/users/{user_id}/OS-OAUTH1/access_tokens"
    private static let one = path + "/{access_token_id}"

    private static func rule<Target: PolicyTarget>(_ name: String) -> Rule<Target> {
        .rule(name, "rule:admin_required", scopes: .project)
    }

    static func found(_ request: Request) async throws(Fault) -> Found<OAuthAccessToken> {
        let (id, userID) = (request["access_token_id"], request["user_id"])
        let token = try await request.database.first(
            OAuthAccessToken.self, "id = \(id) AND authorizing_user_id = \(userID)")
        return Found(token, or: OAuthAccessToken.missing, [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try request.requireUndelegated()
        let page = try request.page()
        let userID = request["user_id"]
        let tokens = try await request.database.all(
            OAuthAccessToken.self,
            page.condition("authorizing_user_id = \(userID)", table: OAuthAccessToken.table))
        return .list("access_tokens", tokens.map { $0.details }, page: page, ids: tokens.map(\.id))
    }

    static func show(_ request: Request, _ found: Found<OAuthAccessToken>) async throws(Fault) -> Reply {
        try request.requireUndelegated()
        return .object("access_token", try found.get().details)
    }

    static func delete(_ request: Request, _ found: Found<OAuthAccessToken>) async throws(Fault) -> Reply {
        try request.requireUndelegated()
        let id = try found.get().id
        try await request.change { transaction throws(Fault) in
            try transaction.delete(OAuthAccessToken.self, "id = \(id)", or: OAuthAccessToken.missing)
        }
        return .empty
    }

    static func roles(_ request: Request, _ found: Found<OAuthAccessToken>) async throws(Fault) -> Reply {
        let token = try found.get()
        let roles = try await request.database.all(Role.self, "id", in: token.roleIDs)
        return .list("roles", roles.map { $0.brief }, page: try request.page())
    }

    static func role(_ request: Request, _ found: Found<OAuthAccessToken>) async throws(Fault) -> Reply {
        let token = try found.get()
        let id = request["role_id"]
        guard token.roleIDs.contains(id) else { throw .notFound("role", id) }
        let role = try await request.database.one(Role.self, "id = \(id)", or: .notFound("role", id))
        return .object("role", role.brief)
    }
}

extension OAuthAccessToken {
    /// Everything but secret and roles.
    func details(_ view: inout View) {
        let link = view.endpoint + "/users/\(authorizingUserID)/OS-OAUTH1/access_tokens/\(id)"
        view.put("id", id)
        view.put("consumer_id", consumerID)
        view.put("authorizing_user_id", authorizingUserID)
        view.put("project_id", projectID)
        view.put("expires_at", expiresAt?.iso8601Micro)
        view.nest("links") {
            $0.put("self", link)
            $0.put("roles", link + "/roles")
        }
    }
}

extension Role {
    /// A role without its description, as access tokens list them.
    fileprivate func brief(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("domain_id", ownDomainID)
        view.put("options", options)
        view.finish(extra, "roles/\(id)")
    }
}

extension Transaction {
    /// Takes back what consumers were let do, when the user or the project goes.
    func removeOAuthTokens(ofUser userID: String) throws(Fault) {
        try delete(OAuthAccessToken.self, "authorizing_user_id = \(userID)")
        try delete(OAuthRequestToken.self, "authorizing_user_id = \(userID)")
    }

    func removeOAuthTokens(ofProject projectID: String) throws(Fault) {
        try delete(OAuthAccessToken.self, "project_id = \(projectID)")
        try delete(OAuthRequestToken.self, "requested_project_id = \(projectID)")
    }
}
