// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Looks after the hosts of this process: guests whose server was deleted, files and taps of guests that are gone,
/// servers that never end building, images that nobody uses.
package struct HostKeeper: Sendable {
    private let room: ComputeService

    package init(_ room: ComputeService) { self.room = room }

    package func run() async {
        let options = room.options.care
        await withDiscardingTaskGroup { group in
            group.addTask { await every(options.deletedGuestInterval) { await sweep() } }
            if let interval = options.imageInterval, options.dropsImages {
                group.addTask { await every(interval) { await dropImages() } }
            }
            if options.buildTimeout > .zero {
                group.addTask { await every(.seconds(10)) { await endBuilds() } }
            }
        }
    }

    private func every(_ interval: Duration, _ deed: () async -> Void) async {
        while (try? await room.clock.sleep(interval)) != nil { await deed() }
    }

    /// One look for what should not be on the hosts any more.
    package func sweep() async {
        for name in room.hosts.names {
            await attempt("guests that should be gone", name) { () async throws(Fault) in try await endDeleted(name) }
            await attempt("what guests left behind", name) { () async throws(Fault) in try await clear(name) }
        }
    }

    /// Guests whose server is known to be deleted; those that no row ever knew are somebody else's.
    private func endDeleted(_ host: String) async throws(Fault) {
        let options = room.options.care
        guard options.deletedGuest != .noop else { return }
        let driver = try room.hosts.find(host)
        let guests = try await driver.guests()
        let before = room.clock.now() - options.deletedGuestTimeout
        let deleted = try await room.database.all(
            Server.self, "id", in: guests.keys.sorted(), and: "deleted_at IS NOT NULL AND deleted_at <= \(before)")
        let busy = try await busy()
        for server in deleted where !busy.contains(server.id) {
            room.log.warning(
                "a guest whose server was deleted",
                ["server": server.id, "host": host, "action": options.deletedGuest.rawValue])
            switch options.deletedGuest {
            case .noop, .log: break
            case .shutdown: try await driver.power(server.id, .stop)
            case .reap: try await driver.destroy(server.id)
            }
        }
    }

    private func clear(_ host: String) async throws(Fault) {
        guard let sweeper = try room.hosts.find(host) as? any HostSweeping else { return }
        // What is being made, moved or kept for a way back is not left behind.
        let servers = try await room.database.all(Server.self, "deleted_at IS NULL")
        let spared = Set(servers.map(\.id)).union(try await busy())
        let ports = Set(servers.flatMap(\.ports).map(\.portID))
        for found in try await sweeper.sweep(sparing: spared, ports: ports) {
            room.log.warning("left behind by a guest that is gone, and removed", ["what": found, "host": host])
        }
    }

    private func busy() async throws(Fault) -> Set<String> {
        let rows = try await room.database.rows(
            "SELECT subject FROM \(raw: OperationRecord.table) WHERE " + OperationRecord.unfinished)
        return Set(rows.compactMap { $0.text("subject") })
    }

    /// One look for images of no use.
    package func dropImages() async {
        for name in room.hosts.names {
            await attempt("images", name) { () async throws(Fault) in
                guard let keeper = try room.hosts.find(name) as? any ImageKeeping else { return }
                try await keeper.pruneImages(unusedFor: room.options.care.imageAge)
            }
        }
    }

    /// Ends the waiting for servers that have been building for too long.
    package func endBuilds() async {
        let now = room.clock.now()
        let before = now - room.options.care.buildTimeout
        await attempt("builds", "") { () async throws(Fault) in
            let fault = ServerFault(
                code: 500, message: "Instance build timed out. Set to error state.", details: "", at: now)
            let text = try ServerFault.text(fault)
            let count = try await room.database.update(
                Server.self,
                set: """
                    vm_state = 'error', task_state = NULL, fault = \(text), updated_at = \(now),
                    generation = generation + 1
                    """,
                where: """
                    vm_state = 'building' AND deleted_at IS NULL AND created_at <= \(before)
                    AND (task_state IS NULL OR task_state <> 'deleting')
                    """)
            if count > 0 { room.log.warning("servers were building for too long", ["count": count]) }
        }
    }

    private func attempt(_ what: String, _ host: String, _ deed: () async throws(Fault) -> Void) async {
        do throws(Fault) { try await deed() } catch {
            room.log.error(
                "a host could not be looked after", ["what": what, "host": host, "error": error.description])
        }
    }
}
