// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Users. The password's hash is kept here and shown nowhere.
struct User: Record {
    static let table = "identity_users"

    let id: String
    var name: String
    let domainID: String
    var enabled: Bool
    var defaultProjectID: String?
    var passwordHash: String?
    var passwordSetAt: Timestamp?
    var passwordExpiresAt: Timestamp?
    var failedCount: Int
    var failedAt: Timestamp?
    var options: JSONObject
    var extra: JSONObject
    /// Whether the user chose the password, and not an administrator.
    var passwordIsOwn: Bool?
    var createdAt: Timestamp?
    /// Kept only where the operator disables those who stay away.
    var lastActiveAt: Timestamp?
}

extension User: Resource {
    static let routes: [Route] = [
        .get(
            "/users", "List users", of: ListScope.from,
            allow: .inspector("list_users", or: "(role:reader and domain_id:%(target.domain_id)s)"), index),
        .post("/users", "Create user", of: Draft.from, allow: .administrator("create_user", or: managed), create),
        .get(
            "/users/{user_id}", "Show user", of: found,
            allow: .inspector(
                "get_user",
                or: "(role:reader and token.domain.id:%(target.user.domain_id)s) or user_id:%(target.user.id)s"), show),
        .patch("/users/{user_id}", "Update user", of: found, allow: .administrator("update_user", or: managed), update),
        .delete(
            "/users/{user_id}", "Delete user", of: found, allow: .administrator("delete_user", or: managed), delete),
    ]

    static let migrations: [Migration] =
        [
            """
            2026-11-20 identity users
            CREATE TABLE identity_users (
                id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, domain_id VARCHAR(64) NOT NULL,
                enabled INTEGER NOT NULL, default_project_id VARCHAR(64), password_hash VARCHAR(255),
                password_set_at BIGINT, password_expires_at BIGINT, failed_count INTEGER NOT NULL, failed_at BIGINT,
                options TEXT NOT NULL, extra TEXT NOT NULL,
                UNIQUE (domain_id, name));
            """
        ] + PastPassword.migrations

    static let managed = "(role:manager and token.domain.id:%(target.user.domain_id)s)"

    static func found(_ request: Request) async throws(Fault) -> Found<User> {
        let id = request["user_id"]
        let user = try await request.people.user(id)
        var attributes: [String: JSON] = ["user_id": .string(id)]
        if let user { attributes.merge(user.attributes) { $1 } }
        return Found(user, or: .notFound("user", id), attributes)
    }

    var attributes: [String: JSON] {
        ["target.user.id": .string(id), "target.user.domain_id": .string(domainID)]
    }
}

// MARK: - Handlers

extension User {
    static func index(_ request: Request, _ scope: ListScope) async throws(Fault) -> Reply {
        if let reply = try await DirectoryLists.users(request, scope) { return reply }
        return try await list(request, DirectoryLists.domainID(request, scope).map { "domain_id = \($0)" })
    }

    static func list(_ request: Request, _ base: SQL?) async throws(Fault) -> Reply {
        let page = try request.page()
        var condition = request.filtered(
            [
                .text("name"), .flag("enabled"), .reference("domain_id"), .reference("id"),
                .reference("default_project_id"),
            ], base)
        if let named = FederatedUser.condition(request) {
            condition = condition.isEmpty ? named : condition + " AND " + named
        }
        if let text = request.query("password_expires_at") {
            let expiry = try PasswordExpiry(text).condition
            condition = condition.isEmpty ? expiry : condition + " AND " + expiry
        }
        let users = try await request.database.all(User.self, page.condition(condition, table: table))
        let (now, compliance) = (request.now, request.identity.options.compliance)
        return .list(
            "users", users.map { $0.seen(at: now, compliance).details }, page: page, ids: users.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        var user = draft.user
        let (identity, now) = (request.identity, request.now)
        try await identity.people.requireWritable(user.domainID)
        user.createdAt = now
        user.welcome(at: now, identity.options.compliance)
        if let password = draft.password {
            try identity.passwords.require(password)
            user.setPassword(
                try await identity.passwords.hash(password), isOwn: false, at: now, identity.options.compliance)
        }
        try await request.change { [user] transaction throws(Fault) in
            try transaction.requireDomain(user.domainID)
            try transaction.requireNoDomain(user.defaultProjectID)
            try transaction.insert(user, or: user.duplicate)
            try transaction.save(draft.federated, of: user)
        }
        return try await shown(user, request)
    }

    static func show(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        try await shown(try found.get().seen(at: request.now, request.identity.options.compliance), request)
    }

    /// A user with its names at identity providers.
    private static func shown(_ user: User, _ request: Request) async throws(Fault) -> Reply {
        let names = try await request.database.federatedNames(of: user.id)
        return .object("user") {
            names.write(&$0)
            user.details(&$0)
        }
    }

    static func update(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        let old = try found.get()
        try await request.people.requireWritable(old)
        let changes = try Changes(request, old)
        let (identity, now) = (request.identity, request.now)
        let compliance = identity.options.compliance
        var hash: String?
        if let password = changes.password {
            try identity.passwords.require(password)
            hash = try await identity.passwords.hash(password)
        }
        let user = try await request.change { [hash] transaction throws(Fault) in
            // Read again: whatever else changed meanwhile must not be written back.
            guard let current = try transaction.first(User.self, "id = \(old.id)") else {
                throw .notFound("user", old.id)
            }
            let user = changes.applied(to: current.seen(at: now, compliance), hash: hash, at: now, compliance)
            try transaction.requireNoDomain(changes.defaultProjectID ?? nil)
            try transaction.save(user, was: current, at: now, compliance)
            try transaction.save(changes.federated, of: user)
            return user
        }
        return try await shown(user, request)
    }

    static func delete(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        let user = try found.get()
        try await request.people.requireWritable(user)
        let now = request.now
        try await request.change { transaction throws(Fault) in
            try transaction.remove(user)
            try transaction.revoke(userID: user.id, at: now)
        }
        return .empty
    }
}

extension Transaction {
    func requireDomain(_ id: String) throws(Fault) {
        guard try count(Project.self, "id = \(id) AND is_domain = 1") > 0 else { throw .notFound("domain", id) }
    }

    /// A domain cannot be anybody's default project; one that does not exist may, as upstream has it.
    func requireNoDomain(_ id: String?) throws(Fault) {
        guard let id, try count(Project.self, "id = \(id) AND is_domain = 1") > 0 else { return }
        throw .badRequest(
            "User's default project ID cannot be a domain ID: \(id). The server could not comply with the request "
                + "since it is either malformed or otherwise incorrect. The client is assumed to be in error.")
    }

    /// Stores a changed user; what a new password or a lock makes worthless is revoked with it.
    func save(
        _ user: User, was old: User, at now: Timestamp, _ compliance: SecurityCompliance
    ) throws(Fault) {
        if user.name != old.name,
            try count(User.self, "domain_id = \(user.domainID) AND name = \(user.name)") > 0
        {
            throw user.duplicate
        }
        try replace(user, where: "id = \(user.id)", or: .notFound("user", user.id))
        if user.passwordHash != old.passwordHash { try keepPast(old, compliance) }
        if user.passwordHash != old.passwordHash || old.enabled && !user.enabled {
            try revoke(userID: user.id, at: now)
        }
    }

    /// Takes a user away with everything that hangs on it.
    func remove(_ user: User) throws(Fault) {
        try delete(Assignment.self, "actor_id = \(user.id)")
        try delete(Membership.self, "user_id = \(user.id)")
        try delete(ExpiringMembership.self, "user_id = \(user.id)")
        try delete(FederatedUser.self, "user_id = \(user.id)")
        try delete(Credential.self, "user_id = \(user.id)")
        try delete(ApplicationCredential.self, "user_id = \(user.id)")
        try delete(StoredAccessRule.self, "user_id = \(user.id)")
        try removeOAuthTokens(ofUser: user.id)
        try delete(PastPassword.self, "user_id = \(user.id)")
        try delete(Trust.self, "trustor_user_id = \(user.id) OR trustee_user_id = \(user.id)")
        try delete(User.self, "id = \(user.id)")
    }
}

// MARK: - Wire

extension User {
    /// A user as asked for; the password is still to be hashed.
    struct Draft: Asked {
        let user: User
        let password: String?
        let federated: [FederatedUser.Name]?

        init(_ request: Request) throws(Fault) {
            var body = try request.body("user")
            let domainID = try body.option("domain_id", .id)
            password = try body.option("password", .text)
            federated = try FederatedUser.take(&body)
            user = User(
                id: request.ids.hex(), name: try body.need("name", .label()),
                domainID: domainID ?? request.caller.domainID ?? request.identity.options.defaultDomainID,
                enabled: try body.take("enabled", .bool) ?? true,
                defaultProjectID: try body.option("default_project_id", .id), passwordHash: nil, passwordSetAt: nil,
                passwordExpiresAt: nil, failedCount: 0, failedAt: nil,
                options: try UserOptions.take(&body)?.merging(nil) ?? [:], extra: body.takeExtra())
        }

        func policyAttribute(_ name: String) -> JSON? {
            name == "target.user.domain_id" ? .string(user.domainID) : nil
        }
    }

    /// What an update changes.
    struct Changes: Sendable {
        let name: String?, enabled: Bool?, defaultProjectID: String??, password: String?, dropsPassword: Bool
        let options: JSONObject?, extra: JSONObject, federated: [FederatedUser.Name]?

        init(_ request: Request, _ old: User) throws(Fault) {
            var body = try request.body("user")
            try body.requireSame("id", as: old.id, or: "Cannot change user ID")
            try body.requireSame("domain_id", as: old.domainID, or: "Cannot change Domain ID")
            name = try body.take("name", .label())
            enabled = try body.take("enabled", .bool)
            defaultProjectID = try body.patch("default_project_id", .id)
            let word = try body.patch("password", .text)
            password = word ?? nil
            dropsPassword = word != nil && password == nil
            options = try UserOptions.take(&body)
            federated = try FederatedUser.take(&body)
            body.ignore("password_expires_at")
            extra = body.takeExtra()
        }

        func applied(
            to old: User, hash: String?, at now: Timestamp, _ compliance: SecurityCompliance
        ) -> User {
            var user = old
            user.name = name ?? old.name
            user.enabled = enabled ?? old.enabled
            if let defaultProjectID { user.defaultProjectID = defaultProjectID }
            user.options = old.options.merging(options, removesNull: true)
            if hash != nil || dropsPassword { user.setPassword(hash, isOwn: false, at: now, compliance) }
            user.welcome(at: now, compliance)
            user.extra = old.extra.merging(extra)
            return user
        }
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("domain_id", domainID)
        view.put("enabled", enabled)
        if let defaultProjectID { view.put("default_project_id", defaultProjectID) }
        view.put("password_expires_at", passwordExpiresAt?.iso8601Naive)
        view.put("options", options)
        view.finish(extra, "users/\(id)")
    }

    var duplicate: Fault {
        .duplicate("user", "Duplicate entry found with name \(name) at domain ID \(domainID)")
    }
}

/// The options a user may have; others are refused.
enum UserOptions {
    private static let flags = [
        "ignore_change_password_upon_first_use", "ignore_password_expiry", "ignore_lockout_failure_attempts",
        "lock_password", "multi_factor_auth_enabled", "ignore_user_inactivity",
    ]

    static func take(_ body: inout Body) throws(Fault) -> JSONObject? {
        guard var options = try body.takeObject("options") else { return nil }
        var taken = JSONObject()
        for flag in flags {
            if let value = try options.patch(flag, .bool) { taken[flag] = value.map(JSON.bool) ?? .null }
        }
        let rule = Format<[String]>.list(.text(1...64), 1...16)
        if let rules = try options.patch("multi_factor_auth_rules", .list(rule)) {
            taken["multi_factor_auth_rules"] =
                rules.map { .array($0.map { .array($0.map(JSON.string)) }) } ?? .null
        }
        try options.end()
        return taken
    }
}

/// `password_expires_at=lt:2026-01-01T00:00:00Z`.
private struct PasswordExpiry {
    let condition: SQL

    init(_ text: String) throws(Fault) {
        // Without an operator the first colon is one of the time's.
        let mark = text.utf8.prefix(4).dropFirst(2).firstIndex(of: UInt8(ascii: ":"))
        let (sign, time) = mark.map { (text[..<$0], text[text.index(after: $0)...]) } ?? ("eq", text[...])
        guard let time = Timestamp(time) else {
            throw .badRequest(
                "Timestamp not in expected format. The server could not comply with the request since it is either "
                    + "malformed or otherwise incorrect. The client is assumed to be in error.")
        }
        let signs = ["lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "eq": "=", "neq": "<>"]
        guard let comparison = signs[String(sign)] else {
            throw .badRequest(
                "The given operator \(sign) is not valid. It must be one of the following: 'eq', 'neq', 'lt', 'lte', "
                    + "'gt', or 'gte'.")
        }
        condition = "password_expires_at \(raw: comparison) \(time)"
    }
}
