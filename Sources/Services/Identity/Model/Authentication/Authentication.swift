// SPDX-License-Identifier: Apache-2.0
internal import Kernel

extension IdentityService {
    /// Proves who asks and makes the token asked for. Whatever is wrong with name, password, user or scope, the answer
    /// is the same 401.
    func authenticate(_ asked: AuthRequest, _ request: Request) async throws(Fault) -> Login {
        var proof = Proof()
        for method in asked.methods { try await prove(method, &proof, request) }
        guard let userID = proof.userID else { throw .unauthorized() }
        if let old = proof.token {
            try requireRescopable(old, asked.scope)
            if let federation = old.payload.federation { try await requireRescopable(federation) }
        }
        for method in try receiptMethods(request, for: userID) { try proof.add(userID, [method]) }
        if let unfinished = try await unfinished(userID, proof.methods, at: request.now) {
            return .unfinished(unfinished)
        }
        return .token(try await token(proof, userID, asked.scope, at: request.now))
    }

    /// The token for what was proved, in the scope asked for.
    private func token(
        _ proof: Proof, _ userID: String, _ asked: AuthRequest.Scope, at now: Timestamp
    ) async throws(Fault) -> Token {
        let parent = proof.token?.payload
        if case .trust(let id) = asked { return try await trust(id, userID, proof.methods, parent, at: now) }
        let scope: TokenPayload.Scope
        if let access = proof.access {
            scope = .oauth(project: access.projectID, accessToken: access.id)
        } else if let credential = proof.credential ?? proof.token?.bearer.credential {
            guard case .none = asked else { throw .unauthorized() }
            scope = .applicationCredential(project: credential.projectID, credential: credential.id)
        } else {
            scope = try await resolve(asked, userID)
        }
        // System scope has no form that says where somebody came from; upstream drops it there too.
        let federation = scope == .system ? nil : proof.token?.payload.federation
        return try await tokens.issue(
            to: userID, methods: proof.methods, scope: scope, expiresAt: parent?.expiresAt,
            parent: parent?.auditIDs.last, federation: federation)
    }

    /// What the methods of a request have proved so far.
    private struct Proof {
        var userID: String?
        var methods: [String] = []
        var token: Token?
        var credential: ApplicationCredential?
        var access: OAuthAccessToken?

        mutating func add(_ userID: String, _ methods: [String]) throws(Fault) {
            guard self.userID == nil || self.userID == userID else { throw .unauthorized() }
            self.userID = userID
            for method in methods where !self.methods.contains(method) { self.methods.append(method) }
        }
    }

    private func prove(
        _ method: AuthRequest.Method, _ proof: inout Proof, _ request: Request
    ) async throws(Fault) {
        switch method {
        case .password(let reference, let password):
            try proof.add(try await authenticate(reference, password: password, request).id, ["password"])
        case .token(let text):
            let token = try await tokens.open(text)
            try proof.add(token.payload.userID, ["token"] + token.payload.methods)
            proof.token = token
        case .applicationCredential(let reference, let secret):
            let credential = try await find(reference)
            guard try await passwords.verify(secret, credential?.secretHash), let credential else {
                throw .unauthorized()
            }
            try proof.add(credential.userID, ["application_credential"])
            proof.credential = credential
        case .oauth:
            let access = try await accessToken(request)
            try proof.add(access.authorizingUserID, ["oauth1"])
            proof.access = access
        case .totp(let reference, let passcode):
            try proof.add(try await authenticate(reference, passcode: passcode, request).id, ["totp"])
        case .external(let reference):
            guard let user = try await find(reference) else { throw .unauthorized() }
            try proof.add(user.id, ["external"])
        }
    }

    private func find(_ reference: AuthRequest.CredentialReference) async throws(Fault) -> ApplicationCredential? {
        switch reference {
        case .id(let id): return try await database.first(ApplicationCredential.self, "id = \(id)")
        case .name(let name, let user):
            guard let user = try await find(user) else { return nil }
            return try await database.first(
                ApplicationCredential.self, "name = \(name) AND user_id = \(user.id)")
        }
    }

    /// A token from a trust, which is for the trustee alone and may be used so many times.
    private func trust(
        _ id: String, _ userID: String, _ methods: [String], _ parent: TokenPayload?, at now: Timestamp
    ) async throws(Fault) -> Token {
        let trust = try await database.one(Trust.self, Trust.living(at: now) + " AND id = \(id)", or: .unauthorized())
        guard trust.trusteeUserID == userID else {
            throw .forbidden("You are not authorized to perform the requested action: User is not a trustee.")
        }
        let token = try await tokens.issue(
            to: trust.impersonation ? trust.trustorUserID : userID, methods: methods,
            scope: .trust(project: trust.projectID, trust: id), expiresAt: parent?.expiresAt,
            parent: parent?.auditIDs.last)
        if trust.remainingUses != nil {
            let used = try await database.update(
                Trust.self, set: "remaining_uses = remaining_uses - 1", where: "id = \(id) AND remaining_uses > 0")
            guard used == 1 else { throw .unauthorized() }
        }
        return token
    }

    /// The user behind a name and password. The work is the same whoever is meant, so that its time tells nothing.
    /// - Parameter judgesExpiry: not when an expired password is being changed.
    func authenticate(
        _ reference: NameReference, password: String, _ request: Request, judgesExpiry: Bool = true
    ) async throws(Fault) -> User {
        let user = try await find(reference)
        let isRight = try await verify(password, user)
        guard let user else { throw .unauthorized() }
        let (now, compliance) = (request.now, options.compliance)
        guard !user.isLocked(at: now, compliance) else { throw .unauthorized() }
        guard isRight else {
            try await recordFailure(user, at: now)
            throw .unauthorized()
        }
        let domains = try await database.count(
            Project.self, "id = \(user.domainID) AND is_domain = 1 AND enabled = 1")
        guard user.seen(at: now, compliance).enabled, domains > 0 else { throw .unauthorized() }
        if judgesExpiry, user.isPasswordExpired(at: now) { throw .unauthorized() }
        try await recordSuccess(user, at: now)
        return user
    }

    /// By the directory that keeps the user, or by the hash that is kept here.
    private func verify(_ password: String, _ user: User?) async throws(Fault) -> Bool {
        guard let user, let isRight = try await people.accepts(password, of: user) else {
            return try await passwords.verify(password, user?.passwordHash)
        }
        // Whoever was put into a group since the last look shall not have to wait for the next.
        if isRight, try await people.lookAgain(at: user) { tokens.epoch.advance() }
        return isRight
    }

    func find(_ reference: NameReference) async throws(Fault) -> User? {
        switch reference {
        case .id(let id): return try await people.user(id)
        case .name(let name, let domain):
            guard let domain = try await find(domain) else { return nil }
            return try await people.user(named: name, in: domain.id)
        }
    }

    private func find(_ reference: DomainReference) async throws(Fault) -> Project? {
        switch reference {
        case .id(let id): try await database.first(Project.self, "id = \(id) AND is_domain = 1")
        case .name(let name): try await domain(named: name)
        }
    }

    /// By its very name, else by the one name that differs in case alone: MariaDB's collation lets `default` stand for
    /// `Default`, and clients' settings rely on it. Domains are in no domain, which finds them by an index among all
    /// projects.
    private func domain(named name: String) async throws(Fault) -> Project? {
        if let same = try await database.first(Project.self, "domain_id = '' AND name = \(name)") { return same }
        let alike = try await database.all(Project.self, "domain_id = '' AND LOWER(name) = LOWER(\(name))")
        return alike.count == 1 ? alike[0] : nil
    }

    // MARK: Locking out

    func recordFailure(_ user: User, at now: Timestamp) async throws(Fault) {
        guard let attempts = options.compliance.lockoutAttempts else { return }
        // A lock that has run out is forgotten: it takes as many mistakes again.
        let count: SQL = user.failedCount >= attempts ? "1" : "failed_count + 1"
        try await database.update(
            User.self, set: "failed_count = \(sql: count), failed_at = \(now)", where: "id = \(user.id)")
    }

    func recordSuccess(_ user: User, at now: Timestamp) async throws(Fault) {
        var changes: [SQL] = []
        if user.failedCount > 0 { changes.append("failed_count = 0, failed_at = NULL") }
        if options.compliance.inactiveDaysMax != nil { changes.append("last_active_at = \(now)") }
        guard !changes.isEmpty else { return }
        try await database.update(User.self, set: changes.joined(", "), where: "id = \(user.id)")
    }

    // MARK: Scope

    private func requireRescopable(_ old: Token, _ scope: AuthRequest.Scope) throws(Fault) {
        let refusal: String
        switch (old.payload.scope, scope) {
        case (.trust, _):
            refusal = "Using trust-scoped token to create another token. Create a new trust-scoped token instead"
        case (.system, .project), (.system, .domain):
            refusal = "Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed."
        case (.oauth, _):
            refusal = "Using OAuth-scoped token to create another token. Create a new OAuth-scoped token instead"
        case (.certificate, _):
            refusal = "Using a token bound to a certificate to create another token is not allowed"
        case (.applicationCredential, .project), (.applicationCredential, .domain), (.applicationCredential, .system),
            (.applicationCredential, .unscoped), (.applicationCredential, .trust):
            refusal = "Using an application credential token to create a scoped token is not allowed."
        case (.unscoped, _): return
        default:
            guard !options.tokens.canRescope else { return }
            refusal = "rescope a scoped token"
        }
        throw .forbidden("You are not authorized to perform the requested action: \(refusal).")
    }

    private func resolve(_ scope: AuthRequest.Scope, _ userID: String) async throws(Fault) -> TokenPayload.Scope {
        switch scope {
        case .unscoped, .trust: return .unscoped
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
        guard let id = try await people.sight(of: userID)?.user.defaultProjectID else { return .unscoped }
        do {
            _ = try await tokens.bearer(userID, .project(id))
            return .project(id)
        } catch {
            guard error.status == 401 else { throw error }
            return .unscoped
        }
    }
}
