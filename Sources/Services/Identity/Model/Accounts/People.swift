// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Users and groups wherever they are kept: in this cloud's own tables, or in the directory of their domain. Whoever
/// wants to know one asks here.
struct People: Sendable {
    let database: Database
    let directories: Directories
    private let clock: any WallClock
    private let sights = EpochCache<Sight>(capacity: 8192)

    /// A directory's user as tokens are judged by, with the groups it is in there.
    struct Sight: Sendable, Equatable {
        let user: User
        let groupIDs: [String]

        static func == (one: Sight, other: Sight) -> Bool {
            one.user.enabled == other.user.enabled && one.user.name == other.user.name
                && one.user.defaultProjectID == other.user.defaultProjectID && one.groupIDs == other.groupIDs
        }
    }

    init(_ database: Database, _ directories: Directories, clock: any WallClock) {
        self.database = database
        self.directories = directories
        self.clock = clock
    }

    // MARK: One

    func user(_ id: String) async throws(Fault) -> User? {
        if let user = try await database.first(User.self, "id = \(id)") { return user }
        guard let origin = try await origin(of: id, .user), let user = try await origin.directory.user(origin.localID)
        else { return nil }
        return User(user, id: id, domainID: origin.domainID)
    }

    /// The names of a directory's domain are the directory's. Only beside the cloud's one directory do the cloud's own
    /// users count too: its first administrator is one.
    func user(named name: String, in domainID: String) async throws(Fault) -> User? {
        let directory = try await directories.directory(of: domainID)
        if directory == nil || directories.isDefault(domainID),
            let user = try await database.first(User.self, "name = \(name) AND domain_id = \(domainID)")
        {
            return user
        }
        guard let user = try await directory?.user(named: name) else { return nil }
        return try await published([user], in: domainID).first
    }

    func group(_ id: String) async throws(Fault) -> Group? {
        if let group = try await database.first(Group.self, "id = \(id)") { return group }
        guard let origin = try await origin(of: id, .group),
            let group = try await origin.directory.group(origin.localID)
        else { return nil }
        return Group(group, id: id, domainID: origin.domainID)
    }

    func group(named name: String, in domainID: String) async throws(Fault) -> Group? {
        let directory = try await directories.directory(of: domainID)
        if directory == nil || directories.isDefault(domainID),
            let group = try await database.first(Group.self, "name = \(name) AND domain_id = \(domainID)")
        {
            return group
        }
        guard let group = try await directory?.group(named: name) else { return nil }
        return try await published([group], in: domainID).first
    }

    // MARK: Several

    /// Those of the users that there are.
    func users(_ ids: [String]) async throws(Fault) -> [User] {
        var users = try await database.all(User.self, "id", in: ids)
        guard directories.mayExist, users.count < ids.count else { return users }
        for id in Set(ids).subtracting(users.map(\.id)) {
            if let user = try await user(id) { users.append(user) }
        }
        return users
    }

    func groups(_ ids: [String]) async throws(Fault) -> [Group] {
        var groups = try await database.all(Group.self, "id", in: ids)
        guard directories.mayExist, groups.count < ids.count else { return groups }
        for id in Set(ids).subtracting(groups.map(\.id)) {
            if let group = try await group(id) { groups.append(group) }
        }
        return groups
    }

    /// The groups of a directory that one of its users is in; none for the cloud's own users.
    func directoryGroups(of userID: String) async throws(Fault) -> [Group] {
        guard let origin = try await origin(of: userID, .user),
            let user = try await origin.directory.user(origin.localID)
        else { return [] }
        return try await published(try await origin.directory.groups(of: user), in: origin.domainID)
    }

    /// The users in a directory's group; nil when it is one of the cloud's own.
    func directoryMembers(of groupID: String) async throws(Fault) -> [User]? {
        guard let origin = try await origin(of: groupID, .group) else { return nil }
        guard let group = try await origin.directory.group(origin.localID) else { return [] }
        return try await published(try await origin.directory.members(of: group), in: origin.domainID)
    }

    // MARK: What may be done

    /// Whether the directory takes the password; nil for a user whom the cloud keeps itself.
    func accepts(_ password: String, of user: User) async throws(Fault) -> Bool? {
        guard user.passwordHash == nil, let origin = try await origin(of: user.id, .user) else { return nil }
        guard let there = try await origin.directory.user(origin.localID) else { return false }
        return try await origin.directory.accepts(password, of: there)
    }

    /// Refuses changes of users and groups that a directory keeps.
    func requireWritable(_ domainID: String) async throws(Fault) {
        if try await directories.directory(of: domainID) != nil { throw .readOnlyDirectory }
    }

    func requireWritable(_ user: User) async throws(Fault) {
        if user.passwordHash == nil, try await origin(of: user.id, .user) != nil { throw .readOnlyDirectory }
    }

    func requireWritable(_ group: Group) async throws(Fault) {
        if try await origin(of: group.id, .group) != nil { throw .readOnlyDirectory }
    }

    /// Refuses memberships that are a directory's, or that would reach across.
    func requireWritable(_ membership: Membership) async throws(Fault) {
        let user = try await origin(of: membership.userID, .user)?.domainID
        let group = try await origin(of: membership.groupID, .group)?.domainID
        guard user == group else {
            throw .forbidden(
                "Group membership across backend boundaries is not allowed. Group in question is "
                    + "\(membership.groupID), user is \(membership.userID).")
        }
        if user != nil { throw .readOnlyDirectory }
    }
}

// MARK: - What tokens are worth

extension People {
    /// Moves as time goes by where directories are in use: what they said before is then asked again.
    var period: UInt64 {
        guard directories.mayExist else { return 0 }
        return UInt64(max(0, clock.now().seconds / max(1, directories.options.directoryCacheTime.components.seconds)))
    }

    /// A user as tokens are judged by: a directory is not asked each time.
    func sight(of id: String) async throws(Fault) -> Sight? {
        if let user = try await database.first(User.self, "id = \(id)") { return Sight(user: user, groupIDs: []) }
        guard directories.mayExist else { return nil }
        let period = period
        if let known = sights.value(id, at: period) { return known }
        guard let user = try await user(id) else { return nil }
        let sight = Sight(user: user, groupIDs: try await directoryGroups(of: id).map(\.id).sorted())
        sights.keep(sight, as: id, at: period)
        return sight
    }

    /// Looks at a directory's user again, who has just logged in. True when something has changed since.
    func lookAgain(at user: User) async throws(Fault) -> Bool {
        guard user.passwordHash == nil, directories.mayExist, try await origin(of: user.id, .user) != nil else {
            return false
        }
        let period = period
        let known = sights.value(user.id, at: period)
        let sight = Sight(user: user, groupIDs: try await directoryGroups(of: user.id).map(\.id).sorted())
        sights.keep(sight, as: user.id, at: period)
        return known.map { $0 != sight } ?? false
    }
}

// MARK: - Ids

extension People {
    /// Where a user or group is kept that the cloud has no row of.
    struct Origin: Sendable {
        let directory: any Directory
        let domainID: String
        let localID: String
    }

    func origin(of id: String, _ entity: IdentityMapping.Entity) async throws(Fault) -> Origin? {
        guard directories.mayExist else { return nil }
        let known = try await database.first(
            IdentityMapping.self, "public_id = \(id) AND entity_type = \(entity.rawValue)")
        if let known {
            guard let directory = try await directories.directory(of: known.domainID) else { return nil }
            return Origin(directory: directory, domainID: known.domainID, localID: known.localID)
        }
        let domainID = directories.options.defaultDomainID
        guard try await directories.keepsIDs(domainID), let directory = try await directories.directory(of: domainID)
        else { return nil }
        let own =
            switch entity {
            case .user: try await database.count(User.self, "id = \(id)")
            case .group: try await database.count(Group.self, "id = \(id)")
            }
        return own > 0 ? nil : Origin(directory: directory, domainID: domainID, localID: id)
    }

    /// Users of a directory as clients see them; their ids are noted, so that they are known when they come back.
    func published(_ users: [DirectoryUser], in domainID: String) async throws(Fault) -> [User] {
        let ids = try await publicIDs(users.map(\.id), .user, domainID)
        return zip(users, ids).map { User($0, id: $1, domainID: domainID) }
    }

    func published(_ groups: [DirectoryGroup], in domainID: String) async throws(Fault) -> [Group] {
        let ids = try await publicIDs(groups.map(\.id), .group, domainID)
        return zip(groups, ids).map { Group($0, id: $1, domainID: domainID) }
    }

    private func publicIDs(
        _ localIDs: [String], _ entity: IdentityMapping.Entity, _ domainID: String
    ) async throws(Fault) -> [String] {
        guard !localIDs.isEmpty else { return [] }
        if try await directories.keepsIDs(domainID) { return localIDs }
        let mappings = localIDs.map { IdentityMapping($0, entity, of: domainID) }
        let known = Set(
            try await database.all(IdentityMapping.self, "public_id", in: mappings.map(\.publicID)).map(\.publicID))
        let new = mappings.filter { !known.contains($0.publicID) }
        if !new.isEmpty {
            try await database.transaction { transaction throws(Fault) in try transaction.note(new) }
        }
        return mappings.map(\.publicID)
    }
}

extension Request {
    var people: People { identity.people }
}

extension User {
    /// A directory's user; no password of theirs is kept here.
    init(_ user: DirectoryUser, id: String, domainID: String) {
        var extra = JSONObject()
        if let description = user.description { extra["description"] = .string(description) }
        if let email = user.email { extra["email"] = .string(email) }
        for (name, value) in user.extra.sorted(by: { $0.key < $1.key }) { extra[name] = .string(value) }
        self.init(
            id: id, name: user.name, domainID: domainID, enabled: user.isEnabled,
            defaultProjectID: user.defaultProjectID, passwordHash: nil, passwordSetAt: nil, passwordExpiresAt: nil,
            failedCount: 0, failedAt: nil, options: [:], extra: extra)
    }
}

extension Group {
    init(_ group: DirectoryGroup, id: String, domainID: String) {
        var extra = JSONObject()
        for (name, value) in group.extra.sorted(by: { $0.key < $1.key }) { extra[name] = .string(value) }
        self.init(
            id: id, name: group.name, domainID: domainID, description: group.description ?? "", extra: extra)
    }
}

extension Fault {
    static let readOnlyDirectory = Fault.forbidden(
        "You are not authorized to perform the requested action: LDAP does not support write operations.")
}
