// SPDX-License-Identifier: Apache-2.0
package import Network

/// A topology with its back references, so that the consequences of a change are found without a walk over everything.
package struct TopologyGraph: Sendable {
    package private(set) var topology = Topology()
    /// Who is computed from an object.
    private var users: [TopologyReference: Set<TopologyReference>] = [:]
    /// Who asks of an object only whether it is there.
    private var watchers: [TopologyReference: Set<TopologyReference>] = [:]

    /// Named ports by network and what they are found by.
    private var named: [String: [Piece.NameKey: Set<String>]] = [:]

    package init() {}

    package init(_ whole: Topology) {
        apply(TopologyChange(put: whole.objects))
    }

    /// What objects were before a change; nil for those that were not there.
    package typealias Former = [TopologyReference: TopologyObject?]

    /// Takes a change in; gives what takes it back.
    @discardableResult
    package mutating func apply(_ change: TopologyChange) -> Former {
        replace(Set(change.references)) { $0.apply(change) }
    }

    /// Takes a change back; gives what makes it again.
    @discardableResult
    mutating func restore(_ former: Former) -> Former {
        replace(Set(former.keys)) { topology in
            for (reference, object) in former {
                topology.apply(TopologyChange(remove: [reference]))
                if let object { topology.put(object.spec) }
            }
        }
    }

    /// In place: a copy of a large cloud for every change would cost more than all that the change is about.
    private mutating func replace(_ references: Set<TopologyReference>, _ edit: (inout Topology) -> Void) -> Former {
        var former: Former = [:]
        for reference in references {
            former[reference] = .some(topology[reference])
            index(reference, inserting: false)
        }
        edit(&topology)
        for reference in references { index(reference, inserting: true) }
        return former
    }

    func translated(_ reference: TopologyReference) -> (any Translated)? {
        topology[reference]?.spec as? any Translated
    }

    /// The objects of a kind that use another, in order.
    func users<Spec: TopologySpec>(_ type: Spec.Type, of reference: TopologyReference) -> [Spec] {
        let table = topology.table(type)
        return (users[reference] ?? []).filter { $0.kind == Spec.kind }.map(\.id).sorted().compactMap { table[$0] }
    }

    func ports(on networkID: String) -> [PortSpec] { users(PortSpec.self, of: .network(networkID)) }

    func hasNames(_ networkID: String) -> Bool { named[networkID] != nil }
    func nameKeys(on networkID: String) -> Set<Piece.NameKey> { Set((named[networkID] ?? [:]).keys) }

    /// The ports with a name or an address, in order.
    func ports(named key: Piece.NameKey, on networkID: String) -> [PortSpec] {
        (named[networkID]?[key] ?? []).sorted().compactMap { topology.ports[$0] }
    }

    private mutating func indexNames(_ port: PortSpec, inserting: Bool) {
        for key in port.nameKeys {
            if inserting {
                named[port.networkID, default: [:]][key, default: []].insert(port.id)
            } else {
                named[port.networkID]?[key]?.remove(port.id)
                if named[port.networkID]?[key]?.isEmpty == true { named[port.networkID]?[key] = nil }
            }
        }
        if named[port.networkID]?.isEmpty == true { named[port.networkID] = nil }
    }

    private mutating func index(_ reference: TopologyReference, inserting: Bool) {
        if reference.kind == PortSpec.kind, let port = topology.ports[reference.id] {
            indexNames(port, inserting: inserting)
        }
        for use in translated(reference)?.uses ?? [] {
            if use.presenceOnly {
                TopologyGraph.set(reference, in: &watchers, at: use.reference, inserting)
            } else {
                TopologyGraph.set(reference, in: &users, at: use.reference, inserting)
            }
        }
    }

    private static func set(
        _ reference: TopologyReference, in index: inout [TopologyReference: Set<TopologyReference>],
        at key: TopologyReference, _ inserting: Bool
    ) {
        if inserting { index[key, default: []].insert(reference) } else { index[key]?.remove(reference) }
        if index[key]?.isEmpty == true { index[key] = nil }
    }

    /// Every piece.
    var pieces: Set<Piece> { Set(topology.objects.flatMap { pieces($0.reference) }) }

    private func pieces(_ reference: TopologyReference) -> [Piece] {
        guard let spec = translated(reference) else { return [] }
        return type(of: spec).parts.map { Piece(reference, $0) }
    }

    /// The objects that a change brings or takes away.
    func turned(by change: TopologyChange) -> Set<TopologyReference> {
        Set(change.put.map(\.reference).filter { topology[$0] == nil })
            .union(change.remove.filter { topology[$0] != nil })
    }

    /// The pieces whose rows may depend on the objects, as this graph stands; ask it before and after a change.
    /// - Parameter turned: the objects that come or go.
    func affected(by references: [TopologyReference], turned: Set<TopologyReference>) -> Set<Piece> {
        var pieces: Set<Piece> = []
        var seen: Set<TopologyReference> = []
        var open = references
        while let reference = open.popLast() {
            guard seen.insert(reference).inserted else { continue }
            pieces.formUnion(self.pieces(reference))
            pieces.formUnion(translated(reference)?.feeds(self) ?? [])
            open += users[reference] ?? []
            if turned.contains(reference) { open += watchers[reference] ?? [] }
        }
        return pieces
    }
}
