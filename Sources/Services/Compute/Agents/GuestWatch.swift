// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Keeps servers' states true to their guests: within a moment when a hypervisor tells of a change, and by comparing
/// everything at the start and now and then, because telling may be lost.
package struct GuestWatch: Sendable {
    private let room: ComputeService
    private let interval: Duration

    package init(_ room: ComputeService, interval: Duration = .seconds(60)) {
        self.room = room
        self.interval = interval
    }

    /// Watches the hosts of this process until cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for name in room.hosts.names { group.addTask { await listen(to: name) } }
            group.addTask {
                var isFirst = true
                await room.clock.every(interval) {
                    if isFirst, room.options.care.resumesGuests { await resume() }
                    await reconcile(reportsStrangers: isFirst)
                    isFirst = false
                }
            }
        }
    }

    private func listen(to host: String) async {
        guard let driver = try? room.hosts.find(host) else { return }
        while !Task.isCancelled {
            for await event in await driver.events() {
                switch event.kind {
                case .portPlugged, .portUnplugged, .agentConnected, .agentDisconnected: continue
                default:
                    await room.queue.tell(ShutdownWait.topic(event.server))
                    await attempt(host) { () async throws(Fault) in try await settle(event.server, on: host, driver) }
                }
            }
            guard (try? await room.clock.sleep(.seconds(1))) != nil else { return }
        }
    }

    /// Starts the guests that ran when their host went down: their servers are ACTIVE still, because nobody was there
    /// to see it.
    package func resume() async {
        for name in room.hosts.names {
            await attempt(name) { () async throws(Fault) in
                let guests = try await room.hosts.find(name).guests()
                let servers = try await room.database.all(
                    Server.self, "host = \(name) AND vm_state = 'active' AND task_state IS NULL AND deleted_at IS NULL")
                let down = servers.filter { guests[$0.id] == .shutdown || guests[$0.id] == .crashed }
                for server in down { try await start(server) }
            }
        }
    }

    private func start(_ server: Server) async throws(Fault) {
        let (queue, now, requestID) = (room.queue, room.clock.now(), "req-" + room.ids.uuid())
        try await room.database.transaction { transaction throws(Fault) in
            let row = try transaction.first(
                Server.self, "id = \(server.id) AND generation = \(server.generation) AND task_state IS NULL")
            guard let row else { return }
            try row.begin(
                PowerAction.rebootHard.name,
                ActionStart(PowerAction.rebootHard.task, work: PowerServer(server: row.id, action: .rebootHard)),
                by: row.userID, requestID: requestID, at: now, queue, transaction)
        }
        room.log.info("a guest is started again after its host", ["server": server.id, "host": server.host ?? ""])
    }

    /// Compares all guests with the rows. Guests that no row knows are reported and left alone.
    package func reconcile(reportsStrangers: Bool = true) async {
        for name in room.hosts.names {
            await attempt(name) { () async throws(Fault) in
                let driver = try room.hosts.find(name)
                let guests = try await driver.guests()
                let servers = try await room.database.all(Server.self, "host = \(name) AND deleted_at IS NULL")
                for server in servers where server.taskState == nil && server.vmState != .building {
                    try await settle(server, guests[server.id], on: name)
                }
                guard reportsStrangers else { return }
                for id in Set(guests.keys).subtracting(servers.map(\.id)).sorted() {
                    room.log.warning("a guest that no server is known for", ["host": name, "guest": id])
                }
            }
        }
    }

    /// Looks at one server's guest: an action that failed may have done some of what it was to do.
    func look(at id: String) async {
        guard let server = try? await room.database.first(Server.self, "id = \(id) AND deleted_at IS NULL"),
            let host = server.host, let driver = try? room.hosts.find(host)
        else { return }
        // A host that is silent now is asked again when everything is compared.
        try? await settle(id, on: host, driver)
    }

    /// Looks what the guest is now, rather than believing an event that may be old.
    private func settle(_ id: String, on host: String, _ driver: any Hypervisor) async throws(Fault) {
        guard let server = try await room.database.first(Server.self, "id = \(id) AND deleted_at IS NULL"),
            server.host == host, server.taskState == nil, server.vmState != .building
        else { return }
        try await settle(server, try await driver.state(of: id), on: host)
    }

    /// Writes a guest's state to its row, unless something is being done to the server or was meanwhile.
    private func settle(_ server: Server, _ state: GuestState?, on host: String) async throws(Fault) {
        guard let change = try GuestWatch.change(server, state, host, room.clock.now()) else { return }
        let count = try await room.database.update(
            Server.self,
            set: change + ", generation = generation + 1, updated_at = \(room.clock.now())",
            where: """
                id = \(server.id) AND generation = \(server.generation) AND task_state IS NULL AND deleted_at IS NULL
                """)
        if count == 1 {
            room.log.info(
                "a guest changed by itself",
                [
                    "server": server.id, "host": host, "state": state.map { "\($0)" } ?? "gone",
                    "was": server.vmState.rawValue,
                ])
        }
    }

    private static let lasting: Set<VMState> = [.error, .rescued, .resized, .shelved, .shelvedOffloaded, .softDelete]

    /// What the row lacks; nil when it is true already. Of a server whose state says
    /// more than whether its guest runs (ERROR, RESCUE, ...) only the power is written.
    private static func change(
        _ server: Server, _ state: GuestState?, _ host: String, _ now: Timestamp
    ) throws(Fault) -> SQL? {
        let wanted: (VMState, GuestState)
        switch state {
        case .running: wanted = (.active, .running)
        case .paused: wanted = (.paused, .paused)
        case .shutdown: wanted = (.stopped, .shutdown)
        case .crashed: wanted = (.stopped, .crashed)
        case .suspended: wanted = (.suspended, .shutdown)
        case nil, .some(.none):
            // A shelved server's guest may have gone already when the rest of its offloading failed; its image is kept.
            guard server.vmState != .error, server.vmState != .shelved else { return nil }
            let fault = ServerFault(
                code: 500,
                message: "The guest is gone from host \(host): it was removed outside of Compute, or the host lost it.",
                details: "seen while comparing guests with servers", at: now)
            return "vm_state = 'error', power_state = 0, fault = \(try ServerFault.text(fault))"
        }
        let vmState = GuestWatch.lasting.contains(server.vmState) ? server.vmState : wanted.0
        guard server.vmState != vmState || server.powerState != wanted.1.rawValue else { return nil }
        return "vm_state = \(vmState), power_state = \(wanted.1.rawValue)"
    }

    private func attempt(_ host: String, _ deed: () async throws(Fault) -> Void) async {
        do throws(Fault) {
            try await deed()
        } catch {
            room.log.error("guests could not be compared", ["host": host, "error": error.description])
        }
    }
}
