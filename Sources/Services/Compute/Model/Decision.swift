// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What the scheduler decided, and why not otherwise. Kept for as long as the server.
struct Decision: Sendable {
    struct Dropped: Codable, Sendable {
        let filter: String
        let hosts: Int
        let reason: String
        /// A few names, for whoever looks into it.
        let examples: [String]
    }

    let servers: [Server]
    let resources: [String: Int]
    let at: Timestamp
    var considered = 0
    var dropped: [Dropped] = []
    var chosen: [(server: String, host: ComputeHost)] = []
    var missing: [String] = []

    mutating func drop(_ filter: String, _ hosts: [String], _ reason: String) {
        dropped.append(
            Dropped(filter: filter, hosts: hosts.count, reason: reason, examples: Array(hosts.sorted().prefix(3))))
    }

    mutating func choose(_ host: ComputeHost, for server: Server) { chosen.append((server.id, host)) }

    var claims: [PlacementClient.Claim] {
        let byID = Dictionary(servers.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        return chosen.compactMap { server, host in
            byID[server].map {
                PlacementClient.Claim(
                    consumer: server, provider: host.id, resources: resources, project: $0.projectID, user: $0.userID)
            }
        }
    }

    /// "No valid host was found", and why.
    var fault: Fault {
        var text = "No valid host was found. "
        if considered == 0 {
            text += "No compute host has reported yet; see `openstack compute service list`."
        } else {
            text += "\(considered) host\(considered == 1 ? "" : "s") considered"
            text += dropped.map { "; \($0.filter) removed \($0.hosts) (\($0.reason))" }.joined()
            if !chosen.isEmpty { text += "; room for \(chosen.count) of \(servers.count) servers" }
            text += "."
        }
        return Fault(400, code: "NoValidHost", text)
    }

    func record(_ transaction: Transaction) throws(Fault) {
        let hosts = Dictionary(chosen.map { ($0.server, $0.host.name) }, uniquingKeysWith: { first, _ in first })
        for server in servers {
            _ = try transaction.delete(DecisionRecord.self, "server_id = \(server.id)")
        }
        try transaction.insert(
            servers.map {
                DecisionRecord(
                    serverID: $0.id, at: at, considered: considered, dropped: dropped, resources: resources,
                    host: hosts[$0.id])
            })
    }
}

/// A decision about one server, as it is kept.
struct DecisionRecord: Record {
    static let table = "compute_decisions"

    let serverID: String
    let at: Timestamp
    let considered: Int
    let dropped: [Decision.Dropped]
    let resources: [String: Int]
    let host: String?

    static let migrations: [Migration] = [
        """
        2026-11-21 compute decisions
        CREATE TABLE compute_decisions (
            server_id VARCHAR(36) NOT NULL PRIMARY KEY, at BIGINT NOT NULL, considered INTEGER NOT NULL,
            dropped TEXT NOT NULL, resources TEXT NOT NULL, host VARCHAR(255))
        """
    ]
}
