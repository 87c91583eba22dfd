// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import OVSDB

/// One balancer as northbound rows (ovn-nb(5), Load_Balancer): one per transport, linked to the switches that clients
/// are on and to the routers between them; and the router that answers for its address (decision 54).
struct BalancerRows {
    /// Whose a row is: the balancer's id.
    static let mark = "apus:balancer"
    /// What else a row notes: where it belongs, and which port and addresses are its balancer's.
    static let (places, port, addresses, outside) = ("apus:places", "apus:port", "apus:addresses", "neutron:vip_fip")
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
        OVSDBMonitor(
            "Logical_Switch_Port", columns: ["name", "type", "options", "addresses", "external_ids"], index: network),
        OVSDBMonitor(
            "Logical_Router",
            columns: ["name", "ports", "load_balancer", "static_routes", "nat", "options", "external_ids"],
            index: network),
        OVSDBMonitor("Logical_Router_Port", columns: ["name", "mac", "networks"]),
        OVSDBMonitor("Logical_Router_Static_Route", columns: ["ip_prefix", "nexthop"]),
        OVSDBMonitor("NAT", columns: ["type", "external_ip", "logical_ip"]),
    ]

    let replica: OVSDBReplica
    /// The hosts by the physical networks that they reach.
    let hosts: [String: [String]]

    init(_ replica: OVSDBReplica, hosts: [String: [String]] = [:]) {
        self.replica = replica
        self.hosts = hosts
    }

    /// The balancers that there are, or were.
    var balancers: Set<String> {
        Set(
            ["Load_Balancer", "Logical_Router"].flatMap { replica.rows($0) }.compactMap {
                $0["external_ids"][Self.mark]
            })
    }

    func present(_ balancer: String) -> [OVSDBRow] {
        replica.rows("Load_Balancer").filter { $0["external_ids"][Self.mark] == balancer }.sorted { $0.uuid < $1.uuid }
    }

    /// `10.0.0.1:80` or `[fd00::1]:80`.
    static func split(_ place: String) -> (address: String, port: Int) {
        guard let colon = place.lastIndex(of: ":") else { return (place, 0) }
        let address = place[..<colon].filter { $0 != "[" && $0 != "]" }
        return (String(address), Int(place[place.index(after: colon)...]) ?? 0)
    }

    static func join(_ address: String, _ port: Int) -> String {
        address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }

    // MARK: - The transaction

    func operations(_ spec: BalancerSpec) -> [OVSDBOperation] {
        var operations: [OVSDBOperation] = []
        var atoms: Set<OVSDBAtom> = []
        let before = present(spec.id)
        let area = BalancerArea(spec, self)
        for transport in ["tcp", "udp", "sctp"] {
            let row = before.first { $0["protocol"].string == transport }
            let listeners = spec.listeners.filter { $0.protocol.transport.rawValue.lowercased() == transport }
            // A balancer without a listener is one row, so that it can be told from one that is lost.
            guard !listeners.isEmpty || (transport == "tcp" && spec.listeners.isEmpty) else {
                if let row { operations += deletion(row) }
                continue
            }
            let sheet = BalancerColumns(spec, listeners, area, self)
            var columns = sheet.columns(transport)
            let checks = sheet.checks
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
            operations += write(columns, row, area.places, "lb_\(transport)")
            atoms.insert(row.map { .uuid($0.uuid) } ?? .named("lb_\(transport)"))
        }
        return operations + routerOperations(spec, area, atoms)
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

    /// Everything of a balancer goes.
    func removal(_ balancer: String) -> [OVSDBOperation] {
        present(balancer).flatMap { deletion($0) } + (router(of: balancer).map(routerDeletion) ?? [])
    }

    /// Links are taken back by name: they are weak, but ovsdb-server 3.1.0 may leave them dangling.
    private func deletion(_ row: OVSDBRow) -> [OVSDBOperation] {
        holders(row).sorted { $0.uuid < $1.uuid }.map { link($0, .delete, .uuid(row.uuid)) }
            + [.delete(table: "Load_Balancer", where: [.row(row.uuid)])]
    }

    private func link(_ place: Place, _ mutator: OVSDBMutation.Mutator, _ value: OVSDBValue) -> OVSDBOperation {
        .mutate(
            table: place.table, where: [.row(place.uuid)], [OVSDBMutation("load_balancer", mutator, value)])
    }

    // MARK: - Places

    /// A switch or a router that a balancer is linked to.
    struct Place: Hashable {
        let table: String
        let uuid: String
    }

    func holders(_ row: OVSDBRow) -> Set<Place> {
        var places: Set<Place> = []
        for table in ["Logical_Switch", "Logical_Router"] {
            for holder in replica.rows(table) where holder["load_balancer"].uuids.contains(row.uuid) {
                places.insert(Place(table: table, uuid: holder.uuid))
            }
        }
        return places
    }

    /// Whether all rows are where they should be now, under the addresses they should have now.
    func isPlaced(_ rows: [OVSDBRow]) -> Bool {
        rows.allSatisfy { row in
            let area = BalancerArea(row, self)
            return holders(row) == area.places && area.outside == row["external_ids"][Self.outside] ?? ""
                && isAnswered(area)
        }
    }
}
