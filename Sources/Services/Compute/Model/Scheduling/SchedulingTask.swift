// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A question to the scheduler: what is to be placed, alike each, and under which conditions.
struct SchedulingTask: Sendable {
    /// One that is to be placed, and in whose name it takes.
    struct Subject: Sendable {
        let id: String
        let projectID: String
        let userID: String
    }

    /// What the answer is for.
    enum Purpose: Sendable, Equatable {
        case boot
        /// To another host than where it is; `excluded` says whether that one will do.
        case move
        /// Where it is, with another image: nothing more is taken, and only some filters are asked.
        case rebuild(on: String)
        /// Nothing is placed; a dry run.
        case trial
    }

    var subjects: [Subject]
    var flavor: FlavorSnapshot
    var imageID: String?
    var imageProperties: [String: String]
    /// Whether the root disk is a volume, which takes nothing of the host's.
    var isVolumeBacked = false
    /// Hints, a zone, a host.
    var request: SchedulingRequest
    /// Hosts that will not do whatever they have, each with the reason.
    var excluded: [String: String] = [:]
    /// The server group that binds the subjects; found by the first subject's membership when it is not named.
    var groupID: String?
    var purpose = Purpose.boot
    /// The ports that are there already, which may ask for something, too.
    var ports: [String] = []
    /// Cards of the host's that ports must be.
    var cards: [PCIRequest] = []

    init(
        subjects: [Subject], flavor: FlavorSnapshot, imageID: String?, imageProperties: [String: String],
        request: SchedulingRequest
    ) {
        self.subjects = subjects
        self.flavor = flavor
        self.imageID = imageID
        self.imageProperties = imageProperties
        self.request = request
    }

    /// The question about servers that were asked for together. For a move, set `flavor`, `excluded` and `purpose`.
    init(_ servers: [Server]) {
        self.init(
            subjects: servers.map { Subject(id: $0.id, projectID: $0.projectID, userID: $0.userID) },
            flavor: servers[0].flavor, imageID: servers[0].imageID, imageProperties: servers[0].imageProperties,
            request: servers[0].scheduling)
        isVolumeBacked = servers[0].scheduling.isVolumeBacked ?? false
        let given = servers[0].vmState == .building ? servers[0].requested.compactMap(\.portID) : []
        ports = given + servers[0].ports.map(\.portID).filter { !given.contains($0) }
        cards = PCIRequest.cards(of: servers[0])
        for host in servers[0].scheduling.tried ?? [] { excluded[host] = "the server failed to start there" }
    }
}

/// Everything that filters and weighers may look at beside the host.
struct SchedulingContext: Sendable {
    let task: SchedulingTask
    let options: SchedulerOptions
    let resources: ResourceRequest
    let serviceDownTime: Duration
    /// The group's members by host, kept true while servers are handed out.
    var group: GroupState?
    /// Where the servers are that the hints `same_host` and `different_host` name.
    var hintHosts: [String: Set<String>] = [:]
    /// Aggregates that name the project, when those bind; nil when they do not.
    var tenantAggregates: Set<Int>?

    func hint(_ name: String) -> JSON? { task.request.hints[name].flatMap { $0.isNull ? nil : $0 } }

    /// A wish of flavor or image, the flavor's first.
    func wish(_ extraSpec: String, _ property: String) -> String? {
        task.flavor.extraSpecs[extraSpec] ?? task.imageProperties[property]
    }
}

/// A server group as far as it binds: who is where.
struct GroupState: Sendable {
    let id: String
    let policy: ServerGroup.Policy
    /// How many of an anti-affinity group one host may have.
    let perHostMax: Int
    private(set) var counts: [String: Int] = [:]

    init(_ group: ServerGroup, hosts: [String]) {
        id = group.id
        policy = group.policy
        perHostMax = group.perHostMax ?? 1
        for host in hosts { counts[host, default: 0] += 1 }
    }

    mutating func take(_ host: String) { counts[host, default: 0] += 1 }

    /// Why the policy forbids a host; nil when it does not. Soft policies forbid nothing.
    func refusal(_ host: String) -> String? {
        switch policy {
        case .affinity:
            counts.isEmpty || counts[host] != nil
                ? nil : "the group's servers are on \(counts.keys.sorted().prefix(3).joined(separator: ", "))"
        case .antiAffinity:
            counts[host, default: 0] < perHostMax
                ? nil : "the host has \(counts[host, default: 0]) of the group, which allows \(perHostMax)"
        case .softAffinity, .softAntiAffinity: nil
        }
    }
}
