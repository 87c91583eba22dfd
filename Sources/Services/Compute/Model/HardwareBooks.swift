// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What servers hold of their hosts' cells and devices, read from their rows, and how one more gets its part: inside
/// the transaction that gives it the host, so that nothing is given twice.
enum HardwareBooks {
    /// What a server needs; nil when it needs nothing that must be booked.
    struct Need: Sendable {
        let numa: GuestNUMA?
        let requests: [PCIRequest]

        init?(_ flavor: FlavorSnapshot, image: [String: String], _ options: PCIOptions) throws(Fault) {
            let wishes = GuestWishes(
                vcpus: flavor.vcpus, memoryMiB: flavor.memoryMiB, flavorName: flavor.name,
                extraSpecs: flavor.extraSpecs, properties: image)
            numa = try GuestNUMA(wishes)
            requests = try PCIRequest.all(flavor.extraSpecs, options)
            if numa == nil, requests.isEmpty { return nil }
        }
    }

    /// What is held, by host.
    static func holdings(_ database: Database) async throws(Fault) -> [String: [HardwareLeft.Holding]] {
        group(try await database.rows(query(nil)))
    }

    private static func query(_ host: String?) -> SQL {
        """
        SELECT id, host, numa, host_devices FROM compute_servers
        WHERE deleted_at IS NULL AND host IS NOT NULL AND (numa IS NOT NULL OR host_devices <> '[]')
        """ + (host.map { " AND host = \($0)" } ?? "")
    }

    private static func group(_ rows: [Row], besides server: String? = nil) -> [String: [HardwareLeft.Holding]] {
        var all: [String: [HardwareLeft.Holding]] = [:]
        for row in rows where row.text("id") != server {
            guard let host = row.text("host") else { continue }
            var holding = HardwareLeft.Holding()
            if let text = row.text("numa") {
                holding.numa = try? JSON.decode(GuestNUMA.self, from: JSON.parse(text, limits: .trusted))
            }
            if let text = row.text("host_devices") {
                holding.devices = (try? JSON.decode([HostDevice].self, from: JSON.parse(text, limits: .trusted))) ?? []
            }
            all[host, default: []].append(holding)
        }
        return all
    }

    /// Gives a server its part of a host by what its row asks for, and writes it there.
    /// - Throws: 409 when it does not fit any more.
    static func admit(
        _ server: String, on host: ComputeHost, _ options: ComputeOptions, _ transaction: Transaction
    ) throws(Fault) {
        let row = try transaction.one(Server.self, "id = \(server)", or: .serverNotFound(server))
        guard let need = try Need(row.flavor, image: row.imageProperties, options.pci) else {
            // A flavor that needed something may have been left for one that does not.
            guard row.numa != nil || !row.hostDevices.isEmpty else { return }
            _ = try transaction.update(
                Server.self, set: "numa = NULL, host_devices = '[]'", where: "id = \(server)")
            return
        }
        let held = group(try transaction.rows(query(host.name)), besides: server)[host.name] ?? []
        var left = HardwareLeft(host.resources, holdings: held)
        left.cpuRatio = options.cpuRatio ?? options.initialCPURatio
        left.memoryRatio = options.memoryRatio ?? options.initialMemoryRatio
        guard let holding = left.fit(need.numa, need.requests) else {
            throw .conflict("Host \(host.name) has no room left for the cells or devices that server \(server) needs.")
        }
        var numa: String?
        if let placed = holding.numa { numa = try text(placed) }
        _ = try transaction.update(
            Server.self, set: "numa = \(numa), host_devices = \(try text(holding.devices))", where: "id = \(server)")
    }

    private static func text(_ value: some Encodable) throws(Fault) -> String {
        do { return try JSON.encode(value).text() } catch {
            throw .internalError("what a server holds of its host cannot be stored: \(error)")
        }
    }
}
