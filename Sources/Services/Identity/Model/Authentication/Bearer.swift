// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Who a token is for and what it is worth: the user, the scope, and the roles there as they are now.
struct Bearer: Sendable {
    struct RoleName: Sendable, Hashable {
        let id: String
        let name: String
    }

    let user: User
    let userDomain: Project
    var project: Project?
    var projectDomain: Project?
    var domain: Project?
    var isSystem = false
    var roles: [RoleName] = []
    /// What the token was made from when it was not a password.
    var trust: Trust?
    var credential: ApplicationCredential?
    var access: OAuthAccessToken?
    /// Of the client certificate that a token is bound to.
    var thumbprint: String?
    /// How the user came, when that was from an identity provider.
    var federation: TokenPayload.Federation?
    /// When a membership of the user's ends, and all this must be looked up again.
    var freshUntil: Timestamp?

    /// When trust or credential end, whatever the token says.
    var endsAt: Timestamp? { trust?.expiresAt ?? credential?.expiresAt ?? access?.expiresAt }

    /// The keys of revocations that concern such a token, its own apart.
    var revocations: [String] {
        var keys = ["u" + user.id, "d" + userDomain.id]
        if let project { keys.append("p" + project.id) }
        if let projectDomain { keys.append("d" + projectDomain.id) }
        if let domain { keys.append("d" + domain.id) }
        if let trust { keys += ["t" + trust.id, "u" + trust.trustorUserID, "u" + trust.trusteeUserID] }
        if let access { keys.append("c" + access.consumerID) }
        return keys
    }

    init(
        user: User, userDomain: Project, project: Project? = nil, projectDomain: Project? = nil,
        domain: Project? = nil, isSystem: Bool = false, roles: [RoleName] = []
    ) {
        self.user = user
        self.userDomain = userDomain
        self.project = project
        self.projectDomain = projectDomain
        self.domain = domain
        self.isSystem = isSystem
        self.roles = roles
    }
}

/// The cloud's roles and what implies what.
struct RoleBook: Sendable {
    private let names: [String: Bearer.RoleName]
    private let domainRoles: Set<String>
    private let implied: [String: [String]]

    init(_ roles: [Role], _ rules: [ImpliedRole]) {
        names = Dictionary(uniqueKeysWithValues: roles.map { ($0.id, Bearer.RoleName(id: $0.id, name: $0.name)) })
        domainRoles = Set(roles.filter { $0.ownDomainID != nil }.map(\.id))
        implied = Dictionary(grouping: rules, by: \.priorID).mapValues { $0.map(\.impliedID) }
    }

    /// The roles held, with all those they imply; a domain's own roles are not for tokens.
    func effective(_ ids: [String]) -> [Bearer.RoleName] {
        var seen: Set<String> = []
        var order: [String] = []
        var open = ids
        while !open.isEmpty {
            let id = open.removeFirst()
            guard seen.insert(id).inserted else { continue }
            order.append(id)
            open += implied[id] ?? []
        }
        return order.filter { !domainRoles.contains($0) }.compactMap { names[$0] }
    }

    /// An assignment, and one for each role that its role implies.
    func expanded(_ line: AssignmentLine) -> [AssignmentLine] {
        effective([line.roleID]).map { role in
            var one = line
            one.roleID = role.id
            if role.id != line.roleID { one.prior = line.roleID }
            return one
        }
    }
}

extension Database {
    /// The roles that somebody was given on a target: directly, through groups, and inherited from above.
    func roleIDs(of holder: Holder, _ target: Assignment.Target, _ targetID: String, above: [String])
        async throws(Fault)
        -> [String]
    {
        let inherited: SQL =
            above.isEmpty ? "" : " OR (target IN ('project', 'domain') AND inherited = 1 AND target_id IN \(above))"
        let rows = try await rows(
            """
            SELECT DISTINCT role_id FROM identity_assignments WHERE \(sql: holder.condition) AND
            ((target = \(target) AND inherited = 0 AND target_id = \(targetID))\(sql: inherited)) ORDER BY role_id
            """)
        return rows.compactMap { $0[0].text }
    }
}

/// Who holds assignments: a user with its groups, some of them for a while only, and those that its token names.
struct Holder: Sendable {
    let userID: String
    var groupIDs: [String] = []
    let now: Timestamp

    /// The condition of the assignments that are the holder's.
    var condition: SQL {
        let named: SQL = groupIDs.isEmpty ? "" : " OR actor_id IN \(groupIDs)"
        return """
            ((actor = 'user' AND actor_id = \(userID)) OR (actor = 'group' AND (actor_id IN
            (SELECT group_id FROM identity_memberships WHERE user_id = \(userID)) OR actor_id IN
            (SELECT group_id FROM identity_expiring_memberships WHERE user_id = \(userID) AND expires_at > \(now))
            \(sql: named))))
            """
    }
}
