// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

struct InventoryTests {
    static let path = "/resource_providers/\(Fixture.id(1))/inventories"

    @Test("An inventory is made, shown, changed and deleted, and each change counts")
    func walk() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let made = await fixture.call("POST", Self.path, ["resource_class": "VCPU", "total": 8])
        #expect(made.status == 201)
        #expect(made["resource_provider_generation"].integer == 1)
        #expect(made["max_unit"].integer == 2_147_483_647)
        #expect(made.header("Location")?.hasSuffix("/inventories/VCPU") == true)
        let stale = await fixture.call("PUT", Self.path + "/VCPU", ["resource_provider_generation": 0, "total": 9])
        #expect(stale.status == 409)
        #expect(stale.code == "placement.concurrent_update")
        let changed = await fixture.call(
            "PUT", Self.path + "/VCPU", ["resource_provider_generation": 1, "total": 9, "allocation_ratio": 1.5])
        #expect(changed["allocation_ratio"].double == 1.5)
        #expect(await fixture.call("GET", Self.path + "/VCPU")["total"].integer == 9)
        #expect(await fixture.call("GET", Self.path + "/DISK_GB").status == 404)
        #expect(await fixture.call("DELETE", Self.path + "/VCPU").status == 204)
        #expect(await fixture.call("DELETE", Self.path + "/VCPU").status == 404)
        #expect(await fixture.call("GET", Self.path)["resource_provider_generation"].integer == 3)
    }

    @Test("All inventories are replaced at once; what is in use stays")
    func replacing() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8, "MEMORY_MB": 1024])
        _ = await fixture.call("PUT", "/allocations/\(Fixture.id(9))", Fixture.claim(1, ["VCPU": 2]))
        let busy = await fixture.call(
            "PUT", Self.path, ["resource_provider_generation": 2, "inventories": ["DISK_GB": ["total": 5]]])
        #expect(busy.status == 409)
        #expect(busy.code == "placement.inventory.inuse")
        let kept = await fixture.call(
            "PUT", Self.path, ["resource_provider_generation": 2, "inventories": ["VCPU": ["total": 4]]])
        #expect(kept.status == 200)
        #expect(kept["inventories"].object?.keys == ["VCPU"])
        let usages = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))/usages")
        #expect(usages["usages"] == ["VCPU": 2])
        #expect(await fixture.call("DELETE", Self.path).code == "placement.inventory.inuse")
        #expect(await fixture.call("DELETE", Self.path + "/VCPU").code == "placement.concurrent_update")
        _ = await fixture.call("DELETE", "/allocations/\(Fixture.id(9))")
        #expect(await fixture.call("DELETE", Self.path, at: "1.4").status == 405)
        #expect(await fixture.call("DELETE", Self.path, at: "1.5").status == 204)
    }

    @Test("All may be reserved since 1.26", arguments: [("1.25", 400), ("1.26", 201)])
    func reserved(version: String, status: Int) async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let body: JSON = ["resource_class": "VCPU", "total": 8, "reserved": 8]
        #expect(await fixture.call("POST", Self.path, body, at: version).status == status)
    }

    @Test(
        "Bad inventories are refused by the member's name",
        arguments: [
            (["total": 1], "resource_class"), (["resource_class": "VCPU"], "total"),
            (["resource_class": "vcpu", "total": 1], "resource_class"),
            (["resource_class": "CUSTOM_NO", "total": 1], "CUSTOM_NO"),
            (["resource_class": "VCPU", "total": 0], "total"), (["resource_class": "VCPU", "total": "1"], "total"),
            (["resource_class": "VCPU", "total": 1, "reserved": -1], "reserved"),
            (["resource_class": "VCPU", "total": 1, "reserved": 2], "reserved"),
            (["resource_class": "VCPU", "total": 1, "step_size": 0], "step_size"),
            (["resource_class": "VCPU", "total": 1, "x": 0], "'x'"),
            (["resource_class": "VCPU", "total": 2_147_483_648], "total"),
        ] as [(JSON, String)])
    func badBodies(body: JSON, word: String) async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let answer = await fixture.call("POST", Self.path, body)
        #expect(answer.status == 400)
        #expect(answer.detail.contains(word))
    }
}
