// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A host as scheduling sees it: its report, what its servers' rows say, and what Placement has left of it. While
/// servers are handed out it counts what each of them takes.
struct HostState: Sendable {
    let host: ComputeHost
    let isUp: Bool
    let zone: String
    let aggregates: [Aggregate]
    /// What the host's aggregates say, by key; values parted at commas.
    let metadata: [String: Set<String>]
    /// Servers on the host, and those of them that are being built, moved or copied.
    private(set) var servers: Int
    private(set) var ioOps: Int
    let imageProperties: [String: [String: Int]]
    /// By provider of the host's tree and class: capacity and what is used.
    private(set) var supplies: [String: [String: PlacementClient.Supply]]
    /// The ways to take what is asked for, by provider and class.
    let ways: [PlacementClient.Way]
    /// What is left of cells and devices.
    private(set) var hardware: HardwareLeft
    /// What Placement counts of it apart, as far as the ways take of that.
    private let parts: HostParts?
    /// What each server that is to be placed needs of cells and devices.
    let need: HardwareBooks.Need?

    var name: String { host.name }

    init(
        _ host: ComputeHost, isUp: Bool, aggregates: [Aggregate], load: HostLoad,
        imageProperties: [String: [String: Int]] = [:],
        supplies: [String: [String: PlacementClient.Supply]] = [:], ways: [PlacementClient.Way] = [],
        hardware: HardwareLeft? = nil, parts: HostParts? = nil, need: HardwareBooks.Need? = nil
    ) {
        self.host = host
        self.isUp = isUp
        self.aggregates = aggregates
        self.imageProperties = imageProperties
        self.supplies = supplies
        self.ways = ways
        self.hardware = hardware ?? HardwareLeft(host.resources)
        self.parts = parts
        self.need = need
        servers = load.servers
        ioOps = load.ioOps
        zone = aggregates.compactMap { $0.metadata["availability_zone"] }.first ?? AvailabilityZones.usual
        var metadata: [String: Set<String>] = [:]
        for aggregate in aggregates {
            for (key, value) in aggregate.metadata { metadata[key, default: []].formUnion(HostState.parts(value)) }
        }
        self.metadata = metadata
    }

    private static func parts(_ value: String) -> [String] {
        value.split(separator: ",", omittingEmptySubsequences: false).map { part in
            String(part.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        }
    }

    /// The first way that still has room.
    var way: PlacementClient.Way? { ways.first { fits($0) } }

    private func fits(_ way: PlacementClient.Way) -> Bool {
        way.allSatisfy { provider, amounts in
            amounts.allSatisfy { name, amount in (supplies[provider]?[name]?.free ?? 0) >= amount }
        } && hasDevices(for: way)
    }

    /// Whether those parts of the host that a way names have the devices that are asked for.
    private func hasDevices(for way: PlacementClient.Way) -> Bool {
        let limits = parts?.limits(way) ?? [:]
        guard !limits.isEmpty || need?.requests.contains(where: { $0.isCounted || $0.isMediated }) ?? false else {
            return true
        }
        return hardware.fit(need?.numa, need?.requests ?? [], within: limits) != nil
    }

    /// The classes that the first way has no room for.
    var lacking: [String] {
        var names = Set<String>()
        for (provider, amounts) in ways.first ?? [:] {
            for (name, amount) in amounts where supplies[provider]?[name]?.free ?? 0 < amount { names.insert(name) }
        }
        return names.sorted()
    }

    /// Counts one more server that takes this way, and its part of cells and devices.
    mutating func take(_ way: PlacementClient.Way) {
        let limits = parts?.limits(way) ?? [:]
        if need != nil || !limits.isEmpty,
            let holding = hardware.fit(need?.numa, need?.requests ?? [], within: limits)
        {
            hardware.take(holding)
        }
        for (provider, amounts) in way {
            for (name, amount) in amounts { supplies[provider]?[name]?.used += amount }
        }
        servers += 1
        ioOps += 1
    }

    // MARK: - Amounts, as upstream's weighers see them

    private func own(_ name: String) -> PlacementClient.Supply? { supplies[host.id]?[name] }

    func free(_ name: String) -> Int { supplies.values.reduce(0) { $0 + ($1[name]?.free ?? 0) } }

    var freeVCPUs: Double { own("VCPU").map { Double($0.free) } ?? Double(host.resources.vcpus) }
    var freeMemoryMiB: Double { Double(host.resources.memoryMiB - (own("MEMORY_MB")?.used ?? 0)) }
    var freeDiskMiB: Double { Double((host.resources.diskGiB - (own("DISK_GB")?.used ?? 0)) * 1024) }

    /// The least of the numbers that aggregates set for this host; nil when none does.
    func least(_ key: String) -> Double? {
        guard !aggregates.isEmpty else { return nil }
        return aggregates.compactMap { $0.metadata[key].flatMap { Double($0) } }.min()
    }

    /// A fact by the name that upstream's host state has for it, for filters that users write themselves.
    func attribute(_ name: String) -> JSON? {
        let facts = host.resources
        return switch name {
        case "host", "nodename", "hypervisor_hostname": .string(host.name)
        case "uuid": .string(host.id)
        case "host_ip": .string(facts.hostIP)
        case "hypervisor_type": .string(facts.hypervisorType)
        case "hypervisor_version": .integer(Int64(facts.hypervisorVersion))
        case "free_ram_mb": .integer(Int64(freeMemoryMiB))
        case "free_disk_mb": .integer(Int64(freeDiskMiB))
        case "disk_mb_used": .integer(Int64((own("DISK_GB")?.used ?? 0) * 1024))
        case "total_usable_ram_mb": .integer(Int64(facts.memoryMiB))
        case "total_usable_disk_gb": .integer(Int64(facts.diskGiB))
        case "vcpus_total": .integer(Int64(facts.vcpus))
        case "vcpus_used": .integer(Int64(own("VCPU")?.used ?? 0))
        case "num_instances": .integer(Int64(servers))
        case "num_io_ops": .integer(Int64(ioOps))
        case "failed_builds": .integer(Int64(host.failedBuilds))
        case "availability_zone": .string(zone)
        case "cpu_info": facts.processor
        default: nil
        }
    }
}

/// What the servers on a host are, counted from their rows.
struct HostLoad: Sendable {
    var servers = 0
    /// Those being built, moved or copied (upstream's `io_workload`).
    var ioOps = 0

    /// Task states that load a host's disks (nova/compute/stats.py).
    private static let busy: [TaskState] = [.resizeMigrating, .rebuilding, .resizePrep, .imageSnapshot]

    static func all(_ database: Database) async throws(Fault) -> [String: HostLoad] {
        var loads: [String: HostLoad] = [:]
        let rows = try await database.rows(
            """
            SELECT host, COUNT(*) AS servers,
                SUM(CASE WHEN vm_state = 'building' OR task_state IN \(busy.map(\.rawValue)) THEN 1 ELSE 0 END) AS busy
            FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL GROUP BY host
            """)
        for row in rows {
            loads[row.text("host") ?? ""] = HostLoad(
                servers: row.int("servers") ?? 0, ioOps: row.int("busy") ?? 0)
        }
        return loads
    }
}
