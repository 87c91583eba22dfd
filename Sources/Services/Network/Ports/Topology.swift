// SPDX-License-Identifier: Apache-2.0

/// What the networks should be, as values: the whole desired state that a back end realises. Objects refer to each
/// other by id; one that refers to something absent is realised as far as it can be, and wholly once that arrives.
package struct Topology: Sendable, Hashable {
    package var networks: [String: SwitchSpec] = [:]
    package var ports: [String: PortSpec] = [:]
    package var routers: [String: RouterSpec] = [:]
    package var securityGroups: [String: SecurityGroupSpec] = [:]

    package init() {}

    package init(
        networks: [SwitchSpec], ports: [PortSpec] = [], routers: [RouterSpec] = [],
        securityGroups: [SecurityGroupSpec] = []
    ) {
        for network in networks { self.networks[network.id] = network }
        for port in ports { self.ports[port.id] = port }
        for router in routers { self.routers[router.id] = router }
        for group in securityGroups { self.securityGroups[group.id] = group }
    }
}

/// Names one object of a topology.
package enum TopologyReference: Sendable, Hashable {
    case network(String)
    case port(String)
    case router(String)
    case securityGroup(String)
}

/// One object of a topology.
package enum TopologyObject: Sendable, Hashable {
    case network(SwitchSpec)
    case port(PortSpec)
    case router(RouterSpec)
    case securityGroup(SecurityGroupSpec)

    package var reference: TopologyReference {
        switch self {
        case .network(let spec): .network(spec.id)
        case .port(let spec): .port(spec.id)
        case .router(let spec): .router(spec.id)
        case .securityGroup(let spec): .securityGroup(spec.id)
        }
    }

    package var generation: Int {
        switch self {
        case .network(let spec): spec.generation
        case .port(let spec): spec.generation
        case .router(let spec): spec.generation
        case .securityGroup(let spec): spec.generation
        }
    }
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

extension Topology {
    package subscript(reference: TopologyReference) -> TopologyObject? {
        switch reference {
        case .network(let id): networks[id].map { .network($0) }
        case .port(let id): ports[id].map { .port($0) }
        case .router(let id): routers[id].map { .router($0) }
        case .securityGroup(let id): securityGroups[id].map { .securityGroup($0) }
        }
    }

    /// Every object, networks first.
    package var objects: [TopologyObject] {
        networks.values.map { .network($0) } + securityGroups.values.map { .securityGroup($0) }
            + routers.values.map { .router($0) } + ports.values.map { .port($0) }
    }

    /// Takes a change in. An object older than the one already here is passed over: a late writer never undoes a
    /// newer one.
    package mutating func apply(_ change: TopologyChange) {
        for object in change.put where object.generation >= (self[object.reference]?.generation ?? 0) { put(object) }
        for reference in change.remove { remove(reference) }
    }

    private mutating func put(_ object: TopologyObject) {
        switch object {
        case .network(let spec): networks[spec.id] = spec
        case .port(let spec): ports[spec.id] = spec
        case .router(let spec): routers[spec.id] = spec
        case .securityGroup(let spec): securityGroups[spec.id] = spec
        }
    }

    private mutating func remove(_ reference: TopologyReference) {
        switch reference {
        case .network(let id): networks[id] = nil
        case .port(let id): ports[id] = nil
        case .router(let id): routers[id] = nil
        case .securityGroup(let id): securityGroups[id] = nil
        }
    }
}
