// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Roles that come with another: whoever has the prior role has the implied one too, and what that implies.
struct ImpliedRole: Record {
    static let table = "identity_implied_roles"

    let priorID: String
    let impliedID: String
}

extension ImpliedRole: Resource {
    static let routes: [Route] = [
        .get(
            "/roles/{role_id}/implies", "List implied roles", of: Role.found, allow: .inspector("list_implied_roles"),
            ofRole),
        .put(
            "/roles/{role_id}/implies/{implied_role_id}", "Create implied role", of: pair,
            allow: .administrator("create_implied_role"), create, status: 201),
        .get(
            "/roles/{role_id}/implies/{implied_role_id}", "Show implied role", of: pair,
            allow: .inspector("get_implied_role"), show),
        Route(
            "HEAD", "/roles/{role_id}/implies/{implied_role_id}", "Check implied role", of: pair,
            allow: .inspector("check_implied_role"), check, status: 204),
        .delete(
            "/roles/{role_id}/implies/{implied_role_id}", "Delete implied role", of: pair,
            allow: .administrator("delete_implied_role"), delete),
        .get(
            "/role_inferences", "List role inferences", of: Anything.from,
            allow: .inspector("list_role_inference_rules"), index),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity implied roles
        CREATE TABLE identity_implied_roles (
            prior_id VARCHAR(64) NOT NULL, implied_id VARCHAR(64) NOT NULL, PRIMARY KEY (prior_id, implied_id));
        """
    ]

    /// Both roles of an inference, whether or not it exists.
    struct Pair: Sendable {
        let prior: Role
        let implied: Role

        var condition: SQL { "prior_id = \(prior.id) AND implied_id = \(implied.id)" }
        var missing: Fault { .notFound("Could not find implied role: \(prior.id) implies \(implied.id).") }
    }

    static func pair(_ request: Request) async throws(Fault) -> Found<Pair> {
        let (priorID, impliedID) = (request["role_id"], request["implied_role_id"])
        guard let prior = try await request.database.first(Role.self, "id = \(priorID)") else {
            return Found(missing: .notFound("role", priorID), [:])
        }
        guard let implied = try await request.database.first(Role.self, "id = \(impliedID)") else {
            return Found(missing: .notFound("role", impliedID), [:])
        }
        return Found(Pair(prior: prior, implied: implied))
    }

    // MARK: Handlers

    static func ofRole(_ request: Request, _ found: Found<Role>) async throws(Fault) -> Reply {
        let prior = try found.get()
        let implied = try await request.database.all(
            Role.self, "id IN (SELECT implied_id FROM identity_implied_roles WHERE prior_id = \(prior.id)) ORDER BY id")
        return .bare { view in
            view.nest("role_inference") {
                $0.nest("prior_role", prior.reference)
                $0.list("implies", implied) { $1.reference(&$0) }
            }
            view.links("roles/\(prior.id)/implies")
        }
    }

    static func create(_ request: Request, _ found: Found<Pair>) async throws(Fault) -> Reply {
        let pair = try found.get()
        guard pair.implied.name != "admin" else {
            throw .forbidden("Invalid implied role, role '\(pair.implied.name)' cannot be implied by another role.")
        }
        guard pair.implied.ownDomainID == nil || pair.prior.ownDomainID != nil else {
            throw .forbidden("Global role cannot imply domain-specific roles.")
        }
        try await request.change { transaction throws(Fault) in
            guard try transaction.count(ImpliedRole.self, pair.condition) == 0 else { return }
            try transaction.insert(ImpliedRole(priorID: pair.prior.id, impliedID: pair.implied.id))
        }
        return answer(pair)
    }

    static func show(_ request: Request, _ found: Found<Pair>) async throws(Fault) -> Reply {
        let pair = try found.get()
        _ = try await request.database.one(ImpliedRole.self, pair.condition, or: pair.missing)
        return answer(pair)
    }

    static func check(_ request: Request, _ found: Found<Pair>) async throws(Fault) -> Reply {
        _ = try await show(request, found)
        return .empty
    }

    static func delete(_ request: Request, _ found: Found<Pair>) async throws(Fault) -> Reply {
        let pair = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.delete(ImpliedRole.self, pair.condition, or: pair.missing)
        }
        return .empty
    }

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let roles = try await request.database.all(Role.self, "1 = 1 ORDER BY id")
        let rules = try await request.database.all(ImpliedRole.self)
        let byID = Dictionary(uniqueKeysWithValues: roles.map { ($0.id, $0) })
        let implied = Dictionary(grouping: rules, by: \.priorID)
        let priors = roles.filter { implied[$0.id] != nil }
        return .bare { view in
            view.list("role_inferences", priors) { view, prior in
                view.nest("prior_role", prior.reference)
                view.list("implies", (implied[prior.id] ?? []).compactMap { byID[$0.impliedID] }) {
                    $1.reference(&$0)
                }
            }
            view.links("role_inferences")
        }
    }

    private static func answer(_ pair: Pair) -> Reply {
        .bare { view in
            view.nest("role_inference") {
                $0.nest("prior_role", pair.prior.reference)
                $0.nest("implies", pair.implied.reference)
            }
            view.links("roles/\(pair.prior.id)/implies/\(pair.implied.id)")
        }
    }
}
