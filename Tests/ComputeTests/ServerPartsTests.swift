// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Metadata, tags, addresses, interfaces, groups and what other services tell.
struct ServerPartsTests {
    @Test("Metadata is added to, replaced, and deleted item by item")
    func metadata() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let path = "/servers/\(try await cloud.server(["metadata": ["a": "1"]]))/metadata"
        #expect(await cloud.call("POST", path, ["metadata": ["b": "2"]])["metadata"] == ["a": "1", "b": "2"])
        #expect(await cloud.call("PUT", path + "/c", ["meta": ["c": "3"]])["meta"] == ["c": "3"])
        #expect(await cloud.call("PUT", path + "/c", ["meta": ["d": "3"]]).message == "Request body and URI mismatch")
        #expect(await cloud.call("GET", path + "/c")["meta"] == ["c": "3"])
        #expect(await cloud.call("DELETE", path + "/a").status == 204)
        #expect(await cloud.call("GET", path + "/a").status == 404)
        #expect(await cloud.call("PUT", path, ["metadata": ["z": "9"]])["metadata"] == ["z": "9"])
        #expect(await cloud.call("GET", path)["metadata"] == ["z": "9"])
        #expect(await cloud.call("POST", path, ["metadata": ["a": 1]]).status == 400)
        #expect(await cloud.call("POST", path, ["metadata": ["a": "1"]], as: .reader()).status == 403)
    }

    @Test("Tags are added, checked, replaced and deleted since 2.26")
    func tags() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let path = "/servers/\(try await cloud.server())/tags"
        #expect(await cloud.call("GET", path, at: "2.25").status == 404)
        #expect(await cloud.call("PUT", path + "/red", at: "2.26").status == 201)
        #expect(await cloud.call("PUT", path + "/red", at: "2.26").status == 204)
        #expect(await cloud.call("GET", path + "/red", at: "2.26").status == 204)
        #expect(await cloud.call("GET", path + "/blue", at: "2.26").status == 404)
        #expect(await cloud.call("PUT", path, ["tags": ["a", "b"]], at: "2.26")["tags"] == ["a", "b"])
        #expect(await cloud.call("PUT", path, ["tags": ["a", "a"]], at: "2.26").status == 400)
        #expect(await cloud.call("GET", "/servers", at: "2.26", query: "tags=a,b")["servers"].array?.count == 1)
        #expect(await cloud.call("GET", "/servers", at: "2.26", query: "not-tags=a")["servers"].array?.isEmpty == true)
        #expect(await cloud.call("DELETE", path + "/a", at: "2.26").status == 204)
        #expect(await cloud.call("DELETE", path, at: "2.26").status == 204)
        #expect(await cloud.call("GET", path, at: "2.26")["tags"] == [])
    }

    @Test("A port is plugged into a server that runs, and taken out again")
    func interfaces() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        cloud.network.addSecond()
        let path = "/servers/\(id)/os-interface"
        #expect(await cloud.call("POST", path, ["interfaceAttachment": [:]]).status == 400)
        let made = await cloud.call("POST", path, ["interfaceAttachment": ["net_id": .string(FakeNetwork.second)]])
        #expect(made.status == 200, "\(made.json.text())")
        let port = made["interfaceAttachment"]["port_id"]?.string ?? ""
        try await cloud.work()
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.nics.count == 2)
        #expect(await cloud.call("GET", "/servers/\(id)/ips")["addresses"]["second"]?[0]?["version"] == 4)
        #expect(await cloud.call("GET", "/servers/\(id)/ips/none").status == 404)
        #expect(await cloud.call("GET", path)["interfaceAttachments"].array?.count == 2)
        #expect(await cloud.call("DELETE", path + "/" + port).status == 202)
        try await cloud.work()
        #expect(await cloud.hosts["host-1"]?.spec(of: id)?.nics.count == 1)
        #expect(cloud.network.ports.count == 1)
        #expect(await cloud.call("GET", path + "/" + port).status == 404)
        #expect(await cloud.call("DELETE", path + "/" + port).status == 404)
    }

    @Test("When Network tells of a change the floating address shows up")
    func changed() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let port = cloud.network.ports[0]["id"] ?? .null
        cloud.network.state.withLock {
            $0.floating = [
                ["id": "f", "floating_ip_address": "192.0.2.7", "fixed_ip_address": "10.0.0.10", "port_id": port]
            ]
        }
        let event: JSON = ["name": "network-changed", "server_uuid": .string(id)]
        let stray: JSON = ["name": "network-changed", "server_uuid": .string(RandomIdentifiers().uuid())]
        let path = "/os-server-external-events"
        #expect(await cloud.call("POST", path, ["events": [event]]).status == 403)
        let told = await cloud.call("POST", path, ["events": [event, stray]], as: .service())
        #expect(told.status == 207, "\(told.json.text())")
        #expect(told["events"].array?.compactMap { $0["code"]?.integer } == [200, 404])
        try await cloud.work()
        let addresses = await cloud.show(id)["addresses"]?["private"]
        #expect(addresses?.array?.compactMap { $0["OS-EXT-IPS:type"]?.string } == ["fixed", "floating"])
        #expect(
            await cloud.call("POST", path, ["events": [["name": "x", "server_uuid": .string(id)]]], as: .service())
                .status == 400)
    }

    @Test("A security group is put on a server's ports and taken off")
    func groups() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.act(id, ["addSecurityGroup": ["name": "web"]]).status == 202)
        #expect(cloud.network.ports[0]["security_groups"] == ["sg-default", "sg-web"])
        #expect(await cloud.call("GET", "/servers/\(id)/os-security-groups")["security_groups"][0]?["name"] == "web")
        #expect(await cloud.act(id, ["removeSecurityGroup": ["name": "web"]]).status == 202)
        #expect(await cloud.act(id, ["removeSecurityGroup": ["name": "web"]]).status == 404)
        #expect(await cloud.act(id, ["addSecurityGroup": ["name": "none"]]).status == 404)
    }

    @Test("A server with an unknown security group or flavor is refused before anything is made")
    func unknown() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        for (member, value) in [("security_groups", [["name": "none"]] as JSON), ("flavorRef", "none")] {
            var server: JSONObject = ["name": "s", "imageRef": .string(ComputeCloud.image), "flavorRef": "small"]
            server[member] = value
            #expect(await cloud.call("POST", "/servers", ["server": .object(server)]).status == 400, "\(member)")
        }
        #expect(cloud.network.ports.isEmpty)
    }

    @Test("Security groups answer in Compute's own words until 2.36")
    func groupProxy() async throws {
        let cloud = try await ComputeCloud()
        let list = await cloud.call("GET", "/os-security-groups")
        #expect(list["security_groups"][0]?["name"] == "web")
        #expect(list["security_groups"][0]?["rules"] == [])
        #expect(await cloud.call("GET", "/os-security-groups", at: "2.36").status == 404)
        #expect(await cloud.call("GET", "/os-security-groups/none").status == 400)
        #expect(await cloud.call("DELETE", "/os-security-groups/").status == 404)
        let rule: JSON = [
            "security_group_rule": ["parent_group_id": .string(ComputeCloud.image), "ip_protocol": "tcp"]
        ]
        #expect(await cloud.call("POST", "/os-security-group-rules", rule).status == 400)
    }

    @Test("The small documents answer")
    func small() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        for (path, member, version) in [
            ("/os-migrations", "migrations", "2.1"), ("/servers/\(id)/migrations", "migrations", "2.23"),
            ("/servers/\(id)/os-volume_attachments", "volumeAttachments", "2.1"), ("/extensions", "extensions", "2.1"),
            ("/os-simple-tenant-usage", "tenant_usages", "2.1"),
            ("/os-quota-sets/project-a/detail", "quota_set", "2.1"),
            ("/os-quota-class-sets/default", "quota_class_set", "2.1"), ("/servers/\(id)/diagnostics", "state", "2.48"),
            ("/servers/\(id)/os-server-password", "password", "2.1"),
            ("/flavors/small/os-extra_specs", "extra_specs", "2.1"),
        ] {
            let answer = await cloud.call("GET", path, at: version, as: .admin(), query: "start=2020-01-01")
            #expect(answer.status == 200, "\(path): \(answer.json.text())")
            #expect(answer.json[member] != nil, "\(path): \(answer.json.text())")
        }
        let root = await cloud.cloud.call("compute", "GET", "/")
        #expect(root["versions"][0]?["id"] == "v2.0")
        #expect(root["versions"][1]?["version"] == "2.104")
        #expect(await cloud.cloud.call("compute", "GET", "/v2.1/")["version"]["id"] == "v2.1")
    }

    @Test("Quota classes beside the default one are kept and shown, and change nothing")
    func quotaClasses() async throws {
        let cloud = try await ComputeCloud()
        for name in ["silver", String(repeating: "s", count: 255)] {
            let path = "/os-quota-class-sets/\(name)"
            let body: JSON = ["quota_class_set": ["cores": 99, "server_groups": 7, "floating_ips": 5]]
            #expect(await cloud.call("PUT", path, body, as: .admin()).status == 200)
            let shown = await cloud.call("GET", path, as: .admin())["quota_class_set"]
            #expect(shown["cores"]?.integer == 99)
            #expect(shown["id"]?.string == name)
            #expect(shown["server_groups"] == nil)
            let later = await cloud.call("GET", path, at: "2.50", as: .admin())["quota_class_set"]
            #expect(later["server_groups"]?.integer == 7)
            #expect(await cloud.call("PUT", path, body, at: "2.50", as: .admin()).status == 400)
        }
        #expect(await cloud.call("GET", "/os-quota-class-sets/default", as: .admin())["quota_class_set"]["cores"] == 20)
        let endless = "/os-quota-class-sets/" + String(repeating: "s", count: 256)
        let refused = await cloud.call("PUT", endless, ["quota_class_set": ["cores": 1]], as: .admin())
        #expect(refused.status == 400)
        #expect(refused.message == "quota_class_name has 256 characters, more than 255.")
    }

    @Test("Extra specs and access of a flavor are kept with it")
    func flavors() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        await cloud.flavor()
        let path = "/flavors/small/os-extra_specs"
        #expect(await cloud.call("POST", path, ["extra_specs": ["hw:a": "1", "b": 2]], as: .admin()).status == 200)
        #expect(await cloud.call("GET", path)["extra_specs"] == ["b": "2", "hw:a": "1"])
        #expect(await cloud.call("PUT", path + "/b", ["b": "3"], as: .admin())["b"] == "3")
        #expect(await cloud.call("DELETE", path + "/b", as: .admin()).status == 200)
        #expect(await cloud.call("GET", path + "/b").status == 404)
        #expect(await cloud.call("POST", path, ["extra_specs": ["c": "1"]]).status == 403)
        let secret: JSON = [
            "flavor": ["id": "p", "name": "p", "ram": 1, "vcpus": 1, "disk": 1, "os-flavor-access:is_public": false]
        ]
        #expect(await cloud.call("POST", "/flavors", secret, as: .admin()).status == 200)
        #expect(await cloud.call("GET", "/flavors/p").status == 404)
        let added = await cloud.call(
            "POST", "/flavors/p/action", ["addTenantAccess": ["tenant": "project-a"]], as: .admin())
        #expect(added["flavor_access"].array?.count == 1, "\(added.json.text())")
        #expect(await cloud.call("GET", "/flavors/p").status == 200)
        #expect(await cloud.call("GET", "/flavors/small/os-flavor-access", as: .admin()).status == 404)
    }
}
