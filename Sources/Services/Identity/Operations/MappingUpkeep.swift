// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator does with the ids of directories' users and groups: forget some, or make all of them beforehand.
package struct MappingUpkeep: Sendable {
    private let identity: IdentityService

    package init(_ identity: IdentityService) { self.identity = identity }

    /// Which ids to forget; without anything said, all of them.
    package struct Selection: Sendable {
        package var domainName: String?
        package var publicID: String?
        package var localID: String?
        /// `user` or `group`.
        package var type: String?

        package init() {}
    }

    /// Forgets ids. They are the same when they are made again, so that roles are not lost; only what a user of a
    /// directory was known by is, until somebody looks the user up.
    /// - Returns: how many.
    @discardableResult
    package func purge(_ selection: Selection) async throws(Fault) -> Int {
        var conditions: [SQL] = []
        if let name = selection.domainName { conditions.append("domain_id = \(try await domainID(name))") }
        if let id = selection.publicID { conditions.append("public_id = \(id)") }
        if let id = selection.localID { conditions.append("local_id = \(id)") }
        if let type = selection.type {
            guard IdentityMapping.Entity(rawValue: type) != nil else {
                throw .badRequest("there is no type '\(type)': it is user or group")
            }
            conditions.append("entity_type = \(type)")
        }
        let condition: SQL = conditions.isEmpty ? "1 = 1" : conditions.joined(" AND ")
        let epoch = identity.tokens.epoch
        return try await identity.database.transaction { transaction throws(Fault) in
            transaction.afterCommit { epoch.advance() }
            return try transaction.delete(IdentityMapping.self, condition)
        }
    }

    /// Looks up everybody in a domain's directory, which makes their ids.
    package func populate(domainName: String) async throws(Fault) -> (users: Int, groups: Int) {
        let domainID = try await domainID(domainName)
        let people = identity.people
        guard let directory = try await people.directories.directory(of: domainID) else {
            throw .badRequest("the users of domain '\(domainName)' are not in a directory")
        }
        let users = try await people.published(try await directory.users([]), in: domainID)
        let groups = try await people.published(try await directory.groups([]), in: domainID)
        return (users.count, groups.count)
    }

    private func domainID(_ name: String) async throws(Fault) -> String {
        try await identity.database.one(
            Project.self, "name = \(name) AND is_domain = 1", or: .badRequest("Unknown domain '\(name)'")
        ).id
    }
}
