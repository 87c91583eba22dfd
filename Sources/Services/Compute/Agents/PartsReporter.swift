// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Tells Placement of the parts of hosts that it counts apart (`HostParts`): what there is of each, and what servers
/// have of it where their rows say so and Placement does not: servers that are older than the part's provider.
struct PartsReporter {
    private let room: ComputeService
    private let requestID: String
    private var placement: PlacementClient { room.placement }

    init(_ room: ComputeService, requestID: String) { (self.room, self.requestID) = (room, requestID) }

    init(_ site: ComputeSite) { self.init(site.room, requestID: site.requestID) }

    /// Whether nothing is left to be done later: what is held of a part that is no more keeps it until it is let go of.
    func publish(_ parts: HostParts) async throws(Fault) -> Bool {
        let host = parts.host
        if let mistake = parts.mistake {
            throw .internalError(
                "\(mistake) Mend [pci]device_spec on \(host.name); until then Placement keeps what it knew of its "
                    + "devices.")
        }
        let names = try await placement.children(of: host.id, requestID: requestID)
        let known = names.filter { parts.isOurs($0.key, $0.value) }
        guard !known.isEmpty || !parts.all.isEmpty else { return true }
        try refuseToForget(known, host)
        for part in parts.all where known[part.id] == nil {
            try await placement.ensureProvider(part.id, name: part.name, under: host.id, requestID: requestID)
        }
        try await placement.defineClasses(Set(parts.all.map(\.resourceClass)), requestID: requestID)
        try await placement.defineTraits(parts.all.reduce(into: []) { $0.formUnion($1.traits) }, requestID: requestID)
        try await reshape(parts)
        for part in parts.all {
            // What is held stays held, though there may be less of it by now.
            let used = try await placement.allocations(on: part.id, requestID: requestID).values
                .reduce(0) { $0 + ($1[part.resourceClass] ?? 0) }
            try await placement.setTotal(
                of: part.id, part.resourceClass, max(part.total, used), requestID: requestID)
            // Traits of cards may be the operator's as well.
            try await placement.setTraits(
                part.id, part.traits, isOwn: { !part.isMediated || $0 == HostTraits.owner }, requestID: requestID)
        }
        return try await remove(Set(known.keys).subtracting(parts.all.map(\.id)))
    }

    /// Upstream's rule: what Placement was told of devices cannot be left to itself.
    private func refuseToForget(_ known: [String: String], _ host: ComputeHost) throws(Fault) {
        guard !room.options.pci.reportsInPlacement else { return }
        guard known.values.contains(where: { !$0.hasPrefix(host.name + "_pci_") && $0.contains(":") }) else { return }
        throw .internalError(
            "Failed to gather or report PCI resources to Placement: The [pci]report_in_placement is False but it was "
                + "enabled before on this compute. Nova does not support disabling it after it is enabled.")
    }

    /// Parts that are no more, unless somebody has of them still; whether all are gone.
    private func remove(_ gone: Set<String>) async throws(Fault) -> Bool {
        var isDone = true
        for id in gone.sorted() {
            var sums: [String: Int] = [:]
            for amounts in try await placement.allocations(on: id, requestID: requestID).values {
                sums.merge(amounts) { $0 + $1 }
            }
            guard let (name, used) = sums.first(where: { $0.value > 0 }) else {
                try await placement.deleteProvider(id, requestID: requestID)
                continue
            }
            try await placement.setTotal(of: id, name, used, requestID: requestID)
            isDone = false
        }
        return isDone
    }
}

// MARK: - From the host to its parts

extension PartsReporter {
    /// Parts of cards were the host's own once. What servers hold of it becomes the card's that their parts are of, in
    /// one transaction with the inventories.
    private func reshape(_ parts: HostParts) async throws(Fault) {
        let (host, name) = (parts.host, MediatedSource.resourceClass)
        let cards = parts.all.filter { $0.isMediated && $0.resourceClass == name }
        guard !cards.isEmpty,
            try await placement.inventory(of: host.id, requestID: requestID)[name] != nil
        else { return }
        var left: [String: Int] = [:]
        for card in cards {
            let held = try await placement.allocations(on: card.id, requestID: requestID)
            left[card.id] = card.total - held.values.reduce(0) { $0 + ($1[name] ?? 0) }
        }
        var claims: [PlacementClient.Claim] = []
        var open: [(claim: PlacementClient.Claim, amount: Int)] = []
        // First those whose parts are known, then whoever has lost track of theirs, so that nobody is in their way.
        for consumer in try await placement.allocations(on: host.id, requestID: requestID).keys.sorted() {
            guard let claim = try await placement.holding(consumer, requestID: requestID),
                let amount = claim.allocations[host.id]?[name], amount > 0
            else { continue }
            let way = parts.way(of: try await devices(of: consumer, on: host.name)).filter { left[$0.key] != nil }
            var (allocations, rest) = (claim.allocations, amount)
            allocations[host.id]?[name] = nil
            for (card, amounts) in way.sorted(by: { $0.key < $1.key }) {
                let taken = min(rest, amounts[name] ?? 0)
                guard taken > 0 else { continue }
                allocations[card, default: [:]][name, default: 0] += taken
                left[card, default: 0] -= taken
                rest -= taken
            }
            open.append((claim.taking(allocations), rest))
        }
        for (claim, amount) in open {
            var (allocations, rest) = (claim.allocations, amount)
            for card in cards.map(\.id).sorted() where rest > 0 {
                let taken = min(rest, max(0, left[card] ?? 0))
                guard taken > 0 else { continue }
                allocations[card, default: [:]][name, default: 0] += taken
                left[card, default: 0] -= taken
                rest -= taken
            }
            guard rest == 0 else {
                throw .internalError(
                    "Resource provider tree reshape failed: Unexpected \(name) resource allocation on provider "
                        + "\(host.id) for consumer \(claim.consumer): no card of the host has room for \(rest) of it.")
            }
            claims.append(claim.taking(allocations.filter { !$0.value.isEmpty }))
        }
        let totals = Dictionary(uniqueKeysWithValues: cards.map { ($0.id, $0.total) })
        try await placement.move(name, from: host.id, to: totals, claims, requestID: requestID)
    }

    /// What a server or a migration has of a host.
    private func devices(of consumer: String, on host: String) async throws(Fault) -> [HostDevice] {
        if let migration = try await room.database.first(ServerMigration.self, "id = \(consumer)") {
            return migration.source == host ? migration.oldDevices : []
        }
        if let move = try await arriving(consumer), move.dest == host { return move.newDevices }
        let server = try await room.database.first(Server.self, "id = \(consumer) AND deleted_at IS NULL")
        return server?.host == host ? server?.hostDevices ?? [] : []
    }

    /// The move that a server is on.
    private func arriving(_ server: String) async throws(Fault) -> ServerMigration? {
        try await room.database.all(ServerMigration.self, ServerMigration.open(server)).last {
            $0.dest != nil && $0.status != .finished && $0.status != .done
        }
    }
}

extension PlacementClient.Claim {
    /// Another claim in the same name.
    func taking(_ allocations: PlacementClient.Way) -> PlacementClient.Claim {
        PlacementClient.Claim(
            consumer: consumer, allocations: allocations, project: project, user: user, generation: generation)
    }
}

// MARK: - What servers have

extension PartsReporter {
    /// By host and consumer: what is held of the host's parts.
    typealias Held = [String: [String: PlacementClient.Way]]

    /// What servers that rest, and moves that wait, have of the parts of their hosts.
    /// - Parameter consumer: the only one that is asked about.
    func held(by hosts: [HostParts], only consumer: String? = nil) async throws(Fault) -> Held {
        let parts = Dictionary(
            hosts.filter { !$0.all.isEmpty }.map { ($0.host.name, $0) }, uniquingKeysWith: { first, _ in first })
        guard !parts.isEmpty else { return [:] }
        let names = parts.keys.sorted()
        func of(_ column: SQL) -> SQL {
            let hosts: SQL = names.count <= 100 ? " AND \(sql: column) IN \(names)" : ""
            return hosts + (consumer.map { " AND id = \($0)" } ?? "")
        }
        // Of rows that are read this often, only what is needed.
        let servers = try await room.database.rows(
            """
            SELECT id, host, host_devices FROM compute_servers
            WHERE deleted_at IS NULL AND host_devices <> '[]' AND task_state IS NULL AND vm_state <> 'building'
            """ + of("host"))
        let waiting = try await room.database.rows(
            """
            SELECT id, source, old_devices FROM compute_migrations WHERE status = 'finished' AND old_devices <> '[]'
            """ + of("source"))
        var held: Held = [:]
        for row in servers + waiting {
            guard let consumer = row[0].text, let host = row[1].text, let parts = parts[host] else { continue }
            let way = parts.way(of: HardwareBooks.devices(row[2].text))
            if !way.isEmpty { held[host, default: [:]][consumer] = way }
        }
        return held
    }

    /// Makes Placement hold for consumers what they have of a host's parts; whether it does now. Who holds nothing at
    /// all is left to whoever is at work on it.
    func heal(_ wanted: [String: PlacementClient.Way], of parts: HostParts) async -> Bool {
        var isDone = true
        for (consumer, way) in wanted.sorted(by: { $0.key < $1.key }) {
            do throws(Fault) {
                guard let claim = try await self.claim(way, for: consumer, parts) else { continue }
                guard try await held(by: [parts], only: consumer)[parts.host.name]?[consumer] == way else {
                    isDone = false
                    continue
                }
                try await placement.claim([claim], requestID: requestID)
            } catch {
                isDone = false
                room.log.warning(
                    "Placement does not hold a server's devices", ["consumer": consumer, "error": error.message])
            }
        }
        return isDone
    }

    /// What a consumer that holds of a host is to hold instead; nil when it holds that.
    private func claim(
        _ way: PlacementClient.Way, for consumer: String, _ parts: HostParts
    ) async throws(Fault) -> PlacementClient.Claim? {
        guard let claim = try await placement.holding(consumer, requestID: requestID),
            claim.allocations[parts.host.id] != nil
        else { return nil }
        let wanted = parts.rest(of: claim.allocations).merging(way, uniquingKeysWith: { $1 })
        return wanted == claim.allocations ? nil : claim.taking(wanted)
    }

    /// Where Placement is told of devices and not asked for them: it is told which ones servers were given.
    func hold(_ servers: [String]) async throws(Fault) {
        let options = room.options.pci
        guard options.reportsInPlacement, !options.isInPlacement, !servers.isEmpty else { return }
        var hosts: [String: HostParts] = [:]
        for server in try await room.database.all(Server.self, "id", in: servers, and: "deleted_at IS NULL") {
            let move = try await arriving(server.id)
            guard let name = move?.dest ?? server.host else { continue }
            if hosts[name] == nil {
                let host = try await room.database.first(ComputeHost.self, "name = \(name) AND deleted_at IS NULL")
                hosts[name] = host.map { HostParts($0, options) }
            }
            guard let parts = hosts[name] else { continue }
            let way = parts.way(of: move?.newDevices ?? server.hostDevices)
            guard let claim = try await self.claim(way, for: server.id, parts) else { continue }
            try await placement.claim([claim], requestID: requestID)
        }
    }
}
