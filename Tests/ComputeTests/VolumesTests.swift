// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Volumes of servers, against a Block storage in memory.
struct VolumesTests {
    static let one = "aaaaaaaa-0000-4000-8000-000000000001"
    static let two = "aaaaaaaa-0000-4000-8000-000000000002"

    private static func cloud(_ more: JSONObject = [:]) async throws -> (ComputeCloud, FakeBlockStorage) {
        let storage = FakeBlockStorage()
        storage.add(one, more)
        storage.add(two)
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        return (cloud, storage)
    }

    private static func body(_ volume: String, _ more: JSONObject = [:]) -> JSON {
        var members: JSONObject = ["volumeId": .string(volume)]
        for (name, value) in more { members[name] = value }
        return ["volumeAttachment": .object(members)]
    }

    @Test("A volume is attached, shown in every version's form, and detached; Block storage knows of each step")
    func attachAndDetach() async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        let made = await cloud.call("POST", path, Self.body(Self.one, ["tag": "data"]), at: "2.70")
        #expect(made.status == 200, "\(made.json.text())")
        #expect(made["volumeAttachment"]["device"]?.string == "/dev/vdb")
        #expect(await cloud.call("POST", path, Self.body(Self.one)).status == 400)
        try await cloud.work()
        #expect(storage.volume(Self.one)?["status"] == "in-use")
        #expect(storage.attachments.first?["connector"]?["host"]?.string == "host-1")
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.volumes.map(\.volumeID) == [Self.one])
        #expect(
            await cloud.show(id, at: "2.3")["os-extended-volumes:volumes_attached"]?.text()
                == #"[{"id":"\#(Self.one)","delete_on_termination":false}]"#)

        let old = await cloud.call("GET", path)["volumeAttachments"][0]?.object?.keys ?? [String]()
        #expect(old.sorted() == ["device", "id", "serverId", "volumeId"])
        let new = await cloud.call("GET", path + "/\(Self.one)", at: "2.89")["volumeAttachment"]
        #expect(new["tag"]?.string == "data" && new["id"] == nil && new["attachment_id"]?.string != nil)
        #expect(await cloud.call("GET", path + "/\(Self.two)").status == 404)

        #expect(await cloud.call("DELETE", path + "/\(Self.two)").message.contains("is not attached to volume"))
        #expect(await cloud.call("DELETE", path + "/\(Self.one)").status == 202)
        #expect(await cloud.call("DELETE", path + "/\(Self.one)").status == 400)
        try await cloud.work()
        #expect(storage.volume(Self.one)?["status"] == "available" && storage.attachments.isEmpty)
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.volumes.isEmpty == true)
        #expect(await cloud.call("GET", path)["volumeAttachments"].array?.isEmpty == true)
        let log = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        let actions = log.compactMap { $0["action"]?.string }
        #expect(actions.contains("attach_volume") && actions.contains("detach_volume"))
    }

    @Test("Since 2.101 attaching answers 202 and nothing")
    func asynchronous() async throws {
        let (cloud, _) = try await Self.cloud()
        let id = try await cloud.server()
        let made = await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(Self.one), at: "2.101")
        #expect(made.status == 202 && made.json.isNull)
    }

    @Test("What cannot be attached is refused in upstream's words, and nothing is held")
    func refusals() async throws {
        let (cloud, storage) = try await Self.cloud(["status": "error"])
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        #expect(await cloud.call("POST", path, Self.body(Self.one)).message.hasPrefix("Invalid volume: Volume"))
        let nothing = "aaaaaaaa-0000-4000-8000-00000000000f"
        #expect(
            await cloud.call("POST", path, Self.body(nothing)).message == "Volume \(nothing) could not be found.")
        #expect(await cloud.call("POST", path, Self.body("7")).status == 400)
        #expect(await cloud.call("POST", path, Self.body(Self.two, ["device": "/dev/vda"])).status == 409)
        #expect(await cloud.call("POST", path, Self.body(Self.two, ["device": "vd/x"])).status == 400)
        #expect(await cloud.call("POST", path, Self.body(Self.two, ["tag": "x"]), at: "2.48").status == 400)
        storage.add(Self.one, ["multiattach": true])
        #expect(await cloud.call("POST", path, Self.body(Self.one), at: "2.59").message.contains("version 2.60"))
        #expect(await cloud.call("POST", path, Self.body(Self.one), at: "2.60").status == 200)
        await cloud.act(id, ["lock": .null], as: .admin())
        #expect(await cloud.call("POST", path, Self.body(Self.two)).status == 409)
        try await cloud.work()
        #expect(storage.attachments.count == 1)
    }

    @Test("Where the operator says so, servers have only volumes of their own zone, and follow those they boot with")
    func zones() async throws {
        let storage = FakeBlockStorage()
        storage.add(Self.one, ["availability_zone": "west"])
        storage.add(Self.two)
        var options = ComputeOptions()
        options.storage.crossesZones = false
        let cloud = try await ComputeCloud(options: options, storage: storage)
        await cloud.flavor()
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        let refused = await cloud.call("POST", path, Self.body(Self.one))
        #expect(refused.status == 400)
        #expect(
            refused.message == "Invalid volume: Instance \(id) and volume \(Self.one) are not in the same "
                + "availability_zone. Instance is in nova. Volume is in west")
        #expect(await cloud.call("POST", path, Self.body(Self.two)).status == 200)
        try await cloud.work()
        #expect(storage.attachments.map { $0["volume_id"]?.string } == [Self.two])

        storage.add(Self.two)
        func boot(_ volumes: [String], _ more: JSONObject = [:]) async -> TestCloud.Answer {
            let devices = volumes.map { volume -> JSON in
                ["source_type": "volume", "destination_type": "volume", "boot_index": -1, "uuid": .string(volume)]
            }
            let root: JSON = [
                "source_type": "image", "destination_type": "local", "boot_index": 0,
                "uuid": .string(ComputeCloud.image),
            ]
            var members: JSONObject = ["block_device_mapping_v2": .array([root] + devices)]
            for (name, value) in more { members[name] = value }
            return await cloud.call("POST", "/servers", ComputeCloud.draft(members))
        }
        let elsewhere = await boot([Self.one], ["availability_zone": "nova"])
        #expect(
            elsewhere.status == 400
                && elsewhere.message == "Server and volumes are not in the same availability zone. Server is in: nova. "
                    + "Volumes are in: west"
        )
        let torn = await boot([Self.one, Self.two])
        #expect(torn.message == "Volumes are in different availability zones: west,nova")
        let follows = await boot([Self.one])
        #expect(follows.status == 202, "\(follows.json.text())")
        let row = try await cloud.room.database.first(Server.self, "id = \(follows["server"]["id"]?.string ?? "")")
        #expect(row?.scheduling.zone == "west")
    }

    @Test("An attachment that fails half way leaves nothing", arguments: ["connect", "complete"])
    func undone(step: String) async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        storage.fail(step, 400)
        #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(Self.one)).status == 200)
        try await cloud.work()
        #expect(storage.attachments.isEmpty && storage.volume(Self.one)?["status"] == "available")
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.volumes.isEmpty == true)
        #expect(await cloud.show(id)["os-extended-volumes:volumes_attached"]?.array?.isEmpty == true)
        #expect(await cloud.show(id)["status"]?.string == "ACTIVE")
    }

    @Test("A server has as many disks as max_disk_devices_to_attach says, or more than the alphabet has letters")
    func many() async throws {
        let storage = FakeBlockStorage()
        let volumes = (1...28).map { "aaaaaaaa-0000-4000-8000-0000000001\($0 < 10 ? "0" : "")\($0)" }
        for volume in volumes { storage.add(volume) }
        var options = ComputeOptions()
        options.storage.disksMax = 28
        let cloud = try await ComputeCloud(options: options, storage: storage)
        await cloud.flavor()
        let id = try await cloud.server()
        var names: [String] = []
        for volume in volumes.dropLast() {
            let made = await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(volume))
            names.append(made["volumeAttachment"]["device"]?.string ?? "")
        }
        #expect(names.first == "/dev/vdb" && names.suffix(2) == ["/dev/vdaa", "/dev/vdab"])
        let refused = await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(volumes[27]))
        #expect(refused.status == 403)
        #expect(
            refused.message == "The maximum allowed number of disk devices (28) to attach to a single instance has "
                + "been exceeded.")
        try await cloud.work()
        #expect(storage.attachments.count == 27)
        #expect(storage.volume(volumes[27])?["status"] == "available")
    }

    @Test("A volume is reserved when the call is answered; who comes later, or is refused, holds nothing of it")
    func reserved() async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        storage.fail("reserve", 400)
        let refused = await cloud.call("POST", path, Self.body(Self.one))
        #expect(refused.status == 400)
        #expect(refused.message == "Invalid input received: block-storage: storage is out of order")
        #expect(await cloud.call("POST", path, Self.body(Self.one, ["device": "/dev/vda"])).status == 409)
        #expect(storage.attachments.isEmpty && storage.volume(Self.one)?["status"] == "available")
        #expect(await cloud.call("POST", path, Self.body(Self.one)).status == 200)
        #expect(storage.volume(Self.one)?["status"] == "reserved")

        let device: JSON = [
            "source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(Self.two),
        ]
        let draft = ComputeCloud.draft(["imageRef": "", "block_device_mapping_v2": [device]])
        let made = await cloud.call("POST", "/servers", draft)
        #expect(made.status == 202, "\(made.json.text())")
        #expect(storage.volume(Self.two)?["status"] == "reserved")
        let late = await cloud.call("POST", "/servers", draft)
        #expect(late.status == 400 && late.message.contains("status must be available"))
        try await cloud.work()
        #expect(storage.attachments.count == 2 && storage.volume(Self.two)?["status"] == "in-use")
        #expect(try await cloud.room.database.count(VolumeHold.self) == 0)
    }

    @Test("What a process reserved that ended before it wrote down for what is given back, and nothing else")
    func forgotten() async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(Self.one)).status == 200)
        try await cloud.work()
        let nobody = "bbbbbbbb-0000-4000-8000-000000000001"
        _ = try await cloud.room.storage.reserve(Self.two, for: nobody, requestID: "req-1")
        let old = cloud.room.clock.now() - .seconds(601)
        let notes = [(Self.one, id, old), (Self.two, nobody, old), (Self.two, "other", cloud.room.clock.now())]
        let holds = notes.enumerated().map { at, note in
            VolumeHold(id: "h\(at)", serverID: note.1, volumeID: note.0, createdAt: note.2)
        }
        try await cloud.room.database.transaction { transaction throws(Fault) in try transaction.insert(holds) }
        try await MoveKeeper(cloud.room).giveForgottenVolumesBack()
        #expect(storage.attachments.map { $0["volume_id"]?.string } == [Self.one])
        #expect(storage.volume(Self.two)?["status"] == "available")
        #expect(try await cloud.room.database.count(VolumeHold.self) == 1, "a request under way keeps its note")
    }

    @Test("A volume that Block storage holds on to is asked for again when its server is gone", arguments: [400, 409])
    func heldOn(status: Int) async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        _ = await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(Self.one))
        try await cloud.work()
        storage.fail("release", status)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404, "the server goes all the same")
        #expect(storage.attachments.count == 1)
        try await MoveKeeper(cloud.room).releaseOldVolumes()
        try await cloud.work()
        #expect(storage.attachments.isEmpty && storage.volume(Self.one)?["status"] == "available")
        try await MoveKeeper(cloud.room).releaseOldVolumes()
        #expect(try await cloud.room.queue.unfinished() == 0, "nothing is left to ask for")
    }

    @Test("Since 2.85 what becomes of a volume with its server may be changed, and nothing else")
    func change() async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        #expect(await cloud.call("POST", path, Self.body(Self.one)).status == 200)
        try await cloud.work()
        let item = path + "/\(Self.one)"
        #expect(await cloud.call("PUT", item, Self.body(Self.one), at: "2.84").status == 403)
        let other = await cloud.call("PUT", item, Self.body(Self.one, ["device": "/dev/vdx"]), at: "2.85")
        #expect(other.message == "The device property is not mutable")
        let wanted = Self.body(Self.one, ["delete_on_termination": true, "device": "/dev/vdb"])
        #expect(await cloud.call("PUT", item, wanted, at: "2.85").status == 202)
        #expect(await cloud.call("GET", item, at: "2.79")["volumeAttachment"]["delete_on_termination"]?.bool == true)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(storage.volume(Self.one) == nil && storage.attachments.isEmpty)
    }

    @Test("Block storage swaps a volume that it migrates; nobody else may")
    func swap() async throws {
        let (cloud, storage) = try await Self.cloud()
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        #expect(await cloud.call("POST", path, Self.body(Self.one)).status == 200)
        try await cloud.work()
        let item = path + "/\(Self.one)"
        #expect(await cloud.call("PUT", item, Self.body(Self.two), as: .admin()).status == 403)
        let refused = await cloud.call("PUT", item, Self.body(Self.two), as: .service())
        #expect(refused.message.contains("is not migrating"))
        storage.state.withLock {
            $0.volumes[Self.one]?["migration_status"] = "migrating"
            // What a volume is called that goes to another type.
            $0.volumes[Self.one]?["status"] = "retyping"
        }
        #expect(await cloud.call("PUT", item, Self.body(Self.two), as: .service()).status == 202)
        try await cloud.work()
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.volumes.map(\.volumeID) == [Self.two])
        #expect(await cloud.call("GET", path)["volumeAttachments"][0]?["volumeId"]?.string == Self.two)
        #expect(storage.attachments.map { $0["volume_id"]?.string } == [Self.two])
    }

    @Test("Without Block storage nothing is attached and nothing is listed")
    func without() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", Self.body(Self.one)).status == 404)
        #expect(await cloud.call("GET", "/os-volumes").message.contains("block storage service is not part"))
        #expect(await cloud.call("GET", "/os-snapshots/7").status == 404)
    }

    @Test("Volumes are seen through Compute until 2.35")
    func proxy() async throws {
        let (cloud, _) = try await Self.cloud()
        #expect(await cloud.call("GET", "/os-volumes")["volumes"].array?.count == 2)
        let shown = await cloud.call("GET", "/os-volumes/\(Self.one)")["volume"]
        #expect(shown["status"]?.string == "available" && shown["attachments"]?.text() == "[{}]")
        let made = await cloud.call("POST", "/os-volumes", ["volume": ["size": 1, "display_name": "a"]])
        #expect(made["volume"]["displayName"]?.string == "a", "\(made.json.text())")
        #expect(await cloud.call("GET", "/os-volumes", at: "2.36").status == 404)
    }
}
