// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Parts of the API beside servers: quotas of users, extra specs, images of aggregates, events from elsewhere.
struct BreadthTests {
    @Test("A user of a project may have a quota within the project's, and it holds")
    func userQuotas() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let path = "/os-quota-sets/project-a"
        func put(_ limits: JSONObject, _ query: String = "user_id=user-a") async -> TestCloud.Answer {
            await cloud.call("PUT", path, ["quota_set": .object(limits)], as: .admin(), query: query)
        }
        #expect(await put(["instances": 11]).message.contains("must be less than or equal to 10"))
        #expect(await put(["instances": 1])["quota_set"]["instances"]?.integer == 1)
        let own = await cloud.call("GET", path, as: .admin(), query: "user_id=user-a")["quota_set"]
        #expect(own["instances"]?.integer == 1 && own["cores"]?.integer == 20)
        #expect(await cloud.call("GET", path, as: .admin())["quota_set"]["instances"]?.integer == 10)
        _ = try await cloud.server()
        let detail = await cloud.call("GET", path + "/detail", as: .admin(), query: "user_id=user-a")["quota_set"]
        #expect(detail["instances"]?["in_use"]?.integer == 1)
        let second = await cloud.call("POST", "/servers", ComputeCloud.draft())
        #expect(second.status == 403 && second.message.hasPrefix("Quota exceeded for instances"))
        #expect(await cloud.call("DELETE", path, as: .admin(), query: "user_id=user-a").status == 202)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 202)
    }

    static let specs: [(String, String, Bool)] = [
        ("hw:cpu_policy", "dedicated", true), ("hw:cpu_policy", "alone", false), ("hw:nothing", "1", false),
        ("mine:nothing", "1", true), ("plain", "x", true), ("hw:numa_nodes", "0", false), ("hw:numa_nodes", "2", true),
        ("hw:numa_cpus.0", "0-3,^2", true), ("hw:numa_cpus.x", "0", false), ("hw:boot_menu", "perhaps", false),
        ("hw:mem_page_size", "2MB", true), ("resources:VCPU", "4", true), ("resources1:CUSTOM_A", "x", false),
        ("trait:HW_CPU_X86_AVX", "required", true), ("trait:HW_CPU_X86_AVX", "maybe", false),
        ("quota:disk_read_iops_sec", "10", true), ("hw:redirected_usb_ports", "16", false),
    ]

    @Test("Since 2.86 extra specs that are known have values they may have", arguments: specs)
    func extraSpecs(name: String, value: String, isValid: Bool) async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        await cloud.flavor()
        let body: JSON = ["extra_specs": .object([name: .string(value)])]
        let path = "/flavors/small/os-extra_specs"
        let answer = await cloud.call("POST", path, body, at: "2.86", as: .admin())
        #expect(answer.status == (isValid ? 200 : 400), "\(answer.json.text())")
        #expect(await cloud.call("POST", path, body, at: "2.85", as: .admin()).status == 200)
        let one: JSON = .object([name: .string(value)])
        #expect(
            await cloud.call("PUT", path + "/" + name, one, at: "2.86", as: .admin()).status == (isValid ? 200 : 400))
    }

    @Test("An aggregate's hosts are asked to keep images, each once")
    func cachedImages() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        let made = await cloud.call("POST", "/os-aggregates", ["aggregate": ["name": "a"]], as: .admin())
        let path = "/os-aggregates/\(made["aggregate"]["id"]?.integer ?? 0)"
        #expect(
            await cloud.call("POST", path + "/action", ["add_host": ["host": "host-1"]], as: .admin()).status == 200)
        let image: JSON = ["id": .string(FakeImages.id)]
        func cache(_ list: JSON, at version: String = "2.81") async -> Int {
            await cloud.call("POST", path + "/images", ["cache": list], at: version, as: .admin()).status
        }
        #expect(await cache([image], at: "2.80") == 404)
        #expect(await cache([]) == 400)
        #expect(await cache([image, image]) == 400)
        #expect(await cache([["id": "aaaaaaaa-0000-4000-8000-00000000000f"]]) == 400)
        #expect(await cache([image]) == 202)
        #expect(try await cloud.room.queue.operations(on: "cache host-1").count == 1)
        #expect(try await cloud.room.queue.operations(on: "cache host-2").isEmpty)
        try await cloud.work()
    }

    @Test("Events have names as of their versions; a volume that grew is told to the guest")
    func events() async throws {
        let storage = FakeBlockStorage()
        storage.add(VolumesTests.one)
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        let id = try await cloud.server()
        let attach: JSON = ["volumeAttachment": ["volumeId": .string(VolumesTests.one)]]
        #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", attach).status == 200)
        try await cloud.work()
        storage.state.withLock { $0.volumes[VolumesTests.one]?["size"] = 5 }
        let event: JSON = [
            "events": [["name": "volume-extended", "server_uuid": .string(id), "tag": .string(VolumesTests.one)]]
        ]
        let path = "/os-server-external-events"
        #expect(await cloud.call("POST", path, event, at: "2.50", as: .service()).status == 400)
        #expect(await cloud.call("POST", path, event, at: "2.51", as: .service()).status == 200)
        try await cloud.work()
        let done = try await cloud.room.queue.operations(on: id).first
        #expect(done?.kind == "compute.grow-volume" && done?.state == .done)
    }

    @Test("Snapshots through a guest are refused, naming the volume")
    func assisted() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let body: JSON = [
            "snapshot": [
                "volume_id": "v", "create_info": ["snapshot_id": "s", "type": "qcow2", "new_file": "f"],
            ]
        ]
        let path = "/os-assisted-volume-snapshots"
        #expect(await cloud.call("POST", path, body).status == 403)
        let answer = await cloud.call("POST", path, body, as: .service())
        #expect(answer.message == "No volume Block Device Mapping with id v.")
        let query = "delete_info=%7B%22volume_id%22%3A%22v%22%7D"
        #expect(await cloud.call("DELETE", path + "/s", as: .service(), query: query).status == 400)
    }
}
