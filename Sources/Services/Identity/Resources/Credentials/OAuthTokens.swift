// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a consumer asks a user for, until the user has said yes and the consumer has fetched its access token.
struct OAuthRequestToken: Record {
    static let table = "identity_oauth_request_tokens"

    let id: String
    let secret: String
    let consumerID: String
    let requestedProjectID: String
    let expiresAt: Timestamp?
    var verifier: String?
    var authorizingUserID: String?
    var roleIDs: [String]

    func requireLiving(at now: Timestamp) throws(Fault) {
        if let expiresAt, expiresAt < now { throw .unauthorized() }
    }
}

/// What a consumer acts for a user with: some of the user's roles in one project.
struct OAuthAccessToken: Record {
    static let table = "identity_oauth_access_tokens"

    let id: String
    let secret: String
    let consumerID: String
    let authorizingUserID: String
    let projectID: String
    let roleIDs: [String]
    let expiresAt: Timestamp?

    static let missing = Fault.notFound("Access token not found")
}

/// The three steps of OAuth 1.0: the consumer asks, the user agrees, the consumer fetches.
enum OAuthTokens: Resource {
    static let routes: [Route] = [
        // What is signed stands in the header; whatever body comes along is not read.
        .open("POST", "/OS-OAUTH1/request_token", "Create request token", status: 201, payload: .stream, request),
        .put(
            "/OS-OAUTH1/authorize/{request_token_id}", "Authorize request token", of: Anything.from,
            allow: .rule("authorize_request_token", "rule:admin_required", scopes: .project), authorize),
        .open("POST", "/OS-OAUTH1/access_token", "Create access token", status: 201, payload: .stream, access),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity oauth tokens
        CREATE TABLE identity_oauth_request_tokens (
            id VARCHAR(64) NOT NULL PRIMARY KEY, secret VARCHAR(64) NOT NULL, consumer_id VARCHAR(64) NOT NULL,
            requested_project_id VARCHAR(64) NOT NULL, expires_at BIGINT, verifier VARCHAR(64),
            authorizing_user_id VARCHAR(64), role_ids TEXT NOT NULL);
        CREATE TABLE identity_oauth_access_tokens (
            id VARCHAR(64) NOT NULL PRIMARY KEY, secret VARCHAR(64) NOT NULL, consumer_id VARCHAR(64) NOT NULL,
            authorizing_user_id VARCHAR(64) NOT NULL, project_id VARCHAR(64) NOT NULL, role_ids TEXT NOT NULL,
            expires_at BIGINT);
        CREATE INDEX identity_oauth_access_tokens_user ON identity_oauth_access_tokens (authorizing_user_id);
        """
    ]

    // MARK: Handlers

    static func request(_ request: Request) async throws(Fault) -> Reply {
        let signature = try OAuthSignature(request)
        let consumerID = try signature.need("oauth_consumer_key")
        guard let projectID = request.header("Requested-Project-Id"), !projectID.isEmpty else {
            throw .expecting("Requested-Project-Id", in: "request")
        }
        guard try await request.database.count(Project.self, "id = \(projectID)") > 0 else {
            throw .notFound("project", projectID)
        }
        let consumer = try await request.database.one(
            OAuthConsumer.self, "id = \(consumerID)", or: OAuthConsumer.missing)
        guard signature["oauth_callback"] != nil else { throw OAuthSignature.refusal("Missing callback URI.") }
        try signature.require(request, consumerSecret: consumer.secret, tokenSecret: "")
        let token = OAuthRequestToken(
            id: request.ids.hex(), secret: request.ids.hex(), consumerID: consumerID, requestedProjectID: projectID,
            expiresAt: end(request.identity.options.delegation.requestTokenLifetime, request.now), verifier: nil,
            authorizingUserID: nil, roleIDs: [])
        try await request.database.insert(token)
        return answer(token.id, token.secret, token.expiresAt)
    }

    static func authorize(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let roles = try await request.database.all(Role.self)
        let asked = try body.takeRoleIDs(roles) ?? []
        try request.requireUndelegated()
        let id = request["request_token_id"]
        let missing = Fault.notFound("Request token not found")
        let token = try await request.database.one(OAuthRequestToken.self, "id = \(id)", or: missing)
        try token.requireLiving(at: request.now)
        let userID = request.caller.userID
        let held = try await request.identity.tokens.bearer(userID, .project(token.requestedProjectID)).roles.map(\.id)
        guard asked.allSatisfy(held.contains) else { throw .unauthorized() }
        let verifier = verifier(request.ids)
        try await request.database.transaction { transaction throws(Fault) in
            guard var token = try transaction.first(OAuthRequestToken.self, "id = \(id)") else { throw missing }
            token.verifier = verifier
            token.authorizingUserID = userID
            token.roleIDs = asked
            try transaction.replace(token, where: "id = \(id)", or: missing)
        }
        return .object("token") { $0.put("oauth_verifier", verifier) }
    }

    static func access(_ request: Request) async throws(Fault) -> Reply {
        let signature = try OAuthSignature(request)
        let consumerID = try signature.need("oauth_consumer_key")
        let tokenID = try signature.need("oauth_token")
        let verifier = try signature.need("oauth_verifier")
        let missing = Fault.notFound("Request token not found")
        let asked = try await request.database.one(OAuthRequestToken.self, "id = \(tokenID)", or: missing)
        try asked.requireLiving(at: request.now)
        let consumer = try await request.database.one(
            OAuthConsumer.self, "id = \(consumerID)", or: .unauthorized())
        guard asked.consumerID == consumerID else { throw .unauthorized() }
        try signature.require(request, consumerSecret: consumer.secret, tokenSecret: asked.secret)
        guard HMAC.isSame(asked.verifier ?? "", verifier), let userID = asked.authorizingUserID else {
            throw .unauthorized()
        }
        let token = OAuthAccessToken(
            id: request.ids.hex(), secret: request.ids.hex(), consumerID: consumerID, authorizingUserID: userID,
            projectID: asked.requestedProjectID, roleIDs: asked.roleIDs,
            expiresAt: end(request.identity.options.delegation.accessTokenLifetime, request.now))
        try await request.database.transaction { transaction throws(Fault) in
            // Whoever takes it away has it: a second fetch finds none.
            try transaction.delete(OAuthRequestToken.self, "id = \(tokenID)", or: missing)
            try transaction.insert(token)
        }
        return answer(token.id, token.secret, token.expiresAt)
    }

    // MARK: Wire

    private static func end(_ lifetime: Duration, _ now: Timestamp) -> Timestamp? {
        lifetime == .zero ? nil : now + lifetime
    }

    private static func answer(_ id: String, _ secret: String, _ expiresAt: Timestamp?) -> Reply {
        var text = "oauth_token=\(id)&oauth_token_secret=\(secret)"
        if let expiresAt { text += "&oauth_expires_at=\(expiresAt.iso8601Micro)" }
        return .body(.bytes(Array(text.utf8)), type: "application/x-www-form-urlencoded")
    }

    /// Eight different signs without those that people take for one another.
    private static func verifier(_ chance: any Identifiers) -> String {
        var signs = Array("abcdefghkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789")
        var verifier = ""
        for _ in 0..<8 { verifier.append(signs.remove(at: chance.number(below: signs.count))) }
        return verifier
    }
}

extension IdentityService {
    /// The access token that a consumer's login is signed with.
    func accessToken(_ request: Request) async throws(Fault) -> OAuthAccessToken {
        let signature = try OAuthSignature(request)
        let id = try signature.need("oauth_token")
        let token = try await database.one(OAuthAccessToken.self, "id = \(id)", or: OAuthAccessToken.missing)
        if let ends = token.expiresAt, ends < request.now { throw .unauthorized() }
        let consumerID = try signature.need("oauth_consumer_key")
        let consumer = try await database.one(OAuthConsumer.self, "id = \(consumerID)", or: .unauthorized())
        guard consumer.id == token.consumerID else { throw .unauthorized() }
        try signature.require(request, consumerSecret: consumer.secret, tokenSecret: token.secret)
        return token
    }
}

extension Request {
    /// Refuses tokens that somebody else's trust, consent or credential stands behind.
    func requireUndelegated() throws(Fault) {
        let isDelegated =
            caller.trustID != nil || caller.applicationCredentialID != nil || caller.methods.contains("oauth1")
        guard isDelegated else { return }
        throw .forbidden("You are not authorized to perform the requested action.")
    }
}
