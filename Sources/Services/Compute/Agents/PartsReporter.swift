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

    /// - Parameter before: what the host had when Placement was last told.
    func publish(_ host: ComputeHost, before: HostResources) async throws(Fault) {
        let parts = HostParts(host, room.options.pci)
        guard host.resources.hasDevices || before.hasDevices else { return }
        if let mistake = parts.mistake { throw .internalError(mistake) }
        let names = try await placement.children(of: host.id, requestID: requestID)
        let known = names.filter { parts.isOurs($0.key, $0.value) }
        try refuseToForget(known, parts, host)
        for part in parts.all where known[part.id] == nil {
            try await placement.ensureProvider(part.id, name: part.name, under: host.id, requestID: requestID)
        }
        try await placement.defineClasses(Set(parts.all.map(\.resourceClass)), requestID: requestID)
        try await placement.defineTraits(parts.all.reduce(into: []) { $0.formUnion($1.traits) }, requestID: requestID)
        try await reshape(host, parts)
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
        try await remove(Set(known.keys).subtracting(parts.all.map(\.id)))
    }

    /// Upstream's rule: what Placement was told of devices cannot be left to itself.
    private func refuseToForget(_ known: [String: String], _ parts: HostParts, _ host: ComputeHost) throws(Fault) {
        guard !room.options.pci.reportsInPlacement else { return }
        guard known.values.contains(where: { !$0.hasPrefix(host.name + "_pci_") && $0.contains(":") }) else { return }
        throw .internalError(
            "Failed to gather or report PCI resources to Placement: The [pci]report_in_placement is False but it was "
                + "enabled before on this compute. Nova does not support disabling it after it is enabled.")
    }

    /// Parts that are no more, unless somebody has of them still.
    private func remove(_ gone: Set<String>) async throws(Fault) {
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
        }
    }
}

extension HostResources {
    fileprivate var hasDevices: Bool { !(pciDevices ?? []).isEmpty || !(mediatedSources ?? []).isEmpty }
}

// MARK: - From the host to its parts

extension PartsReporter {
    /// Parts of cards were the host's own once. What servers hold of it becomes the card's that their parts are of, in
    /// one transaction with the inventories.
    private func reshape(_ host: ComputeHost, _ parts: HostParts) async throws(Fault) {
        let name = MediatedSource.resourceClass
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
    /// What servers that rest, and moves that wait, have of the parts of their hosts: by host and consumer.
    func held(by hosts: [ComputeHost]) async throws(Fault) -> [String: [String: PlacementClient.Way]] {
        let all = hosts.map { ($0.name, HostParts($0, room.options.pci)) }.filter { !$0.1.all.isEmpty }
        guard !all.isEmpty else { return [:] }
        let parts = Dictionary(all, uniquingKeysWith: { first, _ in first })
        var held: [String: [String: PlacementClient.Way]] = [:]
        func add(_ consumer: String, _ host: String?, _ devices: [HostDevice]) {
            guard let host, let way = parts[host]?.way(of: devices), !way.isEmpty else { return }
            held[host, default: [:]][consumer] = way
        }
        let servers = try await room.database.all(
            Server.self,
            """
            deleted_at IS NULL AND host IS NOT NULL AND host_devices <> '[]' AND task_state IS NULL
            AND vm_state <> 'building'
            """)
        for server in servers { add(server.id, server.host, server.hostDevices) }
        let waiting = try await room.database.all(
            ServerMigration.self, "status = 'finished' AND old_devices <> '[]'")
        for migration in waiting { add(migration.id, migration.source, migration.oldDevices) }
        return held
    }

    /// Makes Placement hold for consumers what they have of a host's parts. Who holds nothing at all is left to whoever
    /// is at work on it.
    func heal(_ wanted: [String: PlacementClient.Way], on host: ComputeHost) async {
        let parts = HostParts(host, room.options.pci)
        for (consumer, way) in wanted.sorted(by: { $0.key < $1.key }) {
            do throws(Fault) {
                guard let claim = try await self.claim(way, for: consumer, parts, host),
                    try await self.held(by: [host])[host.name]?[consumer] == way
                else { continue }
                try await placement.claim([claim], requestID: requestID)
            } catch {
                room.log.warning(
                    "Placement does not hold a server's devices", ["consumer": consumer, "error": error.message])
            }
        }
    }

    /// What a consumer that holds of a host is to hold instead; nil when it holds that.
    private func claim(
        _ way: PlacementClient.Way, for consumer: String, _ parts: HostParts, _ host: ComputeHost
    ) async throws(Fault) -> PlacementClient.Claim? {
        guard let claim = try await placement.holding(consumer, requestID: requestID),
            claim.allocations[host.id] != nil
        else { return nil }
        let wanted = parts.rest(of: claim.allocations).merging(way, uniquingKeysWith: { $1 })
        return wanted == claim.allocations ? nil : claim.taking(wanted)
    }

    /// Where Placement is told of devices and not asked for them: it is told which ones servers were given.
    func hold(_ servers: [String]) async throws(Fault) {
        let options = room.options.pci
        guard options.reportsInPlacement, !options.isInPlacement, !servers.isEmpty else { return }
        for server in try await room.database.all(Server.self, "id", in: servers, and: "deleted_at IS NULL") {
            let move = try await arriving(server.id)
            guard let name = move?.dest ?? server.host,
                let host = try await room.database.first(ComputeHost.self, "name = \(name) AND deleted_at IS NULL")
            else { continue }
            let parts = HostParts(host, options)
            let way = parts.way(of: move?.newDevices ?? server.hostDevices)
            guard let claim = try await self.claim(way, for: server.id, parts, host) else { continue }
            try await placement.claim([claim], requestID: requestID)
        }
    }
}
