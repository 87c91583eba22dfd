// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import OVSDB

/// One balancer as northbound rows (ovn-nb(5), Load_Balancer): one per transport, linked to the switches of its address
/// and its members and to the routers between them.
struct BalancerRows {
    /// Whose a row is: the balancer's id.
    static let mark = "apus:balancer"
    /// The networks' own mark on switches and routers.
    private static let network = "apus:id"

    static let monitors: [OVSDBMonitor] = [
        OVSDBMonitor(
            "Load_Balancer",
            columns: [
                "name", "vips", "protocol", "options", "selection_fields", "ip_port_mappings", "health_check",
                "external_ids",
            ]),
        OVSDBMonitor("Load_Balancer_Health_Check", columns: ["vip", "options", "external_ids"]),
        OVSDBMonitor("Logical_Switch", columns: ["ports", "load_balancer", "external_ids"], index: network),
        OVSDBMonitor("Logical_Switch_Port", columns: ["name", "type", "options", "addresses"]),
        OVSDBMonitor("Logical_Router", columns: ["ports", "load_balancer", "external_ids"], index: network),
        OVSDBMonitor("Logical_Router_Port", columns: ["name"]),
    ]

    private let replica: OVSDBReplica

    init(_ replica: OVSDBReplica) { self.replica = replica }

    func present(_ balancer: String) -> [OVSDBRow] {
        replica.rows("Load_Balancer").filter { $0["external_ids"][Self.mark] == balancer }.sorted { $0.uuid < $1.uuid }
    }

    /// `10.0.0.1:80` or `[fd00::1]:80`.
    static func split(_ place: String) -> (address: String, port: Int) {
        guard let colon = place.lastIndex(of: ":") else { return (place, 0) }
        let address = place[..<colon].filter { $0 != "[" && $0 != "]" }
        return (String(address), Int(place[place.index(after: colon)...]) ?? 0)
    }

    private static func join(_ address: String, _ port: Int) -> String {
        address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    // MARK: - The transaction

    func operations(_ spec: BalancerSpec) -> [OVSDBOperation] {
        var operations: [OVSDBOperation] = []
        let before = present(spec.id)
        let wanted = places(spec)
        for transport in ["tcp", "udp", "sctp"] {
            let row = before.first { $0["protocol"].string == transport }
            let listeners = spec.listeners.filter { $0.protocol.transport.rawValue.lowercased() == transport }
            // A balancer without a listener is one row, so that it can be told from one that is lost.
            guard !listeners.isEmpty || (transport == "tcp" && spec.listeners.isEmpty) else {
                if let row { operations += deletion(row) }
                continue
            }
            var columns = columns(spec, listeners, transport)
            let checks = checks(spec, listeners)
            var held: OVSDBValue = row?["health_check"] ?? .empty
            if current(row) != checks {
                var names: Set<OVSDBAtom> = []
                for (at, check) in checks.sorted(by: { $0.key < $1.key }).enumerated() {
                    let name = "check_\(transport)_\(at)"
                    operations.append(
                        .insert(
                            table: "Load_Balancer_Health_Check",
                            row: ["vip": .string(check.key), "options": .strings(check.value)], name: name))
                    names.insert(.named(name))
                }
                held = .set(names)
            }
            columns["health_check"] = held
            operations += write(columns, row, wanted, "lb_\(transport)")
        }
        return operations
    }

    private func write(
        _ columns: [String: OVSDBValue], _ row: OVSDBRow?, _ wanted: Set<Place>, _ name: String
    ) -> [OVSDBOperation] {
        guard let row else {
            let filled = columns.filter { !$0.value.isEmpty }
            return [.insert(table: "Load_Balancer", row: filled, name: name)]
                + wanted.sorted { $0.uuid < $1.uuid }.map { link($0, .insert, .named(name)) }
        }
        var operations: [OVSDBOperation] = []
        let maps: Set<String> = ["vips", "options", "external_ids", "ip_port_mappings"]
        var changed = columns.filter { row[$0.key] != $0.value && !(row[$0.key].isEmpty && $0.value.isEmpty) }
        for (column, value) in changed where value.isEmpty {
            changed[column] = maps.contains(column) ? .emptyMap : .empty
        }
        if !changed.isEmpty {
            operations.append(.update(table: "Load_Balancer", where: [.row(row.uuid)], row: changed))
        }
        let held = holders(row)
        for place in wanted.subtracting(held).sorted(by: { $0.uuid < $1.uuid }) {
            operations.append(link(place, .insert, .uuid(row.uuid)))
        }
        for place in held.subtracting(wanted).sorted(by: { $0.uuid < $1.uuid }) {
            operations.append(link(place, .delete, .uuid(row.uuid)))
        }
        return operations
    }

    /// Links are taken back by name: they are weak, but ovsdb-server 3.1.0 may leave them dangling.
    func deletion(_ row: OVSDBRow) -> [OVSDBOperation] {
        holders(row).sorted { $0.uuid < $1.uuid }.map { link($0, .delete, .uuid(row.uuid)) }
            + [.delete(table: "Load_Balancer", where: [.row(row.uuid)])]
    }

    private func link(_ place: Place, _ mutator: OVSDBMutation.Mutator, _ value: OVSDBValue) -> OVSDBOperation {
        .mutate(
            table: place.table, where: [.row(place.uuid)], [OVSDBMutation("load_balancer", mutator, value)])
    }

    // MARK: - Columns

    private func serving(_ pool: PoolSpec?) -> [MemberSpec] {
        guard let pool, pool.enabled else { return [] }
        return pool.members.filter { $0.enabled && $0.weight > 0 }
    }

    /// OVN knows no weights, but takes a member several times.
    private func weighted(_ members: [MemberSpec]) -> [MemberSpec] {
        guard let first = members.first?.weight, members.contains(where: { $0.weight != first }) else { return members }
        let most = members.map(\.weight).max() ?? 1
        return members.flatMap { member in
            let times = max(1, (member.weight * 10 + most / 2) / most)
            return Array(repeating: member, count: times)
        }
    }

    private func columns(
        _ spec: BalancerSpec, _ listeners: [ListenerSpec], _ transport: String
    ) -> [String: OVSDBValue] {
        var vips: [String: String] = [:]
        var ids = [Self.mark: spec.id, "apus:places": placeNames(spec)]
        var sources: [String: String] = [:]
        var kept: SessionPersistence?
        var bySource = false
        for listener in listeners {
            ids["listener:\(listener.id)"] = "\(listener.port)"
            let pool = spec.pool(listener.defaultPoolID)
            kept = pool?.persistence ?? kept
            bySource = bySource || pool?.algorithm == .sourceIP
            for member in pool?.members ?? [] {
                ids["member:\(member.id)"] =
                    member.enabled ? Self.join(member.address, member.port) : "disabled"
                if pool?.monitor != nil, let source = member.monitorSource, let port = port(member) {
                    sources[member.address] = "\(port):\(source)"
                }
            }
            guard spec.enabled, listener.enabled else { continue }
            for address in spec.addresses {
                let isSix = address.address.contains(":")
                let targets = serving(pool).filter { $0.address.contains(":") == isSix }
                vips[Self.join(address.address, listener.port)] =
                    weighted(targets).map { Self.join($0.address, $0.port) }.joined(separator: ",")
            }
        }
        var options: [String: String] = [:]
        if let kept { options["affinity_timeout"] = "\(kept.timeout ?? 360)" }
        let fields = kept == nil && !bySource ? ["ip_dst", "ip_src", "tp_dst", "tp_src"] : ["ip_dst", "ip_src"]
        return [
            "name": .string(spec.id), "protocol": .string(transport), "vips": .strings(vips),
            "external_ids": .strings(ids), "options": .strings(options), "selection_fields": .strings(fields),
            "ip_port_mappings": .strings(sources),
        ]
    }

    /// What is looked at, and how: options by address and port of the balancer.
    private func checks(_ spec: BalancerSpec, _ listeners: [ListenerSpec]) -> [String: [String: String]] {
        var checks: [String: [String: String]] = [:]
        for listener in listeners where spec.enabled && listener.enabled {
            guard let monitor = spec.pool(listener.defaultPoolID)?.monitor else { continue }
            for address in spec.addresses {
                checks[Self.join(address.address, listener.port)] = [
                    "interval": "\(max(monitor.delay, 1))", "timeout": "\(max(monitor.timeout, 1))",
                    "success_count": "\(monitor.rise)", "failure_count": "\(monitor.fall)",
                ]
            }
        }
        return checks
    }

    private func current(_ row: OVSDBRow?) -> [String: [String: String]] {
        var checks: [String: [String: String]] = [:]
        for uuid in row?["health_check"].uuids ?? [] {
            guard let check = replica.row("Load_Balancer_Health_Check", uuid), let vip = check["vip"].string else {
                continue
            }
            checks[vip] = check["options"].pairs
        }
        return checks
    }

    /// The logical port that has a member's address.
    private func port(_ member: MemberSpec) -> String? {
        guard let network = member.networkID, let here = replica.indexed("Logical_Switch", network) else { return nil }
        for uuid in here["ports"].uuids {
            guard let port = replica.row("Logical_Switch_Port", uuid) else { continue }
            for text in port["addresses"].strings where text.split(separator: " ").contains(Substring(member.address)) {
                return port["name"].string
            }
        }
        return nil
    }

    // MARK: - Places

    /// A switch or a router that a balancer is linked to.
    struct Place: Hashable {
        let table: String
        let uuid: String
    }

    private func placeNames(_ spec: BalancerSpec) -> String {
        let members = spec.pools.flatMap(\.members).compactMap(\.networkID)
        return ([spec.networkID] + Set(members).subtracting([spec.networkID]).sorted()).joined(separator: " ")
    }

    private func places(_ spec: BalancerSpec) -> Set<Place> { places(named: placeNames(spec)) }

    /// The switches named, and every router that touches the first of them.
    private func places(named names: String) -> Set<Place> {
        var places: Set<Place> = []
        for (at, name) in names.split(separator: " ").enumerated() {
            guard let here = replica.indexed("Logical_Switch", String(name)) else { continue }
            places.insert(Place(table: "Logical_Switch", uuid: here.uuid))
            if at == 0 { places.formUnion(routers(here)) }
        }
        return places
    }

    private func routers(_ here: OVSDBRow) -> Set<Place> {
        let names = here["ports"].uuids.compactMap { uuid -> String? in
            guard let port = replica.row("Logical_Switch_Port", uuid), port["type"].string == "router" else {
                return nil
            }
            return port["options"]["router-port"]
        }
        guard !names.isEmpty else { return [] }
        let ports = Set(
            replica.rows("Logical_Router_Port").filter { names.contains($0["name"].string ?? "") }.map(\.uuid))
        return Set(
            replica.rows("Logical_Router").filter { !$0["ports"].uuids.isDisjoint(with: ports) }
                .map { Place(table: "Logical_Router", uuid: $0.uuid) })
    }

    private func holders(_ row: OVSDBRow) -> Set<Place> {
        var places: Set<Place> = []
        for table in ["Logical_Switch", "Logical_Router"] {
            for holder in replica.rows(table) where holder["load_balancer"].uuids.contains(row.uuid) {
                places.insert(Place(table: table, uuid: holder.uuid))
            }
        }
        return places
    }

    /// Whether all rows are linked where they should be now.
    func isPlaced(_ rows: [OVSDBRow]) -> Bool {
        rows.allSatisfy { row in holders(row) == places(named: row["external_ids"]["apus:places"] ?? "") }
    }
}
