// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

struct ReshaperTests {
    /// VCPU moves from provider 1 to its child 2, with what the consumer holds of it.
    static func body(generation: JSON = 2, held: JSON = 1, amount: JSON = 4) -> JSON {
        [
            "inventories": .object([
                Fixture.id(1): [
                    "resource_provider_generation": generation, "inventories": ["MEMORY_MB": ["total": 64]],
                ],
                Fixture.id(2): ["resource_provider_generation": 0, "inventories": ["VCPU": ["total": 8]]],
            ]),
            "allocations": .object([Fixture.id(9): Fixture.claim(2, ["VCPU": amount], generation: held)]),
        ]
    }

    static func fixture() async throws -> Fixture {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8, "MEMORY_MB": 64])
        await fixture.provider(2, parent: 1)
        _ = await fixture.call("PUT", "/allocations/\(Fixture.id(9))", Fixture.claim(1, ["VCPU": 4]))
        return fixture
    }

    static func reshape(_ fixture: Fixture, _ body: JSON, at version: String = "1.39") async -> TestCloud.Answer {
        await fixture.cloud.call("placement", "POST", "/reshaper", body, at: version, as: .service())
    }

    @Test("Inventory moves together with what is taken of it")
    func moves() async throws {
        let fixture = try await Self.fixture()
        #expect(await Self.reshape(fixture, Self.body(), at: "1.29").status == 404)
        #expect(await fixture.call("POST", "/reshaper", Self.body()).status == 403)
        #expect(await Self.reshape(fixture, Self.body()).status == 204)
        let old = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))/usages")
        #expect(old["usages"] == ["MEMORY_MB": 0])
        let new = await fixture.call("GET", "/resource_providers/\(Fixture.id(2))/usages")
        #expect(new["usages"] == ["VCPU": 4])
    }

    @Test("What does not fit or is out of date changes nothing")
    func refusals() async throws {
        let fixture = try await Self.fixture()
        #expect(await Self.reshape(fixture, Self.body(generation: 1)).code == "placement.concurrent_update")
        #expect(await Self.reshape(fixture, Self.body(held: 7)).code == "placement.concurrent_update")
        #expect(await Self.reshape(fixture, Self.body(amount: 9)).status == 409)
        var body = Self.body().object ?? JSONObject()
        body["allocations"] = [:]
        #expect(await Self.reshape(fixture, .object(body)).code == "placement.inventory.inuse")
        let unknown: JSON = .object([Fixture.id(7): ["resource_provider_generation": 0, "inventories": [:]]])
        #expect(
            await Self.reshape(fixture, ["inventories": unknown, "allocations": [:]]).code
                == "placement.resource_provider.not_found")
        #expect(await Self.reshape(fixture, ["inventories": [:], "allocations": [:]]).status == 400)
        let usages = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))/usages")
        #expect(usages["usages"] == ["MEMORY_MB": 0, "VCPU": 4])
        #expect(await fixture.call("GET", "/resource_providers/\(Fixture.id(2))")["generation"].integer == 0)
    }
}
