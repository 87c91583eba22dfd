// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Servers that are rebuilt, rescued, copied, shelved and deleted while hosts fail and the process dies in the middle
/// of its work: in the end nothing is stuck, nothing is held for nobody, and no image is half.
@Suite(.serialized)
struct LifeSimulation {
    @Test("A process may die at any moment of a server's life", arguments: SchedulingSimulation.seeds)
    func lives(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run { try await Self.play(simulated) }
        #expect(outcome == .done, "seed \(seed)")
    }

    private static func play(_ simulated: Simulated) async throws {
        var chance = SeededGenerator(seed: simulated.seed &* 11 &+ 5)
        var options = ComputeOptions()
        options.life.shelvedOffloadTime = simulated.seed % 2 == 0 ? .zero : .seconds(30)
        options.life.reclaimInterval = simulated.seed % 3 == 0 ? .seconds(20) : .zero
        let cloud = try await ComputeCloud(hosts: 3, options: options, clock: simulated.clock, ids: simulated.ids)
        await cloud.flavor("small", vcpus: 1, ram: 512, disk: 2)
        var made: [String] = []
        for _ in 0..<4 {
            let answer = await cloud.call("POST", "/servers", ComputeCloud.draft())
            if let id = answer["server"]["id"]?.string { made.append(id) }
        }
        try await SchedulingSimulation.live(cloud, "first", for: nil, simulated.clock)
        for round in 0..<14 {
            for _ in 0..<3 {
                let id = made[Int(chance.next() % UInt64(made.count))]
                await act(on: id, chance.next(), cloud)
            }
            let host = cloud.hosts["host-\(chance.next() % 3 + 1)"]
            await host?.setTrouble(.init(failures: 0.3, delay: .zero ... .milliseconds(50), seed: chance.next()))
            if chance.next() % 4 == 0 { await host?.setUnreachable(true) }
            cloud.images.state.withLock { $0.brokenUploads = Int(chance.next() % 3) }
            try await SchedulingSimulation.live(
                cloud, "process-\(round)", for: .milliseconds(Int(chance.next() % 600)), simulated.clock)
            await host?.setUnreachable(false)
            await host?.setTrouble(.init())
            if chance.next() % 3 == 0 { await ServerKeeper(cloud.room).sweep() }
        }
        cloud.images.state.withLock { $0.brokenUploads = 0 }
        try await SchedulingSimulation.live(cloud, "last", for: nil, simulated.clock)
        try await check(cloud, simulated.seed)
    }

    private static func act(on id: String, _ draw: UInt64, _ cloud: ComputeCloud) async {
        let image = JSON.string(FakeImages.other)
        let actions: [JSON] = [
            ["rebuild": ["imageRef": image]], ["rescue": ["rescue_image_ref": image]], ["unrescue": nil],
            ["createImage": ["name": "snap"]], ["shelve": nil], ["shelve": nil], ["unshelve": nil], ["unshelve": nil],
            ["createBackup": ["name": "b", "backup_type": "daily", "rotation": 1]], ["os-stop": nil],
            ["os-start": nil], ["unrescue": nil], ["unshelve": nil], ["restore": nil],
            ["os-resetState": ["state": "active"]],
        ]
        let pick = Int(draw % UInt64(actions.count + 1))
        if pick == actions.count {
            _ = await cloud.call("DELETE", "/servers/\(id)")
        } else if pick == actions.count - 1 {
            // What an administrator does to a server that failed.
            guard await cloud.show(id)["status"] == "ERROR" else { return }
            await cloud.act(id, actions[pick], as: .admin())
        } else {
            await cloud.act(id, actions[pick])
        }
    }

    private static func check(_ cloud: ComputeCloud, _ seed: UInt64) async throws {
        let database = cloud.room.database
        #expect(try await cloud.room.queue.unfinished() == 0, "seed \(seed): work is left")
        let rows = try await database.rows(
            "SELECT id, host, vm_state, task_state, shelved_image FROM compute_servers WHERE deleted_at IS NULL")
        for row in rows {
            #expect(row.text("task_state") == nil, "seed \(seed): \(row) is stuck")
        }
        let shelved = Set(rows.compactMap { $0.text("shelved_image") })
        for image in cloud.images.made {
            #expect(image["status"] == "active", "seed \(seed): half an image")
            guard image["name"]?.string == "web-shelved" else { continue }
            #expect(shelved.contains(image["id"]?.string ?? ""), "seed \(seed): a shelved image of nobody")
        }
        for row in rows where ["shelved", "shelved_offloaded"].contains(row.text("vm_state") ?? "") {
            let isThere = cloud.images.made.contains { $0["id"]?.string == row.text("shelved_image") }
            #expect(isThere, "seed \(seed): a shelved server without its image")
        }
        for (name, host) in cloud.hosts {
            #expect(await host.snapshotNames.isEmpty, "seed \(seed): copies are left on \(name)")
            let guests = Set(try await host.guests().keys)
            let expected = Set(rows.filter { $0.text("host") == name }.compactMap { $0.text("id") })
            #expect(guests.isSubset(of: expected), "seed \(seed): guests of nobody on \(name)")
        }
        for port in cloud.network.ports {
            let row = rows.first { $0.text("id") == port["device_id"]?.string }
            #expect(row != nil, "seed \(seed): a port of nobody")
            #expect(port["binding:host_id"]?.string == row?.text("host") ?? "", "seed \(seed): a port elsewhere")
        }
        let orphans = try await database.rows(
            """
            SELECT c.id FROM placement_consumers c WHERE c.id NOT IN
                (SELECT id FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL)
            """)
        #expect(orphans.isEmpty, "seed \(seed): \(orphans.count) claims of nobody")
        #expect(try await database.rows("SELECT image_id FROM compute_snapshot_intents").isEmpty)
    }
}
