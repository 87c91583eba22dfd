// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct NetworksTests {
    @Test("A network is made, shown, listed, changed and deleted")
    func walk() async throws {
        let cloud = try await NetworkCloud()
        let made = try await cloud.make("network", "/networks", ["name": "inner", "tags": ["red"]])
        #expect(made.text("status") == "ACTIVE")
        #expect(made["mtu"]?.integer == 1442)
        #expect(made["revision_number"]?.integer == 1)
        #expect(made["provider:network_type"] == nil)
        let path = "/networks/\(made.id)"
        #expect(await cloud.call("GET", path)["network"] == made)
        #expect(await cloud.call("GET", "/networks")["networks"].array?.count == 1)
        let changed = await cloud.call("PUT", path, ["network": ["name": "other"]])
        #expect(changed["network"].text("name") == "other")
        #expect(changed["network"]["revision_number"]?.integer == 2)
        #expect(await cloud.call("GET", path, as: .reader())["network"].text("name") == "other")
        #expect(await cloud.call("DELETE", path, as: .reader()).status == 403)
        #expect(await cloud.call("DELETE", path).status == 204)
        let gone = await cloud.call("GET", path)
        #expect(gone.status == 404)
        #expect(gone.type == "NetworkNotFound")
        #expect(gone.message == "Network \(made.id) could not be found.")
    }

    @Test("Another project does not see a network unless it is shared, external or granted")
    func visibility() async throws {
        let cloud = try await NetworkCloud()
        let other = Caller.member("user-b", project: "project-b")
        let own = try await cloud.network()
        #expect(await cloud.call("GET", "/networks/\(own)", as: other).status == 404)
        #expect(await cloud.call("DELETE", "/networks/\(own)", as: other).status == 404)
        let (outer, _) = try await cloud.outside()
        #expect(await cloud.call("GET", "/networks/\(outer)", as: other).status == 200)
        _ = try await cloud.make(
            "rbac_policy", "/rbac-policies",
            [
                "object_type": "network", "object_id": .string(own), "action": "access_as_shared",
                "target_project": "project-b",
            ])
        let seen = await cloud.call("GET", "/networks/\(own)", as: other)
        #expect(seen.status == 200)
        #expect(seen["network"]["shared"]?.bool == true)
        #expect(await cloud.call("GET", "/networks", as: other)["networks"].array?.count == 2)
        func shared(_ value: String, as caller: Caller) async -> [String?] {
            let answer = await cloud.call("GET", "/networks", as: caller, query: "shared=\(value)")
            return answer["networks"].array?.map { $0["id"]?.string } ?? []
        }
        #expect(await shared("True", as: other) == [own])
        #expect(await shared("False", as: other) == [outer])
        #expect(await shared("True", as: .member()).isEmpty)
        let port = await cloud.call("POST", "/ports", ["port": ["network_id": .string(own)]], as: other)
        #expect(port.status == 201)
        #expect(await cloud.call("DELETE", "/networks/\(own)", as: other).status == 403)
    }

    @Test(
        "Only administrators set what concerns the provider",
        arguments: [
            ["shared": true], ["router:external": true], ["provider:network_type": "geneve"],
            ["provider:physical_network": "a"], ["provider:segmentation_id": 5],
        ] as [JSON])
    func provider(members: JSON) async throws {
        let cloud = try await NetworkCloud()
        let answer = await cloud.call("POST", "/networks", ["network": members])
        #expect(answer.status == 403)
        #expect(answer.type == "PolicyNotAuthorized")
        let member = members.object?.keys.first ?? ""
        #expect(
            answer.message == "(rule:create_network and rule:create_network:\(member)) is disallowed by policy")
    }

    @Test(
        "Bad members are named",
        arguments: [
            (["name": 7], "Invalid input for name. Reason: '7' is not a valid string."),
            (
                ["admin_state_up": "maybe"],
                "Invalid input for admin_state_up. Reason: 'maybe' cannot be converted to boolean."
            ),
            (["colour": "red"], "Unrecognized attribute(s) 'colour'"),
            (["status": "ACTIVE"], "Attribute 'status' not allowed in POST"),
            (
                ["project_id": "project-b"],
                "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin "
                    + "privileges"
            ),
        ] as [(JSON, String)])
    func bad(members: JSON, message: String) async throws {
        let answer = await (try NetworkCloud()).call("POST", "/networks", ["network": members])
        #expect(answer.status == 400)
        #expect(answer.message == message)
    }

    @Test("Segments are given once: a flat network per physical network, a VLAN and a tunnel each to one network")
    func segments() async throws {
        let cloud = try await NetworkCloud()
        func ask(_ type: String, _ physical: String?, _ id: Int?) async -> TestCloud.Answer {
            var members: JSONObject = ["provider:network_type": .string(type)]
            if let physical { members["provider:physical_network"] = .string(physical) }
            if let id { members["provider:segmentation_id"] = .integer(Int64(id)) }
            return await cloud.call("POST", "/networks", ["network": .object(members)], as: .admin())
        }
        #expect(await ask("flat", "p", nil).status == 201)
        #expect(await ask("flat", "p", nil).type == "FlatNetworkInUse")
        #expect(await ask("vlan", "p", 7).status == 201)
        #expect(await ask("vlan", "p", 7).type == "VlanIdInUse")
        #expect(await ask("vlan", "p", nil)["network"]["provider:segmentation_id"]?.integer == 8)
        #expect(await ask("geneve", nil, 99).status == 201)
        #expect(await ask("geneve", nil, 99).type == "TunnelIdInUse")
        #expect(await ask("vlan", "p", 5000).status == 400)
        #expect(await ask("flat", nil, nil).status == 400)
        #expect(await ask("smoke", nil, nil).type == "InvalidInput")
    }

    @Test("Lists are narrowed, sorted, trimmed and paged")
    func lists() async throws {
        let cloud = try await NetworkCloud()
        let names: [JSON] = ["d", "b", "a", "c"]
        let made = await cloud.call(
            "POST", "/networks", ["networks": .array(names.map { ["name": $0] })])
        #expect(made.status == 201)
        #expect(made["networks"].array?.count == 4)
        func seen(_ query: String) async -> [String] {
            await cloud.call("GET", "/networks", query: query)["networks"].array?.map { $0.text("name") } ?? []
        }
        #expect(await seen("name=b") == ["b"])
        #expect(await seen("name=b&name=c&sort_key=name&sort_dir=desc") == ["c", "b"])
        #expect(await seen("admin_state_up=False") == [])
        #expect(await seen("sort_key=name&sort_dir=asc") == ["a", "b", "c", "d"])
        let trimmed = await cloud.call("GET", "/networks", query: "fields=id&fields=name")
        #expect(trimmed["networks"][0]?.object?.keys == ["id", "name"])
        let first = await cloud.call("GET", "/networks", query: "limit=3&sort_key=name&sort_dir=asc")
        #expect(first["networks"].array?.count == 3)
        let next = try #require(first["networks_links"][0]?["href"]?.string)
        #expect(first["networks_links"][0]?["rel"]?.string == "next")
        #expect(await seen(String(next.split(separator: "?")[1])) == ["d"])
        let unknown = await cloud.call("GET", "/networks", query: "colour=red")
        #expect(unknown.status == 400)
        #expect(unknown.message == "['colour'] is invalid attribute for filtering")
    }

    @Test(
        "What a member may not choose may still be spelt out, when it is what nobody chooses",
        arguments: [
            ("network", "/networks", ["shared": false, "router:external": false, "is_default": false]),
            ("network", "/networks", ["port_security_enabled": true]),
            ("subnetpool", "/subnetpools", ["name": "p", "prefixes": ["10.0.0.0/8"], "shared": "False"]),
            ("subnetpool", "/subnetpools", ["name": "p", "prefixes": ["10.0.0.0/8"], "is_default": false]),
            ("address_scope", "/address-scopes", ["name": "s", "ip_version": 4, "shared": false]),
        ] as [(String, String, JSON)])
    func usual(noun: String, path: String, members: JSON) async throws {
        let cloud = try await NetworkCloud()
        let made = await cloud.call("POST", path, .object([noun: members]), as: .member())
        #expect(made.status == 201, "\(made.json.text())")
        var chosen = members.object ?? JSONObject()
        for name in ["shared", "is_default"] where chosen[name] != nil { chosen[name] = true }
        guard chosen["shared"] != nil || chosen["is_default"] != nil else { return }
        #expect(await cloud.call("POST", path, .object([noun: .object(chosen)]), as: .member()).status == 403)
    }

    @Test("If-Match holds a change back whose revision is not the one that was seen")
    func revisions() async throws {
        let cloud = try await NetworkCloud()
        let path = "/networks/" + (try await cloud.network())
        let body: JSON = ["network": ["name": "x"]]
        let stale = await cloud.call("PUT", path, body, headers: [("If-Match", "revision_number=7")])
        #expect(stale.status == 412)
        #expect(stale.type == "RevisionNumberConstraintFailed")
        #expect(await cloud.call("PUT", path, body, headers: [("If-Match", "revision_number=1")]).status == 200)
        #expect(await cloud.call("DELETE", path, headers: [("If-Match", "revision_number=1")]).status == 412)
    }

    @Test("Tags are put on, looked for and taken off")
    func tags() async throws {
        let cloud = try await NetworkCloud()
        let id = try await cloud.network()
        let path = "/networks/\(id)/tags"
        #expect(await cloud.call("PUT", path, ["tags": ["red", "blue"]])["tags"] == ["blue", "red"])
        #expect(await cloud.call("PUT", path + "/green").status == 201)
        #expect(await cloud.call("GET", path + "/green").status == 204)
        #expect(await cloud.call("GET", path + "/pink").status == 404)
        func found(_ query: String) async -> Int? {
            await cloud.call("GET", "/networks", query: query)["networks"].array?.count
        }
        #expect(await found("tags=red,green") == 1)
        #expect(await found("tags=red,pink") == 0)
        #expect(await found("tags-any=red,pink") == 1)
        #expect(await found("not-tags=red") == 0)
        #expect(
            await cloud.call("POST", path, ["tags": ["amber", "red"]])["tags"] == ["amber", "blue", "green", "red"])
        #expect(await cloud.call("DELETE", path + "/amber").status == 204)
        #expect(await cloud.call("DELETE", path + "/red").status == 204)
        #expect(await cloud.call("GET", path)["tags"] == ["blue", "green"])
        #expect(await cloud.call("DELETE", path).status == 204)
        #expect(await cloud.call("GET", path)["tags"] == [])
    }

    @Test("A network with ports in use stays")
    func inUse() async throws {
        let cloud = try await NetworkCloud()
        let id = try await cloud.network()
        _ = try await cloud.subnet(id)
        let port = try await cloud.port(id)
        let refused = await cloud.call("DELETE", "/networks/\(id)")
        #expect(refused.status == 409)
        #expect(refused.type == "NetworkInUse")
        #expect(await cloud.call("DELETE", "/ports/\(port.id)").status == 204)
        #expect(await cloud.call("DELETE", "/networks/\(id)").status == 204)
        #expect(await cloud.call("GET", "/subnets")["subnets"] == [])
        #expect(await cloud.call("GET", "/ports")["ports"] == [])
    }

    @Test("No more is made than the quota allows")
    func quota() async throws {
        let cloud = try await NetworkCloud()
        let set = await cloud.call("PUT", "/quotas/project-a", ["quota": ["network": 1]], as: .admin())
        #expect(set["quota"]["network"]?.integer == 1)
        #expect(await cloud.call("PUT", "/quotas/project-a", ["quota": ["network": 1]]).status == 403)
        _ = try await cloud.network()
        let refused = await cloud.call("POST", "/networks", ["network": [:]])
        #expect(refused.status == 409)
        #expect(refused.type == "OverQuota")
        #expect(refused.message == "Quota exceeded for resources: ['network'].")
        let details = await cloud.call("GET", "/quotas/project-a/details.json", as: .admin())
        #expect(details["quota"]["network"]?["used"]?.integer == 1)
        #expect(await cloud.call("DELETE", "/quotas/project-a", as: .admin()).status == 204)
        #expect(await cloud.call("GET", "/quotas/project-a", as: .admin())["quota"]["network"]?.integer == 100)
    }

    @Test("Discovery names the version, its resources and the extensions that work")
    func discovery() async throws {
        let cloud = try await NetworkCloud()
        let versions = await cloud.cloud.call("network", "GET", "/", as: .nobody)
        #expect(versions["versions"][0]?.text("id") == "v2.0")
        let resources = await cloud.call("GET", "/")["resources"].array?.map { $0.text("name") } ?? []
        #expect(Set(resources).isSuperset(of: ["network", "subnet", "port"]))
        for entry in await cloud.call("GET", "/extensions")["extensions"].array ?? [] {
            #expect(await cloud.call("GET", "/extensions/\(entry.text("alias"))")["extension"] == entry)
        }
    }
}
