// SPDX-License-Identifier: Apache-2.0
internal import Kernel

extension IdentityService {
    /// Proves who asks and makes the token asked for. Whatever is wrong with name, password, user or scope, the answer
    /// is the same 401.
    func authenticate(_ asked: AuthRequest, _ request: Request) async throws(Fault) -> Token {
        var userID: String?
        var methods: [String] = []
        var old: Token?
        for method in asked.methods {
            let proved: String
            switch method {
            case .password(let reference, let password):
                proved = try await authenticate(reference, password: password, request).id
                methods.append("password")
            case .token(let text):
                let token = try await tokens.open(text)
                proved = token.payload.userID
                methods.append("token")
                methods += token.payload.methods
                old = token
            }
            guard userID == nil || userID == proved else { throw .unauthorized() }
            userID = proved
        }
        guard let userID else { throw .unauthorized() }
        if let old { try requireRescopable(old, asked.scope) }
        let scope = try await resolve(asked.scope, userID)
        var unique: [String] = []
        for method in methods where !unique.contains(method) { unique.append(method) }
        return try await tokens.issue(
            to: userID, methods: unique, scope: scope, expiresAt: old?.payload.expiresAt,
            parent: old?.payload.auditIDs.last)
    }

    /// The user behind a name and password. The work is the same whoever is meant, so that its time tells nothing.
    /// - Parameter judgesExpiry: not when an expired password is being changed.
    func authenticate(
        _ reference: NameReference, password: String, _ request: Request, judgesExpiry: Bool = true
    ) async throws(Fault) -> User {
        let user = try await find(reference)
        if let user, isLocked(user, at: request.now) { throw .unauthorized() }
        let isRight = try await passwords.verify(password, user?.passwordHash)
        guard let user else { throw .unauthorized() }
        guard isRight else {
            try await recordFailure(user, at: request.now)
            throw .unauthorized()
        }
        if user.failedCount > 0 {
            try await database.update(
                User.self, set: "failed_count = 0, failed_at = NULL", where: "id = \(user.id)")
        }
        let domains = try await database.count(
            Project.self, "id = \(user.domainID) AND is_domain = 1 AND enabled = 1")
        guard user.enabled, domains > 0 else { throw .unauthorized() }
        if judgesExpiry, let ends = user.passwordExpiresAt, ends <= request.now { throw .unauthorized() }
        return user
    }

    private func find(_ reference: NameReference) async throws(Fault) -> User? {
        switch reference {
        case .id(let id): return try await database.first(User.self, "id = \(id)")
        case .name(let name, let domain):
            guard let domain = try await find(domain) else { return nil }
            return try await database.first(User.self, "name = \(name) AND domain_id = \(domain.id)")
        }
    }

    private func find(_ reference: DomainReference) async throws(Fault) -> Project? {
        switch reference {
        case .id(let id): try await database.first(Project.self, "id = \(id) AND is_domain = 1")
        case .name(let name): try await database.first(Project.self, "name = \(name) AND is_domain = 1")
        }
    }

    // MARK: Locking out

    private func isLocked(_ user: User, at now: Timestamp) -> Bool {
        guard let attempts = options.lockoutAttempts, user.failedCount >= attempts, let failedAt = user.failedAt,
            user.options["ignore_lockout_failure_attempts"]?.bool != true
        else { return false }
        return failedAt + options.lockoutDuration > now
    }

    private func recordFailure(_ user: User, at now: Timestamp) async throws(Fault) {
        guard options.lockoutAttempts != nil else { return }
        try await database.update(
            User.self, set: "failed_count = failed_count + 1, failed_at = \(now)", where: "id = \(user.id)")
    }

    // MARK: Scope

    private func requireRescopable(_ old: Token, _ scope: AuthRequest.Scope) throws(Fault) {
        guard old.bearer.isSystem else { return }
        switch scope {
        case .project, .domain:
            throw .forbidden(
                "You are not authorized to perform the requested action: Using a system-scoped token to create a "
                    + "project-scoped or domain-scoped token is not allowed.")
        case .none, .unscoped, .system: return
        }
    }

    private func resolve(_ scope: AuthRequest.Scope, _ userID: String) async throws(Fault) -> TokenPayload.Scope {
        switch scope {
        case .unscoped: return .unscoped
        case .system: return .system
        case .domain(let reference):
            guard let domain = try await find(reference) else { throw .unauthorized() }
            return .domain(domain.id)
        case .project(let reference):
            switch reference {
            case .id(let id): return .project(id)
            case .name(let name, let domain):
                guard let domain = try await find(domain),
                    let project = try await database.first(
                        Project.self, "name = \(name) AND domain_id = \(domain.id)")
                else { throw .unauthorized() }
                return .project(project.id)
            }
        case .none: return try await defaultScope(userID)
        }
    }

    /// The user's default project, when it is any good.
    private func defaultScope(_ userID: String) async throws(Fault) -> TokenPayload.Scope {
        guard let id = try await database.first(User.self, "id = \(userID)")?.defaultProjectID else { return .unscoped }
        do {
            _ = try await tokens.bearer(userID, .project(id))
            return .project(id)
        } catch {
            guard error.status == 401 else { throw error }
            return .unscoped
        }
    }
}
