// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Servers that belong on one host, or on different ones.
struct ServerGroup: Record {
    static let table = "compute_server_groups"

    enum Policy: String, Codable, Sendable, CaseIterable {
        case affinity, antiAffinity = "anti-affinity", softAffinity = "soft-affinity"
        case softAntiAffinity = "soft-anti-affinity"
    }

    let id: String
    let projectID: String
    let userID: String
    let name: String
    let policy: Policy
    /// `max_server_per_host` of an anti-affinity group.
    let perHostMax: Int?
    let createdAt: Timestamp

    static let migrations: [Migration] = [
        """
        2026-11-21 compute server groups
        CREATE TABLE compute_server_groups (
            id VARCHAR(36) NOT NULL PRIMARY KEY, project_id VARCHAR(64) NOT NULL, user_id VARCHAR(64) NOT NULL,
            name VARCHAR(255) NOT NULL, policy VARCHAR(32) NOT NULL, per_host_max INTEGER, created_at BIGINT NOT NULL);
        CREATE TABLE compute_server_group_members (
            group_id VARCHAR(36) NOT NULL, server_id VARCHAR(36) NOT NULL PRIMARY KEY);
        CREATE INDEX compute_server_group_members_group ON compute_server_group_members (group_id)
        """
    ]

    struct Member: Record {
        static let table = "compute_server_group_members"
        let groupID: String
        let serverID: String
    }
}

extension ServerGroup {
    /// The groups a server is in; there is at most one.
    static func holding(_ server: String, _ database: Database) async throws(Fault) -> [String] {
        try await database.all(Member.self, "server_id = \(server)").map(\.groupID)
    }

    static func join(
        _ servers: [String], to group: String, _ quota: QuotaLimits, _ transaction: Transaction
    ) throws(Fault) {
        guard try transaction.first(ServerGroup.self, "id = \(group)") != nil else {
            throw .badRequest("Instance group \(group) could not be found.")
        }
        let members = try transaction.count(Member.self, "group_id = \(group)")
        guard members + servers.count <= quota.serverGroupMembers else {
            throw .forbidden("Quota exceeded, too many servers in group")
        }
        try transaction.insert(servers.map { Member(groupID: group, serverID: $0) })
    }

    static func leave(_ server: String, _ transaction: Transaction) throws(Fault) {
        _ = try transaction.delete(Member.self, "server_id = \(server)")
    }

    /// What the policy of a server's group asks of a host.
    static func filters(_ server: String, _ database: Database) async throws(Fault) -> [HostFilter] {
        guard let id = try await holding(server, database).first,
            let group = try await database.first(ServerGroup.self, "id = \(id)")
        else { return [] }
        let members = try await database.all(Member.self, "group_id = \(id)").map(\.serverID)
        let others = try await database.all(Server.self, "id", in: members, and: "deleted_at IS NULL AND host IS NOT NULL")
        var counts: [String: Int] = [:]
        for other in others { counts[other.host ?? "", default: 0] += 1 }
        let most = group.perHostMax ?? 1
        let found = counts
        switch group.policy {
        case .affinity where !found.isEmpty:
            return [HostFilter("ServerGroupAffinityFilter", "the group's servers are elsewhere") { found[$0.name] != nil }]
        case .antiAffinity:
            return [
                HostFilter("ServerGroupAntiAffinityFilter", "the host has servers of the group already") {
                    found[$0.name, default: 0] < most
                }
            ]
        default: return []
        }
    }
}
