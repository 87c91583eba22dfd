// SPDX-License-Identifier: Apache-2.0
import Kernel
import Placement
import Simulation
import Testing

/// A cloud with only Placement in it, called as an administrator.
struct Fixture: Sendable {
    let cloud: TestCloud

    init() async throws {
        cloud = try await TestCloud(rooms: { parts in
            PlacementService(database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log)
        })
    }

    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, at version: String = "1.39", query: String = ""
    ) async -> TestCloud.Answer {
        await cloud.call("placement", method, path, body, at: version, as: .admin(), query: query)
    }

    /// The `n`th made-up id.
    static func id(_ number: Int) -> String {
        let text = String(number)
        return "00000000-0000-4000-8000-" + String(repeating: "0", count: 12 - text.count) + text
    }

    /// Makes a provider with an inventory.
    func provider(
        _ number: Int, _ inventory: [String: Int] = [:], parent: Int? = nil, traits: [String] = [],
        aggregates: [Int] = []
    ) async {
        let id = Fixture.id(number)
        var body: JSONObject = ["uuid": .string(id), "name": .string("provider-\(number)")]
        if let parent { body["parent_provider_uuid"] = .string(Fixture.id(parent)) }
        #expect(await call("POST", "/resource_providers", .object(body)).status == 200)
        var generation = 0
        if !inventory.isEmpty {
            var inventories = JSONObject()
            for (name, total) in inventory { inventories[name] = ["total": .integer(Int64(total))] }
            let answer = await call(
                "PUT", "/resource_providers/\(id)/inventories",
                ["resource_provider_generation": 0, "inventories": .object(inventories)])
            #expect(answer.status == 200)
            generation += 1
        }
        if !traits.isEmpty {
            let answer = await call(
                "PUT", "/resource_providers/\(id)/traits",
                [
                    "resource_provider_generation": .integer(Int64(generation)),
                    "traits": .array(traits.map { .string($0) }),
                ])
            #expect(answer.status == 200)
            generation += 1
        }
        if !aggregates.isEmpty {
            let answer = await call(
                "PUT", "/resource_providers/\(id)/aggregates",
                [
                    "resource_provider_generation": .integer(Int64(generation)),
                    "aggregates": .array(aggregates.map { .string(Fixture.id($0)) }),
                ])
            #expect(answer.status == 200)
        }
    }

    static func claim(_ provider: Int, _ resources: JSON, generation: JSON = nil) -> JSON {
        [
            "allocations": .object([id(provider): ["resources": resources]]), "project_id": "project-a",
            "user_id": "user-a", "consumer_generation": generation, "consumer_type": "INSTANCE",
        ]
    }

    /// The candidates for whoever cares for what is taken, not for which group it is.
    func distinct(_ query: String) async -> [JSON] {
        let answer = await cloud.call(
            "placement", "GET", "/allocation_candidates", at: "1.39", as: .admin(), query: query,
            headers: [("Prefer", "respond-async, allocations=distinct")])
        #expect(answer.status == 200, "\(answer.json.text())")
        return answer["allocation_requests"].array ?? []
    }

    /// Who serves what in each candidate: `1:VCPU=2 3:DISK_GB=5`.
    func candidates(_ query: String, at version: String = "1.39") async -> [String] {
        let answer = await call("GET", "/allocation_candidates", at: version, query: query)
        #expect(answer.status == 200, "\(answer.json.text())")
        return (answer["allocation_requests"].array ?? []).map { request in
            (request["allocations"]?.object ?? JSONObject()).map { id, part in
                let number = Int(id.suffix(12)) ?? 0
                let amounts = (part["resources"]?.object ?? JSONObject()).map { "\($0.key)=\($0.value.text())" }
                return "\(number):" + amounts.sorted().joined(separator: ",")
            }.sorted().joined(separator: " ")
        }.sorted()
    }
}

extension TestCloud.Answer {
    var error: JSON { self["errors"][0] ?? .null }
    var code: String { error["code"]?.string ?? "" }
    var detail: String { error["detail"]?.string ?? "" }
}
