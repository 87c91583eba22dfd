// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What the scheduler decided, and why not otherwise. Kept for as long as the server.
struct Decision: Sendable {
    /// Hosts that one step left out.
    struct Dropped: Codable, Sendable {
        let filter: String
        let hosts: Int
        let reason: String
        /// A few names, for whoever looks into it.
        let examples: [String]
    }

    /// A host that nearly did: the step that refused it, and what was missing.
    struct Miss: Codable, Sendable, Hashable {
        let host: String
        let step: String
        let reason: String
    }

    /// A host that would do, and how much it weighed.
    struct Ranked: Codable, Sendable, Hashable {
        let host: String
        let weight: Double
        /// What the weighers added, by name; those that added nothing are left out.
        let scores: [String: Double]
    }

    /// A server's host, and what it takes there.
    struct Choice: Sendable {
        let server: String
        let host: ComputeHost
        let way: PlacementClient.Way
        let weight: Double
    }

    /// How many misses, ranks and examples are kept.
    static let kept = 5

    let task: SchedulingTask
    let resources: [String: Int]
    let at: Timestamp
    var considered = 0
    /// What Placement had against the request itself.
    var complaint: String?
    var dropped: [Dropped] = []
    var misses: [Miss] = []
    var ranking: [Ranked] = []
    var choices: [Choice] = []
    /// Those that no host was found for.
    var missing: [String] = []
    /// On how many hosts each class ran out in the course of this; known of dry runs.
    var exhausted: [String: Int] = [:]
    /// Hosts that would do if the chosen ones do not, the best first.
    var alternates: [String] = []

    mutating func drop(_ step: String, _ refusals: [(host: String, reason: String)]) {
        guard !refusals.isEmpty else { return }
        var counts: [String: Int] = [:]
        for refusal in refusals { counts[refusal.reason, default: 0] += 1 }
        let common = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.prefix(2).map(\.key)
        drop(step, refusals.map(\.host), common.joined(separator: ", or "))
        let nearest = refusals.sorted { $0.host < $1.host }.prefix(Decision.kept)
        // Who came furthest came nearest.
        misses.insert(contentsOf: nearest.map { Miss(host: $0.host, step: step, reason: $0.reason) }, at: 0)
        misses = Array(misses.prefix(Decision.kept))
    }

    mutating func drop(_ step: String, _ hosts: [String], _ reason: String) {
        dropped.append(
            Dropped(filter: step, hosts: hosts.count, reason: reason, examples: Array(hosts.sorted().prefix(3))))
    }

    /// What the chosen hosts are to be asked for in Placement, in the name of the servers themselves.
    var claims: [PlacementClient.Claim] {
        let subjects = Dictionary(task.subjects.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        return choices.compactMap { choice in
            subjects[choice.server].map {
                PlacementClient.Claim(
                    consumer: choice.server, allocations: choice.way, project: $0.projectID, user: $0.userID)
            }
        }
    }
}

// MARK: - In words

extension Decision {
    /// "No valid host was found", why, and what would help.
    var fault: Fault { Fault(400, code: "NoValidHost", sentence) }

    var sentence: String {
        "No valid host was found. There are not enough hosts available. " + findings + " " + remedy
    }

    /// "3 hosts considered; ComputeFilter removed 1 (...)."
    var findings: String {
        guard considered > 0 else { return "No compute host has reported yet." }
        var text = "\(considered) host\(considered == 1 ? "" : "s") considered"
        text += dropped.map { "; \($0.filter) removed \($0.hosts) (\($0.reason))" }.joined()
        if !choices.isEmpty { text += "; room for \(choices.count) of \(task.subjects.count) servers" }
        return text + "."
    }

    /// What would help, by the step that left out most.
    var remedy: String {
        guard considered > 0 else { return "See `openstack compute service list`." }
        let worst = dropped.max { $0.hosts < $1.hosts }?.filter ?? ""
        return Decision.remedies[worst]
            ?? (worst.isEmpty
                ? "Ask for fewer servers, or add hosts." : "Ask otherwise, or change what \(worst) looks at.")
    }

    private static let remedies = [
        "Placement": "Take a smaller flavor, make room, or add hosts; `apus capacity` tells what would fit.",
        "ComputeFilter": "Look at `openstack compute service list`: enable or mend the hosts.",
        "AvailabilityZoneFilter": "Name another zone, or none.",
        "RequestedHost": "Name another host, or none.",
        "ServerGroupAntiAffinityFilter":
            "Add hosts, raise the group's max_server_per_host, or use soft-anti-affinity.",
        "ServerGroupAffinityFilter": "Make room where the group is, or use soft-affinity.",
        "DifferentHostFilter": "Leave the hint out, or add hosts.",
        "SameHostFilter": "Leave the hint out, or make room there.",
        "Excluded": "Nothing but the hosts left out already would do.",
    ]
}

// MARK: - Kept

extension Decision {
    func record(_ transaction: Transaction) throws(Fault) {
        let hosts = Dictionary(choices.map { ($0.server, $0.host.name) }, uniquingKeysWith: { first, _ in first })
        for subject in task.subjects {
            _ = try transaction.delete(DecisionRecord.self, "server_id = \(subject.id)")
        }
        try transaction.insert(
            task.subjects.map {
                DecisionRecord(
                    serverID: $0.id, at: at, considered: considered, dropped: dropped, resources: resources,
                    host: hosts[$0.id], misses: misses, ranking: ranking, alternates: alternates,
                    remedy: missing.isEmpty ? "" : remedy)
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
    let misses: [Decision.Miss]
    let ranking: [Decision.Ranked]
    let alternates: [String]
    let remedy: String

    /// For those who may see hosts: the nearest misses by name.
    var details: String {
        misses.map { "\($0.host): \($0.step): \($0.reason)" }.joined(separator: "\n")
    }

    static let migrations: [Migration] = [
        """
        2026-11-21 compute decisions
        CREATE TABLE compute_decisions (
            server_id VARCHAR(36) NOT NULL PRIMARY KEY, at BIGINT NOT NULL, considered INTEGER NOT NULL,
            dropped TEXT NOT NULL, resources TEXT NOT NULL, host VARCHAR(255))
        """,
        """
        2026-11-21 compute decisions with misses and ranks
        DROP TABLE compute_decisions;
        CREATE TABLE compute_decisions (
            server_id VARCHAR(36) NOT NULL PRIMARY KEY, at BIGINT NOT NULL, considered INTEGER NOT NULL,
            dropped TEXT NOT NULL, resources TEXT NOT NULL, host VARCHAR(255), misses TEXT NOT NULL,
            ranking TEXT NOT NULL, alternates TEXT NOT NULL, remedy TEXT NOT NULL)
        """,
    ]
}
