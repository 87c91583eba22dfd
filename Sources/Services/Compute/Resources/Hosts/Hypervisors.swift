// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The machines that run servers, as administrators look at them.
enum Hypervisors: Resource {
    static let routes: [Route] = [
        .get("/os-hypervisors", "List hypervisors", of: Anything.from, allow: .adminOnly("os-hypervisors:list"), index),
        .get(
            "/os-hypervisors/detail", "List hypervisors with details", of: Anything.from,
            allow: .adminOnly("os-hypervisors:list-detail"), detail),
        .get(
            "/os-hypervisors/statistics", "Sum up all hypervisors", of: Anything.from,
            allow: .adminOnly("os-hypervisors:statistics"), statistics, until: "2.88"),
        .get(
            "/os-hypervisors/{hypervisor_id}", "Show a hypervisor", of: Anything.from,
            allow: .adminOnly("os-hypervisors:show"), show),
        .get(
            "/os-hypervisors/{hypervisor_id}/uptime", "Show a hypervisor's uptime", of: Anything.from,
            allow: .adminOnly("os-hypervisors:uptime"), uptime, until: "2.88"),
        .get(
            "/os-hypervisors/{hypervisor_id}/search", "Find hypervisors by name", of: Anything.from,
            allow: .adminOnly("os-hypervisors:search"), search, until: "2.53"),
        .get(
            "/os-hypervisors/{hypervisor_id}/servers", "List the servers of hypervisors", of: Anything.from,
            allow: .adminOnly("os-hypervisors:servers"), servers, until: "2.53"),
    ]

    /// A host with what is said of it in one answer.
    struct Sight: Sendable {
        let host: ComputeHost
        let facts: HostResources
        let load: Load
        let isUp: Bool
        let servers: [Server]?
    }

    /// What the servers on a host hold.
    struct Load: Sendable {
        var servers = 0
        var vcpus = 0
        var memoryMiB = 0
        /// What the flavors promise, however much of it is written to.
        var diskGiB = 0
        /// Servers that something is being done to.
        var busy = 0

        /// With what the host keeps for itself, which upstream counts as taken.
        func keeping(_ options: ComputeOptions, _ facts: HostResources) -> Load {
            var load = self
            load.vcpus += options.reservedCPUs
            load.memoryMiB += min(options.reservedMemoryMiB, facts.memoryMiB / 4)
            load.diskGiB += options.reservedDiskMiB / 1024
            return load
        }
    }
}

// MARK: - Handlers

extension Hypervisors {
    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (sights, page) = try await list(request, isDetailed: false)
        return .list(
            "hypervisors", sights.map { sight in { sight.summary(&$0) } }, page: page,
            ids: sights.map { $0.id(request) })
    }

    private static func detail(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (sights, page) = try await list(request, isDetailed: true)
        return .list(
            "hypervisors", sights.map { sight in { sight.details(&$0) } }, page: page,
            ids: sights.map { $0.id(request) })
    }

    private static func list(_ request: Request, isDetailed: Bool) async throws(Fault) -> ([Sight], Page?) {
        let withServers = try request.flag("with_servers", since: "2.53") ?? false
        if let pattern = request.query("hypervisor_hostname_pattern", since: "2.53") {
            guard request.query("limit") == nil, request.query("marker") == nil else {
                throw .badRequest(
                    "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.")
            }
            return (try await sights(matching(pattern, request), request, withServers, isDetailed), nil)
        }
        var condition: SQL = "deleted_at IS NULL ORDER BY number"
        var page: Page?
        if request.version >= "2.33" {
            let asked = try request.page(
                sortable: [.number("number")], defaults: ["number"], maximum: request.compute.options.maxLimit)
            let column = request.version >= "2.53" ? "id" : "number"
            if let marker = asked.marker,
                try await request.database.count(ComputeHost.self, "\(raw: column) = \(marker)") == 0
            {
                throw .badRequest("marker [\(marker)] not found")
            }
            condition = asked.condition("deleted_at IS NULL", table: ComputeHost.table, id: column)
            page = asked
        }
        let hosts = try await request.database.all(ComputeHost.self, condition)
        return (try await sights(hosts, request, withServers, isDetailed), page)
    }

    private static func matching(_ pattern: String, _ request: Request) async throws(Fault) -> [ComputeHost] {
        let hosts = try await request.database.all(
            ComputeHost.self, "deleted_at IS NULL AND name LIKE \("%" + pattern + "%") ORDER BY number")
        guard !hosts.isEmpty else { throw .notFound("No hypervisor matching '\(pattern)' could be found.") }
        return hosts
    }

    private static func find(_ request: Request) async throws(Fault) -> ComputeHost {
        let id = request["hypervisor_id"]
        let fault = Fault.notFound("Hypervisor with ID '\(id)' could not be found.")
        if request.version >= "2.53" {
            guard Hex.isUUID(id) else { throw .badRequest("Invalid uuid \(id)") }
            return try await request.database.one(ComputeHost.self, "id = \(id) AND deleted_at IS NULL", or: fault)
        }
        guard let number = Int(id) else { throw fault }
        return try await request.database.one(ComputeHost.self, "number = \(number) AND deleted_at IS NULL", or: fault)
    }

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let withServers = try request.flag("with_servers", since: "2.53") ?? false
        let sight = try await sights([find(request)], request, withServers, true)[0]
        return .object("hypervisor", sight.details)
    }

    private static func uptime(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let sight = try await sights([find(request)], request, false, true)[0]
        guard sight.isUp else {
            throw .badRequest("Compute service of \(sight.host.name) is unavailable at this time.")
        }
        return .object("hypervisor") { view in
            sight.summary(&view)
            view.put("uptime", sight.uptime ?? "")
        }
    }

    private static func search(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let sights = try await sights(matching(request["hypervisor_id"], request), request, false, false)
        return .list("hypervisors", sights.map { sight in { sight.summary(&$0) } })
    }

    private static func servers(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let sights = try await sights(matching(request["hypervisor_id"], request), request, true, false)
        return .list("hypervisors", sights.map { sight in { sight.summary(&$0) } })
    }

    private static func statistics(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let hosts = try await request.database.all(ComputeHost.self, "deleted_at IS NULL AND is_disabled = 0")
        let sights = try await sights(hosts, request, false, true)
        func sum(_ amount: (Sight) -> Int) -> Int { sights.reduce(0) { $0 + amount($1) } }
        let usage = Sight.usage.map { name, amount in (name, sum(amount)) }
        return .object("hypervisor_statistics") { view in
            view.put("count", sights.count)
            for (name, amount) in usage { view.put(named: name, amount) }
        }
    }
}

// MARK: - Facts

extension Hypervisors {
    private static func sights(
        _ hosts: [ComputeHost], _ request: Request, _ withServers: Bool, _ isDetailed: Bool
    ) async throws(Fault) -> [Sight] {
        let (room, now) = (request.compute, request.now)
        let loads = isDetailed ? try await loads(request.database) : [:]
        let options = room.options
        var servers: [String: [Server]] = [:]
        if withServers {
            let all = try await request.database.all(
                Server.self, "host", in: hosts.map(\.name), and: "deleted_at IS NULL")
            servers = Dictionary(grouping: all) { $0.host ?? "" }
        }
        var sights: [Sight] = []
        for host in hosts {
            let isUp = host.isUp(at: now, within: room.options.serviceDownTime)
            var facts = host.resources
            if isDetailed, isUp, let driver = try? room.hosts.find(host.name), let fresh = try? await driver.resources()
            {
                facts = fresh
            }
            sights.append(
                Sight(
                    host: host, facts: facts, load: (loads[host.name] ?? Load()).keeping(options, facts), isUp: isUp,
                    servers: withServers ? servers[host.name] ?? [] : nil))
        }
        return sights
    }

    private static func loads(_ database: Database) async throws(Fault) -> [String: Load] {
        var loads: [String: Load] = [:]
        let rows = try await database.rows(
            """
            SELECT host, COUNT(*) AS servers, SUM(vcpus) AS vcpus, SUM(memory_mb) AS memory, COUNT(task_state) AS busy
            FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL GROUP BY host
            """)
        for row in rows {
            loads[row.text("host") ?? ""] = Load(
                servers: row.int("servers") ?? 0, vcpus: row.int("vcpus") ?? 0, memoryMiB: row.int("memory") ?? 0,
                busy: row.int("busy") ?? 0)
        }
        for row in try await disks(database) {
            guard let host = row.text("host"), let text = row.text("flavor"),
                let flavor = try? JSON.decode(FlavorSnapshot.self, from: JSON.parse(text, limits: .trusted))
            else { continue }
            let disk = flavor.disk(isVolumeBacked: row.int("is_volume_backed") == 1)
            loads[host, default: Load()].diskGiB += disk * (row.int("servers") ?? 0)
        }
        for (host, flavor, server) in try await moving(database) {
            loads[host, default: Load()].vcpus += flavor.vcpus
            loads[host, default: Load()].memoryMiB += flavor.memoryMiB
            loads[host, default: Load()].diskGiB += flavor.disk(isVolumeBacked: server.isVolumeBacked)
        }
        return loads
    }

    /// How many servers of which flavor each host has.
    private static func disks(_ database: Database) async throws(Fault) -> [Row] {
        try await database.rows(
            """
            SELECT host, flavor, is_volume_backed, COUNT(*) AS servers FROM (
                SELECT host, flavor,
                    CASE WHEN scheduling LIKE '%"isVolumeBacked":true%' THEN 1 ELSE 0 END AS is_volume_backed
                FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL) here
            GROUP BY host, flavor, is_volume_backed
            """)
    }

    /// What moves hold of hosts beside what servers do: where they come from, or go to (upstream's resource tracker).
    private static func moving(_ database: Database) async throws(Fault) -> [(String, FlavorSnapshot, Server)] {
        let closed = ServerMigration.Status.closed.map(\.rawValue) + ["done"]
        let moves = try await database.all(
            ServerMigration.self, "status NOT IN \(closed) AND kind <> 'evacuation' AND dest IS NOT NULL")
        guard !moves.isEmpty else { return [] }
        let servers = try await database.all(Server.self, "id", in: moves.map(\.serverID), and: "deleted_at IS NULL")
        let byID = Dictionary(servers.map { ($0.id, $0) }) { first, _ in first }
        return moves.compactMap { move in
            guard let dest = move.dest, let server = byID[move.serverID] else { return nil }
            if move.staysOnHost {
                return (dest, server.flavor == move.newFlavor ? move.oldFlavor : move.newFlavor, server)
            }
            return server.host == dest ? (move.source, move.oldFlavor, server) : (dest, move.newFlavor, server)
        }
    }
}

// MARK: - Wire

extension Hypervisors.Sight {
    func id(_ request: Request) -> String { request.version >= "2.53" ? host.id : "\(host.number)" }

    /// Until 2.88: what there is and what is taken of it.
    static let usage: [(String, @Sendable (Self) -> Int)] = [
        ("vcpus", { $0.facts.vcpus }), ("memory_mb", { $0.facts.memoryMiB }), ("local_gb", { $0.facts.diskGiB }),
        ("vcpus_used", { $0.load.vcpus }), ("memory_mb_used", { $0.load.memoryMiB }),
        ("local_gb_used", { $0.load.diskGiB }), ("free_ram_mb", { $0.facts.memoryMiB - $0.load.memoryMiB }),
        ("free_disk_gb", { $0.facts.diskGiB - $0.load.diskGiB }), ("current_workload", { $0.load.busy }),
        ("running_vms", { $0.load.servers }), ("disk_available_least", { $0.facts.diskAvailableGiB }),
    ]

    /// As uptime(1) words it.
    var uptime: String? {
        guard facts.uptimeSeconds > 0 else { return nil }
        let (days, minutes) = (facts.uptimeSeconds / 86_400, facts.uptimeSeconds / 60)
        let load = facts.load.map { "\(Int($0)).\(Int($0 * 100) % 100 < 10 ? "0" : "")\(Int($0 * 100) % 100)" }
        let clock = "\(minutes / 60 % 24):\(minutes % 60 < 10 ? "0" : "")\(minutes % 60)"
        return " up \(days) days, \(clock), 0 users, load average: \(load.joined(separator: ", "))"
    }

    func summary(_ view: inout View) {
        view.put("id", host.number, until: "2.53")
        view.put("id", host.id, since: "2.53")
        view.put("hypervisor_hostname", host.name)
        view.put("state", isUp ? "up" : "down")
        view.put("status", host.isDisabled ? "disabled" : "enabled")
        guard let servers, !servers.isEmpty || view.version >= "2.75" else { return }
        view.list("servers", servers) {
            $0.put("name", $1.name)
            $0.put("uuid", $1.id)
        }
    }

    func details(_ view: inout View) {
        summary(&view)
        view.put("hypervisor_type", facts.hypervisorType)
        view.put("hypervisor_version", facts.hypervisorVersion)
        view.put("host_ip", facts.hostIP)
        view.nest("service") {
            $0.put("id", self.host.number, until: "2.53")
            $0.put("id", self.host.serviceID, since: "2.53")
            $0.put("host", self.host.name)
            $0.put("disabled_reason", self.host.disabledReason)
        }
        view.put("uptime", uptime, since: "2.88")
        guard view.version < "2.88" else { return }
        for (name, amount) in Self.usage { view.put(named: name, amount(self)) }
        view.put("cpu_info", facts.processor.text(), until: "2.28")
        view.put("cpu_info", facts.processor, since: "2.28")
    }
}

extension FlavorSnapshot {
    /// What a host must have for its disks, in whole GiB as upstream counts them.
    fileprivate func disk(isVolumeBacked: Bool) -> Int {
        (isVolumeBacked ? 0 : diskGiB) + ephemeralGiB + swapMiB / 1024
    }
}

extension HostResources {
    /// Nova's `cpu_info`.
    var processor: JSON {
        [
            "arch": .string(architecture), "model": .string(cpu.model), "vendor": .string(cpu.vendor),
            "features": .array(cpu.features.map(JSON.string)),
            "topology": [
                "cells": 1, "sockets": .integer(Int64(cpu.sockets)), "cores": .integer(Int64(cpu.cores)),
                "threads": .integer(Int64(cpu.threads)),
            ],
        ]
    }
}
