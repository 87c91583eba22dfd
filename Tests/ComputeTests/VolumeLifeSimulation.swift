// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Servers on volumes that are copied, shelved, rebuilt and deleted while hosts and Block storage fail and the process
/// dies in the middle of its work: in the end every volume is held once or by nobody, every snapshot is an image's, and
/// no guest stands still.
@Suite(.serialized)
struct VolumeLifeSimulation {
    @Test("A process may die at any moment of the life of a server on volumes", arguments: SchedulingSimulation.seeds)
    func lives(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run { try await Self.play(simulated) }
        #expect(outcome == .done, "seed \(seed)")
    }

    private static func volume(_ server: Int, _ number: Int) -> String {
        "aaaaaaaa-0000-4000-8000-0000000000\(server)\(number)"
    }

    private static func play(_ simulated: Simulated) async throws {
        var chance = SeededGenerator(seed: simulated.seed &* 13 &+ 7)
        let storage = FakeBlockStorage()
        let cloud = try await ComputeCloud(hosts: 2, clock: simulated.clock, ids: simulated.ids, storage: storage)
        await cloud.flavor("small", vcpus: 1, ram: 512, disk: 2)
        cloud.images.state.withLock { $0.images[FakeImages.other]?["hw_rescue_device"] = "cdrom" }
        var made: [(id: String, data: String)] = []
        for server in 1...3 {
            storage.add(volume(server, 1), ["volume_image_metadata": ["hw_qemu_guest_agent": "yes"]])
            storage.add(volume(server, 2))
            let devices: JSON = .array(
                (1...2).map { number in
                    [
                        "source_type": "volume", "destination_type": "volume",
                        "boot_index": .integer(number == 1 ? 0 : -1), "uuid": .string(volume(server, number)),
                        "delete_on_termination": .bool(number == 2),
                    ]
                })
            let draft = ComputeCloud.draft(["imageRef": "", "block_device_mapping_v2": devices])
            let answer = await cloud.call("POST", "/servers", draft)
            if let id = answer["server"]["id"]?.string { made.append((id, volume(server, 2))) }
        }
        try await SchedulingSimulation.live(cloud, "first", for: nil, simulated.clock)
        var reset: Set<String> = []
        for round in 0..<14 {
            for _ in 0..<3 {
                let one = made[Int(chance.next() % UInt64(made.count))]
                if await act(on: one.id, one.data, chance.next(), cloud) { reset.insert(one.id) }
            }
            let host = cloud.hosts["host-\(chance.next() % 2 + 1)"]
            await host?.setTrouble(.init(failures: 0.3, delay: .zero ... .milliseconds(50), seed: chance.next()))
            if chance.next() % 4 == 0 { await host?.setUnreachable(true) }
            if chance.next() % 2 == 0 {
                let calls = [
                    "reserve", "connect", "complete", "release", "attachments", "snapshot-create", "snapshots",
                    "os-reimage", "show", "snapshot-delete", "os-begin_detaching",
                ]
                let call = calls[Int(chance.next() % UInt64(calls.count))]
                // A server is deleted whatever Block storage refuses to let go of; what passes is waited for.
                let isPassing = call == "release" || call == "attachments" || chance.next() % 2 == 0
                storage.fail(call, isPassing ? 503 : 400)
            }
            try await SchedulingSimulation.live(
                cloud, "process-\(round)", for: .milliseconds(Int(chance.next() % 600)), simulated.clock)
            await host?.setUnreachable(false)
            await host?.setTrouble(.init())
            if chance.next() % 3 == 0 { await ServerKeeper(cloud.room).sweep() }
        }
        storage.state.withLock { $0.failures = [:] }
        try await SchedulingSimulation.live(cloud, "last", for: nil, simulated.clock)
        try await check(cloud, storage, reset, simulated.seed)
    }

    /// True when a server in ERROR was said to be well.
    private static func act(on id: String, _ data: String, _ draw: UInt64, _ cloud: ComputeCloud) async -> Bool {
        let image = JSON.string(FakeImages.other)
        let actions: [(JSON, String)] = [
            (["createImage": ["name": "snap"]], "2.45"), (["createImage": ["name": "snap"]], "2.45"),
            (["shelve": nil], "2.1"), (["unshelve": nil], "2.1"), (["unshelve": nil], "2.1"),
            (["rebuild": ["imageRef": image]], "2.93"), (["rebuild": ["imageRef": image]], "2.93"),
            (["rescue": ["rescue_image_ref": image]], "2.87"), (["unrescue": nil], "2.1"), (["unrescue": nil], "2.1"),
            (["os-stop": nil], "2.1"), (["os-start": nil], "2.1"),
        ]
        let pick = Int(draw % UInt64(actions.count + 4))
        let path = "/servers/\(id)/os-volume_attachments"
        switch pick {
        case actions.count: _ = await cloud.call("DELETE", path + "/" + data, at: "2.20")
        case actions.count + 1:
            let body: JSON = ["volumeAttachment": ["volumeId": .string(data)]]
            _ = await cloud.call("POST", path, body, at: "2.20")
        case actions.count + 2:
            // What an administrator does to a server that failed.
            guard await cloud.show(id)["status"] == "ERROR" else { return false }
            await cloud.act(id, ["os-resetState": ["state": "active"]], as: .admin())
            return true
        case actions.count + 3 where draw % 3 == 0: _ = await cloud.call("DELETE", "/servers/\(id)")
        case actions.count + 3: return false
        default: await cloud.act(id, actions[pick].0, at: actions[pick].1)
        }
        return false
    }

    private static func check(
        _ cloud: ComputeCloud, _ storage: FakeBlockStorage, _ reset: Set<String>, _ seed: UInt64
    ) async throws {
        let database = cloud.room.database
        #expect(try await cloud.room.queue.unfinished() == 0, "seed \(seed): work is left")
        let servers = try await database.all(Server.self, "deleted_at IS NULL")
        for server in servers { #expect(server.taskState == nil, "seed \(seed): \(server.id) is stuck") }
        var listed: Set<String> = []
        for image in cloud.images.made {
            #expect(image["status"] == "active", "seed \(seed): half an image")
            let mapping = try JSON.parse(Array((image["block_device_mapping"]?.string ?? "[]").utf8))
            listed.formUnion((mapping.array ?? []).compactMap { $0["snapshot_id"]?.string })
        }
        let kept = storage.state.withLock { Set($0.snapshots.keys) }
        #expect(kept == listed, "seed \(seed): snapshots of nobody, or images of nothing")
        var owned: Set<String> = []
        for server in servers {
            for device in try await BlockDevice.of(server.id, database) {
                guard let volume = device.volumeID, device.attachmentID != nil else { continue }
                owned.insert(volume)
                let holds = storage.attachments.filter { $0["volume_id"]?.string == volume }
                #expect(holds.count == 1, "seed \(seed): \(volume) of \(server.vmState): \(holds)")
                #expect(holds.first?["id"]?.string == device.attachmentID, "seed \(seed): \(volume)")
                // What Block storage refused to connect again stays reserved for a server that failed, also for one
                // that an administrator says is well; the row says the same.
                guard server.vmState != .error, !reset.contains(server.id) || device.connection != nil else { continue }
                let host = holds.first?["connector"]?["host"]?.string
                #expect(host == server.host, "seed \(seed): \(volume) of \(server.vmState)")
                // One that a server without a host was given is in use all the same.
                let status = holds.first?["status"]?.string
                #expect(status == "attached" || server.host == nil && status == "reserved", "seed \(seed)")
            }
            if let host = server.host { #expect(await cloud.hosts[host]?.isQuiet(server.id) == false, "seed \(seed)") }
        }
        let stray = storage.attachments.filter { !owned.contains($0["volume_id"]?.string ?? "") }
        #expect(stray.isEmpty, "seed \(seed): held by nobody: \(stray)")
        #expect(try await database.rows("SELECT image_id FROM compute_snapshot_intents").isEmpty, "seed \(seed)")
    }
}
