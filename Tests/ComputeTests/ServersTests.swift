// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct ServersTests {
    @Test("A server boots to ACTIVE with an address, a host and a closed action")
    func boot() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft())
        #expect(made.status == 202, "\(made.json.text())")
        let id = try #require(made["server"]["id"]?.string)
        #expect(made["server"]["adminPass"]?.string?.count == 12)
        #expect(made.header("Location") == "http://cloud.test/v2.1/servers/\(id)")
        #expect(await cloud.show(id)["status"] == "BUILD")
        try await cloud.work()
        let server = await cloud.show(id, at: "2.96")
        #expect(server["status"] == "ACTIVE", "\(server.text())")
        #expect(server["OS-EXT-SRV-ATTR:host"] == "host-1")
        #expect(server["addresses"]?["private"]?[0]?["addr"] == "10.0.0.10")
        #expect(server["OS-EXT-STS:power_state"] == 1)
        #expect(server["progress"] == 100)
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.nics.count == 1)
        let actions = await cloud.call("GET", "/servers/\(id)/os-instance-actions")
        #expect(actions["instanceActions"][0]?["action"] == "create")
        #expect(actions["instanceActions"][0]?["message"] == .null)
        let request = actions["instanceActions"][0]?["request_id"]?.string ?? ""
        let events = await cloud.call("GET", "/servers/\(id)/os-instance-actions/\(request)", at: "2.51")
        let names = events["instanceAction"]["events"]?.array?.compactMap { $0["event"]?.string }
        #expect(names == ["compute__do_build_and_run_instance", "conductor_schedule_and_build_instances"])
        #expect(events["instanceAction"]["events"]?[0]?["result"] == "Success")
    }

    @Test("Deleting gives everything back: guest, port, allocation, quota")
    func delete() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == "deleting")
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(try await cloud.hosts["host-1"]?.guests().isEmpty == true)
        #expect(cloud.network.ports.isEmpty)
        let held = await cloud.cloud.call("placement", "GET", "/allocations/\(id)", as: .service())
        #expect(held["allocations"].object?.isEmpty == true)
        let limits = await cloud.call("GET", "/limits")
        #expect(limits["limits"]["absolute"]?["totalInstancesUsed"] == 0)
    }

    @Test("A server deleted while it boots is gone in the end, and nothing is left of it")
    func deleteDuringBoot() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft())
        let id = made["server"]["id"]?.string ?? ""
        let database = cloud.room.database
        try await cloud.work { try await database.rows("SELECT host FROM compute_servers").first?.text("host") != nil }
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(try await cloud.hosts["host-1"]?.guests().isEmpty == true)
        #expect(cloud.network.ports.isEmpty)
    }

    @Test("No valid host: the fault says which filter removed how many hosts, and what is nearest")
    func noHost() async throws {
        let cloud = try await ComputeCloud(hosts: 3, each: .fake(memoryMiB: 4096))
        await cloud.flavor("big", ram: 8192)
        let id = try await cloud.server(["flavorRef": "big"])
        let server = await cloud.show(id)
        #expect(server["status"] == "ERROR", "\(server.text())")
        let message = server["fault"]?["message"]?.string ?? ""
        #expect(
            message.hasPrefix(
                "No valid host was found. There are not enough hosts available. 3 hosts considered; Placement removed 3"
            ), "\(message)")
        #expect(message.contains("MEMORY_MB 8192 asked"))
        let kept = await cloud.call("GET", "/servers/\(id)/placement-explain")
        #expect(kept.status == 200, "\(kept.json.text())")
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
    }

    @Test("Two hundred servers of one request spread over a thousand hosts", .timeLimit(.minutes(2)))
    func many() async throws {
        var options = ComputeOptions()
        options.quota.instances = -1
        options.quota.cores = -1
        options.quota.ram = -1
        let cloud = try await ComputeCloud(hosts: 1000, options: options)
        await cloud.flavor()
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft(["min_count": 200, "max_count": 200]))
        #expect(made.status == 202, "\(made.json.text())")
        try await cloud.work()
        let list = await cloud.call("GET", "/servers/detail", query: "limit=500")
        let servers = list["servers"].array ?? []
        #expect(servers.count == 200)
        #expect(servers.allSatisfy { $0["status"] == "ACTIVE" })
        #expect(Set(servers.compactMap { $0["hostId"]?.string }).count == 200)
        #expect(servers.contains { $0["name"] == "web-200" })
    }

    @Test(
        "Bad bodies are 400 and name the member",
        arguments: [
            (["name": ""], "name"), (["name": 7], "name"), (["flavorRef": []], "flavorRef"),
            (["imageRef": "x"], "imageRef"), (["metadata": ["a": 1]], "metadata"), (["min_count": 0], "min_count"),
            (["user_data": "!"], "user_data"), (["networks": "auto"], "networks"),
            (["networks": [["uuid": "x"]]], "networks[0].uuid"), (["key_name": 1], "key_name"),
            (["unknown": 1], "unknown"), (["accessIPv4": "x"], "accessIPv4"),
            (["security_groups": [["id": 1]]], "name"), (["config_drive": "maybe"], "config_drive"),
            (["availability_zone": 5], "availability_zone"), (["min_count": 3, "max_count": 2], "min_count"),
        ] as [(JSONObject, String)])
    func badBodies(members: JSONObject, name: String) async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        await cloud.flavor()
        let answer = await cloud.call("POST", "/servers", ComputeCloud.draft(members))
        #expect(answer.status == 400)
        #expect(answer["badRequest"]["code"] == 400)
        #expect(answer.message.contains(name), "\(answer.message)")
    }

    @Test("What is missing or does not fit is refused before anything is written")
    func references() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        await cloud.flavor()
        await cloud.flavor("tiny", ram: 32)
        func message(_ members: JSONObject, _ status: Int = 400, at version: String = "2.1") async -> String {
            let answer = await cloud.call("POST", "/servers", ComputeCloud.draft(members), at: version)
            #expect(answer.status == status, "\(answer.json.text())")
            return answer.message
        }
        #expect(await message(["flavorRef": "none"], 400).contains("none"))
        #expect(await message(["imageRef": .string(RandomIdentifiers().uuid())]) == "Can not find requested image")
        #expect(await message(["flavorRef": "tiny"]).contains("memory is too small"))
        #expect(await message(["key_name": "none"]) == "Invalid key_name provided.")
        #expect(await message([:], at: "2.37") == "'networks' is a required property")
        cloud.network.addSecond()
        #expect(await message([:], 409).contains("Multiple possible networks"))
        #expect(try await cloud.room.database.rows("SELECT id FROM compute_servers").isEmpty)
        #expect(try await cloud.room.queue.unfinished() == 0)
    }

    @Test("The quota bounds servers, cores and memory, and counts rows only")
    func quota() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        await cloud.flavor("wide", vcpus: 8)
        #expect(
            await cloud.call("POST", "/servers", ComputeCloud.draft(["flavorRef": "wide", "min_count": 2])).status
                == 202)
        let over = await cloud.call("POST", "/servers", ComputeCloud.draft(["flavorRef": "wide"]))
        #expect(over.status == 403)
        #expect(over.message.contains("Quota exceeded for cores: Requested 8, but already used 16 of 20 cores"))
        let raised = await cloud.call(
            "PUT", "/os-quota-sets/project-a", ["quota_set": ["cores": 64]], at: "2.36", as: .admin())
        #expect(raised.status == 200, "\(raised.json.text())")
        let made = await cloud.call(
            "POST", "/servers", ComputeCloud.draft(["flavorRef": "wide", "min_count": 1, "max_count": 20]))
        #expect(made.status == 202)
        let limits = await cloud.call("GET", "/limits", at: "2.57")
        #expect(limits["limits"]["absolute"]?["totalCoresUsed"] == 64)
        let low = await cloud.call("PUT", "/os-quota-sets/project-a", ["quota_set": ["cores": 1]], as: .admin())
        #expect(low.status == 400)
        #expect(low.message.contains("already used"))
    }

    @Test("Readers look, members change, another project sees nothing, administrators see all")
    func policy() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft(), as: .reader()).status == 403)
        #expect(await cloud.call("GET", "/servers/\(id)", as: .reader()).status == 200)
        #expect(await cloud.call("DELETE", "/servers/\(id)", as: .reader()).status == 403)
        let other = Caller.member("user-b", project: "project-b")
        #expect(await cloud.call("GET", "/servers/\(id)", as: other).status == 404)
        #expect(await cloud.call("DELETE", "/servers/\(id)", as: other).status == 404)
        #expect(await cloud.call("GET", "/servers", as: other)["servers"].array?.isEmpty == true)
        #expect(await cloud.call("GET", "/servers", as: other, query: "all_tenants=1").status == 403)
        let all = await cloud.call("GET", "/servers", as: .admin(), query: "all_tenants=1")
        #expect(all["servers"].array?.count == 1)
        #expect(await cloud.show(id, as: .member())["OS-EXT-SRV-ATTR:host"] == nil)
    }

    @Test(
        "Members appear in the version that brought them",
        arguments: [
            ("locked", "2.9"), ("description", "2.19"), ("tags", "2.26"), ("locked_reason", "2.73"),
            ("server_groups", "2.71"), ("host_status", "2.16"), ("trusted_image_certificates", "2.63"),
            ("pinned_availability_zone", "2.96"), ("OS-EXT-SRV-ATTR:reservation_id", "2.3"),
        ])
    func versions(member: String, since: String) async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let minor = Int(since.dropFirst(2)) ?? 0
        #expect(await cloud.show(id, at: "2.\(minor - 1)")[member] == nil)
        #expect(await cloud.show(id, at: since)[member] != nil)
        #expect(await cloud.show(id, at: "2.46")["flavor"]?["id"] == "small")
        #expect(await cloud.show(id, at: "2.47")["flavor"]?["original_name"] == "f-small")
    }

    @Test("Lists are filtered, sorted and paged")
    func lists() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        for name in ["a1", "a2", "b1"] { _ = try await cloud.server(["name": .string(name)]) }
        func names(_ query: String, at version: String = "2.1") async -> [String] {
            let answer = await cloud.call("GET", "/servers/detail", at: version, query: query)
            #expect(answer.status == 200, "\(answer.json.text())")
            return answer["servers"].array?.compactMap { $0["name"]?.string } ?? []
        }
        #expect(await names("sort_key=display_name&sort_dir=asc") == ["a1", "a2", "b1"])
        #expect(await names("name=a&sort_key=display_name&sort_dir=desc") == ["a2", "a1"])
        #expect(await names("name=^a1$") == ["a1"])
        #expect(await names("status=SHUTOFF").isEmpty)
        #expect(await names("status=ACTIVE").count == 3)
        #expect(await names("ip=10.0.0.10") == ["a1"])
        #expect(await names("flavor=small").count == 3)
        let first = await cloud.call("GET", "/servers", query: "limit=2&sort_key=display_name&sort_dir=asc")
        let next = try #require(first["servers_links"][0]?["href"]?.string)
        #expect(await names(String(next.split(separator: "?")[1])) == ["b1"])
        #expect(await cloud.call("GET", "/servers", query: "marker=nothing").status == 400)
        #expect(await cloud.call("GET", "/servers", at: "2.38", query: "status=NONSENSE").status == 400)
    }

    @Test("A name, a description and addresses can be changed")
    func update() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let answer = await cloud.call(
            "PUT", "/servers/\(id)", ["server": ["name": "new", "description": "d", "accessIPv4": "192.0.2.1"]],
            at: "2.19")
        #expect(answer.status == 200)
        #expect(answer["server"]["name"] == "new")
        #expect(answer["server"]["accessIPv4"] == "192.0.2.1")
        #expect(await cloud.show(id, at: "2.19")["description"] == "d")
        let long = String(repeating: "d", count: 256)
        let refused = await cloud.call(
            "PUT", "/servers/\(id)", ["server": ["description": .string(long)]], at: "2.19")
        #expect(
            refused.message
                == "Invalid input for field/attribute description. Value: \(long). '\(long)' is too long")
        let bad = await cloud.call("PUT", "/servers/\(id)", ["server": ["nom": "x"]])
        #expect(bad.status == 400)
        #expect(bad.message.contains("nom"))
    }
}
