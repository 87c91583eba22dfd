// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// What once went wrong in Nova, by the numbers of its bugs.
struct UpstreamBugsTests {
    private static let volume = "aaaaaaaa-0000-4000-8000-000000000001"

    private static func force(_ cloud: ComputeCloud, _ host: String, down: Bool) async -> TestCloud.Answer {
        let body: JSON = ["host": .string(host), "binary": "nova-compute", "forced_down": .bool(down)]
        return await cloud.call("PUT", "/os-services/force-down", body, at: "2.11", as: .admin())
    }

    @Test("A host that servers were evacuated from is not forced up before their guests are cleared away (1922053)")
    func forcedUp() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        #expect(await Self.force(cloud, source, down: true).status == 200)
        #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
        try await cloud.work()
        let old = await Self.force(cloud, source, down: false)
        #expect(old.status == 400 && old.message.hasPrefix("Unable to force up host \(source) as `done` evacuation"))
        let services = await cloud.call("GET", "/os-services", at: "2.53", as: .admin(), query: "host=" + source)
        let path = "/os-services/\(services["services"][0]?["id"]?.string ?? "")"
        let new = await cloud.call("PUT", path, ["forced_down": false], at: "2.53", as: .admin())
        #expect(new.status == 400 && new.message == old.message)
        #expect(await cloud.call("PUT", path, ["forced_down": true], at: "2.53", as: .admin()).status == 200)
        try await cloud.room.database.update(ServerMigration.self, set: "status = 'completed'", where: "1 = 1")
        #expect(await cloud.call("PUT", path, ["forced_down": false], at: "2.53", as: .admin()).status == 200)
    }

    @Test("A server is deleted while its host is down, and its guest when the host is back (1679750)")
    func deletedOnDownHost() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await Self.force(cloud, "host-1", down: true).status == 200)
        await cloud.hosts["host-1"]?.setUnreachable(true)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(await ServerMovesTests.held(cloud, id).isEmpty && cloud.network.ports.isEmpty)
        await cloud.hosts["host-1"]?.setUnreachable(false)
        #expect(try await cloud.hosts["host-1"]?.state(of: id) == .running)
        await HostKeeper(cloud.room).sweep()
        #expect(try await cloud.hosts["host-1"]?.state(of: id) == nil)
    }

    @Test("A volume of one server is not attached to another, whatever Block storage says of it (1908075)")
    func heldVolume() async throws {
        let storage = FakeBlockStorage()
        storage.add(Self.volume)
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        let (first, second) = (try await cloud.server(), try await cloud.server())
        let body: JSON = ["volumeAttachment": ["volumeId": .string(Self.volume)]]
        #expect(await cloud.call("POST", "/servers/\(first)/os-volume_attachments", body).status == 200)
        try await cloud.work()
        storage.state.withLock { $0.volumes[Self.volume]?["status"] = "available" }
        let again = await cloud.call("POST", "/servers/\(second)/os-volume_attachments", body)
        #expect(again.status == 400)
        #expect(
            again.message == "Invalid volume: volume \(Self.volume) is already attached to instances: \(first)")
        storage.state.withLock { $0.volumes[Self.volume]?["multiattach"] = true }
        let path = "/servers/\(second)/os-volume_attachments"
        #expect(await cloud.call("POST", path, body, at: "2.60").status == 200)
    }

    @Test("A volume is not taken from a server whose host is down (1909120)")
    func detachOnDownHost() async throws {
        let storage = FakeBlockStorage()
        storage.add(Self.volume)
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        _ = await cloud.call("POST", path, ["volumeAttachment": ["volumeId": .string(Self.volume)]])
        try await cloud.work()
        #expect(await Self.force(cloud, "host-1", down: true).status == 200)
        let refused = await cloud.call("DELETE", path + "/" + Self.volume)
        #expect(refused.status == 409 && refused.message == "Service is unavailable at this time.")
        #expect(await Self.force(cloud, "host-1", down: false).status == 200)
        #expect(await cloud.call("DELETE", path + "/" + Self.volume).status == 202)
    }

    @Test("An image of an encrypted volume is no disk to boot from; a volume made of it is (1895696)")
    func encryptedVolumesImage() async throws {
        let storage = FakeBlockStorage()
        storage.add(Self.volume, ["volume_image_metadata": ["cinder_encryption_key_id": "k"]])
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        cloud.images.state.withLock { $0.images[ComputeCloud.image]?["cinder_encryption_key_id"] = "k" }
        let refused = await cloud.call("POST", "/servers", ComputeCloud.draft())
        #expect(refused.status == 400)
        #expect(refused.message.hasSuffix("of an image uploaded from an encrypted volume is unsupported."))
        let image: JSON = [
            "source_type": "image", "destination_type": "volume", "boot_index": 0, "volume_size": 1,
            "uuid": .string(ComputeCloud.image),
        ]
        let volume: JSON = [
            "source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(Self.volume),
        ]
        for device in [image, volume] {
            let id = try await cloud.server(["imageRef": "", "block_device_mapping_v2": [device]])
            #expect(await cloud.show(id)["status"] == "ACTIVE")
        }
    }

    @Test("A server on a volume has the memory its image asks for, and keeps it when it is resized (2007968)")
    func leastMemory() async throws {
        let storage = FakeBlockStorage()
        storage.add(Self.volume, ["volume_image_metadata": ["min_ram": "512"]])
        let cloud = try await ComputeCloud(hosts: 2, storage: storage)
        await cloud.flavor()
        await cloud.flavor("tiny", ram: 128)
        let device: JSON = [
            "source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(Self.volume),
        ]
        let members: JSONObject = ["imageRef": "", "block_device_mapping_v2": [device]]
        var small = members
        small["flavorRef"] = "tiny"
        let message = "Flavor's memory is too small for requested image."
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft(small)).message == message)
        let id = try await cloud.server(members)
        let refused = await cloud.act(id, ["resize": ["flavorRef": "tiny"]])
        #expect(refused.status == 400 && refused.message == message)
    }

    @Test("An image whose properties make no sense is refused (1558866)")
    func senselessImages() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        for (name, value, complaint) in [
            ("architecture", "x64", "Architecture name 'x64' is not valid"),
            ("hw_vm_mode", "full", "Virtual machine mode 'full' is not valid"),
            ("hw_disk_bus", "virtoi", "Field value virtoi is invalid"),
            ("hw_vif_model", "E1001", "Field value e1001 is invalid"),
            ("hw_video_ram", "much", "invalid literal for int() with base 10: 'much'"),
        ] {
            cloud.images.state.withLock { $0.images[ComputeCloud.image]?[name] = .string(value) }
            let refused = await cloud.call("POST", "/servers", ComputeCloud.draft())
            #expect(refused.status == 400 && refused.message == "Invalid image metadata. Error: " + complaint)
            cloud.images.state.withLock { $0.images[ComputeCloud.image]?[name] = nil }
        }
        cloud.images.state.withLock {
            $0.images[ComputeCloud.image]?["architecture"] = "AMD64"
            $0.images[ComputeCloud.image]?["hw_vif_model"] = "VirtualE1000"
        }
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 202)
    }

    @Test("A deleted server's host has no status (1548980)")
    func deletedStatus() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.show(id, at: "2.16")["host_status"] == "UP")
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        let list = await cloud.call(
            "GET", "/servers/detail", at: "2.16", as: .admin(), query: "deleted=1&all_tenants=1")
        #expect(list["servers"][0]?["id"]?.string == id && list["servers"][0]?["host_status"] == "")
    }

    @Test("Placement hears at once that a host is disabled or enabled, if it is up (1886418)")
    func disabledTrait() async throws {
        let cloud = try await ComputeCloud()
        let host = try #require(await cloud.room.database.first(ComputeHost.self, "name = 'host-1'"))
        func isMarked() async -> Bool {
            let answer = await cloud.cloud.call(
                "placement", "GET", "/resource_providers/\(host.id)/traits", nil, at: "1.36", as: .admin(), query: "")
            return answer["traits"].array?.contains("COMPUTE_STATUS_DISABLED") ?? false
        }
        func put(_ body: JSON) async {
            let answer = await cloud.call("PUT", "/os-services/\(host.serviceID)", body, at: "2.53", as: .admin())
            #expect(answer.status == 200, "\(answer.json.text())")
        }
        await put(["status": "disabled"])
        #expect(await isMarked())
        await put(["status": "enabled"])
        #expect(await !isMarked())
        let old: JSON = ["host": "host-1", "binary": "nova-compute"]
        #expect(await cloud.call("PUT", "/os-services/disable", old, as: .admin()).status == 200)
        #expect(await isMarked())
        await put(["forced_down": true])
        await put(["status": "enabled"])
        #expect(await isMarked(), "a host that is down cannot say so")
        await put(["forced_down": false])
        try await HostReporter(cloud.room).report()
        #expect(await !isMarked())
    }

    @Test("A config drive that was forced is told of, and stays when it is forced no longer (1835822)")
    func forcedDrive() async throws {
        var options = ComputeOptions()
        options.metadata.forcesDrive = true
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.show(id)["config_drive"] == "True")
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.configDrive != nil)
        let plain = try await ComputeCloud()
        await plain.flavor()
        let other = try await plain.server()
        #expect(await plain.show(other)["config_drive"] == "")
        plain.images.state.withLock { $0.images[ComputeCloud.image]?["img_config_drive"] = "mandatory" }
        #expect(await plain.show(try await plain.server())["config_drive"] == "True")
    }
}

/// What Nova's functional tests hold its API to, beside its bugs.
struct UpstreamBehaviourTests {
    @Test("A host with servers is not moved from one zone to another")
    func zonesOfHosts() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        var paths: [String] = []
        for (name, zone) in [("plain", JSON.null), ("east", "east"), ("west", "west"), ("more-east", "east")] {
            let body: JSON = ["aggregate": ["name": .string(name), "availability_zone": zone]]
            let made = await cloud.call("POST", "/os-aggregates", body, as: .admin())
            paths.append("/os-aggregates/\(made["aggregate"]["id"]?.integer ?? 0)/action")
        }
        func host(_ verb: String, _ at: Int) async -> TestCloud.Answer {
            await cloud.call("POST", paths[at], .object([verb: ["host": "host-1"]]), as: .admin())
        }
        let first = try await cloud.server()
        #expect(await host("add_host", 0).status == 200, "an aggregate without a zone changes none")
        let refused = await host("add_host", 1)
        #expect(refused.status == 409)
        #expect(refused.message.contains("would change from 'None' to 'east' but the host already has 1 instance(s)."))
        #expect(await cloud.call("DELETE", "/servers/\(first)").status == 204)
        try await cloud.work()
        #expect(await host("add_host", 1).status == 200)
        _ = try await cloud.server(["availability_zone": "east"])
        #expect(await host("remove_host", 0).status == 200)
        #expect(await host("remove_host", 1).message.contains("would change from 'east' to 'None'"))
        #expect(await host("add_host", 3).status == 200)
        #expect(await host("remove_host", 1).status == 200, "it stays in the east")
        #expect(await host("remove_host", 3).status == 409)
    }

    @Test("Security groups that were asked for by id are shown by name")
    func namesOfGroups() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let draft = ComputeCloud.draft(["security_groups": [["name": "sg-web"]]])
        let made = await cloud.call("POST", "/servers", draft)
        #expect(made["server"]["security_groups"] == [["name": "sg-web"]], "\(made.json.text())")
        try await cloud.work()
        let shown = await cloud.show(made["server"]["id"]?.string ?? "")
        #expect(shown["security_groups"] == [["name": "web"]])
        #expect(cloud.network.ports.first?["security_groups"] == ["sg-web"])
    }

    @Test("A moment that was shown without a fraction is the whole second")
    func changesBefore() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        try await cloud.room.database.update(
            Server.self, set: "updated_at = \(Timestamp(microseconds: 1_700_000_000_900_000))", where: "id = \(id)")
        for (moment, count) in [("2023-11-14T22:13:20Z", 1), ("2023-11-14T22:13:19Z", 0)] {
            let list = await cloud.call("GET", "/servers", at: "2.66", query: "changes-before=" + moment)
            #expect(list["servers"].array?.count == count, "\(moment)")
        }
    }

    @Test("A server's metadata stay as they are while it is shelved")
    func shelvedMetadata() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server(["metadata": ["a": "b"]])
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        let path = "/servers/\(id)/metadata"
        for answer in [
            await cloud.call("POST", path, ["metadata": ["c": "d"]]), await cloud.call("PUT", path, ["metadata": [:]]),
            await cloud.call("PUT", path + "/a", ["meta": ["a": "c"]]), await cloud.call("DELETE", path + "/a"),
        ] {
            #expect(answer.status == 409 && answer.message.hasSuffix("while it is in vm_state shelved_offloaded"))
        }
        #expect(await cloud.call("GET", path)["metadata"] == ["a": "b"])
    }

    @Test(
        "A description is refused that cannot be printed", arguments: ["in\u{0}valid", "in\u{604}valid", "in\nvalid"])
    func descriptions(text: String) async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let draft = ComputeCloud.draft(["description": .string(text)])
        #expect(await cloud.call("POST", "/servers", draft, at: "2.19").status == 400)
        let id = try await cloud.server(["description": "A server: größer, 服务器"], at: "2.19")
        let change: JSON = ["server": ["description": .string(text)]]
        #expect(await cloud.call("PUT", "/servers/\(id)", change, at: "2.19").status == 400)
    }

    @Test("A rebuild whose image requires what the host has not ends in ERROR, and the image is the old one")
    func traitsOfImages() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        cloud.images.state.withLock { $0.images[FakeImages.other]?["trait:HW_CPU_X86_SGX"] = "required" }
        let rebuild: JSON = ["rebuild": ["imageRef": .string(FakeImages.other)]]
        #expect(await cloud.act(id, rebuild).status == 202)
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ERROR" && server["image"]?["id"]?.string == ComputeCloud.image)
        #expect(server["fault"]?["code"] == 500)
        let message = "No valid host was found. Image traits cannot be satisfied by the current resource providers."
        #expect(server["fault"]?["message"]?.string?.hasPrefix(message) == true)
    }
}

/// Which networks a server may be plugged into: those that the caller sees.
struct VisibleNetworksTests {
    private static func theirs(_ cloud: ComputeCloud, _ more: JSONObject = [:]) {
        cloud.network.addSecond()
        cloud.network.state.withLock {
            $0.networks[FakeNetwork.second]?["project_id"] = "project-z"
            for (name, value) in more { $0.networks[FakeNetwork.second]?[name] = value }
        }
    }

    private static let draft = ComputeCloud.draft(["networks": [["uuid": .string(FakeNetwork.second)]]])
    private static let plug: JSON = ["interfaceAttachment": ["net_id": .string(FakeNetwork.second)]]

    @Test("Another project's network is for administrators, and for the projects it is shared with")
    func visible() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        Self.theirs(cloud)
        let id = try await cloud.server()
        let unseen = await cloud.call("POST", "/servers", Self.draft)
        #expect(unseen.status == 400 && unseen.message == "Network \(FakeNetwork.second) could not be found.")
        #expect(await cloud.call("POST", "/servers/\(id)/os-interface", Self.plug).status == 404)
        #expect(await cloud.call("POST", "/servers", Self.draft, as: .admin()).status == 202)
        #expect(await cloud.call("POST", "/servers/\(id)/os-interface", Self.plug, as: .admin()).status == 200)
        cloud.network.state.withLock { $0.sharedWith = [FakeNetwork.second: ["project-a"]] }
        #expect(await cloud.call("POST", "/servers", Self.draft).status == 202)
        #expect(await cloud.call("POST", "/servers/\(id)/os-interface", Self.plug).status == 200)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).message.hasPrefix("Multiple possible"))
        _ = cloud.network.state.withLock { $0.networks.removeValue(forKey: FakeNetwork.network) }
        let only = try await cloud.server()
        #expect(await cloud.show(only)["addresses"]?.object?.keys.sorted() == ["second"])
    }

    @Test("A network outside is for administrators only, at creation and later")
    func outside() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        Self.theirs(cloud, ["router:external": true])
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-interface"
        for answer in [
            await cloud.call("POST", "/servers", Self.draft), await cloud.call("POST", path, Self.plug),
        ] {
            #expect(answer.status == 403)
            #expect(
                answer.message == "It is not allowed to create an interface on external network \(FakeNetwork.second)")
        }
        #expect(await cloud.call("POST", path, Self.plug, as: .admin()).status == 200)
    }
}
