// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A token that was looked into: what it says, and what that is worth now.
struct Token: Sendable {
    let text: String
    let payload: TokenPayload
    let issuedAt: Timestamp
    let bearer: Bearer

    var caller: Caller {
        var caller = Caller(
            userID: bearer.user.id, userName: bearer.user.name, userDomainID: bearer.userDomain.id,
            userDomainName: bearer.userDomain.name, projectID: bearer.project?.id, projectName: bearer.project?.name,
            projectDomainID: bearer.projectDomain?.id, projectDomainName: bearer.projectDomain?.name,
            domainID: bearer.domain?.id, domainName: bearer.domain?.name, isSystem: bearer.isSystem,
            roles: bearer.roles.map(\.name), roleIDs: bearer.roles.map(\.id))
        caller.token = ShownToken(text)
        caller.tokenID = payload.auditIDs.first ?? ""
        caller.methods = payload.methods
        caller.issuedAt = issuedAt
        caller.expiresAt = [bearer.endsAt, bearer.freshUntil].compactMap(\.self).reduce(payload.expiresAt, min)
        caller.trustID = bearer.trust?.id
        caller.applicationCredentialID = bearer.credential?.id
        caller.isUnrestricted = bearer.credential?.unrestricted ?? false
        caller.accessRules = bearer.credential?.accessRules?.array?.map { rule in
            AccessRule(
                service: rule["service"]?.string ?? "", method: rule["method"]?.string ?? "",
                path: rule["path"]?.string ?? "")
        }
        return caller
    }
}

/// Makes tokens and says what they are worth. A token holds ids alone: users, scopes and roles are read again at each
/// validation, or remembered for as long as nothing in the room has changed.
final class TokenProvider: Sendable {
    let epoch = Epoch()
    let database: Database
    let people: People
    let options: IdentityOptions
    private let clock: any WallClock
    let ids: any Identifiers
    private let keys: IdentityKeys
    private let bearers = EpochCache<Bearer>(capacity: 8192)
    private let books = EpochCache<RoleBook>(capacity: 1)
    private let opened = EpochCache<Token>(capacity: 4096)
    private let providers = EpochCache<[ServiceProvider]>(capacity: 1)
    private let catalogs = EpochCache<Catalog>(capacity: 1)
    /// Of services that call others, by their names.
    let ofServices = EpochCache<Token>(capacity: 16)

    init(
        people: People, clock: any WallClock, ids: any Identifiers, keys: IdentityKeys, options: IdentityOptions
    ) {
        database = people.database
        self.people = people
        self.clock = clock
        self.ids = ids
        self.keys = keys
        self.options = options
    }
}

extension TokenProvider {
    /// The epoch that answers are remembered under: it moves with each change here, and as time goes by with what
    /// directories may have changed.
    var moment: UInt64 { epoch.now &+ people.period }
}

// MARK: - Making and reading tokens

extension TokenProvider {
    /// - Parameters:
    ///   - expiresAt: kept from the token that this one is made from, so that no chain of them outlives a password.
    ///   - parent: the audit id that the chain began with.
    func issue(
        to userID: String, methods: [String], scope: TokenPayload.Scope, expiresAt: Timestamp? = nil,
        parent: String? = nil, federation: TokenPayload.Federation? = nil
    ) async throws(Fault) -> Token {
        let bearer = try await bearer(userID, scope, federation)
        let now = clock.now()
        if let ends = bearer.endsAt, ends <= now { throw .unauthorized() }
        // A token knows whole seconds only. One made in the second of a revocation, after it, is dated to the next.
        var seconds = now.seconds
        for event in try await events(bearer.revocations) where event.issuedBefore.seconds >= seconds {
            seconds = event.issuedBefore.seconds + 1
        }
        let issuedAt = Timestamp(seconds: seconds)
        var ends = expiresAt ?? Timestamp(seconds: now.seconds) + options.tokenLifetime
        if let limit = bearer.endsAt, limit < ends { ends = limit }
        let payload = TokenPayload(
            userID: userID, methods: methods, scope: scope, expiresAt: ends,
            auditIDs: [TokenPayload.auditID(ids)] + (parent.map { [$0] } ?? []), federation: federation)
        return Token(
            text: keys.seal(payload, at: issuedAt, methods: options.tokens.methods), payload: payload,
            issuedAt: issuedAt, bearer: bearer)
    }

    /// The token behind a text; 401 for one that is not ours, has ended, was revoked, or is worth nothing any more.
    func open(_ text: String, allowExpired: Bool = false) async throws(Fault) -> Token {
        let epoch = moment
        if let known = opened.value(text, at: epoch), known.payload.expiresAt > clock.now(),
            known.bearer.endsAt.map({ $0 > clock.now() }) ?? true, isFresh(known.bearer)
        {
            return known
        }
        let token = try await read(text, allowExpired: allowExpired)
        opened.keep(token, as: text, at: epoch)
        return token
    }

    private func read(_ text: String, allowExpired: Bool) async throws(Fault) -> Token {
        let (payload, issuedAt) = try keys.open(text, methods: options.tokens.methods)
        let grace = allowExpired ? options.allowExpiredWindow : .zero
        guard payload.expiresAt + grace > clock.now() else { throw .unauthorized() }
        let bearer = try await bearer(payload.userID, payload.scope, payload.federation)
        if let ends = bearer.endsAt, ends + grace <= clock.now() { throw .unauthorized() }
        for event in try await events(bearer.revocations + payload.auditIDs.prefix(1)) {
            guard event.auditID == nil, issuedAt > event.issuedBefore else { throw .unauthorized() }
        }
        return Token(text: text, payload: payload, issuedAt: issuedAt, bearer: bearer)
    }

    private func events(_ keys: [String]) async throws(Fault) -> [Revocation] {
        try await database.all(Revocation.self, "id IN \(keys)")
    }
}

// MARK: - What tokens are worth

extension TokenProvider {
    /// The user in the scope with the roles there; 401 when user, scope or roles are missing or disabled.
    func bearer(
        _ userID: String, _ scope: TokenPayload.Scope, _ federation: TokenPayload.Federation? = nil
    ) async throws(Fault) -> Bearer {
        let epoch = moment
        let key = TokenProvider.key(userID, scope) + (federation.map { " \($0)" } ?? "")
        if let known = bearers.value(key, at: epoch), isFresh(known) { return known }
        var found = try await lookUp(userID, scope, federation)
        found.freshUntil = try await database.membershipEnd(of: found.user.id, after: clock.now())
        bearers.keep(found, as: key, at: epoch)
        return found
    }

    private static func key(_ userID: String, _ scope: TokenPayload.Scope) -> String {
        switch scope {
        case .unscoped: "\(userID) -"
        case .system: "\(userID) s"
        case .domain(let id): "\(userID) d \(id)"
        case .project(let id): "\(userID) p \(id)"
        case .trust(_, let id): "\(userID) t \(id)"
        case .applicationCredential(_, let id): "\(userID) a \(id)"
        case .oauth(_, let id): "\(userID) o \(id)"
        case .certificate(let project, let thumbprint): "\(userID) c \(project ?? "") \(thumbprint)"
        }
    }

    func isFresh(_ bearer: Bearer) -> Bool { bearer.freshUntil.map { $0 > clock.now() } ?? true }

    /// A user with the groups that a token names, and with those of the user's directory.
    func holder(_ userID: String, _ groupIDs: [String] = []) async throws(Fault) -> Holder {
        let there = try await people.sight(of: userID)?.groupIDs ?? []
        return Holder(userID: userID, groupIDs: groupIDs + there, now: clock.now())
    }

    private func lookUp(
        _ userID: String, _ scope: TokenPayload.Scope, _ federation: TokenPayload.Federation? = nil
    ) async throws(Fault) -> Bearer {
        var bearer = try await found(userID, scope, federation?.groupIDs ?? [])
        guard let federation else { return bearer }
        // With the provider everything ends that came from it.
        guard try await database.count(IdentityProvider.self, "id = \(federation.identityProvider)") > 0 else {
            throw .unauthorized()
        }
        bearer.federation = federation
        return bearer
    }

    private func found(
        _ userID: String, _ scope: TokenPayload.Scope, _ groups: [String]
    ) async throws(Fault) -> Bearer {
        guard let sight = try await people.sight(of: userID), sight.user.enabled else { throw .unauthorized() }
        let user = sight.user
        guard !user.isInactive(at: clock.now(), options.compliance) else { throw .unauthorized() }
        let userDomain = try await enabledDomain(user.domainID)
        switch scope {
        case .unscoped: return Bearer(user: user, userDomain: userDomain)
        case .system:
            let roles = try await roles(try await holder(userID, groups), .system, "system", above: [])
            return Bearer(user: user, userDomain: userDomain, isSystem: true, roles: roles)
        case .domain(let id):
            let domain = try await enabledDomain(id)
            let roles = try await roles(try await holder(userID, groups), .domain, id, above: [])
            return Bearer(user: user, userDomain: userDomain, domain: domain, roles: roles)
        case .project(let id): return try await inProject(user, userDomain, id, groups)
        case .trust(_, let id): return try await trusted(user, userDomain, id)
        case .applicationCredential(_, let id): return try await credited(user, userDomain, id)
        case .oauth(_, let id): return try await consented(user, userDomain, id)
        case .certificate(let project, let thumbprint):
            var bearer = try await inProject(user, userDomain, project ?? "", groups)
            bearer.thumbprint = thumbprint
            return bearer
        }
    }

    private func inProject(
        _ user: User, _ userDomain: Project, _ id: String, _ groups: [String] = []
    ) async throws(Fault) -> Bearer {
        let project = try await database.one(Project.self, "id = \(id) AND enabled = 1", or: .unauthorized())
        let domain = project.isDomain ? project : try await enabledDomain(project.domainID)
        let roles = try await roles(try await holder(user.id, groups), .project, id, above: try await above(project))
        return Bearer(user: user, userDomain: userDomain, project: project, projectDomain: domain, roles: roles)
    }

    /// The trustor's roles as far as the trust gives them away, in the name of whom the trust says.
    private func trusted(_ user: User, _ userDomain: Project, _ id: String) async throws(Fault) -> Bearer {
        let trust = try await database.one(Trust.self, "id = \(id) AND deleted_at IS NULL", or: .unauthorized())
        guard user.id == (trust.impersonation ? trust.trustorUserID : trust.trusteeUserID) else {
            throw .unauthorized()
        }
        let trustor = try await lookUp(trust.trustorUserID, .unscoped)
        let trustee = try await lookUp(trust.trusteeUserID, .unscoped)
        var bearer = trust.impersonation ? trustor : trustee
        if let projectID = trust.projectID {
            let giver = try await origin(of: trust, trustor)
            let held = try await inProject(giver.user, giver.userDomain, projectID)
            let given = try await roleBook().effective(trust.roleIDs).filter { held.roles.contains($0) }
            // Each role of the trust must still be the trustor's to give.
            guard !given.isEmpty, trust.roleIDs.allSatisfy({ id in held.roles.contains { $0.id == id } }) else {
                throw .unauthorized()
            }
            bearer = Bearer(
                user: bearer.user, userDomain: bearer.userDomain, project: held.project,
                projectDomain: held.projectDomain, roles: given)
        }
        bearer.trust = trust
        return bearer
    }

    /// Whose roles a trust gives: its own trustor's, or those of the first of the chain, every link of which must hold.
    private func origin(of trust: Trust, _ trustor: Bearer) async throws(Fault) -> Bearer {
        guard trust.redelegatedTrustID != nil else { return trustor }
        let chain: [Trust]
        do {
            chain = try await database.pedigree(of: trust, at: clock.now())
            let redelegation = Redelegation(countMax: options.delegation.redelegationsMax)
            for (child, parent) in zip(chain, chain.dropFirst()) { try redelegation.require(child, from: parent) }
        } catch {
            throw .unauthorized()
        }
        for link in chain.dropFirst() { _ = try await lookUp(link.trusteeUserID, .unscoped) }
        return try await lookUp(chain[chain.count - 1].trustorUserID, .unscoped)
    }

    /// The user's roles as far as the application credential has them.
    private func credited(_ user: User, _ userDomain: Project, _ id: String) async throws(Fault) -> Bearer {
        let credential = try await database.one(
            ApplicationCredential.self, "id = \(id) AND user_id = \(user.id)", or: .unauthorized())
        var bearer = try await inProject(user, userDomain, credential.projectID)
        bearer.roles = bearer.roles.filter { credential.roleIDs.contains($0.id) }
        guard !bearer.roles.isEmpty else { throw .unauthorized() }
        bearer.credential = credential
        return bearer
    }

    /// The user's roles as far as the user has let a consumer have them.
    private func consented(_ user: User, _ userDomain: Project, _ id: String) async throws(Fault) -> Bearer {
        let token = try await database.one(
            OAuthAccessToken.self, "id = \(id) AND authorizing_user_id = \(user.id)", or: .unauthorized())
        var bearer = try await inProject(user, userDomain, token.projectID)
        let given = try await roleBook().effective(token.roleIDs)
        bearer.roles = bearer.roles.filter(given.contains)
        guard !bearer.roles.isEmpty else { throw .unauthorized() }
        bearer.access = token
        return bearer
    }

    private func enabledDomain(_ id: String) async throws(Fault) -> Project {
        try await database.one(
            Project.self, "id = \(id) AND is_domain = 1 AND enabled = 1", or: .unauthorized())
    }

    /// The projects above one, and the domain.
    private func above(_ project: Project) async throws(Fault) -> [String] {
        var ids: [String] = []
        var next = project.parentID
        while let id = next {
            ids.append(id)
            next = try await database.first(Project.self, "id = \(id)")?.parentID
        }
        return ids
    }

    /// Never empty: a scope without a role is none.
    private func roles(
        _ holder: Holder, _ target: Assignment.Target, _ targetID: String, above: [String]
    ) async throws(Fault) -> [Bearer.RoleName] {
        let ids = try await database.roleIDs(of: holder, target, targetID, above: above)
        let roles = try await roleBook().effective(ids)
        guard !roles.isEmpty else { throw .unauthorized() }
        return roles
    }

    func roleBook() async throws(Fault) -> RoleBook {
        let epoch = moment
        if let known = books.value("", at: epoch) { return known }
        let book = RoleBook(try await database.all(Role.self), try await database.all(ImpliedRole.self))
        books.keep(book, as: "", at: epoch)
        return book
    }

    /// The clouds that take users of this one; every token names them.
    func serviceProviders() async throws(Fault) -> [ServiceProvider] {
        let epoch = moment
        if let known = providers.value("", at: epoch) { return known }
        let found = try await database.all(ServiceProvider.self, "enabled = 1 ORDER BY id")
        providers.keep(found, as: "", at: epoch)
        return found
    }

    func catalog() async throws(Fault) -> Catalog {
        let epoch = moment
        if let known = catalogs.value("", at: epoch) { return known }
        let catalog = try await database.catalog(options.catalog)
        catalogs.keep(catalog, as: "", at: epoch)
        return catalog
    }
}

// MARK: - Where somebody may go

extension TokenProvider {
    /// The projects a user has any role on, inherited ones too.
    func projects(of holder: Holder) async throws(Fault) -> [String] {
        let held = try await database.all(Assignment.self, holder.condition + " AND target <> 'system'")
        var ids = Set(held.filter { $0.target == .project && !$0.inherited }.map(\.targetID))
        let roots = Set(held.filter(\.inherited).map(\.targetID))
        guard !roots.isEmpty else { return ids.sorted() }
        let children = Dictionary(grouping: try await database.all(Project.self)) { $0.parentID ?? "" }
        var open = Array(roots)
        while let id = open.popLast() {
            for child in children[id] ?? [] {
                ids.insert(child.id)
                open.append(child.id)
            }
        }
        return ids.sorted()
    }

    func domains(of holder: Holder) async throws(Fault) -> [String] {
        let held = try await database.all(
            Assignment.self, holder.condition + " AND target = 'domain' AND inherited = 0")
        return Set(held.map(\.targetID)).sorted()
    }

    func hasSystemRole(_ holder: Holder) async throws(Fault) -> Bool {
        try await database.count(Assignment.self, holder.condition + " AND target = 'system'") > 0
    }
}
