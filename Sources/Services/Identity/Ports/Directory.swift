// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Users and groups that are kept elsewhere and only read here: an LDAP server's or Active Directory's. One directory
/// is one domain's. Ids are the directory's own; what clients see is made of them in `People`.
package protocol Directory: Sendable {
    func user(_ id: String) async throws(Fault) -> DirectoryUser?
    func user(named name: String) async throws(Fault) -> DirectoryUser?
    /// All users that meet every condition.
    func users(_ conditions: [DirectoryCondition]) async throws(Fault) -> [DirectoryUser]

    func group(_ id: String) async throws(Fault) -> DirectoryGroup?
    func group(named name: String) async throws(Fault) -> DirectoryGroup?
    func groups(_ conditions: [DirectoryCondition]) async throws(Fault) -> [DirectoryGroup]

    /// The groups that a user is in; those that these are in count where the directory is set to nest groups.
    func groups(of user: DirectoryUser) async throws(Fault) -> [DirectoryGroup]
    /// The users in a group, and in groups within it where groups nest.
    func members(of group: DirectoryGroup) async throws(Fault) -> [DirectoryUser]

    /// Whether the directory takes the password for the user's.
    func accepts(_ password: String, of user: DirectoryUser) async throws(Fault) -> Bool
}

/// Opens directories as configurations say.
package protocol DirectoryOpener: Sendable {
    /// - Parameters:
    ///   - configuration: a domain's own; nil for the cloud's.
    ///   - domainID: the domain whose users are in it, for messages.
    func open(_ configuration: DomainConfiguration?, of domainID: String) throws(Fault) -> any Directory
}

/// A user as a directory has it.
package struct DirectoryUser: Sendable, Hashable {
    package let id: String
    /// Where the directory keeps it: a distinguished name.
    package let place: String
    package let name: String
    package var isEnabled: Bool
    package var description: String?
    package var email: String?
    package var defaultProjectID: String?
    /// Attributes beyond these, under the names that clients see.
    package var extra: [String: String]

    package init(
        id: String, place: String, name: String, isEnabled: Bool = true, description: String? = nil,
        email: String? = nil, defaultProjectID: String? = nil, extra: [String: String] = [:]
    ) {
        self.id = id
        self.place = place
        self.name = name
        self.isEnabled = isEnabled
        self.description = description
        self.email = email
        self.defaultProjectID = defaultProjectID
        self.extra = extra
    }
}

/// A group as a directory has it.
package struct DirectoryGroup: Sendable, Hashable {
    package let id: String
    package let place: String
    package let name: String
    package var description: String?
    package var extra: [String: String]

    package init(id: String, place: String, name: String, description: String? = nil, extra: [String: String] = [:]) {
        self.id = id
        self.place = place
        self.name = name
        self.description = description
        self.extra = extra
    }
}

/// What a list is narrowed by in the directory itself: names, compared as the directory compares them, which is
/// without regard to case nearly everywhere.
package struct DirectoryCondition: Sendable, Hashable {
    package enum Comparison: String, Sendable, CaseIterable { case equals, contains, startswith, endswith }

    package let comparison: Comparison
    package let name: String

    package init(_ comparison: Comparison, _ name: String) {
        self.comparison = comparison
        self.name = name
    }

    /// The comparison as most directories make it.
    package func holds(for other: String) -> Bool {
        let (name, other) = (name.lowercased(), other.lowercased())
        return switch comparison {
        case .equals: other == name
        case .contains: name.isEmpty || other.contains(name)
        case .startswith: other.hasPrefix(name)
        case .endswith: other.hasSuffix(name)
        }
    }
}
