// SPDX-License-Identifier: Apache-2.0
import LoadBalancer
import OVSDB

/// Where a balancer has to be known: the switches that clients send from, the routers that stand before it, and the
/// floating addresses there. Derived from the networks' own rows, which come and go by themselves; what it is derived
/// from is noted on the balancer's row, so that it can be derived again without its specification.
struct BalancerArea {
    /// The network of its address first, then its members'.
    private let networks: [String]
    let portID: String
    private let addresses: [String]
    private(set) var places: Set<BalancerRows.Place> = []
    /// The floating addresses that stand for its own, sorted.
    private(set) var floating: [String] = []
    /// The physical network that its address is on.
    private(set) var physicalNetwork: String?
    /// Whether its port is there as the end of a router.
    private(set) var isOwnRouter = false
    /// Whether its members are reached by the routers that lead out to its network: they answer for it then.
    private(set) var isRouted = false

    init(_ spec: BalancerSpec, _ rows: BalancerRows) {
        let members = Set(spec.pools.flatMap(\.members).compactMap(\.networkID)).subtracting([spec.networkID])
        self.init([spec.networkID] + members.sorted(), spec.portID, spec.addresses.map(\.address), rows)
    }

    /// From what is noted on a row.
    init(_ row: OVSDBRow, _ rows: BalancerRows) {
        let ids = row["external_ids"]
        func words(_ key: String) -> [String] { (ids[key] ?? "").split(separator: " ").map(String.init) }
        self.init(
            words(BalancerRows.places), ids[BalancerRows.port] ?? "", words(BalancerRows.addresses), rows)
    }

    private init(_ networks: [String], _ portID: String, _ addresses: [String], _ rows: BalancerRows) {
        self.networks = networks
        self.portID = portID
        self.addresses = addresses
        guard let first = networks.first, let home = rows.replica.indexed("Logical_Switch", first) else { return }
        physicalNetwork = rows.physicalNetwork(home)
        isOwnRouter = rows.switchPort(portID, on: home)?["type"].string == "router"
        isRouted = isOwnRouter && physicalNetwork != nil && networks.count > 1
        // A guest of the physical network itself would be answered around the router that must turn the answer back.
        if !isRouted { places.insert(BalancerRows.Place(table: "Logical_Switch", uuid: home.uuid)) }
        for network in networks.dropFirst() {
            guard let here = rows.replica.indexed("Logical_Switch", network) else { continue }
            places.insert(BalancerRows.Place(table: "Logical_Switch", uuid: here.uuid))
        }
        let routers = rows.routers(on: home)
        for router in routers {
            places.insert(BalancerRows.Place(table: "Logical_Router", uuid: router.uuid))
            for neighbour in rows.switches(of: router) where neighbour.uuid != home.uuid {
                guard rows.physicalNetwork(neighbour) == nil else { continue }
                places.insert(BalancerRows.Place(table: "Logical_Switch", uuid: neighbour.uuid))
            }
        }
        floating = rows.floating(addresses, routers)
        if physicalNetwork != nil, let own = rows.ownRouter(portID) {
            places.insert(BalancerRows.Place(table: "Logical_Router", uuid: own.uuid))
        }
    }

    var outside: String { floating.joined(separator: " ") }

    /// What the row notes of all this.
    var notes: [String: String] {
        var notes = [
            BalancerRows.places: networks.joined(separator: " "), BalancerRows.port: portID,
            BalancerRows.addresses: addresses.joined(separator: " "),
        ]
        if !floating.isEmpty { notes[BalancerRows.outside] = outside }
        return notes
    }
}

// MARK: - Looking at the networks' rows

extension BalancerRows {
    func switchPort(_ name: String, on here: OVSDBRow) -> OVSDBRow? {
        replica.indexed("Logical_Switch_Port", name).flatMap { here["ports"].uuids.contains($0.uuid) ? $0 : nil }
    }

    fileprivate func physicalNetwork(_ here: OVSDBRow) -> String? {
        for uuid in here["ports"].uuids {
            guard let port = replica.row("Logical_Switch_Port", uuid), port["type"].string == "localnet" else {
                continue
            }
            return port["options"]["network_name"]
        }
        return nil
    }

    /// The networks' routers on a switch; those that answer for balancers are not among them.
    fileprivate func routers(on here: OVSDBRow) -> [OVSDBRow] {
        let names = here["ports"].uuids.compactMap { uuid -> String? in
            guard let port = replica.row("Logical_Switch_Port", uuid), port["type"].string == "router" else {
                return nil
            }
            return port["options"]["router-port"]
        }
        guard !names.isEmpty else { return [] }
        let ports = Set(
            replica.rows("Logical_Router_Port").filter { names.contains($0["name"].string ?? "") }.map(\.uuid))
        return replica.rows("Logical_Router").filter {
            $0["external_ids"][Self.mark] == nil && !$0["ports"].uuids.isDisjoint(with: ports)
        }
    }

    /// By the networks' names for the two ends of a router's port: looked up, for there may be thousands.
    fileprivate func switches(of router: OVSDBRow) -> [OVSDBRow] {
        router["ports"].uuids.compactMap { uuid in
            guard let name = replica.row("Logical_Router_Port", uuid)?["name"].string, name.hasPrefix("lrp-"),
                let end = replica.indexed("Logical_Switch_Port", String(name.dropFirst(4))),
                let network = end["external_ids"]["neutron:network_name"], network.hasPrefix("neutron-")
            else { return nil }
            return replica.indexed("Logical_Switch", String(network.dropFirst(8)))
        }
    }

    fileprivate func floating(_ addresses: [String], _ routers: [OVSDBRow]) -> [String] {
        var found: Set<String> = []
        for uuid in routers.flatMap({ $0["nat"].uuids }) {
            guard let row = replica.row("NAT", uuid), row["type"].string == "dnat_and_snat",
                addresses.contains(row["logical_ip"].string ?? "")
            else { continue }
            found.insert(row["external_ip"].string ?? "")
        }
        return found.sorted()
    }
}
