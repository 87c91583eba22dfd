// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Makes what is written real: hands changed objects to the back end, and writes down what the back end tells of ports.
/// A back end that fails is asked again, ever more slowly; what is to be told to it waits in a table meanwhile.
package struct NetworkSync: Sendable {
    let service: NetworkService
    private static let batch = 500
    private static let idle: Duration = .seconds(30)

    init(_ service: NetworkService) { self.service = service }

    private var database: Database { service.database }

    /// Runs until cancelled.
    package func run(_ metrics: Metrics = Metrics()) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.push(DriftGauges(metrics)) }
            group.addTask { await self.listen() }
            group.addTask { await self.watchHosts() }
        }
    }

    // MARK: Towards the back end

    /// One loop hands over both changes and, from time to time, everything: an audit that read its rows before a change
    /// was handed over must not undo it.
    private func push(_ gauges: DriftGauges) async {
        await persist("synchronise networks") { () async throws(Fault) in _ = try await self.synchronize() }
        var audited = service.clock.now()
        while !Task.isCancelled {
            await persist("apply network changes") { () async throws(Fault) in
                while try await self.applyOnce() > 0 {}
            }
            if service.clock.now() >= audited + service.options.auditInterval {
                await auditOnce(gauges)
                audited = service.clock.now()
            }
            await service.dirty.wait(atMost: NetworkSync.idle, service.clock)
        }
    }

    /// Compares everything with the back end and mends it.
    package func synchronize() async throws(Fault) -> DriftReport {
        let pending = try await database.all(DirtyObject.self, "kind <> \(TopologyKind.addresses)")
        let whole = try await TopologyReader(database).everything()
        let drift = try await service.backend.synchronize(whole)
        if !drift.isEmpty {
            service.log.info(
                "networks mended",
                [
                    "inserted": drift.inserted.count, "updated": drift.updated.count, "deleted": drift.deleted.count,
                ])
        }
        try await settle(pending)
        return drift
    }

    /// Hands one batch of changes over; gives how many objects it held.
    package func applyOnce() async throws(Fault) -> Int {
        let pending = try await database.all(DirtyObject.self, "1 = 1 LIMIT \(NetworkSync.batch)")
        guard !pending.isEmpty else { return 0 }
        let change = try await TopologyReader(database).change(pending.compactMap(\.reference))
        if !change.isEmpty { try await service.backend.apply(change) }
        try await settle(pending)
        for note in pending where note.kind == .addresses {
            await tell(note.objectID, "network-changed", requestID: note.requestID)
        }
        return pending.count
    }

    /// Strikes out notes, unless newer ones of the same objects came; floating addresses on routers are up now.
    private func settle(_ notes: [DirtyObject]) async throws(Fault) {
        guard !notes.isEmpty else { return }
        let routers = notes.filter { $0.kind == .router }.map(\.objectID)
        let now = service.clock.now()
        let alike = Dictionary(grouping: notes) { "\($0.kind.rawValue) \($0.generation)" }.values
        try await database.transaction { transaction throws(Fault) in
            for notes in alike {
                let ids = notes.map(\.objectID)
                try transaction.delete(
                    DirtyObject.self,
                    "kind = \(notes[0].kind) AND generation = \(notes[0].generation) AND object_id IN \(ids)")
            }
            for router in routers {
                try transaction.update(
                    FloatingIP.self,
                    set: "status = 'ACTIVE', revision_number = revision_number + 1, updated_at = \(now)",
                    where: "router_id = \(router) AND status = 'DOWN'")
            }
        }
    }

    // MARK: From the back end

    private func listen() async {
        while !Task.isCancelled {
            for await event in await service.backend.events() {
                await persist("record a port's state") { () async throws(Fault) in try await self.record(event) }
            }
            // The back end went away; it is asked for a new stream once it may be back.
            try? await service.clock.sleep(.seconds(1))
        }
    }

    /// Writes what happened to a port, and tells its server.
    package func record(_ event: PortEvent) async throws(Fault) {
        if event.isArriving {
            return await tell(event.portID, "network-vif-plugged", requestID: "req-" + service.ids.uuid())
        }
        let status = event.isUp ? "ACTIVE" : "DOWN"
        let now = service.clock.now()
        let known = try await database.first(Port.self, "id = \(event.portID)")
        guard let known, known.status != status else { return }
        let changed = try await database.update(
            Port.self,
            set: "status = \(status), revision_number = revision_number + 1, updated_at = \(now)",
            where: "id = \(event.portID) AND status <> \(status) AND device_owner NOT LIKE 'network:%'")
        guard changed > 0 else { return }
        try await database.update(
            Trunk.self, set: "status = \(status), revision_number = revision_number + 1, updated_at = \(now)",
            where: "port_id = \(event.portID) AND status <> \(status)")
        await tell(
            event.portID, event.isUp ? "network-vif-plugged" : "network-vif-unplugged",
            requestID: "req-" + service.ids.uuid())
    }

    /// Tells Compute of a server's port. Best effort: Compute looks again on its own when a word is lost.
    private func tell(_ portID: String, _ event: String, requestID: String) async {
        do throws(Fault) {
            guard let port = try await database.first(Port.self, "id = \(portID)"),
                port.deviceOwner.hasPrefix("compute:"), !port.deviceID.isEmpty
            else { return }
            var word: JSONObject = [:]
            word["name"] = .string(event)
            word["server_uuid"] = .string(port.deviceID)
            word["tag"] = .string(port.id)
            if event != "network-changed" { word["status"] = "completed" }
            try await service.compute.call(
                "POST", "/os-server-external-events", body: ["events": [.object(word)]], requestID: requestID)
        } catch {
            service.log.debug(
                "compute was not told of a port", ["port_id": portID, "event": event, "error": error.message])
        }
    }

    private func watchHosts() async {
        while !Task.isCancelled {
            do throws(Fault) { try await noteHosts() } catch {
                service.log.warning("the hosts of networks are not known", ["error": error.message])
            }
            try? await service.clock.sleep(NetworkSync.idle)
        }
    }

    /// Writes down which hosts there are, for the list of agents.
    package func noteHosts() async throws(Fault) {
        let watch = service.backend as? any HostWatch
        try await watch?.knock()
        let facts = try await service.backend.chassis()
        let now = service.clock.now()
        try await database.transaction { transaction throws(Fault) in
            let known = try transaction.all(NetworkAgent.self, "kind = ''")
            for fact in facts {
                let before = known.first { $0.id == fact.id }
                // A host that does not say how far it has come is alive while it is listed.
                let isHeard = before == nil || fact.progress == nil || fact.progress != before?.progress
                let heard = isHeard ? now : before?.heartbeat ?? now
                let agent = NetworkAgent(
                    id: fact.id, host: fact.hostname, isGateway: fact.isGateway, tunnelAddresses: fact.tunnelAddresses,
                    physicalNetworks: fact.physicalNetworks, heartbeat: heard,
                    isAlive: heard + NetworkAgent.patience > now, adminStateUp: before?.adminStateUp ?? true,
                    description: before?.description ?? "", createdAt: before?.createdAt ?? now,
                    zones: fact.zones.joined(separator: ":"), progress: fact.progress ?? 0,
                    promisesPackets: !fact.packetRates.isEmpty)
                try transaction.delete(NetworkAgent.self, "id = \(fact.id)")
                try transaction.insert(agent)
            }
            for agent in known where !facts.contains(where: { $0.id == agent.id }) {
                try transaction.update(NetworkAgent.self, set: "is_alive = 0", where: "id = \(agent.id)")
            }
            try transaction.update(
                NetworkAgent.self, set: "is_alive = 0",
                where: "kind <> '' AND is_alive = 1 AND heartbeat <= \(now - NetworkAgent.patience)")
        }
    }

    // MARK: Patience

    /// Does it, again and again with longer and longer pauses while it fails.
    private func persist(_ what: String, _ deed: @Sendable () async throws(Fault) -> Void) async {
        var pause: Duration = .milliseconds(100)
        while !Task.isCancelled {
            do throws(Fault) { return try await deed() } catch {
                service.log.warning("cannot \(what)", ["error": error.message, "again_in_ms": pause.milliseconds])
            }
            try? await service.clock.sleep(pause)
            pause = min(pause * 2, .seconds(10))
        }
    }
}
