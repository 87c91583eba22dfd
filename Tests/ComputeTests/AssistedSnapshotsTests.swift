// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Snapshots of volumes in use that Block storage has guests make.
struct AssistedSnapshotsTests {
    private static let volume = VolumesTests.one
    private static let path = "/os-assisted-volume-snapshots"
    private static let one = path + "/s1"

    private struct Scene {
        let storage = FakeBlockStorage()
        let cloud: ComputeCloud
        let server: String

        init(_ more: JSONObject = [:]) async throws {
            storage.add(AssistedSnapshotsTests.volume, more)
            storage.state.withLock { state in
                state.connections[AssistedSnapshotsTests.volume] = [
                    "driver_volume_type": "file", "path": "/share/v.raw", "format": "raw",
                ]
                state.snapshots["s1"] = ["id": "s1", "status": "creating"]
            }
            cloud = try await ComputeCloud(storage: storage)
            await cloud.flavor()
            server = try await cloud.server()
            let body: JSON = ["volumeAttachment": ["volumeId": .string(AssistedSnapshotsTests.volume)]]
            _ = await cloud.call("POST", "/servers/\(server)/os-volume_attachments", body, at: "2.60")
            try await cloud.work()
        }

        func told() -> String? { storage.state.withLock { $0.snapshots["s1"]?["told"]?.string } }
        func chain() async -> [String]? { await cloud.hosts["host-1"]?.chains[AssistedSnapshotsTests.volume] }
    }

    private static func body(_ file: String, volume: String = AssistedSnapshotsTests.volume) -> JSON {
        [
            "snapshot": [
                "volume_id": .string(volume),
                "create_info": ["snapshot_id": "s1", "type": "qcow2", "new_file": .string(file), "id": "521752a6"],
            ]
        ]
    }

    private static func item(_ merge: JSONObject) -> String {
        var merge = merge
        merge["type"] = "qcow2"
        merge["volume_id"] = .string(volume)
        return "delete_info=" + Percent.encode(JSON.object(merge).text())
    }

    @Test("A guest turns to the new file, Block storage hears of it, and the row knows the file")
    func create() async throws {
        let scene = try await Scene()
        let made = await scene.cloud.call("POST", Self.path, Self.body("v.1"), as: .service())
        #expect(made.status == 200, "\(made.json.text())")
        #expect(made["snapshot"].text() == #"{"id":"521752a6","volumeId":"\#(Self.volume)"}"#)
        scene.storage.state.withLock { state in
            for id in state.attachments.keys {
                state.attachments[id]?["connection_info"] = [
                    "driver_volume_type": "file", "path": "/share/v.1", "format": "qcow2",
                ]
            }
        }
        try await scene.cloud.work()
        #expect(scene.told() == "creating")
        #expect(await scene.chain() == ["v.raw", "v.1"])
        let device = try await scene.cloud.room.database.all(BlockDevice.self).first
        #expect(device?.connection?.contains("/share/v.1") == true)
    }

    @Test("Block storage that is away while it is waited for is asked again; one that stays away leaves the row right")
    func away() async throws {
        let scene = try await Scene()
        func reached(by file: String) {
            scene.storage.state.withLock { state in
                for id in state.attachments.keys {
                    state.attachments[id]?["connection_info"] = [
                        "driver_volume_type": "file", "path": .string("/share/" + file), "format": "qcow2",
                    ]
                }
            }
        }
        func known() async throws -> String? {
            try await scene.cloud.room.database.all(BlockDevice.self).first?.connection
        }
        reached(by: "v.1")
        scene.storage.fail("snapshot", 503)
        _ = await scene.cloud.call("POST", Self.path, Self.body("v.1"), as: .service())
        try await scene.cloud.work()
        #expect(scene.told() == "creating")
        #expect(try await known()?.contains("/share/v.1") == true)
        // A refusal that will not pass: the guest is in the new file all the same.
        reached(by: "v.2")
        scene.storage.fail("snapshot-act", 404)
        _ = await scene.cloud.call("POST", Self.path, Self.body("v.2"), as: .service())
        try await scene.cloud.work()
        #expect(await scene.chain() == ["v.raw", "v.1", "v.2"])
        #expect(try await known()?.contains("/share/v.2") == true)
    }

    @Test("Files are merged into each other and into the one in use; what fails is told, too")
    func delete() async throws {
        let scene = try await Scene()
        for file in ["v.1", "v.2"] {
            _ = await scene.cloud.call("POST", Self.path, Self.body(file), as: .service())
            try await scene.cloud.work()
        }
        let middle = Self.item(["file_to_merge": "v.1", "merge_target_file": "v.raw"])
        #expect(await scene.cloud.call("DELETE", Self.one, as: .service(), query: middle).status == 204)
        try await scene.cloud.work()
        #expect(await scene.chain() == ["v.raw", "v.2"])
        #expect(scene.told() == "deleting")
        let newest = Self.item(["file_to_merge": nil, "merge_target_file": nil])
        #expect(await scene.cloud.call("DELETE", Self.one, as: .service(), query: newest).status == 204)
        try await scene.cloud.work()
        #expect(await scene.chain() == ["v.2"])
        await scene.cloud.hosts["host-1"]?.setTrouble(.init(failures: 1))
        _ = await scene.cloud.call("POST", Self.path, Self.body("v.3"), as: .service())
        try await scene.cloud.work()
        #expect(scene.told() == "error")
    }

    @Test("What cannot be is refused in upstream's words")
    func refusals() async throws {
        let scene = try await Scene()
        #expect(await scene.cloud.call("POST", Self.path, Self.body("v.1"), as: .admin()).status == 403)
        let elsewhere = await scene.cloud.call("POST", Self.path, Self.body("../v.1"), as: .service())
        #expect(elsewhere.status == 400 && elsewhere.message.contains("new_file"))
        let unknown = await scene.cloud.call(
            "POST", Self.path, Self.body("v.1", volume: VolumesTests.two), as: .service())
        #expect(unknown.message == "No volume Block Device Mapping with id \(VolumesTests.two).")
        #expect(await scene.cloud.call("DELETE", Self.path + "/s1", as: .service()).status == 400)
        // What is not clear is taken, and fails.
        let unclear = "delete_info=" + Percent.encode(#"{"volume_id": "\#(Self.volume)"}"#)
        #expect(await scene.cloud.call("DELETE", Self.one, as: .service(), query: unclear).status == 204)
        try await scene.cloud.work()
        #expect(scene.told() == "error_deleting")
        _ = await scene.cloud.act(scene.server, ["os-stop": nil])
        try await scene.cloud.work()
        let between = Self.item(["file_to_merge": "a", "merge_target_file": "b"])
        let down = await scene.cloud.call("DELETE", Self.one, as: .service(), query: between)
        #expect(down.status == 400 && down.message.contains("volume_snapshot_delete"))
    }
}
