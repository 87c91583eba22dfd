// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import Network
package import OVSDB

/// Networks made of OVN: a change becomes one northbound transaction, computed from the pieces that it touches.
package actor OVNNetworkBackend: NetworkBackend, GatewayPlacement, HostWatch {
    let northbound: OVSDBClient
    let southbound: OVSDBClient
    private let options: OVNOptions
    private let log: Log
    private var graph = TopologyGraph()
    /// The hosts that gateways were last placed on.
    private var hosts: [ChassisFact] = []
    private var listeners: [Int: AsyncStream<PortEvent>.Continuation] = [:]
    private var lastListener = 0
    /// The ports that are known to be up, and where.
    private var carried: [String: String] = [:]
    private var isBusy = false
    private var lastMark = 0
    private var queue: [CheckedContinuation<Void, Never>] = []

    package init(
        northbound: [OVSDBEndpoint], southbound: [OVSDBEndpoint], options: OVNOptions = OVNOptions(),
        log: Log = .silent
    ) {
        self.northbound = OVSDBClient(
            northbound, database: Northbound.database, monitors: Northbound.monitors, log: log)
        self.southbound = OVSDBClient(
            southbound, database: Southbound.database, monitors: Southbound.monitors, log: log)
        self.options = options
        self.log = log
        self.northbound.start()
        self.southbound.start()
    }

    /// Follows the hosts and the ports until the task is cancelled: passes events on and moves gateways.
    package func run() async {
        let changes = southbound.changes()
        // What came up before anybody followed is told first.
        let replica = southbound.replica
        for row in replica.rows("Port_Binding") {
            let found = OVSDBChange(table: "Port_Binding", uuid: row.uuid, old: nil, new: row)
            for event in Southbound.events(found, replica) { pass(event) }
        }
        await reschedule()
        for await batch in changes {
            let replica = southbound.replica
            for event in batch.flatMap({ Southbound.events($0, replica) }) { pass(event) }
            if batch.contains(where: { ["Chassis", "Encap"].contains($0.table) }) { await reschedule() }
        }
        for listener in listeners.values { listener.finish() }
        listeners = [:]
    }

    // MARK: - NetworkBackend

    package func apply(_ change: TopologyChange) async throws(Fault) {
        await enter()
        defer { leave() }
        try await northbound.ready()
        let (references, turned) = (change.references, graph.turned(by: change))
        var pieces = graph.affected(by: references, turned: turned)
        let former = graph.apply(change)
        pieces.formUnion(graph.affected(by: references, turned: turned))
        let after = Translator(graph, options, chassis: hosts).rows(pieces)
        // Until the transaction is made, the graph is what it was.
        let next = graph.restore(former)
        let before = Translator(graph, options, chassis: hosts).rows(pieces)
        try await make(Differ.plan(northbound.replica, before: before, after: after), within: .seconds(20))
        graph.restore(next)
    }

    package func synchronize(_ whole: Topology) async throws(Fault) -> DriftReport {
        await enter()
        defer { leave() }
        try await northbound.ready()
        try await southbound.ready()
        let next = TopologyGraph(whole)
        let now = Southbound.hosts(southbound.replica)
        let rows = Translator(next, options, chassis: now).everything()
        let plan = Differ.plan(northbound.replica, whole: rows)
        try await make(plan, within: .seconds(120))
        graph = next
        hosts = now
        return plan.drift
    }

    package func events() async -> AsyncStream<PortEvent> {
        let (stream, listener) = AsyncStream<PortEvent>.makeStream(bufferingPolicy: .bufferingNewest(100_000))
        lastListener += 1
        listeners[lastListener] = listener
        // What happened while nobody listened, in another process before this one perhaps, is known by how things are.
        for event in Southbound.ports(southbound.replica) { listener.yield(event) }
        return stream
    }

    package func chassis() async throws(Fault) -> [ChassisFact] {
        try await southbound.ready()
        let replica = southbound.replica
        let progress = Dictionary(
            replica.rows("Chassis_Private").map { ($0["name"].string ?? "", $0["nb_cfg"].integer) },
            uniquingKeysWith: { $1 })
        return Southbound.hosts(replica).map { host in
            var host = host
            host.progress = progress[host.id] ?? nil
            return host
        }
    }

    /// OVN's own sign of life: every controller writes down the number that it has put into effect.
    package func knock() async throws(Fault) {
        let global = [OVSDBCondition("nb_cfg", .greaterOrEqual, 0)]
        try await northbound.transact([
            .mutate(table: "NB_Global", where: global, [OVSDBMutation("nb_cfg", .add, 1)])
        ])
    }

    package func forget(host: String) async throws(Fault) {
        let named = [OVSDBCondition("name", .equal, .string(host))]
        try await southbound.transact([
            .delete(table: "Chassis", where: named), .delete(table: "Chassis_Private", where: named),
            .comment("apus"),
        ])
        try await southbound.wait(within: .seconds(10), for: "\(host) to be forgotten") { replica in
            !replica.rows("Chassis").contains { $0["name"].string == host }
        }
        await reschedule()
    }

    /// The hosts that stand by for a router's gateway or a port outside our hosts, the one that carries it first.
    package func gatewayHosts(of portID: String) -> [String] {
        guard let port = graph.topology.ports[portID], let network = graph.topology.networks[port.networkID] else {
            return []
        }
        var zones: [String] = []
        if case .routerGateway(let id) = port.kind, let router = graph.topology.routers[id] {
            if let named = router.hosts { return named.map(\.id) }
            zones = router.zoneHints
        }
        return Translator(graph, options, chassis: hosts).gateways(
            for: portID, physicalNetwork: network.provider.physicalNetwork, zones: zones)
    }

    /// Marks what the switches are to forget in the transaction that ends it. A mark that is set anew is another one.
    private func notes(of ends: Set<TranslationEnd>) -> [OVSDBOperation] {
        guard !ends.isEmpty else { return [] }
        lastMark += 1
        let mark = "\(northbound.replica.rows("NB_Global").first?["nb_cfg"].integer ?? 0).\(lastMark)"
        let (keys, all) = (ends.map(\.description), [OVSDBCondition("nb_cfg", .greaterOrEqual, 0)])
        return [
            .mutate(
                table: "NB_Global", where: all,
                [
                    OVSDBMutation("external_ids", .delete, .strings(keys)),
                    OVSDBMutation(
                        "external_ids", .insert,
                        .strings(Dictionary(uniqueKeysWithValues: keys.map { ($0, mark) }))),
                ])
        ]
    }

    /// Returns once every host has put into effect what has been applied so far.
    package func settle(within limit: Duration = .seconds(30)) async throws(Fault) {
        let global = [OVSDBCondition("nb_cfg", .greaterOrEqual, 0)]
        let results = try await northbound.transact([
            .mutate(table: "NB_Global", where: global, [OVSDBMutation("nb_cfg", .add, 1)]),
            .select(table: "NB_Global", where: global, columns: ["nb_cfg"]),
        ])
        guard let goal = results.last?.rows.first?["nb_cfg"]?.integer else {
            throw .unavailable("The northbound database has not been initialised.")
        }
        try await northbound.wait(within: limit, for: "the hosts to follow the network changes") { replica in
            replica.rows("NB_Global").contains { ($0["hv_cfg"].integer ?? 0) >= goal }
        }
    }

    // MARK: - Inside

    private func make(_ plan: Plan, within limit: Duration) async throws(Fault) {
        guard !plan.isEmpty else { return }
        try await northbound.transact(plan.operations + notes(of: plan.ends) + [.comment("apus")], within: limit)
    }

    /// Places gateways anew when the hosts have changed.
    private func reschedule() async {
        await enter()
        defer { leave() }
        let now = Southbound.hosts(southbound.replica)
        guard now != hosts else { return }
        let topology = graph.topology
        let pieces =
            topology.routers.values.filter { $0.gateway != nil }.map { Piece($0.reference) }
            + topology.ports.values.filter { $0.kind == .external }.map { Piece($0.reference) }
        do throws(Fault) {
            try await northbound.ready()
            let plan = Differ.plan(
                northbound.replica, before: Translator(graph, options, chassis: hosts).rows(pieces),
                after: Translator(graph, options, chassis: now).rows(pieces))
            try await make(plan, within: .seconds(20))
            hosts = now
        } catch {
            // The next change of a host, or the next synchronisation, tries again.
            log.warning("Gateways could not be placed.", ["error": error.description])
        }
    }

    /// Whatever the topology says: a port that waits plugged is up before the transaction that made it is answered.
    private func pass(_ event: PortEvent) {
        if event.isArriving {
            for listener in listeners.values { listener.yield(event) }
            return
        }
        let known = carried[event.portID]
        guard event.isUp ? known != event.host ?? "" : known != nil else { return }
        carried[event.portID] = event.isUp ? event.host ?? "" : nil
        for listener in listeners.values { listener.yield(event) }
    }

    /// One transaction at a time: each is computed from the replica that the one before it left.
    private func enter() async {
        guard isBusy else {
            isBusy = true
            return
        }
        await withCheckedContinuation { queue.append($0) }
    }

    private func leave() {
        if queue.isEmpty { isBusy = false } else { queue.removeFirst().resume() }
    }
}
