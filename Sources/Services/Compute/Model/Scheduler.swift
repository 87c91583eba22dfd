// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Chooses hosts for servers that were asked for together: Placement says where there is room, the filters say where it
/// may be, the weigher spreads. Everything it leaves out is kept with its reason.
struct Scheduler {
    private let site: ComputeSite

    init(_ site: ComputeSite) { self.site = site }

    func place(_ servers: [Server]) async throws(Fault) -> Decision {
        let first = servers[0]
        let resources = Scheduler.resources(first.flavor)
        var decision = Decision(servers: servers, resources: resources, at: site.clock.now())
        let hosts = try await site.database.all(ComputeHost.self, "deleted_at IS NULL")
        decision.considered = hosts.count
        let byProvider = Dictionary(hosts.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let traits = Scheduler.traits(first.flavor)
        let candidates = try await site.room.placement.candidates(
            resources: resources, required: traits.required, forbidden: traits.forbidden, requestID: site.requestID)
        var rooms = candidates.compactMap { candidate in
            byProvider[candidate.provider].map { Room(host: $0, candidate: candidate, needs: resources) }
        }
        let roomy = Set(rooms.map(\.host.id))
        let lacking = hosts.filter { !roomy.contains($0.id) }
        if !lacking.isEmpty {
            decision.drop("Placement", lacking.map(\.name), try await shortage(resources, lacking))
        }
        for filter in try await filters(first) {
            let refused = rooms.filter { !filter.admits($0.host) }
            if !refused.isEmpty { decision.drop(filter.name, refused.map(\.host.name), filter.reason) }
            rooms.removeAll { !filter.admits($0.host) }
        }
        let group = try await ServerGroup.limit(first.id, site.database)
        spread(servers, over: &rooms, within: group, &decision)
        return decision
    }

    /// Gives each server the host with most memory left, one after another.
    private func spread(
        _ servers: [Server], over rooms: inout [Room], within group: GroupLimit?, _ decision: inout Decision
    ) {
        var heap = RoomHeap(rooms)
        var group = group
        for server in servers {
            guard var best = heap.pop() else {
                decision.missing.append(server.id)
                continue
            }
            best.take()
            decision.choose(best.host, for: server)
            if group?.staysTogether == true { heap = RoomHeap([]) }
            if best.fits, group?.take(best.host.name) ?? true { heap.push(best) }
        }
    }

    /// What the hosts without room lack most, in a sentence.
    private func shortage(_ resources: [String: Int], _ lacking: [ComputeHost]) async throws(Fault) -> String {
        var parts: [String] = []
        let ids = Set(lacking.map(\.id))
        for (name, needed) in resources.sorted(by: { $0.key < $1.key }) {
            let having = try await site.room.placement.candidates(resources: [name: 1], requestID: site.requestID)
            let most = having.filter { ids.contains($0.provider) }.map { $0.free(name) }.max() ?? 0
            if most < needed { parts.append("\(name) \(needed) asked, at most \(most) free") }
        }
        return parts.isEmpty ? "not enough of everything at once" : parts.joined(separator: "; ")
    }

    private func filters(_ server: Server) async throws(Fault) -> [HostFilter] {
        let (now, down) = (site.clock.now(), site.room.options.serviceDownTime)
        var filters = [
            HostFilter("ComputeFilter", "the host is disabled or has not reported for \(down)") {
                $0.isUp(at: now, within: down) && !$0.isDisabled
            }
        ]
        if let host = server.scheduling.host ?? server.scheduling.node {
            filters.append(HostFilter("ForcedHost", "the request names \(host)") { $0.name == host })
        }
        if let zone = server.scheduling.zone {
            let zones = try await AvailabilityZones.byHost(site.database)
            filters.append(
                HostFilter("AvailabilityZoneFilter", "the host is not in zone \(zone)") {
                    (zones[$0.name] ?? AvailabilityZones.usual) == zone
                })
        }
        filters += try await hinted(server)
        filters += try await ServerGroup.filters(server.id, site.database)
        return filters
    }

    private func hinted(_ server: Server) async throws(Fault) -> [HostFilter] {
        var filters: [HostFilter] = []
        for (hint, name, isSame) in [
            ("different_host", "DifferentHostFilter", false), ("same_host", "SameHostFilter", true),
        ] {
            guard let value = server.scheduling.hints[hint] else { continue }
            let ids = value.array?.compactMap(\.string) ?? value.string.map { [$0] } ?? []
            let others = try await site.database.all(Server.self, "id", in: ids, and: "deleted_at IS NULL")
            let hosts = Set(others.compactMap(\.host))
            filters.append(HostFilter(name, "the hint \(hint)") { hosts.contains($0.name) == isSame })
        }
        return filters
    }

    static func resources(_ flavor: FlavorSnapshot) -> [String: Int] {
        var resources = ["VCPU": flavor.vcpus, "MEMORY_MB": flavor.memoryMiB]
        let disk = flavor.diskGiB + flavor.ephemeralGiB + (flavor.swapMiB + 1023) / 1024
        resources["DISK_GB"] = disk
        for (key, value) in flavor.extraSpecs where key.hasPrefix("resources:") {
            resources[String(key.dropFirst("resources:".count))] = Int(value) ?? 0
        }
        return resources.filter { $0.value > 0 }
    }

    private static func traits(_ flavor: FlavorSnapshot) -> (required: [String], forbidden: [String]) {
        func named(_ value: String) -> [String] {
            flavor.extraSpecs.filter { $0.key.hasPrefix("trait:") && $0.value == value }
                .map { String($0.key.dropFirst("trait:".count)) }.sorted()
        }
        return (named("required"), named("forbidden"))
    }
}

/// A reason for a host not to be chosen.
struct HostFilter: Sendable {
    let name: String
    let reason: String
    let admits: @Sendable (ComputeHost) -> Bool

    init(_ name: String, _ reason: String, _ admits: @escaping @Sendable (ComputeHost) -> Bool) {
        self.name = name
        self.reason = reason
        self.admits = admits
    }
}

/// A host with what is left of it while servers are handed out.
struct Room {
    let host: ComputeHost
    private var free: [String: Int] = [:]
    private let needs: [String: Int]

    init(host: ComputeHost, candidate: PlacementClient.Candidate, needs: [String: Int]) {
        self.host = host
        self.needs = needs
        for name in needs.keys { free[name] = candidate.free(name) }
    }

    var fits: Bool { needs.allSatisfy { free[$0.key, default: 0] >= $0.value } }
    /// Upstream's default weigher that matters most: memory left (`ram_weight_multiplier` 1).
    var weight: Int { free["MEMORY_MB", default: 0] }
    mutating func take() { for (name, amount) in needs { free[name, default: 0] -= amount } }
}

/// Rooms by weight, the heaviest first; ties by name, so that a decision can be repeated.
struct RoomHeap {
    private var rooms: [Room] = []

    init(_ rooms: [Room]) {
        for room in rooms where room.fits { push(room) }
    }

    private static func isBefore(_ left: Room, _ right: Room) -> Bool {
        left.weight != right.weight ? left.weight > right.weight : left.host.name < right.host.name
    }

    mutating func push(_ room: Room) {
        rooms.append(room)
        var at = rooms.count - 1
        while at > 0, RoomHeap.isBefore(rooms[at], rooms[(at - 1) / 2]) {
            rooms.swapAt(at, (at - 1) / 2)
            at = (at - 1) / 2
        }
    }

    mutating func pop() -> Room? {
        guard let first = rooms.first else { return nil }
        let last = rooms.removeLast()
        guard !rooms.isEmpty else { return first }
        rooms[0] = last
        var at = 0
        while true {
            var best = at
            for child in [2 * at + 1, 2 * at + 2]
            where child < rooms.count && RoomHeap.isBefore(rooms[child], rooms[best]) {
                best = child
            }
            if best == at { return first }
            rooms.swapAt(at, best)
            at = best
        }
    }
}
