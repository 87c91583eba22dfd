// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Tokens for requests that were signed with EC2 keys. Only services may ask: whoever could would learn, from a
/// signature seen once, a token.
enum EC2Tokens: Resource {
    static let routes: [Route] = [
        Route(
            "POST", "/ec2tokens", "Authenticate an EC2 signature", of: Anything.from,
            allow: services("ec2tokens_validate"),
            ec2, status: 200),
        Route(
            "POST", "/s3tokens", "Authenticate an S3 signature", of: Anything.from,
            allow: services("s3tokens_validate"),
            s3, status: 200),
    ]

    private static func services(_ name: String) -> Rule<Anything> {
        .rule(name, "rule:service_or_admin", scopes: [.system, .domain, .project])
    }

    static func ec2(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let token = try await token(request) { $0.isSignedForEC2(with: $1) }
        return try await AuthTokens.answer(token, request)
    }

    /// Without the token itself: an S3 service learns who somebody is, and can do nothing in that name.
    static func s3(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let token = try await token(request) { $0.isSignedForS3(with: $1) }
        var reply = try await AuthTokens.answer(token, request)
        reply.headers.removeAll { $0.0 == "X-Subject-Token" }
        return reply
    }

    private static func token(
        _ request: Request, _ isSigned: (SignedRequest, _ secret: String) -> Bool
    ) async throws(Fault) -> Token {
        let (identity, now) = (request.identity, request.now)
        let signed = try SignedRequest(request)
        let credential = try await request.database.one(
            Credential.self, "id = \(Digest.hex(.sha256, signed.access)) AND type = 'ec2'",
            or: .notFound("EC2 access key not found."))
        let blob = try Credential.object(credential.blob(identity.credentialKeys))
        guard let secret = blob["secret"]?.string, isSigned(signed, secret) else { throw .unauthorized() }
        guard let projectID = credential.projectID else { throw .unauthorized() }
        try signed.requireFresh(at: now, identity.options.tokens.signatureLifetime)
        var (userID, scope) = (credential.userID, TokenPayload.Scope.project(projectID))
        if let id = blob["trust_id"]?.string {
            let trust = try await request.database.one(
                Trust.self, Trust.living(at: now) + " AND id = \(id)", or: .notFound("trust", id))
            userID = trust.impersonation ? trust.trustorUserID : userID
            scope = .trust(project: trust.projectID, trust: id)
        } else if let id = blob["app_cred_id"]?.string {
            let parent = try await request.database.one(
                ApplicationCredential.self, "id = \(id)", or: .notFound("Application Credential", id))
            guard parent.projectID == projectID else { throw .unauthorized() }
            scope = .applicationCredential(project: projectID, credential: id)
        } else if let id = blob["access_token_id"]?.string {
            let access = try await request.database.one(OAuthAccessToken.self, "id = \(id)", or: .unauthorized())
            guard access.projectID == projectID else { throw .unauthorized() }
            scope = .oauth(project: projectID, accessToken: id)
        }
        return try await identity.tokens.issue(to: userID, methods: ["ec2credential"], scope: scope)
    }
}
