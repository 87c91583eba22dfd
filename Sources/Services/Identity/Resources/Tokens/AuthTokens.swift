// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Tokens: made from a password or another token, looked into, and taken back.
enum AuthTokens: Resource {
    static let routes: [Route] = [
        .open("POST", "/auth/tokens", "Authenticate", status: 201, create),
        .get(
            "/auth/tokens", "Validate token", of: subject,
            allow: .inspector("validate_token", or: "rule:service_role or rule:token_subject"), show),
        Route(
            "HEAD", "/auth/tokens", "Check token", of: subject,
            allow: .inspector("check_token", or: "rule:token_subject"), show, status: 200),
        .delete(
            "/auth/tokens", "Revoke token", of: subject,
            allow: .administrator("revoke_token", or: "rule:token_subject"), revoke),
    ]

    /// The token that `X-Subject-Token` holds. Unlike anything else, one that is worth nothing is told to everybody.
    static func subject(_ request: Request) async throws(Fault) -> Found<Token> {
        guard let text = request.header("X-Subject-Token"), !text.isEmpty else {
            throw .notFound("No token in the request")
        }
        let allowExpired = request.query("allow_expired").map(Filters.truth) ?? false
        do {
            let token = try await request.identity.tokens.open(text, allowExpired: allowExpired)
            return Found(
                token,
                [
                    "target.token.user_id": .string(token.bearer.user.id),
                    "target.token.user.domain.id": .string(token.bearer.userDomain.id),
                ])
        } catch {
            guard error.status == 401 else { throw error }
            throw .notFound("token", text)
        }
    }

    static func create(_ request: Request) async throws(Fault) -> Reply {
        let identity = request.identity
        switch try await identity.authenticate(try AuthRequest(request), request) {
        case .token(let token): return try await answer(token, request)
        case .unfinished(let login): return login.reply
        }
    }

    static func show(_ request: Request, _ found: Found<Token>) async throws(Fault) -> Reply {
        try await answer(try found.get(), request)
    }

    static func revoke(_ request: Request, _ found: Found<Token>) async throws(Fault) -> Reply {
        let token = try found.get()
        guard let auditID = token.payload.auditIDs.first else { return .empty }
        let now = request.now
        let options = request.identity.options
        let settled = now - options.tokenLifetime - options.allowExpiredWindow - options.tokens.revocationBuffer
        try await request.change { transaction throws(Fault) in
            try transaction.revoke(auditID: auditID, at: now)
            // Tokens that these were about have ended by themselves.
            try transaction.delete(Revocation.self, "revoked_at < \(settled)")
        }
        return .empty
    }

    static func answer(_ token: Token, _ request: Request) async throws(Fault) -> Reply {
        let isScoped = token.payload.scope != .unscoped
        let catalog = isScoped && request.query("nocatalog") == nil ? try await request.identity.tokens.catalog() : nil
        let providers = try await request.identity.tokens.serviceProviders()
        return Reply.object("token") {
            token.write(&$0, catalog)
            if !providers.isEmpty { $0.list("service_providers", providers) { $1.reference(&$0) } }
        }
        .header("X-Subject-Token", token.text)
    }
}

extension Token {
    func write(_ view: inout View, _ catalog: Catalog?) {
        view.put("methods", methods)
        view.nest("user") {
            $0.nest("domain", bearer.userDomain.reference)
            $0.put("id", bearer.user.id)
            $0.put("name", bearer.user.name)
            if let federation = payload.federation {
                federation.write(&$0)
            } else {
                $0.put("password_expires_at", bearer.user.passwordExpiresAt?.iso8601Naive)
            }
        }
        view.put("audit_ids", payload.auditIDs)
        view.put("expires_at", payload.expiresAt.iso8601Micro)
        view.put("issued_at", issuedAt.iso8601Micro)
        if bearer.isSystem { view.nest("system") { $0.put("all", true) } }
        if let domain = bearer.domain { view.nest("domain", domain.reference) }
        if let project = bearer.project, let domain = bearer.projectDomain {
            view.nest("project") {
                $0.nest("domain", domain.reference)
                project.reference(&$0)
            }
            if bearer.trust == nil { view.put("is_domain", project.isDomain) }
        }
        writeDelegation(&view)
        if payload.scope != .unscoped {
            view.list("roles", bearer.roles) {
                $0.put("id", $1.id)
                $0.put("name", $1.name)
            }
        }
        catalog?.write(&view, projectID: bearer.project?.id, userID: bearer.trust?.trustorUserID ?? bearer.user.id)
    }

    /// What a token made from a trust or an application credential says about that.
    private func writeDelegation(_ view: inout View) {
        if let trust = bearer.trust {
            view.nest("OS-TRUST:trust") {
                $0.put("id", trust.id)
                $0.nest("trustor_user") { $0.put("id", trust.trustorUserID) }
                $0.nest("trustee_user") { $0.put("id", trust.trusteeUserID) }
                $0.put("impersonation", trust.impersonation)
            }
        }
        if let access = bearer.access {
            view.nest("OS-OAUTH1") {
                $0.put("access_token_id", access.id)
                $0.put("consumer_id", access.consumerID)
            }
        }
        if let thumbprint = bearer.thumbprint {
            view.nest("oauth2_credential") { $0.put("x5t#S256", thumbprint) }
        }
        if let credential = bearer.credential {
            view.nest("application_credential") {
                $0.put("id", credential.id)
                $0.put("name", credential.name)
                $0.put("restricted", !credential.unrestricted)
                if let rules = credential.accessRules { $0.put("access_rules", rules) }
            }
        }
    }
}

extension Project {
    /// A project or domain as tokens name it.
    func reference(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
    }
}
