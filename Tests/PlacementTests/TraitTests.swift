// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

struct TraitTests {
    @Test("Custom traits are made and deleted; standard ones are there and stay")
    func walk() async throws {
        let fixture = try await Fixture()
        #expect(await fixture.call("PUT", "/traits/CUSTOM_A").status == 201)
        #expect(await fixture.call("PUT", "/traits/CUSTOM_A").status == 204)
        #expect(await fixture.call("PUT", "/traits/CUSTOM_a").status == 400)
        #expect(await fixture.call("PUT", "/traits/HW_CPU_X86_AVX").status == 400)
        #expect(await fixture.call("GET", "/traits/HW_CPU_X86_AVX").status == 204)
        #expect(await fixture.call("GET", "/traits/CUSTOM_A").status == 204)
        #expect(await fixture.call("GET", "/traits/CUSTOM_B").detail == "No such trait(s): CUSTOM_B.")
        let list = await fixture.call("GET", "/traits", query: "name=startswith:CUSTOM_")
        #expect(list["traits"] == ["CUSTOM_A"])
        #expect((await fixture.call("GET", "/traits")["traits"].array?.count ?? 0) > 300)
        await fixture.provider(1, traits: ["CUSTOM_A"])
        #expect(await fixture.call("GET", "/traits", query: "associated=true")["traits"] == ["CUSTOM_A"])
        #expect(await fixture.call("DELETE", "/traits/CUSTOM_A").status == 409)
        #expect(await fixture.call("DELETE", "/resource_providers/\(Fixture.id(1))/traits").status == 204)
        #expect(await fixture.call("DELETE", "/traits/CUSTOM_A").status == 204)
        #expect(await fixture.call("DELETE", "/traits/HW_CPU_X86_AVX").status == 400)
        #expect(await fixture.call("GET", "/traits", at: "1.5").status == 404)
        #expect(await fixture.call("GET", "/traits", query: "name=CUSTOM").status == 400)
        #expect(await fixture.call("GET", "/traits", query: "associated=maybe").status == 400)
    }

    @Test("A provider's traits are replaced under its generation")
    func ofProvider() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let path = "/resource_providers/\(Fixture.id(1))/traits"
        let set = await fixture.call("PUT", path, ["resource_provider_generation": 0, "traits": ["HW_CPU_X86_AVX"]])
        #expect(set["resource_provider_generation"].integer == 1)
        let same = await fixture.call("PUT", path, ["resource_provider_generation": 1, "traits": ["HW_CPU_X86_AVX"]])
        #expect(same["resource_provider_generation"].integer == 1)
        #expect(
            await fixture.call("PUT", path, ["resource_provider_generation": 0, "traits": []]).code
                == "placement.concurrent_update")
        #expect(
            await fixture.call("PUT", path, ["resource_provider_generation": 1, "traits": ["NOPE"]]).detail
                == "No such trait NOPE")
    }

    @Test("Custom classes are made, renamed before 1.7, ensured since, and deleted unless in use")
    func classes() async throws {
        let fixture = try await Fixture()
        #expect(await fixture.call("POST", "/resource_classes", ["name": "CUSTOM_A"]).status == 201)
        #expect(await fixture.call("POST", "/resource_classes", ["name": "CUSTOM_A"]).status == 409)
        #expect(await fixture.call("POST", "/resource_classes", ["name": "VCPU"]).status == 400)
        await fixture.provider(1, ["CUSTOM_A": 4])
        let renamed = await fixture.call("PUT", "/resource_classes/CUSTOM_A", ["name": "CUSTOM_B"], at: "1.2")
        #expect(renamed["name"].string == "CUSTOM_B")
        let inventories = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))/inventories")
        #expect(inventories["inventories"].object?.keys == ["CUSTOM_B"])
        #expect(await fixture.call("PUT", "/resource_classes/CUSTOM_B").status == 204)
        #expect(await fixture.call("PUT", "/resource_classes/CUSTOM_C").status == 201)
        #expect(await fixture.call("PUT", "/resource_classes/VCPU").status == 400)
        #expect(await fixture.call("DELETE", "/resource_classes/CUSTOM_B").status == 409)
        #expect(await fixture.call("DELETE", "/resource_classes/CUSTOM_C").status == 204)
        #expect(await fixture.call("DELETE", "/resource_classes/VCPU").status == 400)
        #expect(await fixture.call("GET", "/resource_classes/CUSTOM_C").status == 404)
        let list = await fixture.call("GET", "/resource_classes")["resource_classes"].array ?? []
        #expect(list.first?["name"]?.string == "VCPU")
        #expect(list.last?["name"]?.string == "CUSTOM_B")
    }

    @Test("Aggregates are a bare list before 1.19 and guarded by the generation since")
    func aggregates() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let path = "/resource_providers/\(Fixture.id(1))/aggregates"
        let ids = JSON.array([.string(Fixture.id(5))])
        #expect(await fixture.call("PUT", path, ids, at: "1.1").json == ["aggregates": ids])
        let set = await fixture.call("PUT", path, ["aggregates": ids, "resource_provider_generation": 0], at: "1.19")
        #expect(set["resource_provider_generation"].integer == 1)
        let stale = await fixture.call("PUT", path, ["aggregates": ids, "resource_provider_generation": 0])
        #expect(stale.code == "placement.concurrent_update")
        #expect(await fixture.call("PUT", path, ["x"], at: "1.1").status == 400)
        #expect(await fixture.call("GET", path)["aggregates"] == ids)
    }
}
