// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Servers whose root disk is a volume: images of them, servers made of those, rebuilds, rescues.
struct VolumeBackedTests {
    static let root = "aaaaaaaa-0000-4000-8000-000000000001"
    static let data = "aaaaaaaa-0000-4000-8000-000000000002"

    /// - Parameter properties: what the root volume tells of the image it was made of.
    private static func server(
        _ properties: JSON = [
            "image_id": .string(ComputeCloud.image), "size": "1024", "checksum": "c", "disk_format": "qcow2",
            "min_ram": "1", "hw_disk_bus": "virtio",
        ]
    ) async throws -> (ComputeCloud, FakeBlockStorage, String) {
        let storage = FakeBlockStorage()
        storage.add(root, ["volume_image_metadata": properties, "description": "the root"])
        storage.add(data, ["size": 3])
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        let devices: JSON = [
            ["source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(root)],
            [
                "source_type": "volume", "destination_type": "volume", "boot_index": -1, "uuid": .string(data),
                "delete_on_termination": true,
            ],
        ]
        return (cloud, storage, try await cloud.server(["imageRef": "", "block_device_mapping_v2": devices]))
    }

    private static let create: JSON = ["createImage": ["name": "kept", "metadata": ["purpose": "test"]]]

    @Test("An image of it is empty and names the snapshots of its volumes, and a server boots from that")
    func image() async throws {
        let (cloud, storage, id) = try await Self.server()
        let made = await cloud.act(id, Self.create, at: "2.45")
        #expect(made.status == 202, "\(made.json.text())")
        try await cloud.work()
        let snapshots = storage.state.withLock { Array($0.snapshots.values) }
        #expect(snapshots.count == 2 && snapshots.allSatisfy { $0["name"] == "snapshot for kept" })
        #expect(snapshots.contains { $0["description"] == "the root" })
        let image = try #require(cloud.images.made.first)
        #expect(image["id"] == made.json["image_id"] && image["size"] == 0 && image["status"] == "active")
        #expect(image["disk_format"] == "raw" && image["container_format"] == "bare")
        #expect(image["root_device_name"] == "/dev/vda" && image["bdm_v2"] == "True" && image["purpose"] == "test")
        #expect(image["hw_disk_bus"] == "virtio" && image["checksum"] != "c", "properties, but nothing of the file")
        let mapping = try JSON.parse(Array((image["block_device_mapping"]?.string ?? "").utf8))
        #expect(mapping.array?.count == 2)
        #expect(mapping[0]?["source_type"] == "snapshot" && mapping[0]?["destination_type"] == "volume")
        #expect(mapping[0]?["boot_index"] == 0 && mapping[0]?["device_name"] == "/dev/vda")
        #expect(Set(snapshots.compactMap { $0["id"] }) == Set((mapping.array ?? []).compactMap { $0["snapshot_id"] }))
        let log = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        #expect(log.first?["action"] == "createImage" && log.first?["message"]?.isNull == true)

        let next = try await cloud.server(["imageRef": image["id"] ?? ""])
        let shown = await cloud.show(next, at: "2.3")
        #expect(shown["status"] == "ACTIVE", "\(shown.text())")
        #expect(shown["image"]?["id"] == image["id"])
        #expect(shown["os-extended-volumes:volumes_attached"]?.array?.count == 2)
        let spec = await cloud.hosts["host-1"]?.spec(of: next)
        #expect(spec?.isVolumeBacked == true && spec?.volumes.map(\.device) == ["/dev/vda", "/dev/vdb"])
        #expect(spec?.properties["block_device_mapping"] == nil && spec?.properties["bdm_v2"] == nil)
        let sources = storage.state.withLock { Set($0.volumes.values.compactMap { $0["snapshot_id"]?.string }) }
        #expect(sources == Set(snapshots.compactMap { $0["id"]?.string }))
        #expect(await cloud.call("DELETE", "/servers/\(next)").status == 204)
        try await cloud.work()
        let left = storage.state.withLock { $0.volumes.values.filter { $0["snapshot_id"]?.string != nil } }
        #expect(left.count == 1, "the second was to go with its server")
    }

    @Test("A request's own root device takes the image's place only under the same name")
    func override() async throws {
        let (cloud, storage, id) = try await Self.server()
        _ = await cloud.act(id, Self.create)
        try await cloud.work()
        let image = cloud.images.made.first?["id"] ?? ""
        storage.add("aaaaaaaa-0000-4000-8000-000000000003")
        let devices: JSON = [
            [
                "source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": image,
                "delete_on_termination": true,
            ],
            [
                "source_type": "volume", "destination_type": "volume", "boot_index": -1, "device_name": "vdb",
                "uuid": "aaaaaaaa-0000-4000-8000-000000000003",
            ],
        ]
        let next = try await cloud.server(["imageRef": image, "block_device_mapping_v2": devices])
        let volumes = await cloud.hosts["host-1"]?.spec(of: next)?.volumes ?? []
        #expect(volumes.count == 2 && volumes.last?.volumeID == "aaaaaaaa-0000-4000-8000-000000000003")
        let several = ComputeCloud.draft(["imageRef": image, "min_count": 2, "max_count": 2])
        #expect(await cloud.call("POST", "/servers", several).status == 202, "snapshots may be had by many")
    }

    @Test(
        "An image that cannot be finished leaves no image and no snapshot", arguments: ["snapshot-create", "snapshots"])
    func imageFails(call: String) async throws {
        let (cloud, storage, id) = try await Self.server()
        storage.fail(call, 400)
        #expect(await cloud.act(id, Self.create).status == 202)
        try await cloud.work()
        #expect(cloud.images.made.isEmpty && storage.state.withLock { $0.snapshots.isEmpty })
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        storage.state.withLock { $0.snapshotsMax = 1 }
        let refused = await cloud.act(id, Self.create)
        #expect(refused.status == 403 && refused.message == "Quota exceeded for resources: snapshots")
    }

    @Test("A guest with an agent is at rest while it is snapshotted, and one that must be is not snapshotted otherwise")
    func quiet() async throws {
        let (cloud, storage, id) = try await Self.server(["hw_qemu_guest_agent": "yes"])
        _ = await cloud.act(id, Self.create)
        try await cloud.work()
        let host = try #require(cloud.hosts["host-1"])
        #expect(await host.quietsEver == 1)
        #expect(await !host.isQuiet(id))
        storage.fail("snapshot-create", 400)
        _ = await cloud.act(id, Self.create)
        try await cloud.work()
        #expect(await host.quietsEver == 2)
        #expect(await !host.isQuiet(id), "it writes again after a snapshot that failed")

        let (other, _, needy) = try await Self.server(["os_require_quiesce": "yes"])
        _ = await other.act(needy, Self.create)
        try await other.work()
        #expect(other.images.made.isEmpty)
        #expect(await other.show(needy)["status"] == "ACTIVE")
    }

    @Test("A backup of it is refused as upstream refuses it")
    func backup() async throws {
        let (cloud, _, id) = try await Self.server()
        let body: JSON = ["createBackup": ["name": "b", "backup_type": "daily", "rotation": 1]]
        let answer = await cloud.act(id, body)
        #expect(answer.status == 400)
        #expect(answer.message == "Backup is not supported for volume-backed instances.")
    }

    @Test("Until 2.93 it is rebuilt from the image it has only; since then Block storage writes any over its volume")
    func rebuild() async throws {
        let (cloud, storage, id) = try await Self.server()
        let other: JSON = ["rebuild": ["imageRef": .string(FakeImages.other)]]
        let refused = await cloud.act(id, other, at: "2.92")
        #expect(refused.status == 400)
        #expect(
            refused.message
                == "Image \(FakeImages.other) is unacceptable: Unable to rebuild with a different image for a "
                + "volume-backed server.")
        #expect(await cloud.act(id, ["rebuild": ["imageRef": .string(ComputeCloud.image)]]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        let before = storage.attachments.compactMap { $0["id"]?.string }
        let answer = await cloud.act(id, other, at: "2.93")
        #expect(answer.status == 202, "\(answer.json.text())")
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await cloud.show(id)["image"]?.string == "")
        #expect(storage.volume(Self.root)?["volume_image_metadata"]?["image_id"]?.string == FakeImages.other)
        #expect(storage.volume(Self.root)?["status"] == "in-use" && storage.attachments.count == 2)
        #expect(Set(storage.attachments.compactMap { $0["id"]?.string }).intersection(before).count == 1)
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.volumes.count == 2)
        cloud.images.state.withLock { $0.images[FakeImages.other]?["min_disk"] = 2 }
        let small = await cloud.act(id, other, at: "2.93")
        #expect(small.status == 400 && small.message.hasPrefix("Volume is smaller than the minimum size"))
        cloud.images.state.withLock { $0.images[FakeImages.other]?["min_disk"] = 0 }
        storage.state.withLock { $0.volumes[Self.data]?["status"] = "detaching" }
        let busy = await cloud.act(id, other, at: "2.93")
        #expect(busy.status == 400 && busy.message.contains("status must be 'in-use'"))
    }

    @Test("A rebuild whose image cannot be written ends in ERROR with the volume still the server's")
    func rebuildFails() async throws {
        let (cloud, storage, id) = try await Self.server()
        storage.fail("os-reimage", 400)
        let other: JSON = ["rebuild": ["imageRef": .string(FakeImages.other)]]
        #expect(await cloud.act(id, other, at: "2.93").status == 202)
        try await cloud.work()
        let shown = await cloud.show(id)
        #expect(shown["status"] == "ERROR")
        #expect(shown["fault"]?["message"]?.string?.contains("Failed to rebuild volume backed instance.") == true)
        #expect(storage.volume(Self.root)?["status"] == "in-use" && storage.attachments.count == 2)
        // It may be tried again.
        #expect(await cloud.act(id, other, at: "2.93").status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("It is rescued since 2.87, and only from an image that says where its disk goes")
    func rescue() async throws {
        let (cloud, _, id) = try await Self.server()
        for (image, version) in [(FakeImages.other, "2.86"), (ComputeCloud.image, "2.87")] {
            let refused = await cloud.act(id, ["rescue": ["rescue_image_ref": .string(image)]], at: version)
            #expect(refused.status == 400 && refused.message.contains("Cannot rescue a volume-backed instance"))
        }
        cloud.images.state.withLock { $0.images[FakeImages.other]?["hw_rescue_device"] = "cdrom" }
        let body: JSON = ["rescue": ["rescue_image_ref": .string(FakeImages.other)]]
        #expect(await cloud.act(id, body, at: "2.87").status == 200)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "RESCUE")
        #expect(await cloud.hosts["host-1"]?.rescueDisk(of: id)?.isStable == true)
        #expect(await cloud.act(id, ["unrescue": nil]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("An image whose list of disks makes no sense is refused, naming it")
    func nonsense() async throws {
        let (cloud, _, _) = try await Self.server()
        for text in ["{", "[{\"source_type\": \"tape\"}]", "7"] {
            cloud.images.state.withLock { state in
                state.images[ComputeCloud.image]?["block_device_mapping"] = .string(text)
                state.images[ComputeCloud.image]?["bdm_v2"] = "True"
            }
            let refused = await cloud.call("POST", "/servers", ComputeCloud.draft())
            #expect(refused.status == 400 && refused.message.contains(ComputeCloud.image), "\(refused.message)")
        }
    }
}
