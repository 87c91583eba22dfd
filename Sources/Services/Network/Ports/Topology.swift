// SPDX-License-Identifier: Apache-2.0

/// A kind of object that networks are made of. A new kind is a spec here, its `TopologySource` among the agents, and
/// what a driver makes of it; nothing else knows how many there are.
package struct TopologyKind: RawRepresentable, Sendable, Hashable, Codable, Comparable {
    package let rawValue: String

    package init(rawValue: String) { self.rawValue = rawValue }
    package init(_ word: String) { rawValue = word }

    package static func < (left: TopologyKind, right: TopologyKind) -> Bool { left.rawValue < right.rawValue }
}

/// One object as it should be. Objects refer to each other by id; one that refers to something absent is realised as
/// far as it can be, and wholly once that arrives.
package protocol TopologySpec: Sendable, Hashable {
    static var kind: TopologyKind { get }
    var id: String { get }
    /// The revision of the row; a back end records it and never goes back.
    var generation: Int { get }
}

extension TopologySpec {
    package var reference: TopologyReference { TopologyReference(Self.kind, id) }
}

/// Names one object of a topology.
package struct TopologyReference: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let kind: TopologyKind
    package let id: String

    package init(_ kind: TopologyKind, _ id: String) {
        self.kind = kind
        self.id = id
    }

    package static func network(_ id: String) -> TopologyReference { TopologyReference(SwitchSpec.kind, id) }
    package static func port(_ id: String) -> TopologyReference { TopologyReference(PortSpec.kind, id) }
    package static func router(_ id: String) -> TopologyReference { TopologyReference(RouterSpec.kind, id) }
    package static func securityGroup(_ id: String) -> TopologyReference {
        TopologyReference(SecurityGroupSpec.kind, id)
    }

    package static func < (left: TopologyReference, right: TopologyReference) -> Bool {
        (left.kind, left.id) < (right.kind, right.id)
    }
    package var description: String { "\(kind.rawValue) \(id)" }
}

/// One object of a topology, of whichever kind.
package struct TopologyObject: Sendable, Hashable {
    package let spec: any TopologySpec

    package init(_ spec: any TopologySpec) { self.spec = spec }

    package static func network(_ spec: SwitchSpec) -> TopologyObject { TopologyObject(spec) }
    package static func port(_ spec: PortSpec) -> TopologyObject { TopologyObject(spec) }
    package static func router(_ spec: RouterSpec) -> TopologyObject { TopologyObject(spec) }
    package static func securityGroup(_ spec: SecurityGroupSpec) -> TopologyObject { TopologyObject(spec) }

    package var reference: TopologyReference { spec.reference }
    package var generation: Int { spec.generation }

    package static func == (left: TopologyObject, right: TopologyObject) -> Bool {
        AnyHashable(left.spec) == AnyHashable(right.spec)
    }
    package func hash(into hasher: inout Hasher) { spec.hash(into: &hasher) }
}

/// Objects that changed together and must become real together. Putting an object that has not changed is harmless.
package struct TopologyChange: Sendable, Hashable {
    package var put: [TopologyObject]
    package var remove: [TopologyReference]

    package init(put: [TopologyObject] = [], remove: [TopologyReference] = []) {
        self.put = put
        self.remove = remove
    }

    package var isEmpty: Bool { put.isEmpty && remove.isEmpty }
    package var references: [TopologyReference] { put.map(\.reference) + remove }
}

/// What the networks should be, as values: the whole desired state that a back end realises.
package struct Topology: Sendable, Equatable {
    private var tables: [TopologyKind: any AnyTopologyTable] = [:]

    package init() {}

    package init(_ objects: [TopologyObject]) {
        for object in objects { put(object.spec) }
    }

    package init(
        networks: [SwitchSpec], ports: [PortSpec] = [], routers: [RouterSpec] = [],
        securityGroups: [SecurityGroupSpec] = []
    ) {
        for network in networks { put(network) }
        for port in ports { put(port) }
        for router in routers { put(router) }
        for group in securityGroups { put(group) }
    }

    package var networks: TopologyTable<SwitchSpec> {
        get { table(SwitchSpec.self) }
        set { set(newValue) }
    }
    package var ports: TopologyTable<PortSpec> {
        get { table(PortSpec.self) }
        set { set(newValue) }
    }
    package var routers: TopologyTable<RouterSpec> {
        get { table(RouterSpec.self) }
        set { set(newValue) }
    }
    package var securityGroups: TopologyTable<SecurityGroupSpec> {
        get { table(SecurityGroupSpec.self) }
        set { set(newValue) }
    }

    /// All objects of one kind.
    package func table<Spec: TopologySpec>(_ type: Spec.Type) -> TopologyTable<Spec> {
        tables[Spec.kind] as? TopologyTable<Spec> ?? TopologyTable()
    }
    package mutating func set<Spec: TopologySpec>(_ table: TopologyTable<Spec>) { tables[Spec.kind] = table }

    package subscript(reference: TopologyReference) -> TopologyObject? { tables[reference.kind]?.object(reference.id) }

    /// Every object, kind by kind.
    package var objects: [TopologyObject] { tables.sorted { $0.key < $1.key }.flatMap(\.value.objects) }

    /// Takes a change in. An object older than the one already here is passed over: a late writer never undoes a
    /// newer one.
    package mutating func apply(_ change: TopologyChange) {
        for object in change.put where object.generation >= (self[object.reference]?.generation ?? 0) {
            put(object.spec)
        }
        for reference in change.remove { tables[reference.kind]?.remove(reference.id) }
    }

    package mutating func put<Spec: TopologySpec>(_ spec: Spec) {
        tables[Spec.kind, default: TopologyTable<Spec>()].put(spec)
    }

    package static func == (left: Topology, right: Topology) -> Bool { Set(left.objects) == Set(right.objects) }
}

/// The objects of one kind, by id.
package struct TopologyTable<Spec: TopologySpec>: Sendable {
    private var specs: [String: Spec] = [:]

    package init() {}

    package subscript(id: String) -> Spec? {
        get { specs[id] }
        set { specs[id] = newValue }
    }
    package var keys: Dictionary<String, Spec>.Keys { specs.keys }
    package var values: Dictionary<String, Spec>.Values { specs.values }
    package var isEmpty: Bool { specs.isEmpty }
    package var count: Int { specs.count }
}

/// A table whose kind is not known where it is used.
private protocol AnyTopologyTable: Sendable {
    var objects: [TopologyObject] { get }
    func object(_ id: String) -> TopologyObject?
    mutating func put(_ spec: any TopologySpec)
    mutating func remove(_ id: String)
}

extension TopologyTable: AnyTopologyTable {
    fileprivate var objects: [TopologyObject] { specs.values.map { TopologyObject($0) } }
    fileprivate func object(_ id: String) -> TopologyObject? { specs[id].map { TopologyObject($0) } }
    fileprivate mutating func put(_ spec: any TopologySpec) {
        if let spec = spec as? Spec { specs[spec.id] = spec }
    }
    fileprivate mutating func remove(_ id: String) { specs[id] = nil }
}
