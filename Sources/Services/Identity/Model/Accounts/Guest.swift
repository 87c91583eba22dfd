// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Somebody from an identity provider as the mapping describes them, with every name resolved.
struct Guest: Sendable {
    /// A project that the mapping gives, made when it is not there, and the roles in it.
    struct Share: Sendable {
        let name: String, domainID: String, roleIDs: [String]
    }

    let name: FederatedUser.Name
    let displayName: String
    let email: String?
    let domainID: String
    let groups: [String]
    let membershipLife: Duration
    let projects: [Share]
    /// Whether roles in other projects are taken away: mappings do that since version 3.0.
    let syncsProjects: Bool

    /// Upstream's id: the same person has the same id in every cloud with the same domain.
    var userID: String { Digest.hex(.sha256, domainID + "user" + name.uniqueID) }
}

extension Transaction {
    /// Makes or refreshes the user, its memberships and its projects.
    /// - Parameter projectIDs: one for each project, in case it must be made.
    func receive(_ guest: Guest, at now: Timestamp, projectIDs: [String]) throws(Fault) -> User {
        let user = try user(of: guest)
        let before = try all(ExpiringMembership.self, "user_id = \(user.id) AND idp_id = \(guest.name.idpID)")
        if Set(before.map(\.groupID)) != Set(guest.groups), !before.isEmpty { try revoke(userID: user.id, at: now) }
        try delete(ExpiringMembership.self, "user_id = \(user.id) AND idp_id = \(guest.name.idpID)")
        for group in guest.groups {
            try insert(
                ExpiringMembership(
                    userID: user.id, groupID: group, idpID: guest.name.idpID, verifiedAt: now,
                    expiresAt: now + guest.membershipLife))
        }
        var kept: [String] = []
        for (share, fresh) in zip(guest.projects, projectIDs) {
            let project = try project(share, fresh)
            kept.append(project.id)
            let held = try grants(of: user.id, in: "target_id = \(project.id)")
            for role in share.roleIDs where !held.contains(where: { $0.roleID == role }) {
                try insert(
                    Assignment(
                        actor: .user, actorID: user.id, target: .project, targetID: project.id, roleID: role,
                        inherited: false))
            }
            if guest.syncsProjects {
                for grant in held where !share.roleIDs.contains(grant.roleID) { try drop(grant) }
            }
        }
        if guest.syncsProjects {
            for grant in try grants(of: user.id, in: "1 = 1") where !kept.contains(grant.targetID) { try drop(grant) }
        }
        return user
    }

    private func user(of guest: Guest) throws(Fault) -> User {
        let name = guest.name
        let same: SQL =
            "idp_id = \(name.idpID) AND protocol_id = \(name.protocolID) AND unique_id = \(name.uniqueID)"
        let known = try first(FederatedUser.self, same)
        guard let known, var user = try first(User.self, "id = \(known.userID)") else { return try make(guest) }
        if known.displayName != guest.displayName {
            try update(FederatedUser.self, set: "display_name = \(guest.displayName)", where: same)
            if known.madeUser { user.name = try freeName(guest, userID: user.id) }
        }
        if let email = guest.email, known.madeUser { user.extra["email"] = .string(email) }
        try replace(user, where: "id = \(user.id)", or: .notFound("user", user.id))
        return user
    }

    /// A user made for somebody who was never here. Another protocol of the same provider may know them already.
    private func make(_ guest: Guest) throws(Fault) -> User {
        try requireDomain(guest.domainID)
        let user: User
        if let there = try first(User.self, "id = \(guest.userID)") {
            // Two providers may share a domain; that does not make their users the same.
            let known: SQL = "user_id = \(there.id) AND idp_id = \(guest.name.idpID)"
            guard try count(FederatedUser.self, known) > 0 else {
                throw .duplicate("federated_user", "Duplicate entry")
            }
            user = there
        } else {
            user = User(
                id: guest.userID, name: try freeName(guest, userID: guest.userID), domainID: guest.domainID,
                enabled: true, defaultProjectID: nil, passwordHash: nil, passwordSetAt: nil, passwordExpiresAt: nil,
                failedCount: 0, failedAt: nil, options: [:],
                extra: guest.email.map { ["email": .string($0)] } ?? [:])
            try insert(user)
        }
        try insert(
            FederatedUser(
                userID: user.id, idpID: guest.name.idpID, protocolID: guest.name.protocolID,
                uniqueID: guest.name.uniqueID, displayName: guest.displayName, madeUser: true))
        return user
    }

    /// Names of people repeat, users' names within a domain do not: the second of a name is called by its id as well.
    private func freeName(_ guest: Guest, userID: String) throws(Fault) -> String {
        let name = String(guest.displayName.prefix(255))
        let taken = try count(
            User.self, "domain_id = \(guest.domainID) AND name = \(name) AND id <> \(userID)")
        return taken == 0 ? name : String(name.prefix(180)) + " " + userID
    }

    private func project(_ share: Guest.Share, _ fresh: String) throws(Fault) -> Project {
        let there = try first(
            Project.self, "name = \(share.name) AND domain_id = \(share.domainID) AND is_domain = 0")
        if let there { return there }
        try requireDomain(share.domainID)
        let project = Project(
            id: fresh, name: share.name, domainID: share.domainID, parentID: share.domainID, isDomain: false,
            enabled: true, description: "", tags: [], options: [:], extra: [:])
        try insert(project)
        return project
    }

    private func grants(of userID: String, in condition: SQL) throws(Fault) -> [Assignment] {
        try all(
            Assignment.self,
            "actor = 'user' AND actor_id = \(userID) AND target = 'project' AND inherited = 0 AND \(sql: condition)")
    }

    private func drop(_ grant: Assignment) throws(Fault) {
        try delete(
            Assignment.self,
            """
            actor = 'user' AND actor_id = \(grant.actorID) AND target = 'project' AND inherited = 0
            AND target_id = \(grant.targetID) AND role_id = \(grant.roleID)
            """)
    }
}
