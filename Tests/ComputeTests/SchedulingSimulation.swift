// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Clouds in which requests come at once, hosts fail and go silent, and the process dies in the middle of its work: in
/// the end nothing is over capacity, nothing is held for nobody, and nothing is stuck.
@Suite(.serialized)
struct SchedulingSimulation {
    /// `APUS_SEED` repeats one; `APUS_SEEDS` says how many (`make simulate`); a few otherwise.
    static let seeds: [UInt64] = {
        if let one = Environment.variable("APUS_SEED").flatMap({ UInt64($0) }) { return [one] }
        return (1...(Environment.variable("APUS_SEEDS").flatMap { UInt64($0) } ?? 6)).map { $0 }
    }()

    @Test("Boots, deletes, crashes and lost hosts leave the books balanced", arguments: seeds)
    func clouds(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run { try await Self.play(simulated) }
        #expect(outcome == .done, "seed \(seed)")
    }

    private static func play(_ simulated: Simulated) async throws {
        var chance = SeededGenerator(seed: simulated.seed &* 7 &+ 3)
        let each = HostResources.fake(vcpus: 1, memoryMiB: 4096, diskGiB: 16)
        let cloud = try await ComputeCloud(hosts: 3, each: each, clock: simulated.clock, ids: simulated.ids)
        await cloud.flavor("small", vcpus: 1, ram: 512, disk: 2)
        let body: JSON = ["server_group": ["name": "g", "policy": "anti-affinity"]]
        let group = await cloud.call("POST", "/os-server-groups", body, at: "2.64")["server_group"]["id"] ?? ""
        var made: [String] = []
        for round in 0..<5 {
            for _ in 0..<Int(chance.next() % 3 + 1) {
                var draft = ComputeCloud.draft(["min_count": .integer(Int64(chance.next() % 2 + 1))]).object ?? [:]
                if chance.next() % 3 == 0 { draft["os:scheduler_hints"] = ["group": group] }
                let answer = await cloud.call("POST", "/servers", .object(draft))
                if let id = answer["server"]["id"]?.string { made.append(id) }
            }
            let name = "host-\(chance.next() % 3 + 1)"
            let host = cloud.hosts[name]
            await host?.setTrouble(.init(failures: 0.3, seed: chance.next()))
            if chance.next() % 3 == 0 { await host?.setUnreachable(true) }
            try await live(cloud, "process-\(round)", for: .milliseconds(Int(chance.next() % 400)), simulated.clock)
            if !made.isEmpty, chance.next() % 2 == 0 {
                let id = made[Int(chance.next() % UInt64(made.count))]
                _ = await cloud.call("DELETE", "/servers/\(id)")
            }
            await host?.setUnreachable(false)
            await host?.setTrouble(.init())
        }
        try await live(cloud, "last", for: nil, simulated.clock)
        try await check(cloud, simulated.seed)
    }

    /// A process that works until it dies; the last one until nothing is left to do.
    static func live(
        _ cloud: ComputeCloud, _ name: String, for time: Duration?, _ clock: SimulatedClock
    ) async throws {
        let worker = Worker(
            cloud.room.queue, name: name, kinds: ComputeKinds.all(cloud.room), log: .silent, isExclusive: true)
        let queue = cloud.room.queue
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

    private static func check(_ cloud: ComputeCloud, _ seed: UInt64) async throws {
        let database = cloud.room.database
        #expect(try await cloud.room.queue.unfinished() == 0, "seed \(seed): work is left")
        let stuck = try await database.rows(
            "SELECT id, vm_state, task_state FROM compute_servers WHERE deleted_at IS NULL AND task_state IS NOT NULL")
        #expect(stuck.isEmpty, "seed \(seed): \(stuck)")
        let over = try await database.rows(
            """
            SELECT i.provider_id FROM placement_inventories i WHERE i.used > (i.total - i.reserved) * i.allocation_ratio
            """)
        #expect(over.isEmpty, "seed \(seed): over capacity")
        let orphans = try await database.rows(
            """
            SELECT c.id FROM placement_consumers c WHERE c.id NOT IN
                (SELECT id FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL)
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
    }
}
