// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Passwords for programs: a secret that stands for one user in one project, with some of the roles held there.
struct ApplicationCredential: Record {
    static let table = "identity_application_credentials"

    let id: String
    let name: String
    let userID: String
    let projectID: String
    let secretHash: String
    let description: String?
    let expiresAt: Timestamp?
    let roleIDs: [String]
    /// Whether it may be used to make further credentials and trusts.
    let unrestricted: Bool
    /// The only calls it is good for; nil is all.
    var accessRules: JSON?
}

extension ApplicationCredential: Resource {
    static let routes: [Route] = [
        .get(
            path, "List application credentials", of: Owner.from,
            allow: .rule("list_application_credentials", readers, scopes: [.system, .project]), index),
        .post(
            path, "Create application credential", of: Owner.from,
            allow: .rule("create_application_credential", "user_id:%(user_id)s", scopes: .project), create),
        .get(
            path + "/{application_credential_id}", "Show application credential", of: found,
            allow: .rule("get_application_credential", readers, scopes: [.system, .project]), show),
        .delete(
            path + "/{application_credential_id}", "Delete application credential", of: found,
            allow: .rule("delete_application_credential", "rule:admin_or_owner", scopes: [.system, .project]), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity application credentials
        CREATE TABLE identity_application_credentials (
            id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, user_id VARCHAR(64) NOT NULL,
            project_id VARCHAR(64) NOT NULL, secret_hash VARCHAR(255) NOT NULL, description TEXT, expires_at BIGINT,
            role_ids TEXT NOT NULL, unrestricted INTEGER NOT NULL, access_rules TEXT, UNIQUE (user_id, name));
        """
    ]

    private static let path = "/users/{user_id}/application_credentials"
    private static let readers = "(rule:admin_required) or (role:reader and system_scope:all) or rule:owner"

    /// The user whose credentials the path is about.
    struct Owner: UserOwned, Asked {
        let userID: String
        init(_ request: Request) { userID = request["user_id"] }
    }

    static func found(_ request: Request) async throws(Fault) -> Found<ApplicationCredential> {
        let (id, userID) = (request["application_credential_id"], request["user_id"])
        let credential = try await request.database.first(
            ApplicationCredential.self, "id = \(id) AND user_id = \(userID)")
        return Found(
            credential, or: .notFound("Application Credential", id), ["user_id": .string(userID)])
    }

    // MARK: Handlers

    static func index(_ request: Request, _ owner: Owner) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: false)
        let page = try request.page()
        let condition = request.filtered([.text("name")], "user_id = \(owner.userID)")
        let all = try await request.database.all(ApplicationCredential.self, page.condition(condition, table: table))
        let roles = try await request.database.all(Role.self)
        return .list(
            "application_credentials", all.map { credential in { credential.details(&$0, roles) } }, page: page,
            ids: all.map(\.id))
    }

    static func create(_ request: Request, _ owner: Owner) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: true)
        guard let projectID = request.caller.projectID else {
            throw .forbidden("You are not authorized to perform the requested action: a project scope is needed.")
        }
        var body = try request.body("application_credential")
        let secret = try body.option("secret", .text(1...255)) ?? Base64URL.encode(request.ids.bytes(64))
        let roles = try await request.database.all(Role.self)
        let credential = ApplicationCredential(
            id: request.ids.hex(), name: try body.need("name", .label()), userID: owner.userID, projectID: projectID,
            secretHash: try await request.identity.passwords.hash(secret),
            description: try body.option("description", .text),
            expiresAt: try body.takeExpiry(after: request.now),
            roleIDs: try await takeRoles(&body, roles, request),
            unrestricted: try body.option("unrestricted", .bool) ?? false,
            accessRules: nil)
        let rules = try StoredAccessRule.take(&body, owner.userID, request.ids)
        try body.end()
        let kept = try await request.database.transaction { transaction throws(Fault) in
            var credential = credential
            if let rules { credential.accessRules = .array(try rules.mapping(transaction.keep).map(\.json)) }
            try transaction.insert(
                credential,
                or: .duplicate("application_credential", "Duplicate entry found with name \(credential.name)"))
            return credential
        }
        return .object("application_credential") {
            kept.details(&$0, roles)
            $0.put("secret", secret)
        }
    }

    static func show(_ request: Request, _ found: Found<ApplicationCredential>) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: false)
        let credential = try found.get()
        let roles = try await request.database.all(Role.self)
        return .object("application_credential") { credential.details(&$0, roles) }
    }

    static func delete(_ request: Request, _ found: Found<ApplicationCredential>) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: true)
        let id = try found.get().id
        try await request.change { transaction throws(Fault) in
            try transaction.delete(
                ApplicationCredential.self, "id = \(id)", or: .notFound("Application Credential", id))
        }
        return .empty
    }
}

extension Request {
    /// Delegated tokens do not make or see delegations, unless the credential behind them was made for that.
    func requireUnrestricted(changes: Bool) throws(Fault) {
        guard caller.trustID == nil else {
            throw .forbidden("You are not authorized to perform the requested action: a trust cannot be used for this.")
        }
        if changes { try requireUnrestrictedCredential() }
    }

    func requireUnrestrictedCredential() throws(Fault) {
        guard caller.applicationCredentialID != nil, !caller.isUnrestricted else { return }
        throw .forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not "
                + "allowed for managing additional application credentials.")
    }
}

// MARK: - Wire

extension ApplicationCredential {
    /// The roles asked for with all they imply, each of which the caller must hold; without any, the caller's own.
    private static func takeRoles(_ body: inout Body, _ roles: [Role], _ request: Request) async throws(Fault)
        -> [String]
    {
        guard let asked = try body.takeRoleIDs(roles), !asked.isEmpty else { return request.caller.roleIDs }
        let wanted = try await request.identity.tokens.roleBook().effective(asked).map(\.id)
        guard wanted.allSatisfy({ request.caller.roleIDs.contains($0) }), wanted.count >= asked.count else {
            throw .badRequest(
                "Invalid application credential: Cannot create an application credential with unassigned role")
        }
        return wanted
    }

    func details(_ view: inout View, _ roles: [Role]) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("project_id", projectID)
        view.put("expires_at", expiresAt?.iso8601Naive)
        view.put("unrestricted", unrestricted)
        view.list("roles", roles.filter { roleIDs.contains($0.id) }) {
            $0.put("id", $1.id)
            $0.put("name", $1.name)
            $0.put("domain_id", $1.ownDomainID)
            $0.put("description", $1.description)
            $0.put("options", $1.options)
        }
        if let accessRules { view.put("access_rules", accessRules) }
        view.links("users/\(userID)/application_credentials/\(id)")
    }
}

extension Body {
    /// When a delegation ends: nil for never, and never in the past.
    mutating func takeExpiry(after now: Timestamp) throws(Fault) -> Timestamp? {
        guard let text = try option("expires_at", .text(1...64)) else { return nil }
        guard let time = Timestamp(text) else {
            throw refuse("expires_at", .string(text), "'\(text)' is not a 'date-time'")
        }
        guard time > now else {
            throw .badRequest(
                "The 'expires_at' must not be before now. The server could not comply with the request since it is "
                    + "either malformed or otherwise incorrect. The client is assumed to be in error.")
        }
        return time
    }

    /// Roles by id or name, as ids.
    mutating func takeRoleIDs(_ roles: [Role]) throws(Fault) -> [String]? {
        guard let bodies = try takeObjects("roles") else { return nil }
        var ids: [String] = []
        for var body in bodies {
            let asked = try body.option("id", .text)
            let name = try body.option("name", .text)
            guard let role = roles.first(where: { role in asked.map { role.id == $0 } ?? (role.name == name) }) else {
                throw .notFound("role", asked ?? name ?? "")
            }
            if !ids.contains(role.id) { ids.append(role.id) }
        }
        return ids
    }
}
