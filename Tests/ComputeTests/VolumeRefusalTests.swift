// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// What Block storage refuses for good when something is undone keeps no server from anything, its deletion least.
struct VolumeRefusalTests {
    static let root = "aaaaaaaa-0000-4000-8000-000000000001"
    static let data = "aaaaaaaa-0000-4000-8000-000000000002"

    private struct Scene {
        let cloud: ComputeCloud
        let storage = FakeBlockStorage()
        let id: String

        init(hosts: Int = 1) async throws {
            storage.add(root)
            storage.add(data)
            cloud = try await ComputeCloud(hosts: hosts, storage: storage)
            await cloud.flavor()
            let device: JSON = [
                "source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(root),
            ]
            id = try await cloud.server(["imageRef": "", "block_device_mapping_v2": [device]])
        }

        var status: String {
            get async { await cloud.show(id)["status"]?.string ?? "" }
        }

        /// Works until all is done, or something cannot be undone and is tried again and again.
        func work(_ comment: Comment) async throws {
            let (database, queue) = (cloud.room.database, cloud.room.queue)
            try await cloud.work {
                if try await queue.unfinished() == 0 { return true }
                return try await database.count(OperationRecord.self, "note LIKE 'undoing %' AND attempt > 5") > 0
            }
            let stuck = try await database.all(OperationRecord.self, OperationRecord.unfinished).map(\.note)
            #expect(stuck.isEmpty, comment)
        }

        func attach() async throws {
            let body: JSON = ["volumeAttachment": ["volumeId": .string(data)]]
            #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", body).status == 200)
        }

        /// The server can be deleted, and when Block storage has come to its senses nothing is held.
        func end(_ comment: Comment) async throws {
            #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
            try await work(comment)
            #expect(await cloud.call("GET", "/servers/\(id)").status == 404, comment)
            storage.state.withLock { ($0.refusals, $0.failures) = ([:], [:]) }
            let database = cloud.room.database
            _ = try await database.execute("UPDATE compute_volume_holds SET created_at = created_at - 601000000")
            try await MoveKeeper(cloud.room).giveForgottenVolumesBack()
            try await MoveKeeper(cloud.room).releaseOldVolumes()
            try await work(comment)
            #expect(storage.attachments.isEmpty, comment)
            #expect(storage.volume(root)?["status"] == "available" && storage.volume(data)?["status"] == "available")
            #expect(try await database.count(VolumeHold.self) == 0, comment)
        }
    }

    @Test("A volume that cannot be attached and is not taken back is none of the server's, and is given back later")
    func attach() async throws {
        let scene = try await Scene()
        scene.storage.fail("connect", 400)
        scene.storage.refuse("release", 409)
        try await scene.attach()
        try await scene.work("attach")
        #expect(await scene.status == "ACTIVE")
        let devices = try await BlockDevice.of(scene.id, scene.cloud.room.database)
        #expect(devices.map(\.volumeID) == [Self.root])
        #expect(await scene.cloud.act(scene.id, ["os-stop": nil]).status == 202)
        try await scene.work("stop")
        #expect(await scene.status == "SHUTOFF")
        try await scene.end("attach")
    }

    @Test("One volume that is not taken back keeps no other from being given back")
    func notes() async throws {
        let scene = try await Scene()
        let (nobody, database) = ("bbbbbbbb-0000-4000-8000-000000000001", scene.cloud.room.database)
        let old = scene.cloud.room.clock.now() - .seconds(601)
        let gone = "aaaaaaaa-0000-4000-8000-00000000000f"
        scene.storage.add(gone)
        _ = try await scene.cloud.room.storage.reserve(gone, for: nobody, requestID: "req-1")
        _ = try await scene.cloud.room.storage.reserve(Self.data, for: nobody, requestID: "req-1")
        let holds = [gone, Self.data].enumerated().map { at, volume in
            VolumeHold(id: "h\(at)", serverID: nobody, volumeID: volume, createdAt: old)
        }
        try await database.transaction { transaction throws(Fault) in try transaction.insert(holds) }
        scene.storage.fail("release", 409)
        try await MoveKeeper(scene.cloud.room).giveForgottenVolumesBack()
        #expect(scene.storage.volume(gone)?["status"] == "reserved")
        #expect(scene.storage.volume(Self.data)?["status"] == "available")
        #expect(try await database.all(VolumeHold.self, "1 = 1").map(\.volumeID) == [gone])
    }

    @Test("A detachment that Block storage does not take back leaves the volume attached")
    func detach() async throws {
        let scene = try await Scene()
        try await scene.attach()
        try await scene.work("attach")
        scene.storage.refuse("release", 400)
        scene.storage.refuse("os-roll_detaching", 400)
        let path = "/servers/\(scene.id)/os-volume_attachments/\(Self.data)"
        #expect(await scene.cloud.call("DELETE", path).status == 202)
        try await scene.work("detach")
        #expect(await scene.status == "ACTIVE")
        scene.storage.refuse("release", nil)
        #expect(await scene.cloud.call("DELETE", path).status == 202)
        try await scene.work("detach again")
        #expect(scene.storage.volume(Self.data)?["status"] == "available")
        try await scene.end("detach")
    }

    @Test("A swap that is not taken back leaves the server its old volume")
    func swap() async throws {
        let scene = try await Scene()
        scene.storage.state.withLock { $0.volumes[Self.root]?["migration_status"] = "migrating" }
        scene.storage.refuse("release", 400)
        scene.storage.fail("connect", 400)
        let path = "/servers/\(scene.id)/os-volume_attachments/\(Self.root)"
        let body: JSON = ["volumeAttachment": ["volumeId": .string(Self.data)]]
        #expect(await scene.cloud.call("PUT", path, body, as: .service()).status == 202)
        try await scene.work("swap")
        #expect(await scene.status == "ACTIVE")
        #expect(await scene.cloud.hosts["host-1"]?.spec(of: scene.id)?.volumes.map(\.volumeID) == [Self.root])
        try await scene.end("swap")
    }

    @Test("A volume that failed to get its image, and is in error, leaves a server in ERROR that can be rebuilt")
    func reimage() async throws {
        let scene = try await Scene()
        scene.storage.fail("os-reimage", 400)
        // Cinder connects no volume that is in error.
        scene.storage.refuse("connect", 400)
        let rebuild: JSON = ["rebuild": ["imageRef": .string(FakeImages.other)]]
        #expect(await scene.cloud.act(scene.id, rebuild, at: "2.93").status == 202)
        try await scene.work("rebuild")
        #expect(await scene.status == "ERROR")
        #expect(scene.storage.volume(Self.root)?["status"] == "reserved")
        scene.storage.refuse("connect", nil)
        #expect(await scene.cloud.act(scene.id, rebuild, at: "2.93").status == 202)
        try await scene.work("rebuild again")
        #expect(await scene.status == "ACTIVE")
        #expect(scene.storage.attachments.map { $0["status"] } == ["attached"])
        try await scene.end("rebuild")
    }

    @Test(
        "A server that cannot be unshelved stays shelved, whatever Block storage refuses",
        arguments: ["reserve", "release"])
    func unshelve(call: String) async throws {
        let scene = try await Scene()
        #expect(await scene.cloud.act(scene.id, ["shelve": nil]).status == 202)
        try await scene.work("shelve")
        #expect(await scene.status == "SHELVED_OFFLOADED")
        await scene.cloud.hosts["host-1"]?.refuseBoots(VolumeHandoverTests.refusal)
        scene.storage.refuse(call, 400)
        #expect(await scene.cloud.act(scene.id, ["unshelve": nil]).status == 202)
        try await scene.work("unshelve")
        #expect(await scene.status == "SHELVED_OFFLOADED")
        #expect(scene.storage.volume(Self.root)?["status"] != "available")
        await scene.cloud.hosts["host-1"]?.refuseBoots(nil)
        scene.storage.refuse(call, nil)
        #expect(await scene.cloud.act(scene.id, ["unshelve": nil]).status == 202)
        try await scene.work("unshelve again")
        #expect(await scene.status == "ACTIVE")
        try await scene.end(call == "reserve" ? "reserve" : "release")
    }

    @Test("A shelved server whose hold on its volume is gone takes it anew, or stays shelved while another has it")
    func lost() async throws {
        let scene = try await Scene()
        #expect(await scene.cloud.act(scene.id, ["shelve": nil]).status == 202)
        try await scene.work("shelve")
        // Whoever may do so at Block storage has let go of it, and somebody else has taken it.
        let client = scene.cloud.room.storage
        let hold = scene.storage.attachments.first?["id"]?.string ?? ""
        try await client.release(hold, requestID: "req-1")
        let other = try await client.reserve(Self.root, for: "somebody", requestID: "req-1")
        #expect(await scene.cloud.act(scene.id, ["unshelve": nil]).status == 202)
        try await scene.work("unshelve")
        #expect(await scene.status == "SHELVED_OFFLOADED")
        try await client.release(other.id, requestID: "req-1")
        #expect(await scene.cloud.act(scene.id, ["unshelve": nil]).status == 202)
        try await scene.work("unshelve again")
        #expect(await scene.status == "ACTIVE")
        #expect(scene.storage.attachments.map { $0["status"] } == ["attached"])
        try await scene.end("unshelve")
    }

    @Test(
        "A move that came to nothing is over, though what it reserved is not taken back",
        arguments: VolumeMovesTests.Move.allCases)
    func moves(move: VolumeMovesTests.Move) async throws {
        let scene = try await Scene(hosts: 2)
        let (cloud, id) = (scene.cloud, scene.id)
        let source = await ServerMovesTests.host(cloud, id)
        let other = source == "host-1" ? "host-2" : "host-1"
        scene.storage.refuse("release", 400)
        switch move {
        case .resize, .migrate:
            await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 2)
            scene.storage.refuse("complete", 400)
            let verb: JSON = move == .resize ? ["resize": ["flavorRef": "big"]] : ["migrate": nil]
            #expect(await cloud.act(id, verb, as: .admin()).status == 202)
        case .live:
            await cloud.hosts[other]?.refuseArrivals(true)
            let wish: JSON = ["host": nil, "block_migration": "auto"]
            #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        case .evacuate:
            await cloud.hosts[source]?.setUnreachable(true)
            await cloud.hosts[other]?.refuseBoots(VolumeHandoverTests.refusal)
            let down: JSON = ["host": .string(source), "binary": "nova-compute", "forced_down": true]
            _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin())
            #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
        }
        try await scene.work("\(move)")
        #expect(await ServerMovesTests.host(cloud, id) == source)
        #expect(await scene.status == (move == .evacuate ? "ERROR" : "ACTIVE"))
        scene.storage.refuse("complete", nil)
        await cloud.hosts[source]?.setUnreachable(false)
        try await scene.end("\(move)")
    }
}
