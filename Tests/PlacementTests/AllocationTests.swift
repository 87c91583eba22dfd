// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Testing

struct AllocationTests {
    static let path = "/allocations/\(Fixture.id(9))"

    @Test("Allocations are set in the shape of their version and shown with what it knows")
    func shapes() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8])
        let list: JSON = [
            "allocations": [["resource_provider": ["uuid": .string(Fixture.id(1))], "resources": ["VCPU": 1]]]
        ]
        #expect(await fixture.call("PUT", Self.path, list, at: "1.0").status == 204)
        #expect(await fixture.call("PUT", Self.path, list, at: "1.8").detail.contains("project_id"))
        let first = await fixture.call("GET", Self.path, at: "1.0")
        #expect(first.json == ["allocations": .object([Fixture.id(1): ["resources": ["VCPU": 1], "generation": 2]])])
        let part = JSON.object([Fixture.id(1): ["resources": ["VCPU": 2]]])
        let named: JSON = ["allocations": part, "project_id": "p", "user_id": "u"]
        #expect(await fixture.call("PUT", Self.path, named, at: "1.12").status == 204)
        #expect(await fixture.call("PUT", Self.path, named, at: "1.28").detail.contains("consumer_generation"))
        let shown = await fixture.call("GET", Self.path)
        #expect(shown["project_id"].string == "p")
        #expect(shown["consumer_generation"].integer == 2)
        #expect(shown["consumer_type"].string == "unknown")
        #expect(await fixture.call("GET", Self.path, at: "1.27").json["consumer_generation"] == nil)
        let ofProvider = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))/allocations")
        #expect(ofProvider["allocations"][Fixture.id(9)]?["consumer_generation"]?.integer == 2)
        #expect(ofProvider["resource_provider_generation"].integer == 3)
    }

    @Test("What a consumer holds is shown in the order in which the providers were made; a complaint is one line")
    func order() async throws {
        let fixture = try await Fixture()
        for number in [5, 3, 4] { await fixture.provider(number, ["VCPU": 8]) }
        var parts = JSONObject()
        for number in [3, 4, 5] { parts[Fixture.id(number)] = ["resources": ["VCPU": 1]] }
        let claim: JSON = ["allocations": .object(parts), "project_id": "p", "user_id": "u"]
        #expect(await fixture.call("PUT", Self.path, claim, at: "1.12").status == 204)
        let shown = await fixture.call("GET", Self.path)["allocations"].object?.keys ?? []
        #expect(Array(shown) == [5, 3, 4].map(Fixture.id))
        let refused = await fixture.call("POST", "/resource_classes", ["name": "fake_class"], at: "1.2")
        #expect(refused.detail.hasPrefix("JSON does not validate: ") && !refused.detail.contains("\n"))
    }

    @Test("The consumer's generation guards what it holds, and nothing means give back")
    func generations() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8])
        let early = await fixture.call("PUT", Self.path, Fixture.claim(1, ["VCPU": 1], generation: 3))
        #expect(early.detail == "consumer generation conflict - expected null but got 3")
        #expect(early.code == "placement.concurrent_update")
        #expect(await fixture.call("PUT", Self.path, Fixture.claim(1, ["VCPU": 1])).status == 204)
        let again = await fixture.call("PUT", Self.path, Fixture.claim(1, ["VCPU": 1]))
        #expect(again.detail == "consumer generation conflict - expected 1 but got None")
        let empty: JSON = [
            "allocations": [:], "project_id": "p", "user_id": "u", "consumer_generation": 1,
            "consumer_type": "INSTANCE",
        ]
        #expect(await fixture.call("PUT", Self.path, empty).status == 204)
        #expect(await fixture.call("GET", Self.path).json == ["allocations": [:]])
        #expect(await fixture.call("DELETE", Self.path).detail == "No allocations for consumer '\(Fixture.id(9))'")
    }

    @Test("More than there is, or not in the inventory's units, is refused")
    func capacity() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1)
        let inventory: JSON = [
            "resource_class": "VCPU", "total": 8, "reserved": 2, "allocation_ratio": 2.0, "max_unit": 10,
            "step_size": 2,
        ]
        _ = await fixture.call("POST", "/resource_providers/\(Fixture.id(1))/inventories", inventory)
        func put(_ consumer: Int, _ amount: JSON) async -> TestCloud.Answer {
            await fixture.call("PUT", "/allocations/\(Fixture.id(consumer))", Fixture.claim(1, ["VCPU": amount]))
        }
        #expect(await put(9, 12).detail.contains("would violate inventory constraints"))
        #expect(await put(9, 3).status == 409)
        #expect(await put(9, 10).status == 204)
        let full = await put(10, 4)
        #expect(full.status == 409)
        #expect(full.code == "placement.undefined_code")
        #expect(
            full.detail == "Unable to allocate inventory: Unable to create allocation for 'VCPU' on resource provider "
                + "'\(Fixture.id(1))'. The requested amount would exceed the capacity.")
        #expect(await put(10, 2).status == 204)
        #expect(await fixture.call("PUT", Self.path, Fixture.claim(1, ["DISK_GB": 1], generation: 1)).status == 409)
    }

    @Test("What is over capacity may become less, not more")
    func overage() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8])
        _ = await fixture.call("PUT", Self.path, Fixture.claim(1, ["VCPU": 8]))
        _ = await fixture.call(
            "PUT", "/resource_providers/\(Fixture.id(1))/inventories/VCPU",
            ["resource_provider_generation": 2, "total": 4])
        #expect(await fixture.call("PUT", Self.path, Fixture.claim(1, ["VCPU": 7], generation: 1)).status == 204)
        #expect(await fixture.call("PUT", Self.path, Fixture.claim(1, ["VCPU": 8], generation: 2)).status == 409)
    }

    @Test("Many consumers are set at once or not at all")
    func many() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8])
        await fixture.provider(2, ["VCPU": 8])
        let body: JSON = .object([
            Fixture.id(10): Fixture.claim(1, ["VCPU": 8]), Fixture.id(11): Fixture.claim(2, ["VCPU": 9]),
        ])
        #expect(await fixture.call("POST", "/allocations", body, at: "1.12").status == 404)
        #expect(await fixture.call("POST", "/allocations", body).status == 409)
        #expect(await fixture.call("GET", "/allocations/\(Fixture.id(10))")["allocations"] == [:])
        let fitting: JSON = .object([
            Fixture.id(10): Fixture.claim(1, ["VCPU": 8]), Fixture.id(11): Fixture.claim(2, ["VCPU": 8]),
        ])
        #expect(await fixture.call("POST", "/allocations", fitting).status == 204)
        let usages = await fixture.call("GET", "/usages", query: "project_id=project-a")
        #expect(usages["usages"] == ["INSTANCE": ["consumer_count": 2, "VCPU": 16]])
        let plain = await fixture.call("GET", "/usages", at: "1.9", query: "project_id=project-a&user_id=user-a")
        #expect(plain["usages"] == ["VCPU": 16])
        let all = await fixture.call("GET", "/usages", query: "project_id=project-a&consumer_type=all")
        #expect(all["usages"] == ["all": ["consumer_count": 2, "VCPU": 16]])
        #expect(await fixture.call("GET", "/usages").status == 400)
    }

    @Test("A project's reader sees its own usages only", arguments: [("project-a", 200), ("project-b", 403)])
    func usageRules(project: String, status: Int) async throws {
        let fixture = try await Fixture()
        let answer = await fixture.cloud.call(
            "placement", "GET", "/usages", at: "1.9", as: .reader(), query: "project_id=\(project)")
        #expect(answer.status == status)
    }

    @Test(
        "Bad allocations are refused by the member's name",
        arguments: [
            (Fixture.claim(1, [:]), "resources"), (Fixture.claim(1, ["VCPU": 0]), "VCPU"),
            (Fixture.claim(1, ["VCPU": "1"]), "VCPU"), (Fixture.claim(1, ["vcpu": 1]), "vcpu"),
            (Fixture.claim(7, ["VCPU": 1]), "does not exist"),
            (Fixture.claim(1, ["CUSTOM_NO": 1]), "No such resource class CUSTOM_NO"),
            (["project_id": "p", "user_id": "u", "consumer_generation": nil, "consumer_type": "X"], "allocations"),
            (["allocations": [:], "user_id": "u", "consumer_generation": nil, "consumer_type": "X"], "project_id"),
            (["allocations": ["x": [:]], "project_id": "p"], "'x'"),
        ] as [(JSON, String)])
    func badBodies(body: JSON, word: String) async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 8])
        let answer = await fixture.call("PUT", Self.path, body)
        #expect(answer.status == 400)
        #expect(answer.detail.contains(word), "\(answer.detail)")
        #expect(await fixture.call("PUT", "/allocations/x", body).detail == "Malformed consumer_uuid: x")
    }

    @Test("64 claims at the same time never take more than there is, and the books agree")
    func concurrency() async throws {
        let fixture = try await Fixture()
        await fixture.provider(1, ["VCPU": 40, "MEMORY_MB": 10_000])
        let statuses = await withTaskGroup(of: Int.self) { group in
            for number in 100..<164 {
                group.addTask {
                    await fixture.call(
                        "PUT", "/allocations/\(Fixture.id(number))", Fixture.claim(1, ["VCPU": 1, "MEMORY_MB": 10])
                    ).status
                }
            }
            return await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(statuses.filter { $0 == 204 }.count == 40)
        #expect(statuses.filter { $0 == 409 }.count == 24)
        let usages = await fixture.call("GET", "/resource_providers/\(Fixture.id(1))/usages")
        #expect(usages["usages"] == ["MEMORY_MB": 400, "VCPU": 40])
        #expect(try await Self.drift(fixture) == 0)
    }

    @Test("Claims, changes, releases and new inventories mixed leave books that agree")
    func mixture() async throws {
        let fixture = try await Fixture()
        for number in 1...4 { await fixture.provider(number, ["VCPU": 16, "MEMORY_MB": 512]) }
        await withTaskGroup(of: Void.self) { group in
            for number in 100..<400 {
                let consumer = Fixture.id(100 + number * 7 % 40)
                let provider = 1 + number % 4
                group.addTask {
                    let held = await fixture.call("GET", "/allocations/\(consumer)")["consumer_generation"]
                    let amounts: JSON = ["VCPU": .integer(Int64(1 + number % 3)), "MEMORY_MB": 16]
                    let path = "/resource_providers/\(Fixture.id(provider))/inventories"
                    switch number % 5 {
                    case 0: _ = await fixture.call("DELETE", "/allocations/\(consumer)")
                    case 1:
                        var body = await fixture.call("GET", path).json.object ?? JSONObject()
                        body["inventories"] = [
                            "VCPU": ["total": .integer(Int64(8 + number % 16))], "MEMORY_MB": ["total": 512],
                        ]
                        _ = await fixture.call("PUT", path, .object(body))
                    default:
                        let claim = Fixture.claim(provider, amounts, generation: held)
                        _ = await fixture.call("PUT", "/allocations/\(consumer)", claim)
                    }
                }
            }
        }
        #expect(try await Self.drift(fixture) == 0)
        let orphans = try await fixture.cloud.database.rows(
            """
            SELECT c.id FROM placement_consumers c
            WHERE NOT EXISTS (SELECT 1 FROM placement_allocations a WHERE a.consumer_id = c.id)
            """)
        #expect(orphans.isEmpty)
    }

    /// How many inventories say otherwise than the allocations they are taken by.
    static func drift(_ fixture: Fixture) async throws -> Int {
        try await fixture.cloud.database.rows(
            """
            SELECT i.resource_class FROM placement_inventories i WHERE i.used <> (SELECT COALESCE(SUM(a.used), 0)
            FROM placement_allocations a WHERE a.provider_id = i.provider_id AND a.resource_class = i.resource_class)
            """
        ).count
    }

    @Test("The client that Compute uses is served: providers, inventories, candidates, claims, releases")
    func client() async throws {
        let fixture = try await Fixture()
        let front = fixture.cloud.front
        let client = PlacementClient(over: InProcess { front }, as: .service())
        let host = Fixture.id(1)
        for _ in 0..<2 {
            try await client.ensureProvider(host, name: "host-1", requestID: "req-1")
            try await client.setInventory(
                host,
                [
                    "VCPU": .init(total: 4, reserved: 0, ratio: 4),
                    "MEMORY_MB": .init(total: 1024, reserved: 512, ratio: 1),
                ], requestID: "req-1")
        }
        let found = try await client.candidates(
            [("resources", "VCPU:1,MEMORY_MB:64"), ("limit", "10")], requestID: "req-1")
        #expect(found.ways == [host: [[host: ["VCPU": 1, "MEMORY_MB": 64]]]])
        #expect(found.supplies[host]?[host]?["VCPU"]?.free == 16)
        let claim = PlacementClient.Claim(
            consumer: Fixture.id(9), allocations: [host: ["VCPU": 2]], project: "p", user: "u")
        try await client.claim([claim], requestID: "req-1")
        #expect(try await client.allocations(of: Fixture.id(9), requestID: "req-1") == [host])
        try await client.release(Fixture.id(9), requestID: "req-1")
        try await client.release(Fixture.id(9), requestID: "req-1")
        let provider = await fixture.call("GET", "/resource_providers/\(host)")
        #expect(provider["generation"].integer == 2)
    }
}
