// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What servers hold of their hosts' cells and devices, read from their rows and from those of moves that are not over,
/// and how one more gets its part: inside the transaction that gives it the host, so that nothing is given twice.
enum HardwareBooks {
    /// What a server needs; nil when it needs nothing that must be booked.
    struct Need: Sendable {
        let numa: GuestNUMA?
        let requests: [PCIRequest]

        init?(
            _ flavor: FlavorSnapshot, image: [String: String], cards: [PCIRequest] = [], _ options: PCIOptions
        ) throws(Fault) {
            let wishes = GuestWishes(
                vcpus: flavor.vcpus, memoryMiB: flavor.memoryMiB, flavorName: flavor.name,
                extraSpecs: flavor.extraSpecs, properties: image)
            numa = try GuestNUMA(wishes)
            requests = try PCIRequest.all(flavor.extraSpecs, options) + cards
            if numa == nil, requests.isEmpty { return nil }
        }
    }

    /// What is held, by host.
    static func holdings(_ database: Database) async throws(Fault) -> [String: [HardwareLeft.Holding]] {
        var books = Books()
        books.read(servers: try await database.rows(servers(on: nil)))
        books.read(moves: try await database.rows(moves(on: nil)))
        return books.held
    }

    /// Gives a server its part of a host by what its row asks for and what Placement gave it, and writes it there.
    /// - Throws: 409 when it does not fit any more.
    static func admit(
        _ server: String, on host: ComputeHost, _ way: PlacementClient.Way, _ options: ComputeOptions,
        _ transaction: Transaction
    ) throws(Fault) {
        let row = try transaction.one(Server.self, "id = \(server)", or: .serverNotFound(server))
        let found = try find(row, row.flavor, host, way, besides: server, options, transaction)
        // A flavor that needed something may have been left for one that does not.
        guard !found.isEmpty || row.numa != nil || !row.hostDevices.isEmpty else { return }
        let (numa, devices) = (try text(found.numa), try text(found.devices) ?? "[]")
        _ = try transaction.update(
            Server.self, set: "numa = \(numa), host_devices = \(devices)", where: "id = \(server)")
    }

    /// Sets a server's part of the host aside that it moves to. The migration's row holds it, and beside it what the
    /// server has now: both are taken until the move is over.
    /// - Throws: 409 when it does not fit any more.
    static func book(
        _ migration: ServerMigration, on host: ComputeHost, _ way: PlacementClient.Way, _ options: ComputeOptions,
        _ transaction: Transaction
    ) throws(Fault) {
        let row = try transaction.one(
            Server.self, "id = \(migration.serverID)", or: .serverNotFound(migration.serverID))
        let found = try find(row, migration.newFlavor, host, way, besides: nil, options, transaction)
        if migration.kind == .live {
            let source = try transaction.first(ComputeHost.self, "name = \(migration.source) AND deleted_at IS NULL")
            try PartsTravel(row, from: source, to: host).check(row.hostDevices, found.devices)
        }
        let (old, oldDevices) = (try text(row.numa), try text(row.hostDevices) ?? "[]")
        let (new, newDevices) = (try text(found.numa), try text(found.devices) ?? "[]")
        _ = try transaction.update(
            ServerMigration.self,
            set: """
                old_numa = \(old), old_devices = \(oldDevices), new_numa = \(new), new_devices = \(newDevices)
                """,
            where: "id = \(migration.id)")
    }

    /// The first of some ways to take of a host that has what a server needs there.
    static func first(
        of ways: [PlacementClient.Way], for migration: ServerMigration, on host: ComputeHost,
        _ options: ComputeOptions, _ transaction: Transaction
    ) throws(Fault) -> PlacementClient.Way? {
        let row = try transaction.one(
            Server.self, "id = \(migration.serverID)", or: .serverNotFound(migration.serverID))
        let need = try Need(
            migration.newFlavor, image: row.imageProperties, cards: PCIRequest.cards(of: row), options.pci)
        let left = try left(of: host, besides: nil, options, transaction)
        let source = try transaction.first(ComputeHost.self, "name = \(migration.source) AND deleted_at IS NULL")
        let (parts, travel) = (HostParts(host, options.pci), PartsTravel(row, from: source, to: host))
        return ways.first { way in
            guard let found = left.fit(need?.numa, need?.requests ?? [], within: parts.limits(way)) else {
                return false
            }
            return migration.kind != .live || (try? travel.check(row.hostDevices, found.devices)) != nil
        }
    }

    private static func find(
        _ server: Server, _ flavor: FlavorSnapshot, _ host: ComputeHost, _ way: PlacementClient.Way, besides: String?,
        _ options: ComputeOptions, _ transaction: Transaction
    ) throws(Fault) -> HardwareLeft.Holding {
        let need = try Need(
            flavor, image: server.imageProperties, cards: PCIRequest.cards(of: server), options.pci)
        let limits = HostParts(host, options.pci).limits(way)
        guard need != nil || !limits.isEmpty else { return HardwareLeft.Holding() }
        let left = try left(of: host, besides: besides, options, transaction)
        guard let holding = left.fit(need?.numa, need?.requests ?? [], within: limits) else {
            throw .conflict(
                "Host \(host.name) has no room left for the cells or devices that server \(server.id) needs.")
        }
        return holding
    }

    /// Gives a server one device more of the host where it is, for a port that is to be its card.
    static func attach(
        _ card: PCIRequest, to server: Server, on host: ComputeHost, _ options: ComputeOptions,
        _ transaction: Transaction
    ) throws(Fault) -> HostDevice {
        let left = try left(of: host, besides: nil, options, transaction)
        let cells = Set((server.numa?.cells ?? []).compactMap(\.hostCell))
        guard let device = DeviceChoice([card], near: cells, within: nil).choose(of: left.devices)?.first else {
            throw .badRequest("Failed to claim PCI device for \(server.id) during interface attach")
        }
        return device
    }

    /// What is left of a host.
    static func left(
        of host: ComputeHost, besides: String?, _ options: ComputeOptions, _ transaction: Transaction
    ) throws(Fault) -> HardwareLeft {
        var books = Books()
        books.read(servers: try transaction.rows(servers(on: host.name)), besides: besides)
        books.read(moves: try transaction.rows(moves(on: host.name)), only: host.name)
        var left = HardwareLeft(host.resources, holdings: books.held[host.name] ?? [])
        left.cpuRatio = options.cpuRatio ?? options.initialCPURatio
        left.memoryRatio = options.memoryRatio ?? options.initialMemoryRatio
        return left
    }

    /// What a column of devices says.
    static func devices(_ text: String?) -> [HostDevice] {
        guard let text else { return [] }
        return (try? JSON.decode([HostDevice].self, from: JSON.parse(text, limits: .trusted))) ?? []
    }

    /// A column's text; nil of nothing.
    static func text<Value: Encodable>(_ value: Value?) throws(Fault) -> String? {
        guard let value else { return nil }
        do { return try JSON.encode(value).text() } catch {
            throw .internalError("what a server holds of its host cannot be stored: \(error)")
        }
    }
}

// MARK: - Reading

extension HardwareBooks {
    private static func servers(on host: String?) -> SQL {
        """
        SELECT id, host, numa, host_devices FROM compute_servers
        WHERE deleted_at IS NULL AND host IS NOT NULL AND (numa IS NOT NULL OR host_devices <> '[]')
        """ + (host.map { " AND host = \($0)" } ?? "")
    }

    private static func moves(on host: String?) -> SQL {
        """
        SELECT m.server_id, m.status, m.source, m.dest, m.old_numa, m.old_devices, m.new_numa, m.new_devices
        FROM compute_migrations m JOIN compute_servers s ON s.id = m.server_id
        WHERE s.deleted_at IS NULL AND m.dest IS NOT NULL
        AND m.status NOT IN \(ServerMigration.Status.closed.map(\.rawValue))
        AND (m.old_numa IS NOT NULL OR m.old_devices <> '[]' OR m.new_numa IS NOT NULL OR m.new_devices <> '[]')
        """ + (host.map { " AND (m.source = \($0) OR m.dest = \($0))" } ?? "")
    }

    /// What is held, each thing once though a server's row and its move may both tell of it.
    private struct Books {
        var held: [String: [HardwareLeft.Holding]] = [:]
        private var known: [String: Set<HardwareLeft.Holding>] = [:]

        mutating func read(servers rows: [Row], besides server: String? = nil) {
            for row in rows where row.text("id") != server {
                add(row.text("id"), row.text("host"), row.text("numa"), row.text("host_devices"))
            }
        }

        mutating func read(moves rows: [Row], only host: String? = nil) {
            for row in rows {
                let (server, status) = (row.text("server_id"), row.text("status"))
                if host == nil || row.text("source") == host {
                    add(server, row.text("source"), row.text("old_numa"), row.text("old_devices"))
                }
                // After an evacuation the server may have gone on from where it went.
                guard status != ServerMigration.Status.done.rawValue, host == nil || row.text("dest") == host else {
                    continue
                }
                add(server, row.text("dest"), row.text("new_numa"), row.text("new_devices"))
            }
        }

        private mutating func add(_ server: String?, _ host: String?, _ numa: String?, _ devices: String?) {
            guard let server, let host else { return }
            var holding = HardwareLeft.Holding()
            if let numa { holding.numa = try? JSON.decode(GuestNUMA.self, from: JSON.parse(numa, limits: .trusted)) }
            holding.devices = HardwareBooks.devices(devices)
            guard !holding.isEmpty, known["\(server) \(host)", default: []].insert(holding).inserted else { return }
            held[host, default: []].append(holding)
        }
    }
}
