// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

struct ProviderTests {
    @Test(
        "Creating answers 201 and a place at first, 200 and the provider since 1.20",
        arguments: [("1.0", 201), ("1.20", 200)])
    func createStatus(version: String, status: Int) async throws {
        let fixture = try await Fixture()
        let answer = await fixture.call("POST", "/resource_providers", ["name": "a"], at: version)
        #expect(answer.status == status)
        #expect(answer.bytes.isEmpty == (version == "1.0"))
        #expect(answer.header("Location")?.hasPrefix("http://cloud.test/resource_providers/") == true)
    }

    @Test("What a provider shows grows with the version", arguments: ["1.0", "1.1", "1.6", "1.11", "1.14"])
    func members(version: String) async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let answer = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))", at: version)
        let links = answer["links"].array?.compactMap { $0["rel"]?.string } ?? []
        let all = ["self", "inventories", "usages", "aggregates", "traits", "allocations"]
        let count = ["1.0": 3, "1.1": 4, "1.6": 5, "1.11": 6, "1.14": 6][version]
        #expect(links == Array(all.prefix(count ?? 0)))
        #expect((answer.json["root_provider_uuid"] != nil) == (version == "1.14"))
        #expect(answer["links"][1]?["href"]?.string == "/resource_providers/\(Fixture.id(1))/inventories")
        #expect(answer.header("Last-Modified") == nil)
    }

    @Test("Since 1.15 answers are dated and not to be cached")
    func dated() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let answer = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))", at: "1.15")
        #expect(answer.header("Last-Modified")?.hasSuffix(" GMT") == true)
        #expect(answer.header("Cache-Control") == "no-cache")
    }

    @Test("Names and ids are taken once")
    func duplicates() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let name = await fixture.call("POST", "/resource_providers", ["name": "provider-1"])
        #expect(name.status == 409)
        #expect(name.code == "placement.duplicate_name")
        #expect(name.detail == "Conflicting resource provider name: provider-1 already exists.")
        #expect(name.error["request_id"]?.string?.hasPrefix("req-") == true)
        let id = await fixture.call("POST", "/resource_providers", ["name": "b", "uuid": .string(Fixture.id(1))])
        #expect(id.status == 409)
    }

    @Test(
        "Bad providers are refused by the member's name",
        arguments: [
            (["name": 7], "name"), ([:], "name"), (["name": "a", "x": 1], "'x'"), (["name": "a", "uuid": "u"], "uuid"),
            (["name": "a", "parent_provider_uuid": "00000000-0000-4000-8000-000000000099"], "does not exist"),
            ([], "object"),
        ] as [(JSON, String)])
    func badBodies(body: JSON, word: String) async throws {
        let answer = try await Fixture().call("POST", "/resource_providers", body)
        #expect(answer.status == 400)
        #expect(answer.detail.contains(word))
        #expect(answer.code == "placement.undefined_code")
    }

    @Test("A parent may be given once before 1.37, changed and cleared since")
    func moving() async throws {
        let fixture = try await Fixture()
        for number in 1...4 { await fixture.provider(number) }
        func put(_ number: Int, _ parent: JSON, at version: String) async -> TestCloud.Answer {
            await fixture.call(
                "PUT", "/resource_providers/\(Fixture.id(number))",
                ["name": .string("provider-\(number)"), "parent_provider_uuid": parent], at: version)
        }
        let first = JSON.string(Fixture.id(1))
        let second = JSON.string(Fixture.id(2))
        #expect(await put(3, second, at: "1.14")["root_provider_uuid"].string == Fixture.id(2))
        #expect(await put(4, .string(Fixture.id(3)), at: "1.14")["root_provider_uuid"].string == Fixture.id(2))
        #expect(await put(3, first, at: "1.36").detail.contains("re-parenting"))
        #expect(await put(3, nil, at: "1.36").detail.contains("un-parenting"))
        #expect(await put(2, .string(Fixture.id(4)), at: "1.37").detail.contains("creating loop"))
        #expect(await put(3, first, at: "1.37")["root_provider_uuid"].string == Fixture.id(1))
        let below = await fixture.call("GET", "/resource_providers/\(Fixture.id(4))")
        #expect(below["root_provider_uuid"].string == Fixture.id(1))
        #expect(await put(3, nil, at: "1.37")["root_provider_uuid"].string == Fixture.id(3))
        let tree = await fixture.call("GET", "/resource_providers", query: "in_tree=\(Fixture.id(4))")
        #expect(tree["resource_providers"].array?.count == 2)
    }

    @Test("Parents and providers in use stay")
    func deleting() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 4])
        await fixture.provider(2, parent: 1)
        let path = "/resource_providers/\(Fixture.id(1))"
        #expect(await fixture.call("DELETE", path).code == "placement.resource_provider.cannot_delete_parent")
        #expect(await fixture.call("DELETE", "/resource_providers/\(Fixture.id(2))").status == 204)
        _ = await fixture.call("PUT", "/allocations/\(Fixture.id(9))", Fixture.claim(1, ["VCPU": 1]))
        #expect(await fixture.call("DELETE", path).code == "placement.resource_provider.inuse")
        #expect(await fixture.call("DELETE", "/allocations/\(Fixture.id(9))").status == 204)
        #expect(await fixture.call("DELETE", path).status == 204)
        #expect(await fixture.call("GET", path).detail == "No resource provider with uuid \(Fixture.id(1)) found")
    }

    @Test("Aggregates stay spelt as they were given")
    func spelling() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let id = "58f8744e3f88450d8aa5416dde7f734d"
        let path = "/resource_providers/\(Fixture.id(1))/aggregates"
        let put = await fixture.call("PUT", path, ["resource_provider_generation": 0, "aggregates": [.string(id)]])
        #expect(put["aggregates"] == [.string(id)])
        #expect(await fixture.call("GET", path)["aggregates"] == [.string(id)])
        let found = await fixture.call("GET", "/resource_providers", query: "member_of=\(id)")
        #expect(found["resource_providers"].array?.count == 1)
    }

    @Test("Lists are filtered by name, aggregate, traits and free capacity")
    func filters() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 4], traits: ["HW_CPU_X86_AVX"], aggregates: [100])
        await fixture.provider(2, ["VCPU": 8], traits: ["HW_CPU_X86_AVX2"], aggregates: [101])
        await fixture.provider(3)
        func list(_ query: String, at version: String = "1.39") async -> [Int] {
            let answer = await fixture.call("GET", "/resource_providers", at: version, query: query)
            return (answer["resource_providers"].array ?? []).compactMap { Int($0["uuid"]?.string?.suffix(12) ?? "") }
        }
        #expect(await list("") == [1, 2, 3])
        #expect(await list("name=provider-2") == [2])
        #expect(await list("resources=VCPU:5") == [2])
        #expect(await list("member_of=\(Fixture.id(100))") == [1])
        #expect(await list("member_of=in:\(Fixture.id(100)),\(Fixture.id(101))") == [1, 2])
        #expect(await list("member_of=!\(Fixture.id(100))") == [2, 3])
        #expect(await list("required=HW_CPU_X86_AVX") == [1])
        #expect(await list("required=!HW_CPU_X86_AVX") == [2, 3])
        #expect(await list("required=in:HW_CPU_X86_AVX,HW_CPU_X86_AVX2&required=!HW_CPU_X86_AVX") == [2])
    }

    @Test(
        "Filters that are wrong or too new are refused",
        arguments: [
            ("1.2", "member_of=x"), ("1.39", "member_of=x"), ("1.3", "resources=VCPU:1"), ("1.39", "resources=VCPU"),
            ("1.39", "resources=VCPU:0"), ("1.39", "resources=CUSTOM_NO:1"), ("1.17", "required=HW_CPU_X86_AVX"),
            ("1.21", "required=!HW_CPU_X86_AVX"), ("1.38", "required=in:HW_CPU_X86_AVX"), ("1.39", "required=NOPE"),
            ("1.13", "in_tree=00000000-0000-4000-8000-000000000001"), ("1.39", "in_tree=x"), ("1.0", "uuid=x"),
            ("1.31", "member_of=!00000000-0000-4000-8000-000000000001"), ("1.39", "colour=red"),
        ])
    func badFilters(version: String, query: String) async throws {
        let answer = try await Fixture().call("GET", "/resource_providers", at: version, query: query)
        #expect(answer.status == 400)
    }

    @Test(
        "Only administrators and services keep the books",
        arguments: [("member", 403), ("service", 200), ("admin", 200)])
    func rules(role: String, status: Int) async throws {
        let fixture = try await Fixture()
        let answer = await fixture.cloud.call(
            "placement", "GET", "/resource_providers", as: .member("u", project: "p", roles: [role]))
        #expect(answer.status == status)
    }

    @Test("The root tells the versions to anybody, and a version that is none is refused with the bounds")
    func root() async throws {
        let fixture = try await Fixture()
        let root = await fixture.call("GET", "/")
        #expect(root["versions"][0]?["max_version"]?.string == "1.39")
        #expect(root["versions"][0]?["id"]?.string == "v1.0")
        let refused = await fixture.call("GET", "/resource_providers", at: "1.40")
        #expect(refused.status == 406)
        #expect(refused.error["max_version"]?.string == "1.39")
    }
}
