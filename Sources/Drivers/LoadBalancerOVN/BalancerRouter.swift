// SPDX-License-Identifier: Apache-2.0
import LoadBalancer
import OVSDB

/// The router behind a balancer's port. A switch changes the destination of what is for a balancer, but not the MAC it
/// goes to, so somebody has to pass it on to the member: a router whose one address is the balancer's.
extension BalancerRows {
    func ownRouter(_ portID: String) -> OVSDBRow? {
        guard !portID.isEmpty else { return nil }
        return replica.rows("Logical_Router").first {
            $0["external_ids"][Self.mark] != nil && $0["external_ids"][Self.port] == portID
        }
    }

    func router(of balancer: String) -> OVSDBRow? {
        replica.rows("Logical_Router").first { $0["external_ids"][Self.mark] == balancer }
    }

    /// Whether the router is there, or rightly is not.
    func isAnswered(_ area: BalancerArea) -> Bool {
        let row = ownRouter(area.portID)
        guard area.isOwnRouter, !area.isRouted else { return row == nil }
        return row.map { $0["options"]["chassis"] == chassis(area) } ?? false
    }

    /// On a physical network one host answers for the address, as its switches expect; elsewhere every host does.
    private func chassis(_ area: BalancerArea) -> String? {
        area.physicalNetwork.flatMap { hosts[$0]?.max { rank($0, area) < rank($1, area) } }
    }

    /// Every process ranks alike, and a host that comes or goes moves nothing but its own (FNV-1a).
    private func rank(_ host: String, _ area: BalancerArea) -> UInt64 {
        "\(area.portID) \(host)".utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// - Parameter balancers: the balancer's rows; the router takes part in its work where one host answers.
    func routerOperations(
        _ spec: BalancerSpec, _ area: BalancerArea, _ balancers: Set<OVSDBAtom>
    ) -> [OVSDBOperation] {
        let row = router(of: spec.id)
        guard area.isOwnRouter, !area.isRouted else { return row.map(routerDeletion) ?? [] }
        var options = ["always_learn_from_arp_request": "false", "dynamic_neigh_routers": "true"]
        if area.physicalNetwork != nil {
            options["chassis"] = chassis(area)
            // Members answer whoever asks them: they must see the balancer, or the answer goes past it.
            options["lb_force_snat_ip"] = "router_ip"
        }
        let port: [String: OVSDBValue] = [
            "name": .string("lrp-\(spec.portID)"), "mac": .string(spec.mac),
            "networks": .strings(spec.addresses.map { "\($0.address)/\($0.prefix)" }),
        ]
        let routes = Self.routes(spec)
        if let row, isSame(row, options, port, routes) { return [] }
        let inserts = routes.enumerated().map { at, route in
            OVSDBOperation.insert(
                table: "Logical_Router_Static_Route",
                row: ["ip_prefix": .string(route.prefix), "nexthop": .string(route.hop)], name: "route_\(at)")
        }
        return (row.map(routerDeletion) ?? []) + inserts + [
            .insert(table: "Logical_Router_Port", row: port, name: "own_port"),
            .insert(
                table: "Logical_Router",
                row: [
                    "name": .string("balancer-\(spec.id)"), "options": .strings(options), "ports": .named("own_port"),
                    "static_routes": .set(Set(routes.indices.map { .named("route_\($0)") })),
                    "external_ids": .strings([Self.mark: spec.id, Self.port: spec.portID]),
                    "load_balancer": area.physicalNetwork == nil ? .empty : .set(balancers),
                ].filter { !$0.value.isEmpty }, name: nil),
        ]
    }

    func routerDeletion(_ row: OVSDBRow) -> [OVSDBOperation] {
        [.delete(table: "Logical_Router", where: [.row(row.uuid)])]
    }

    private func isSame(
        _ row: OVSDBRow, _ options: [String: String], _ port: [String: OVSDBValue],
        _ routes: [(prefix: String, hop: String)]
    ) -> Bool {
        guard row["options"].pairs == options, let uuid = row["ports"].uuids.first,
            let present = replica.row("Logical_Router_Port", uuid),
            port.allSatisfy({ present[$0.key] == $0.value })
        else { return false }
        let held = row["static_routes"].uuids.compactMap { replica.row("Logical_Router_Static_Route", $0) }
        return Set(held.map { "\($0["ip_prefix"].string ?? "") \($0["nexthop"].string ?? "")" })
            == Set(routes.map { "\($0.prefix) \($0.hop)" })
    }

    /// Members beyond the balancer's own network are reached by its gateway: one per family, for there is one way out.
    private static func routes(_ spec: BalancerSpec) -> [(prefix: String, hop: String)] {
        var routes: [(prefix: String, hop: String)] = []
        for address in spec.addresses {
            guard let hop = address.gateway, hop != address.address else { continue }
            let prefix = hop.contains(":") ? "::/0" : "0.0.0.0/0"
            if !routes.contains(where: { $0.prefix == prefix }) { routes.append((prefix, hop)) }
        }
        return routes
    }
}

extension BalancerSpec.Address {
    fileprivate var prefix: String { cidr.split(separator: "/").last.map(String.init) ?? "32" }
}
