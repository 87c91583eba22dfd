// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// What rooms of the same process need when they speak to services that another program runs.
extension IdentityService: IdentityDesk {
    /// The caller's own, with all that it is good for and not more. Who was brought by no request, as the owner of a
    /// server that is worked on, is a user in a project.
    package func token(for caller: Caller) async throws(Fault) -> String {
        if caller.projectID == "service", caller.userID == caller.userName {
            return try await token(ofService: caller.userName)
        }
        if let own = caller.token { return own.text }
        let scope = caller.projectID.map { TokenPayload.Scope.project($0) } ?? .unscoped
        return try await tokens.issue(to: caller.userID, methods: ["token"], scope: scope).text
    }

    /// The same one for a while: who is shown it remembers what it is worth.
    package func token(ofService name: String) async throws(Fault) -> String {
        let epoch = tokens.moment
        if let known = tokens.ofServices.value(name, at: epoch),
            known.payload.expiresAt > clock.now() + .seconds(600)
        {
            return known.text
        }
        let account = try await account(ofService: name)
        let token = try await tokens.issue(
            to: account.user, methods: ["password"], scope: .project(account.project))
        tokens.ofServices.keep(token, as: name, at: epoch)
        return token.text
    }

    package func address(
        of types: [String], interface: String, region: String?
    ) async throws(Fault) -> String? {
        try await tokens.catalog().address(of: types, interface: interface, region: region)
    }

    /// The user that a service is, in the project that services share: made when it is first needed, without a
    /// password, so that nobody can log in as it. One that an operator has made is taken as it is.
    private func account(ofService name: String) async throws(Fault) -> (user: String, project: String) {
        let (ids, now, domain) = (tokens.ids, clock.now(), options.defaultDomainID)
        let project = try await database.one(
            Project.self, "name = 'service' AND domain_id = \(domain) AND is_domain = 0",
            or: .unavailable("There is no project 'service' for the account of \(name)."))
        let known = try await database.first(User.self, "name = \(name) AND domain_id = \(domain)")
        if let known {
            let grants = try await database.count(
                Assignment.self, "actor_id = \(known.id) AND target_id = \(project.id)")
            if grants > 0 { return (known.id, project.id) }
        }
        let epoch = tokens.epoch
        let user = try await database.transaction { transaction throws(Fault) in
            var user = try transaction.first(User.self, "name = \(name) AND domain_id = \(domain)")?.id
            if user == nil {
                let id = ids.hex()
                try transaction.insert(
                    User(
                        id: id, name: name, domainID: domain, enabled: true, defaultProjectID: nil, passwordHash: nil,
                        passwordSetAt: now, passwordExpiresAt: nil, failedCount: 0, failedAt: nil, options: [:],
                        extra: [:]))
                user = id
            }
            let actor = user ?? ""
            for role in try transaction.all(Role.self, "name IN ('admin', 'service') AND domain_id = ''") {
                let same: SQL = "actor_id = \(actor) AND target_id = \(project.id) AND role_id = \(role.id)"
                guard try transaction.count(Assignment.self, same + " AND inherited = 0") == 0 else { continue }
                try transaction.insert(
                    Assignment(
                        actor: .user, actorID: actor, target: .project, targetID: project.id, roleID: role.id,
                        inherited: false))
            }
            transaction.afterCommit { epoch.advance() }
            return actor
        }
        return (user, project.id)
    }
}
