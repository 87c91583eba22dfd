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
}
