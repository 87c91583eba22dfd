// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Compares what must agree: servers, their guests, what Placement holds for them, and what hosts have. It looks twice
/// at what it finds, because much of it is only under way.
package struct Auditor: Sendable {
    /// What may have come apart.
    package enum Kind: String, Sendable, CaseIterable {
        case allocationWithoutServer = "allocation_without_server"
        case serverWithoutAllocation = "server_without_allocation"
        case wrongAmounts = "wrong_amounts"
        case wrongInventory = "wrong_inventory"
        case providerWithoutHost = "provider_without_host"
        case hostWithoutProvider = "host_without_provider"
        case unknownGuest = "unknown_guest"
        case guestElsewhere = "guest_elsewhere"
        case guestMissing = "guest_missing"
    }

    /// One thing that does not agree with the rest.
    package struct Drift: Sendable, Hashable {
        package let kind: Kind
        /// The server's, consumer's or provider's id.
        package let subject: String
        package let host: String
        package let detail: String
        /// What mending would do; empty when that is for a person to decide.
        package let remedy: String
    }

    let room: ComputeService
    let requestID: String

    package init(_ room: ComputeService) {
        self.room = room
        requestID = "req-" + room.ids.uuid()
    }

    /// Audits now and then until cancelled, and keeps the numbers for whoever watches.
    package func run(_ metrics: Metrics, interval: Duration = .seconds(600)) async {
        let gauges = Kind.allCases.map {
            ($0, metrics.gauge("apus_audit_drift", "What does not agree, as last audited.", ["kind": $0.rawValue]))
        }
        await room.clock.every(interval, waitsFirst: true) {
            do throws(Fault) {
                let found = try await audit()
                for (kind, gauge) in gauges { gauge.set(Double(found.count { $0.kind == kind })) }
                for drift in found {
                    room.log.warning(
                        "drift", ["kind": drift.kind.rawValue, "subject": drift.subject, "detail": drift.detail])
                }
            } catch {
                room.log.error("the audit failed", ["error": error.description])
            }
        }
    }

    /// What does not agree, found in two looks: what only one of them saw was work under way.
    package func audit() async throws(Fault) -> [Drift] {
        let first = try await look()
        guard !first.isEmpty else { return [] }
        let again = Set(try await look())
        return first.filter(again.contains)
    }

    private func look() async throws(Fault) -> [Drift] {
        let hosts = try await room.database.all(ComputeHost.self, "deleted_at IS NULL ORDER BY name")
        let servers = try await room.database.all(Server.self, "deleted_at IS NULL")
        let busy = try await room.database.rows(
            "SELECT subject FROM \(raw: OperationRecord.table) WHERE " + OperationRecord.unfinished)
        let migrations = try await room.database.all(
            ServerMigration.self, "status NOT IN \(ServerMigration.Status.closed.map(\.rawValue)) ORDER BY number")
        let providers = try await room.placement.providers(requestID: requestID)
        let facts = AuditFacts(
            hosts: hosts, parts: hosts.reduce(into: [:]) { $0[$1.name] = HostParts($1, room.options.pci) },
            servers: servers, migrations: migrations, busy: Set(busy.compactMap { $0.text("subject") }),
            providers: providers,
            names: providers.reduce(into: [:]) { $0[$1.value.root, default: [:]][$1.key] = $1.value.name })
        var found = try await guests(facts)
        let roots = Set(hosts.map(\.id))
        var held: [String: PlacementClient.Way] = [:]
        var taken: Set<String> = []
        for (id, provider) in facts.providers.sorted(by: { $0.key < $1.key }) where roots.contains(provider.root) {
            for (consumer, amounts) in try await room.placement.allocations(on: id, requestID: requestID) {
                held[consumer, default: [:]][id] = amounts
                taken.insert(id)
            }
        }
        let inventories = try await HostReporter(room).inventories(of: hosts)
        for host in hosts {
            guard facts.providers[host.id] != nil else {
                found.append(
                    Drift(
                        kind: .hostWithoutProvider, subject: host.id, host: host.name,
                        detail: "Placement does not know the host", remedy: "report the host again"))
                continue
            }
            found += try await inventory(host, inventories[host.id] ?? [:], facts, taken)
        }
        found += allocations(facts, held)
        return found + (try await strangers(facts, roots))
    }
}

/// What one look works with.
struct AuditFacts: Sendable {
    let hosts: [ComputeHost]
    /// By host: what Placement counts of it apart.
    let parts: [String: HostParts]
    let servers: [Server]
    /// Those that are not over: each holds what its server had.
    let migrations: [ServerMigration]
    /// What operations are at work on.
    let busy: Set<String>
    let providers: [String: PlacementClient.Provider]
    /// By root of a tree: what its providers are called.
    let names: [String: [String: String]]

    /// Whether anything is being done to a server, so that its books are not closed.
    func isMoving(_ server: Server) -> Bool {
        server.taskState != nil || server.vmState == .building || busy.contains(server.id)
            || busy.contains(server.reservationID)
    }
}

// MARK: - What is compared

extension Auditor {
    private func allocations(_ facts: AuditFacts, _ held: [String: PlacementClient.Way]) -> [Drift] {
        var found: [Drift] = []
        let byID = Dictionary(facts.servers.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let moving = Set(facts.migrations.map(\.id))
        for (consumer, way) in held.sorted(by: { $0.key < $1.key })
        where byID[consumer] == nil && !moving.contains(consumer) {
            guard !facts.busy.contains(consumer) else { continue }
            found.append(
                Drift(
                    kind: .allocationWithoutServer, subject: consumer, host: name(of: way, facts),
                    detail: "holds \(Auditor.text(Auditor.sums(way)))", remedy: "give the allocation back"))
        }
        for server in facts.servers where !facts.isMoving(server) {
            guard let host = server.host, let parts = facts.parts[host] else { continue }
            let wanted = Takes(server, server.flavor, server.hostDevices, of: parts)
            found += compare(held[server.id], wanted, of: server.id, facts)
        }
        for migration in facts.migrations where migration.status == .finished {
            guard let server = byID[migration.serverID], !facts.isMoving(server),
                let parts = facts.parts[migration.source]
            else { continue }
            let wanted = Takes(server, migration.oldFlavor, migration.oldDevices, of: parts)
            found += compare(held[migration.id], wanted, of: migration.id, facts)
        }
        return found
    }

    /// What a consumer holds against what it takes.
    private func compare(
        _ way: PlacementClient.Way?, _ wanted: Takes, of consumer: String, _ facts: AuditFacts
    ) -> [Drift] {
        let host = wanted.host.name
        guard let way else {
            return [
                Drift(
                    kind: .serverWithoutAllocation, subject: consumer, host: host,
                    detail: "takes \(Auditor.text(wanted.amounts)), and Placement holds nothing for it",
                    remedy: "claim that on \(host)")
            ]
        }
        let roots = Set(way.keys.map { facts.providers[$0]?.root ?? $0 })
        // What ports take beside is theirs to ask for.
        let own = Auditor.sums(way).filter { !ResourceRequest.isPorts($0.key) }
        let isInPlace = roots == [wanted.host.id] && wanted.counted.share(of: way) == wanted.parts
        guard own != wanted.amounts || !isInPlace else { return [] }
        let cards = wanted.parts.keys.map { facts.providers[$0]?.name ?? $0 }.sorted()
        return [
            Drift(
                kind: .wrongAmounts, subject: consumer, host: host,
                detail: "takes \(Auditor.text(wanted.amounts)) on \(([host] + cards).joined(separator: ", ")), "
                    + "Placement holds \(Auditor.text(Auditor.sums(way))) on \(name(of: way, facts))",
                remedy: "hold what it takes, on \(host)")
        ]
    }

    private func inventory(
        _ host: ComputeHost, _ wanted: [String: PlacementClient.Stock], _ facts: AuditFacts, _ taken: Set<String>
    ) async throws(Fault) -> [Drift] {
        let current = try await room.placement.inventory(of: host.id, requestID: requestID)
        var parts: [String] = []
        for (name, amounts) in wanted.sorted(by: { $0.key < $1.key }) {
            let known = current[name]
            let isSame =
                known?.total == amounts.total && known?.reserved == amounts.reserved
                && (amounts.ratio == nil || known?.ratio == amounts.ratio)
            if !isSame {
                parts.append(
                    "\(name) is \(amounts.total) (\(amounts.reserved) reserved), Placement says "
                        + "\(known.map { "\($0.total) (\($0.reserved) reserved)" } ?? "nothing")")
            }
        }
        if let counted = facts.parts[host.name] { parts += try await partsDrift(counted, facts, taken) }
        guard !parts.isEmpty else { return [] }
        return [
            Drift(
                kind: .wrongInventory, subject: host.id, host: host.name, detail: parts.joined(separator: "; "),
                remedy: "report the host again")
        ]
    }

    /// Providers that look like hosts, and are none of this cloud's.
    private func strangers(_ facts: AuditFacts, _ roots: Set<String>) async throws(Fault) -> [Drift] {
        var found: [Drift] = []
        for (id, provider) in facts.providers.sorted(by: { $0.key < $1.key })
        where provider.root == id && !roots.contains(id) {
            let inventory = try await room.placement.inventory(of: id, requestID: requestID)
            guard inventory["VCPU"] != nil, inventory["MEMORY_MB"] != nil else { continue }
            let held = try await room.placement.allocations(on: id, requestID: requestID)
            found.append(
                Drift(
                    kind: .providerWithoutHost, subject: id, host: provider.name,
                    detail: "no compute host has this id"
                        + (held.isEmpty ? "" : "; \(held.count) consumers hold of it"),
                    remedy: held.isEmpty ? "delete the provider" : ""))
        }
        return found
    }

    private func guests(_ facts: AuditFacts) async throws(Fault) -> [Drift] {
        var found: [Drift] = []
        let byHost = Dictionary(grouping: facts.servers) { $0.host ?? "" }
        let known = Set(facts.servers.map(\.id))
        for name in room.hosts.names {
            // A host that does not answer has no drift that anybody could see.
            guard let guests = try? await room.hosts.find(name).guests() else { continue }
            for id in guests.keys.sorted() where !known.contains(id) && !facts.busy.contains(id) {
                found.append(
                    Drift(
                        kind: .unknownGuest, subject: id, host: name,
                        detail: "a guest that no server is known for; it is left alone", remedy: ""))
            }
            let movers = Set(facts.migrations.map(\.serverID))
            for server in facts.servers where server.host != name && guests[server.id] != nil {
                guard !facts.isMoving(server), !movers.contains(server.id) else { continue }
                found.append(
                    Drift(
                        kind: .guestElsewhere, subject: server.id, host: name,
                        detail: "\(server.name) is on \(server.host ?? "no host"), and this host has a guest of it",
                        remedy: "remove it if a move has left it"))
            }
            for server in byHost[name] ?? [] where !facts.isMoving(server) && guests[server.id] == nil {
                guard ![.error, .shelvedOffloaded].contains(server.vmState) else { continue }
                found.append(
                    Drift(
                        kind: .guestMissing, subject: server.id, host: name,
                        detail: "\(server.name) is \(server.status), and the host has no such guest", remedy: ""))
            }
        }
        return found
    }

    private func name(of way: PlacementClient.Way, _ facts: AuditFacts) -> String {
        way.keys.map { facts.providers[$0]?.name ?? $0 }.sorted().joined(separator: ", ")
    }

    static func sums(_ way: PlacementClient.Way) -> [String: Int] {
        way.values.reduce(into: [:]) { $0.merge($1) { $0 + $1 } }
    }

    private static func text(_ amounts: [String: Int]) -> String {
        amounts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    }
}

// MARK: - Mending

extension Auditor {
    /// Mends what can be mended without asking anybody; answers what it did, each with what came of it.
    package func mend(_ drifts: [Drift]) async -> [(drift: Drift, outcome: String)] {
        var done: [(drift: Drift, outcome: String)] = []
        for drift in drifts where !drift.remedy.isEmpty {
            do throws(Fault) {
                try await mend(drift)
                room.log.info("drift mended", ["kind": drift.kind.rawValue, "subject": drift.subject])
                done.append((drift, "done"))
            } catch {
                done.append((drift, "failed: " + error.message))
            }
        }
        return done
    }

    private func mend(_ drift: Drift) async throws(Fault) {
        switch drift.kind {
        case .allocationWithoutServer: try await room.placement.release(drift.subject, requestID: requestID)
        case .serverWithoutAllocation, .wrongAmounts: try await hold(drift.subject)
        case .wrongInventory, .hostWithoutProvider:
            guard let host = try await room.database.first(ComputeHost.self, "id = \(drift.subject)") else { return }
            try await HostReporter(room).publish(host)
        case .providerWithoutHost: try await room.placement.deleteTree(drift.subject, requestID: requestID)
        case .guestElsewhere: try await MoveKeeper(room).clean(drift.host)
        case .unknownGuest, .guestMissing: return
        }
    }

    /// Makes Placement hold for a server what it takes, where it is.
    private func hold(_ id: String) async throws(Fault) {
        let migration = try await room.database.first(ServerMigration.self, "id = \(id) AND status = 'finished'")
        let serverID = migration?.serverID ?? id
        let server = try await room.database.one(
            Server.self, "id = \(serverID) AND deleted_at IS NULL AND task_state IS NULL",
            or: .serverNotFound(serverID))
        let host = try await room.database.one(
            ComputeHost.self, "name = \(migration?.source ?? server.host ?? "") AND deleted_at IS NULL",
            or: .conflict("Instance \(id) has no host."))
        let wanted = Takes(
            server, migration?.oldFlavor ?? server.flavor, migration?.oldDevices ?? server.hostDevices,
            of: HostParts(host, room.options.pci))
        let now = try await room.placement.holding(id, requestID: requestID)
        var allocations = try wanted.way
        for (provider, amounts) in now?.allocations ?? [:] where provider != host.id {
            let ports = amounts.filter { ResourceRequest.isPorts($0.key) }
            if !ports.isEmpty { allocations[provider] = ports }
        }
        try await room.placement.claim(
            [
                PlacementClient.Claim(
                    consumer: id, allocations: allocations, project: server.projectID, user: server.userID,
                    generation: now?.generation)
            ], requestID: requestID)
    }
}
