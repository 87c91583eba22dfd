// SPDX-License-Identifier: Apache-2.0
package import Network

/// A piece of the translation: the rows that are derived together. `names` are a network's DNS records.
package enum Piece: Sendable, Hashable {
    case network(String)
    case names(String)
    case port(String)
    case router(String)
    case securityGroup(String)
}

/// A topology with its back references, so that the consequences of a change are found without a walk over everything.
package struct TopologyGraph: Sendable {
    package private(set) var topology = Topology()
    private var portsByNetwork: [String: Set<String>] = [:]
    private var portsByGroup: [String: Set<String>] = [:]
    private var routersByPort: [String: Set<String>] = [:]

    package init() {}

    package init(_ whole: Topology) {
        apply(TopologyChange(put: whole.objects))
    }

    package mutating func apply(_ change: TopologyChange) {
        for reference in Set(change.references) { index(reference, inserting: false) }
        topology.apply(change)
        for reference in Set(change.references) { index(reference, inserting: true) }
    }

    func ports(on networkID: String) -> [PortSpec] {
        (portsByNetwork[networkID] ?? []).sorted().compactMap { topology.ports[$0] }
    }

    private mutating func index(_ reference: TopologyReference, inserting: Bool) {
        switch topology[reference] {
        case .port(let port):
            TopologyGraph.set(port.id, in: &portsByNetwork, at: port.networkID, inserting)
            for group in port.securityGroupIDs { TopologyGraph.set(port.id, in: &portsByGroup, at: group, inserting) }
        case .router(let router):
            for port in router.interfaces + [router.gateway?.portID].compactMap(\.self) {
                TopologyGraph.set(router.id, in: &routersByPort, at: port, inserting)
            }
        default: break
        }
    }

    private static func set(
        _ id: String, in index: inout [String: Set<String>], at key: String, _ inserting: Bool
    ) {
        if inserting { index[key, default: []].insert(id) } else { index[key]?.remove(id) }
        if index[key]?.isEmpty == true { index[key] = nil }
    }

    /// Every piece.
    var pieces: Set<Piece> {
        Set(
            topology.networks.keys.flatMap { [.network($0), .names($0)] } + topology.ports.keys.map { .port($0) }
                + topology.routers.keys.map { .router($0) } + topology.securityGroups.keys.map { .securityGroup($0) })
    }

    /// The pieces whose rows may depend on the objects, as this graph stands; ask the graphs before and after a change.
    func affected(by references: [TopologyReference], comparedTo other: TopologyGraph) -> Set<Piece> {
        var pieces: Set<Piece> = []
        for reference in references {
            switch reference {
            case .network(let id):
                pieces.formUnion([.network(id), .names(id)])
                for port in portsByNetwork[id] ?? [] { touch(port, &pieces) }
            case .port(let id):
                touch(id, &pieces)
                if let port = topology.ports[id], !port.dnsName.isEmpty { pieces.insert(.names(port.networkID)) }
            case .router(let id): pieces.insert(.router(id))
            case .securityGroup(let id):
                pieces.insert(.securityGroup(id))
                // Members are linked only while the group is there.
                let cameOrWent = (topology.securityGroups[id] == nil) != (other.topology.securityGroups[id] == nil)
                if cameOrWent { pieces.formUnion((portsByGroup[id] ?? []).map { .port($0) }) }
            }
        }
        return pieces
    }

    private func touch(_ port: String, _ pieces: inout Set<Piece>) {
        pieces.insert(.port(port))
        pieces.formUnion((routersByPort[port] ?? []).map { .router($0) })
    }
}
