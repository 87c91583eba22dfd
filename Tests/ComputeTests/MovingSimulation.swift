// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Clouds in which servers are resized, moved and evacuated while hosts fail and the process dies in the middle of its
/// work: in the end nothing is over capacity, nothing is held for nobody, nothing is stuck, and every guest is where
/// its server is said to be.
@Suite(.serialized)
struct MovingSimulation {
    @Test(
        "Resizes, migrations, evacuations and crashes leave the books balanced", arguments: SchedulingSimulation.seeds)
    func clouds(seed: UInt64) throws {
        let simulated = Simulated(seed: seed)
        let outcome = simulated.run {
            var play = Play(simulated)
            try await play.run()
        }
        #expect(outcome == .done, "seed \(seed)")
    }

    /// One cloud's history.
    private struct Play {
        let simulated: Simulated
        var chance: SeededGenerator
        var made: [String] = []
        var down: String?

        init(_ simulated: Simulated) {
            self.simulated = simulated
            chance = SeededGenerator(seed: simulated.seed &* 11 &+ 5)
        }

        mutating func run() async throws {
            let each = HostResources.fake(vcpus: 2, memoryMiB: 4096, diskGiB: 32)
            let cloud = try await ComputeCloud(hosts: 3, each: each, clock: simulated.clock, ids: simulated.ids)
            await cloud.flavor("small", vcpus: 1, ram: 512, disk: 2)
            await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 4)
            let body: JSON = ["server_group": ["name": "g", "policy": "anti-affinity"]]
            let group = await cloud.call("POST", "/os-server-groups", body, at: "2.64")["server_group"]["id"] ?? ""
            for at in 0..<4 {
                var draft = ComputeCloud.draft().object ?? [:]
                if at < 2 { draft["os:scheduler_hints"] = ["group": group] }
                let answer = await cloud.call("POST", "/servers", .object(draft))
                if let id = answer["server"]["id"]?.string { made.append(id) }
            }
            try await live(cloud, "first", for: nil)
            for round in 0..<8 {
                for _ in 0..<Int(chance.next() % 3 + 1) { await act(cloud) }
                let name = "host-\(chance.next() % 3 + 1)"
                await cloud.hosts[name]?.setTrouble(.init(failures: 0.25, seed: chance.next()))
                await cloud.hosts[name]?.setJourney(.milliseconds(Int(chance.next() % 300)))
                if chance.next() % 3 == 0 { await setDown(cloud, name) }
                try await live(cloud, "process-\(round)", for: .milliseconds(Int(chance.next() % 500)))
                if let down, chance.next() % 2 == 0 { await setUp(cloud, down) }
                await cloud.hosts[name]?.setTrouble(.init())
            }
            if let down { await setUp(cloud, down) }
            try await live(cloud, "last", for: nil)
            for name in cloud.hosts.keys.sorted() { try await MoveKeeper(cloud.room).clean(name) }
            try await check(cloud)
        }

        private mutating func setDown(_ cloud: ComputeCloud, _ name: String) async {
            guard down == nil else { return }
            down = name
            await force(cloud, name, true)
            await cloud.hosts[name]?.setUnreachable(true)
        }

        private mutating func setUp(_ cloud: ComputeCloud, _ name: String) async {
            down = nil
            await cloud.hosts[name]?.setUnreachable(false)
            await force(cloud, name, false)
            // A guest that was switched off for a move is off still when its host was silent while that was undone.
            await GuestWatch(cloud.room).reconcile(reportsStrangers: false)
        }

        private func force(_ cloud: ComputeCloud, _ name: String, _ isDown: Bool) async {
            let body: JSON = ["host": .string(name), "binary": "nova-compute", "forced_down": .bool(isDown)]
            _ = await cloud.call("PUT", "/os-services/force-down", body, at: "2.11", as: .admin())
        }

        /// Something happens to one of the servers; what its state does not allow is refused.
        private mutating func act(_ cloud: ComputeCloud) async {
            let id = made[Int(chance.next() % UInt64(made.count))]
            switch chance.next() % 12 {
            case 0, 1: await cloud.act(id, ["resize": ["flavorRef": chance.next() % 2 == 0 ? "big" : "small"]])
            case 2: await cloud.act(id, ["migrate": nil], as: .admin())
            case 3, 4: await cloud.act(id, ["confirmResize": nil])
            case 5, 6: await cloud.act(id, ["revertResize": nil])
            case 7, 8:
                let wish: JSON = ["host": nil, "block_migration": "auto"]
                await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin())
            case 9: await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin())
            case 10:
                let number = chance.next() % 12 + 1
                _ = await cloud.call("DELETE", "/servers/\(id)/migrations/\(number)", at: "2.65", as: .admin())
            default:
                _ =
                    chance.next() % 3 == 0
                    ? await cloud.call("DELETE", "/servers/\(id)").status : await cloud.act(id, ["os-stop": nil]).status
            }
        }

        /// A process that works until it dies; one without a time until nothing is left to do.
        private func live(_ cloud: ComputeCloud, _ name: String, for time: Duration?) async throws {
            let worker = Worker(
                cloud.room.queue, name: name, kinds: ComputeKinds.all(cloud.room), log: .silent, isExclusive: true)
            let (queue, clock) = (cloud.room.queue, simulated.clock)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await worker.run() }
                group.addTask {
                    if let time { return (try? await clock.sleep(time)) ?? () }
                    for _ in 0..<20_000 where (try? await queue.unfinished()) ?? 1 > 0 {
                        guard (try? await clock.sleep(.milliseconds(50))) != nil else { return }
                    }
                }
                await group.next()
                group.cancelAll()
            }
        }

        // MARK: - What must hold in the end

        private func check(_ cloud: ComputeCloud) async throws {
            let (seed, database) = (simulated.seed, cloud.room.database)
            #expect(try await cloud.room.queue.unfinished() == 0, "seed \(seed): work is left")
            let stuck = try await database.rows(
                "SELECT id FROM compute_servers WHERE deleted_at IS NULL AND task_state IS NOT NULL")
            #expect(stuck.isEmpty, "seed \(seed): \(stuck)")
            let half = try await database.rows(
                """
                SELECT number, status FROM compute_migrations WHERE status NOT IN
                    ('finished', 'confirmed', 'reverted', 'error', 'failed', 'completed', 'cancelled')
                """)
            #expect(half.isEmpty, "seed \(seed): \(half.map { $0.text("status") ?? "" }) are half done")
            let over = try await database.rows(
                """
                SELECT i.provider_id FROM placement_inventories i
                WHERE i.used > (i.total - i.reserved) * i.allocation_ratio
                """)
            #expect(over.isEmpty, "seed \(seed): over capacity")
            let orphans = try await database.rows(
                """
                SELECT c.id FROM placement_consumers c WHERE c.id NOT IN
                    (SELECT id FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL)
                    AND c.id NOT IN (SELECT id FROM compute_migrations WHERE status = 'finished')
                """)
            #expect(orphans.isEmpty, "seed \(seed): \(orphans.count) claims of nobody")
            let crowded = try await database.rows(
                """
                SELECT s.host FROM compute_servers s JOIN compute_server_group_members m ON m.server_id = s.id
                WHERE s.deleted_at IS NULL AND s.host IS NOT NULL GROUP BY s.host HAVING COUNT(*) > 1
                """)
            #expect(crowded.isEmpty, "seed \(seed): the group's policy is broken")
            let drift = try await Auditor(cloud.room).audit()
            #expect(drift.isEmpty, "seed \(seed): \(drift)")
            try await checkGuests(cloud)
        }

        /// Guests are where their servers are, or where those may go back to, and nowhere else.
        private func checkGuests(_ cloud: ComputeCloud) async throws {
            let seed = simulated.seed
            let rows = try await cloud.room.database.rows(
                """
                SELECT s.id, s.host, s.vm_state, m.source FROM compute_servers s
                LEFT JOIN compute_migrations m ON m.server_id = s.id AND m.status = 'finished'
                WHERE s.deleted_at IS NULL
                """)
            var places: [String: Set<String>] = [:]
            for row in rows {
                places[row.text("id") ?? ""] = Set([row.text("host"), row.text("source")].compactMap(\.self))
                guard row.text("vm_state") == "active", let host = row.text("host") else { continue }
                let state = try await cloud.hosts[host]?.state(of: row.text("id") ?? "")
                guard state != .running else { continue }
                let story = try await story(of: row.text("id") ?? "", cloud)
                Issue.record("seed \(seed): a guest is \(String(describing: state)) on \(host)\n\(story)")
            }
            for (name, host) in cloud.hosts {
                for guest in try await host.guests().keys {
                    #expect(places[guest]?.contains(name) == true, "seed \(seed): \(guest) is on \(name) as well")
                }
            }
        }

        /// What was done to a server, for whoever has to find out.
        private func story(of server: String, _ cloud: ComputeCloud) async throws -> String {
            try await cloud.room.queue.timeline(of: server).map {
                "\($0.at) \($0.kind) \($0.step) \($0.what) \($0.message)"
            }.joined(separator: "\n")
        }
    }
}
