// SPDX-License-Identifier: Apache-2.0
package import Network

/// A topology with its back references, so that the consequences of a change are found without a walk over everything.
package struct TopologyGraph: Sendable {
    package private(set) var topology = Topology()
    /// Who is computed from an object.
    private var users: [TopologyReference: Set<TopologyReference>] = [:]
    /// Who asks of an object only whether it is there.
    private var watchers: [TopologyReference: Set<TopologyReference>] = [:]

    package init() {}

    package init(_ whole: Topology) {
        apply(TopologyChange(put: whole.objects))
    }

    package mutating func apply(_ change: TopologyChange) {
        let references = Set(change.references)
        for reference in references { index(reference, inserting: false) }
        topology.apply(change)
        for reference in references { index(reference, inserting: true) }
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

    private mutating func index(_ reference: TopologyReference, inserting: Bool) {
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

    /// The pieces whose rows may depend on the objects, as this graph stands; ask the graphs before and after a change.
    func affected(by references: [TopologyReference], comparedTo other: TopologyGraph) -> Set<Piece> {
        var pieces: Set<Piece> = []
        var seen: Set<TopologyReference> = []
        var open = references
        while let reference = open.popLast() {
            guard seen.insert(reference).inserted else { continue }
            pieces.formUnion(self.pieces(reference))
            pieces.formUnion(translated(reference)?.feeds(self) ?? [])
            open += users[reference] ?? []
            let cameOrWent = (topology[reference] == nil) != (other.topology[reference] == nil)
            if cameOrWent { open += watchers[reference] ?? [] }
        }
        return pieces
    }
}
