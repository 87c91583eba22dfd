// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Servers on volumes that boot while hosts refuse them, Block storage fails and the process dies in the middle of its
/// work: no volume was free before its server was given up, and then it is held by nobody.
@Suite(.serialized)
struct VolumeHandoverSimulation {
    @Test("A process may die at any moment between two hosts", arguments: SchedulingSimulation.seeds)
    func boots(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run { try await Self.play(simulated) }
        #expect(outcome == .done, "seed \(seed)")
    }

    private static func volume(_ server: Int) -> String { "aaaaaaaa-0000-4000-8000-00000000000\(server)" }

    private static func play(_ simulated: Simulated) async throws {
        var chance = SeededGenerator(seed: simulated.seed &* 17 &+ 1)
        let storage = FakeBlockStorage()
        let cloud = try await ComputeCloud(hosts: 4, clock: simulated.clock, ids: simulated.ids, storage: storage)
        await cloud.flavor("small", vcpus: 1, ram: 512, disk: 2)
        let names = cloud.hosts.keys.sorted()
        var made: [(id: String, volume: String)] = []
        for server in 1...5 {
            storage.add(volume(server))
            let devices: JSON = [
                [
                    "source_type": "volume", "destination_type": "volume", "boot_index": 0,
                    "uuid": .string(volume(server)),
                ],
                ["source_type": "blank", "destination_type": "volume", "volume_size": 3, "boot_index": -1],
            ]
            let draft = ComputeCloud.draft(["imageRef": "", "block_device_mapping_v2": devices])
            let answer = await cloud.call("POST", "/servers", draft)
            if let id = answer["server"]["id"]?.string { made.append((id, volume(server))) }
        }
        for round in 0..<16 {
            for name in names {
                let isRefusing = chance.next() % 4 < 3
                await cloud.hosts[name]?.refuseBoots(isRefusing ? VolumeHandoverTests.refusal : nil)
                await cloud.hosts[name]?.setTrouble(
                    .init(failures: 0.1, delay: .zero ... .milliseconds(40), seed: chance.next()))
            }
            if chance.next() % 2 == 0 {
                let calls = ["reserve", "connect", "complete", "release", "attachments"]
                let call = calls[Int(chance.next() % UInt64(calls.count))]
                // What Block storage holds on to stays a server's that failed; here it only does so for a while.
                let isPassing = call == "release" || call == "attachments" || chance.next() % 4 != 0
                storage.fail(call, isPassing ? 503 : 400)
            }
            if chance.next() % 8 == 0, let one = made.randomElement(using: &chance) {
                _ = await cloud.call("DELETE", "/servers/\(one.id)")
            }
            try await SchedulingSimulation.live(
                cloud, "process-\(round)", for: .milliseconds(Int(chance.next() % 150)), simulated.clock)
        }
        storage.state.withLock { $0.failures = [:] }
        for name in names { await cloud.hosts[name]?.setTrouble(.init()) }
        try await SchedulingSimulation.live(cloud, "last", for: nil, simulated.clock)
        try await check(cloud, storage, made, simulated.seed)
    }

    private static func check(
        _ cloud: ComputeCloud, _ storage: FakeBlockStorage, _ made: [(id: String, volume: String)], _ seed: UInt64
    ) async throws {
        let database = cloud.room.database
        #expect(try await cloud.room.queue.unfinished() == 0, "seed \(seed): work is left")
        var owned: Set<String> = []
        for (id, volume) in made {
            let row = try #require(try await database.first(Server.self, "id = \(id)"))
            #expect(row.taskState == nil, "seed \(seed): \(id) is stuck")
            let history = storage.state.withLock { $0.history[volume] ?? [] }
            guard row.vmState == .active, row.deletedAt == nil else {
                #expect(row.deletedAt != nil || row.vmState == .error, "seed \(seed): \(row.vmState)")
                let free = history.firstIndex(of: "available")
                #expect(free == history.count - 1, "seed \(seed): \(volume) was \(history)")
                continue
            }
            for device in try await BlockDevice.of(id, database) {
                let volume = device.volumeID ?? ""
                let history = storage.state.withLock { $0.history[volume] ?? [] }
                #expect(!history.contains("available"), "seed \(seed): \(volume) was \(history)")
                owned.insert(volume)
                let holds = storage.attachments.filter { $0["volume_id"]?.string == volume }
                #expect(holds.map { $0["id"]?.string } == [device.attachmentID], "seed \(seed): \(volume): \(holds)")
                #expect(holds.first?["connector"]?["host"]?.string == row.host, "seed \(seed): \(volume)")
                #expect(holds.first?["status"] == "attached", "seed \(seed): \(volume)")
            }
        }
        let stray = storage.attachments.filter { !owned.contains($0["volume_id"]?.string ?? "") }
        #expect(stray.isEmpty, "seed \(seed): held for nobody: \(stray)")
    }
}
