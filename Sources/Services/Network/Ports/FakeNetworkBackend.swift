// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Networks in memory: everything is real at once, and a port with a host comes up as soon as it is enabled.
/// A whole cloud runs on it in tests and simulations.
package actor FakeNetworkBackend: NetworkBackend, GatewayPlacement, HostWatch {
    /// What is real now.
    package private(set) var topology = Topology()
    /// How many transactions have been made, the refused ones left out.
    package private(set) var transactions = 0
    private var hosts: [ChassisFact]
    private var refusals: [Fault] = []
    private var listeners: [AsyncStream<PortEvent>.Continuation] = []

    package init(hosts: [ChassisFact] = []) { self.hosts = hosts }

    /// The next call that changes something fails so.
    package func refuse(_ fault: Fault) { refusals.append(fault) }
    package func setHosts(_ hosts: [ChassisFact]) { self.hosts = hosts }

    package func apply(_ change: TopologyChange) async throws(Fault) {
        try refuseIfAsked()
        become(Set(change.references.filter { $0.kind == PortSpec.kind }.map(\.id))) { $0.apply(change) }
    }

    package func synchronize(_ whole: Topology) async throws(Fault) -> DriftReport {
        try refuseIfAsked()
        var drift = DriftReport()
        let wanted = whole.objects
        let present = topology.objects
        for object in wanted {
            let before = topology[object.reference]
            if before == nil { drift.inserted.append(object.reference.description) }
            if let before, before != object { drift.updated.append(object.reference.description) }
        }
        for object in present where whole[object.reference] == nil {
            drift.deleted.append(object.reference.description)
        }
        become(Set(topology.ports.keys).union(whole.ports.keys)) { $0 = whole }
        return drift
    }

    package func events() async -> AsyncStream<PortEvent> {
        let (stream, listener) = AsyncStream<PortEvent>.makeStream(bufferingPolicy: .bufferingNewest(10_000))
        listeners.append(listener)
        return stream
    }

    package func chassis() async throws(Fault) -> [ChassisFact] { hosts }

    package func gatewayHosts(of portID: String) async -> [String] {
        guard let port = topology.ports[portID] else { return [] }
        if case .routerGateway(let router) = port.kind, let named = topology.routers[router]?.hosts {
            return named.map(\.id)
        }
        return hosts.filter(\.isGateway).map(\.id).sorted()
    }

    package func knock() async throws(Fault) {}
    package func forget(host: String) async throws(Fault) { hosts.removeAll { $0.id == host } }

    /// Ends every stream of events, as a back end that goes away does.
    package func stop() {
        for listener in listeners { listener.finish() }
        listeners = []
    }

    private func refuseIfAsked() throws(Fault) {
        if !refusals.isEmpty { throw refusals.removeFirst() }
    }

    /// Makes a change, and tells of the ports among these that somebody else carries after it.
    private func become(_ ports: Set<String>, _ change: (inout Topology) -> Void) {
        let before = ports.sorted().map { ($0, carrier(of: $0)) }
        let moving = ports.sorted().map { topology.ports[$0]?.movingTo }
        change(&topology)
        transactions += 1
        for (id, was) in before {
            let now = carrier(of: id)
            guard was != now else { continue }
            let event = PortEvent(portID: id, isUp: now != nil, host: now)
            for listener in listeners { listener.yield(event) }
        }
        for (id, old) in zip(ports.sorted(), moving) {
            guard let port = topology.ports[id], let next = port.movingTo, next != port.host, port.enabled,
                next != old
            else { continue }
            let event = PortEvent(portID: id, isUp: true, host: next, isArriving: true)
            for listener in listeners { listener.yield(event) }
        }
    }

    /// Who carries a port, if anybody does.
    private func carrier(of id: String) -> String? {
        guard let port = topology.ports[id], port.enabled, port.kind == .guest || port.kind == .external else {
            return nil
        }
        return port.host
    }
}
