// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A trust: one user lets another use some of its roles on a project, in its own name or the other's.
struct Trust: Record {
    static let table = "identity_trusts"

    let id: String
    let trustorUserID: String
    let trusteeUserID: String
    let projectID: String?
    let impersonation: Bool
    var expiresAt: Timestamp?
    let remainingUses: Int?
    let roleIDs: [String]
    let deletedAt: Timestamp?
    /// How often it may be handed on; 0 is never.
    var redelegationCount: Int
    /// The trust that it was handed on from.
    var redelegatedTrustID: String?
}

extension Trust: Resource {
    static let routes: [Route] = [
        .get(
            "/OS-TRUST/trusts", "List trusts", of: Scope.from,
            allow: .rule(
                "list_trusts",
                "(\(IdentityRules.inspector)) or user_id:%(target.trust.trustor_user_id)s "
                    + "or user_id:%(target.trust.trustee_user_id)s", scopes: [.system, .project]), index),
        .post(
            "/OS-TRUST/trusts", "Create trust", of: Draft.from,
            allow: .rule("create_trust", "user_id:%(target.trust.trustor_user_id)s", scopes: .project), create),
        .get("/OS-TRUST/trusts/{trust_id}", "Show trust", of: found, allow: party("get_trust"), show),
        .delete(
            "/OS-TRUST/trusts/{trust_id}", "Delete trust", of: found,
            allow: .rule(
                "delete_trust", "rule:admin_required or user_id:%(target.trust.trustor_user_id)s",
                scopes: [.system, .project]), delete),
        .get(
            "/OS-TRUST/trusts/{trust_id}/roles", "List roles of trust", of: found, allow: party("list_roles_for_trust"),
            roles),
        .get(
            "/OS-TRUST/trusts/{trust_id}/roles/{role_id}", "Show role of trust", of: found,
            allow: party("get_role_for_trust"), role),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity trusts
        CREATE TABLE identity_trusts (
            id VARCHAR(64) NOT NULL PRIMARY KEY, trustor_user_id VARCHAR(64) NOT NULL,
            trustee_user_id VARCHAR(64) NOT NULL, project_id VARCHAR(64), impersonation INTEGER NOT NULL,
            expires_at BIGINT, remaining_uses INTEGER, role_ids TEXT NOT NULL, deleted_at BIGINT);
        CREATE INDEX identity_trusts_trustor ON identity_trusts (trustor_user_id);
        CREATE INDEX identity_trusts_trustee ON identity_trusts (trustee_user_id);
        """,
        """
        2026-11-21 identity trust chains
        ALTER TABLE identity_trusts ADD COLUMN redelegation_count INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE identity_trusts ADD COLUMN redelegated_trust_id VARCHAR(64);
        CREATE INDEX identity_trusts_chain ON identity_trusts (redelegated_trust_id);
        """,
    ]

    private static func party(_ name: String) -> Rule<Found<Trust>> {
        .rule(
            name,
            "(rule:admin_required) or (role:reader and system_scope:all or "
                + "user_id:%(target.trust.trustor_user_id)s or user_id:%(target.trust.trustee_user_id)s)",
            scopes: [.system, .project])
    }

    /// Whose trusts a list is about, as the query says.
    struct Scope: Asked {
        let trustorID: String?, trusteeID: String?

        init(_ request: Request) {
            trustorID = request.query("trustor_user_id")
            trusteeID = request.query("trustee_user_id")
        }

        func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "target.trust.trustor_user_id": trustorID.map(JSON.string)
            // With both named upstream judges by the trustor alone.
            case "target.trust.trustee_user_id": trustorID == nil ? trusteeID.map(JSON.string) : nil
            default: nil
            }
        }
    }

    static func living(at now: Timestamp) -> SQL {
        "deleted_at IS NULL AND (expires_at IS NULL OR expires_at > \(now)) "
            + "AND (remaining_uses IS NULL OR remaining_uses > 0)"
    }

    /// One that is not there is told to everybody, as upstream does.
    static func found(_ request: Request) async throws(Fault) -> Found<Trust> {
        let id = request["trust_id"]
        let trust = try await request.database.one(
            Trust.self, living(at: request.now) + " AND id = \(id)", or: .notFound("trust", id))
        return Found(
            trust,
            [
                "target.trust.trustor_user_id": .string(trust.trustorUserID),
                "target.trust.trustee_user_id": .string(trust.trusteeUserID),
            ])
    }

    // MARK: Handlers

    static func index(_ request: Request, _ scope: Scope) async throws(Fault) -> Reply {
        try request.requireNoCredential()
        let page = try request.page()
        let condition = request.filtered(
            [.reference("trustor_user_id"), .reference("trustee_user_id")], "deleted_at IS NULL")
        let trusts = try await request.database.all(Trust.self, page.condition(condition, table: table))
        return .list(
            "trusts", trusts.map { trust in { trust.details(&$0, nil) } }, page: page, ids: trusts.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        try request.requireNoCredential()
        guard request.caller.userID == draft.trustorID else {
            throw .forbidden(
                "You are not authorized to perform the requested action: The authenticated user should match the "
                    + "trustor.")
        }
        let roles = try await request.database.all(Role.self)
        let (asked, handing) = try draft.trust(request, roles)
        guard try await request.people.user(asked.trusteeUserID) != nil else {
            throw .notFound("user", asked.trusteeUserID)
        }
        let pedigree = try await pedigree(request)
        let giver = pedigree.last?.trustorUserID ?? asked.trustorUserID
        if let projectID = asked.projectID {
            let held: [Bearer.RoleName]
            do {
                held = try await request.identity.tokens.bearer(giver, .project(projectID)).roles
            } catch {
                guard error.status == 401 else { throw error }
                held = []
            }
            for id in asked.roleIDs where !held.contains(where: { $0.id == id }) { throw .notFound("role", id) }
        }
        let redelegation = Redelegation(countMax: request.identity.options.delegation.redelegationsMax)
        let trust = try redelegation.place(asked, handing, pedigree)
        try await request.database.insert(trust)
        return .object("trust") { trust.details(&$0, roles) }
    }

    /// The trusts that the caller acts by; none for who came with a password.
    private static func pedigree(_ request: Request) async throws(Fault) -> [Trust] {
        guard let id = request.caller.trustID else {
            guard !request.caller.methods.contains("oauth1") else {
                throw .forbidden(
                    "You are not authorized to perform the requested action: Redelegation allowed for delegated by "
                        + "trust only.")
            }
            return []
        }
        let source = try await request.database.one(
            Trust.self, living(at: request.now) + " AND id = \(id)", or: .notFound("trust", id))
        return try await request.database.pedigree(of: source, at: request.now)
    }

    static func show(_ request: Request, _ found: Found<Trust>) async throws(Fault) -> Reply {
        try request.requireNoCredential()
        let trust = try found.get()
        let roles = try await request.database.all(Role.self)
        return .object("trust") { trust.details(&$0, roles) }
    }

    static func delete(_ request: Request, _ found: Found<Trust>) async throws(Fault) -> Reply {
        try request.requireNoCredential()
        let id = try found.get().id
        let now = request.now
        try await request.change { transaction throws(Fault) in
            try transaction.end(id, at: now)
            try transaction.revoke(trustID: id, at: now)
        }
        return .empty
    }

    static func roles(_ request: Request, _ found: Found<Trust>) async throws(Fault) -> Reply {
        try request.requireNoCredential()
        let trust = try found.get()
        let roles = try await request.database.all(Role.self, "id", in: trust.roleIDs)
        return .list("roles", roles.map { $0.details }, page: try request.page(), ids: roles.map(\.id))
    }

    static func role(_ request: Request, _ found: Found<Trust>) async throws(Fault) -> Reply {
        try request.requireNoCredential()
        let trust = try found.get()
        let id = request["role_id"]
        guard trust.roleIDs.contains(id) else { throw .notFound("role", id) }
        let role = try await request.database.one(Role.self, "id = \(id)", or: .notFound("role", id))
        return .object("role", role.details)
    }
}

// MARK: - Wire

extension Trust {
    /// A trust as asked for; its roles are looked up later.
    struct Draft: Asked {
        let trustorID: String
        private let body: Body

        init(_ request: Request) throws(Fault) {
            var body = try request.body("trust")
            trustorID = try body.need("trustor_user_id", .text(1...64))
            self.body = body
        }

        func policyAttribute(_ name: String) -> JSON? {
            name == "target.trust.trustor_user_id" ? .string(trustorID) : nil
        }

        func trust(_ request: Request, _ roles: [Role]) throws(Fault) -> (Trust, Redelegation.Asked) {
            var body = body
            let projectID = try body.option("project_id", .id)
            let roleIDs = try body.takeRoleIDs(roles) ?? []
            guard projectID == nil || !roleIDs.isEmpty else {
                throw .forbidden(
                    "You are not authorized to perform the requested action: At least one role should be specified.")
            }
            let trust = Trust(
                id: request.ids.hex(), trustorUserID: trustorID,
                trusteeUserID: try body.need("trustee_user_id", .text(1...64)), projectID: projectID,
                impersonation: try body.need("impersonation", .bool),
                expiresAt: try body.takeExpiry(after: request.now),
                remainingUses: try body.option("remaining_uses", .integer(1...1_000_000_000)), roleIDs: roleIDs,
                deletedAt: nil, redelegationCount: 0, redelegatedTrustID: nil)
            return (trust, try Redelegation.Asked(&body))
        }
    }

    /// - Parameter roles: nil in lists, which show none.
    func details(_ view: inout View, _ roles: [Role]?) {
        view.put("id", id)
        view.put("trustor_user_id", trustorUserID)
        view.put("trustee_user_id", trusteeUserID)
        view.put("project_id", projectID)
        view.put("impersonation", impersonation)
        view.put("expires_at", expiresAt?.iso8601Micro)
        view.put("remaining_uses", remainingUses)
        view.put("deleted_at", deletedAt?.iso8601Micro)
        view.put("redelegation_count", redelegationCount)
        view.put("redelegated_trust_id", redelegatedTrustID)
        if let roles {
            view.list("roles", roles.filter { roleIDs.contains($0.id) }) { $1.details(&$0) }
            let link = view.endpoint + "/OS-TRUST/trusts/\(id)/roles"
            view.nest("roles_links") {
                $0.put("self", link)
                $0.put("next", String?.none)
                $0.put("previous", String?.none)
            }
        }
        view.links("OS-TRUST/trusts/\(id)")
    }
}

extension Request {
    /// Application credentials neither see nor make trusts, whatever else they may do.
    fileprivate func requireNoCredential() throws(Fault) {
        guard caller.applicationCredentialID != nil else { return }
        throw .forbidden(
            "You are not authorized to perform the requested action: Using method 'application_credential' is not "
                + "allowed for managing trusts.")
    }
}
