// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Disks that are asked for when a server is created.
struct BlockDevicesTests {
    static let volume = "aaaaaaaa-0000-4000-8000-000000000001"
    private static let root: JSON = [
        "source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": .string(ComputeCloud.image),
        "delete_on_termination": true,
    ]

    private static func cloud() async throws -> (ComputeCloud, FakeBlockStorage) {
        let storage = FakeBlockStorage()
        storage.add(volume)
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        let big: JSON = [
            "flavor": [
                "id": "big", "name": "big", "vcpus": 1, "ram": 512, "disk": 1, "OS-FLV-EXT-DATA:ephemeral": 4,
                "swap": 64,
            ]
        ]
        #expect(await cloud.call("POST", "/flavors", big, as: .admin()).status == 200)
        return (cloud, storage)
    }

    private static func draft(_ devices: JSON, _ more: JSONObject = [:]) -> JSON {
        var members: JSONObject = ["block_device_mapping_v2": devices]
        for (name, value) in more { members[name] = value }
        return ComputeCloud.draft(members)
    }

    @Test("A server boots from a volume: it has no image, its host gives no disk, and the volume stays when it goes")
    func bootFromVolume() async throws {
        let (cloud, storage) = try await Self.cloud()
        let devices: JSON = [
            [
                "source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(Self.volume),
            ]
        ]
        let made = await cloud.call("POST", "/servers", Self.draft(devices, ["imageRef": ""]))
        #expect(made.status == 202, "\(made.json.text())")
        try await cloud.work()
        let id = made["server"]["id"]?.string ?? ""
        let shown = await cloud.show(id, at: "2.3")
        #expect(shown["status"]?.string == "ACTIVE", "\(shown.text())")
        #expect(shown["image"]?.string == "")
        #expect(shown["os-extended-volumes:volumes_attached"]?[0]?["id"]?.string == Self.volume)
        let spec = await cloud.hosts["host-1"]?.spec(of: id)
        #expect(spec?.isVolumeBacked == true && spec?.volumes.map(\.device) == ["/dev/vda"])
        #expect(spec?.properties["hw_rng_model"] == "virtio")
        #expect(storage.volume(Self.volume)?["status"] == "in-use")
        let path = "/servers/\(id)/os-volume_attachments/\(Self.volume)"
        #expect(await cloud.call("DELETE", path).message == "Cannot detach a root device volume")
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(storage.volume(Self.volume)?["status"] == "available" && storage.attachments.isEmpty)
    }

    @Test("Volumes are made of an image and of nothing, attached, and deleted with the server that asked for it")
    func made() async throws {
        let (cloud, storage) = try await Self.cloud()
        let devices: JSON = [
            [
                "source_type": "image", "destination_type": "volume", "boot_index": 0, "volume_size": 2,
                "uuid": .string(ComputeCloud.image), "delete_on_termination": true, "volume_type": "fast",
            ],
            ["source_type": "blank", "destination_type": "volume", "volume_size": 3, "boot_index": -1],
        ]
        let made = await cloud.call(
            "POST", "/servers", Self.draft(devices, ["imageRef": "", "networks": "auto"]), at: "2.67")
        #expect(made.status == 202, "\(made.json.text())")
        try await cloud.work()
        let id = made["server"]["id"]?.string ?? ""
        #expect(await cloud.show(id)["status"]?.string == "ACTIVE")
        let volumes = storage.state.withLock { Array($0.volumes.values) }.filter { $0["status"] == "in-use" }
        #expect(Set(volumes.compactMap { $0["size"]?.integer }) == [2, 3])
        #expect(volumes.contains { $0["volume_type"] == "fast" && $0["imageRef"]?.string == ComputeCloud.image })
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        let left = storage.state.withLock { $0.volumes.values.map { $0["size"]?.integer } }
        #expect(left.sorted { $0 ?? 0 < $1 ?? 0 } == [1, 3])
    }

    @Test("Local disks are split and sized as asked for within what the flavor allows")
    func local() async throws {
        let (cloud, _) = try await Self.cloud()
        let devices: JSON = [
            Self.root, ["source_type": "blank", "destination_type": "local", "boot_index": -1, "volume_size": 3],
            ["source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 32],
        ]
        let id = try await cloud.server(["flavorRef": "big", "block_device_mapping_v2": devices])
        let spec = await cloud.hosts["host-1"]?.spec(of: id)
        #expect(spec?.ephemeralDisks == [3] && spec?.ephemeralGiB == 3 && spec?.swapMiB == 32)
        let plain = try await cloud.server(["flavorRef": "big"])
        #expect(await cloud.hosts["host-1"]?.spec(of: plain)?.ephemeralGiB == 4)
    }

    @Test("A boot that fails leaves no volume that was made for it, and none held")
    func undone() async throws {
        let (cloud, storage) = try await Self.cloud()
        storage.fail("connect", 400)
        let devices: JSON = [
            Self.root,
            [
                "source_type": "blank", "destination_type": "volume", "volume_size": 3, "boot_index": -1,
            ],
        ]
        let made = await cloud.call("POST", "/servers", Self.draft(devices))
        #expect(made.status == 202, "\(made.json.text())")
        try await cloud.work()
        #expect(await cloud.show(made["server"]["id"]?.string ?? "")["status"]?.string == "ERROR")
        #expect(storage.attachments.isEmpty && storage.state.withLock { $0.volumes.count } == 1)
    }

    static let refusals: [(JSON, String)] = [
        ([["source_type": "blank", "destination_type": "local", "boot_index": -1]], "Boot sequence"),
        ([root, ["source_type": "image", "destination_type": "local", "uuid": "x"]], "Mapping image to local"),
        ([root, ["source_type": "volume", "destination_type": "volume"]], "Missing device UUID."),
        ([root, ["source_type": "blank", "destination_type": "local", "uuid": "x"]], "Invalid device UUID."),
        (
            [root, ["source_type": "volume", "destination_type": "volume", "uuid": "nope"]], "failed to get volume nope"
        ),
        (
            [root, ["source_type": "snapshot", "destination_type": "volume", "uuid": "no"]], "failed to get snapshot no"
        ),
        ([root, ["source_type": "blank", "destination_type": "volume"]], "need to have non-zero size"),
        ([root, ["source_type": "blank", "destination_type": "local", "volume_size": 9]], "larger than the instance"),
        ([root, ["source_type": "blank", "destination_type": "local", "disk_bus": "punch"]], "disk bus punch"),
        ([root, ["source_type": "blank", "volume_size": 0]], "volume_size"),
        ([root, ["source_type": "tape"]], "source_type"),
        ([root, ["destination_type": "local"]], "required fields"),
        (
            [root, ["source_type": "blank", "destination_type": "local", "guest_format": "swap", "volume_size": 1]],
            "Swap drive requested is larger"
        ),
    ]

    @Test("Disks that make no sense are refused, naming why", arguments: refusals)
    func refused(devices: JSON, why: String) async throws {
        let (cloud, _) = try await Self.cloud()
        let answer = await cloud.call("POST", "/servers", Self.draft(devices))
        #expect(answer.status == 400 && answer.message.contains(why), "\(answer.message)")
    }

    @Test("The older form knows volumes, swap and ephemeral disks; both forms at once are refused")
    func older() async throws {
        let (cloud, _) = try await Self.cloud()
        let old: JSON = [["volume_id": .string(Self.volume), "device_name": "vda"]]
        let made = await cloud.call(
            "POST", "/servers", ComputeCloud.draft(["imageRef": "", "block_device_mapping": old]))
        #expect(made.status == 202, "\(made.json.text())")
        let both = ComputeCloud.draft(["block_device_mapping": old, "block_device_mapping_v2": [Self.root]])
        #expect(await cloud.call("POST", "/servers", both).message.contains("different block_device_mapping syntaxes"))
        let several = Self.draft(
            [
                [
                    "source_type": "volume", "destination_type": "volume", "boot_index": 0,
                    "uuid": .string(Self.volume),
                ]
            ], ["imageRef": "", "min_count": 2])
        #expect(await cloud.call("POST", "/servers", several).message.contains("multiple instances"))
    }
}
