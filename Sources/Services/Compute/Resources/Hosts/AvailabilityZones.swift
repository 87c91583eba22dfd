// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Zones are made by aggregates; hosts in none are in the usual one.
enum AvailabilityZones: Resource {
    /// `[DEFAULT] default_availability_zone`.
    static let usual = "nova"

    static let routes: [Route] = [
        .get(
            "/os-availability-zone", "List availability zones", of: Anything.from,
            allow: .anyone("os-availability-zone:list"), index),
        .get(
            "/os-availability-zone/detail", "List availability zones with their hosts", of: Anything.from,
            allow: .adminOnly("os-availability-zone:detail"), detail),
    ]

    /// The zone of each host that is not in the usual one.
    static func byHost(_ database: Database) async throws(Fault) -> [String: String] {
        var zones: [String: String] = [:]
        for aggregate in try await database.all(Aggregate.self) {
            guard let zone = aggregate.metadata["availability_zone"] else { continue }
            for host in aggregate.hosts { zones[host] = zone }
        }
        return zones
    }

    /// Zones with their hosts; one is available while a host of it is enabled.
    private static func zones(
        _ request: Request
    ) async throws(Fault) -> [(name: String, isAvailable: Bool, hosts: [ComputeHost])] {
        let byHost = try await byHost(request.database)
        let hosts = try await request.database.all(ComputeHost.self, "deleted_at IS NULL ORDER BY name")
        let groups = Dictionary(grouping: hosts) { byHost[$0.name] ?? usual }
        return groups.map { name, hosts in (name, hosts.contains { !$0.isDisabled }, hosts) }
            .sorted { ($0.isAvailable ? 0 : 1, $0.name) < ($1.isAvailable ? 0 : 1, $1.name) }
    }

    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let zones = try await zones(request)
        return .list(
            "availabilityZoneInfo",
            zones.map { zone in
                { view in
                    view.put("zoneName", zone.name)
                    view.nest("zoneState") { $0.put("available", zone.isAvailable) }
                    view.put("hosts", String?.none)
                }
            })
    }

    private static func detail(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let zones = try await zones(request)
        let (now, limit) = (request.now, request.compute.options.serviceDownTime)
        let control = ControlService.all(on: request.compute.notices.host)
        let inner: (inout View) -> Void = { view in
            view.put("zoneName", ControlService.zone)
            view.nest("zoneState") { $0.put("available", true) }
            view.nest("hosts") { view in
                view.nest(named: request.compute.notices.host) { view in
                    for service in control { AvailabilityZones.write(&view, service.binary, true, now) }
                }
            }
        }
        return .list(
            "availabilityZoneInfo",
            [inner]
                + zones.map { zone in
                    { view in
                        view.put("zoneName", zone.name)
                        view.nest("zoneState") { $0.put("available", zone.isAvailable) }
                        guard zone.isAvailable else { return view.put("hosts", String?.none) }
                        view.nest("hosts") { view in
                            for host in zone.hosts where !host.isDisabled {
                                view.nest(named: host.name) { view in
                                    write(
                                        &view, ComputeServices.binary, host.isUp(at: now, within: limit),
                                        host.reportedAt)
                                }
                            }
                        }
                    }
                })
    }

    private static func write(_ view: inout View, _ binary: String, _ isUp: Bool, _ reportedAt: Timestamp) {
        view.nest(named: binary) {
            $0.put("available", isUp)
            $0.put("active", true)
            $0.put("updated_at", reportedAt.iso8601Naive)
        }
    }
}

/// What servers' views say of hosts: their zones, and whether they report.
struct HostSights: Sendable {
    private let zones: [String: String]
    private let statuses: [String: String]
    /// The volumes of the servers, when they were asked for.
    private(set) var volumes: [String: [VolumeSight]] = [:]
    /// Names of hosts that say nothing, by project and host: each is a digest, and a list has few of them.
    private var hostIDs: [String: [String: String]] = [:]

    /// The same with what the servers' views say of their volumes.
    static func all(_ request: Request, of servers: [Server]) async throws(Fault) -> HostSights {
        var sights = try await all(request, of: servers.map(\.host))
        sights.volumes = try await VolumeSight.all(of: servers.map(\.id), request.database)
        // By index: a loop over the servers would copy each of them whole.
        for at in servers.indices {
            guard let host = servers[at].host, sights.hostIDs[servers[at].projectID]?[host] == nil else { continue }
            sights.hostIDs[servers[at].projectID, default: [:]][host] = servers[at].hostID
        }
        return sights
    }

    func hostID(of server: Server) -> String {
        guard let host = server.host else { return "" }
        return hostIDs[server.projectID]?[host] ?? server.hostID
    }

    /// - Parameter hosts: those of the servers shown.
    static func all(_ request: Request, of hosts: [String?]) async throws(Fault) -> HostSights {
        let zones = try await AvailabilityZones.byHost(request.database)
        let names = Set(hosts.compactMap { $0 }).sorted()
        guard request.version >= "2.16", !names.isEmpty else { return HostSights(zones: zones) }
        let some: SQL = names.count <= 100 ? " AND name IN \(names)" : ""
        let rows = try await request.database.rows(
            "SELECT name, is_disabled, is_forced_down, reported_at FROM compute_hosts WHERE deleted_at IS NULL" + some)
        let oldest = (request.now - request.compute.options.serviceDownTime).microseconds
        var statuses: [String: String] = [:]
        for row in rows {
            let isLate = Int64(row.int("reported_at") ?? 0) < oldest
            // In upstream's order: forced down, disabled, silent.
            statuses[row.text("name") ?? ""] =
                row.int("is_forced_down") == 1
                ? "DOWN" : row.int("is_disabled") == 1 ? "MAINTENANCE" : isLate ? "UNKNOWN" : "UP"
        }
        return HostSights(zones: zones, statuses: statuses)
    }

    private init(zones: [String: String], statuses: [String: String] = [:]) {
        (self.zones, self.statuses) = (zones, statuses)
    }

    func zone(of host: String) -> String { zones[host] ?? AvailabilityZones.usual }

    /// `host_status`; empty without a host.
    func status(of host: String?) -> String { host.flatMap { statuses[$0] } ?? "" }
}

/// What a server's view says of a volume.
struct VolumeSight: Sendable {
    let id: String
    let deletesWithServer: Bool

    static func all(of servers: [String], _ database: Database) async throws(Fault) -> [String: [VolumeSight]] {
        let some: SQL = servers.count <= 100 ? " AND server_id IN \(servers)" : ""
        guard !servers.isEmpty else { return [:] }
        let rows = try await database.rows(
            """
            SELECT server_id, volume_id, deletes_with_server FROM compute_block_devices
            WHERE volume_id IS NOT NULL
            """ + some + " ORDER BY server_id, position")
        var all: [String: [VolumeSight]] = [:]
        for row in rows {
            all[row.text("server_id") ?? "", default: []].append(
                VolumeSight(
                    id: row.text("volume_id") ?? "", deletesWithServer: row.int("deletes_with_server") == 1))
        }
        return all
    }
}
