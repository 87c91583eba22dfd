// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Network
import Placement
import Simulation
import Synchronization
import Testing

/// Ports of servers that come under another policy, with a real Placement.
struct PortAllocationsTests {
    private static let server = "99999999-9999-4999-8999-999999999999"
    private static let part = "66666666-6666-4666-8666-666666666666"
    private static let word = "NET_BW_IGR_KILOBIT_PER_SEC"

    private func cloud() async throws -> TestCloud {
        try await TestCloud(
            rooms: { PlacementService(database: $0.database, clock: $0.clock, ids: $0.ids, log: $0.log) },
            { parts in
                NetworkService(
                    database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log,
                    transport: InProcess(parts.front), caller: .service("neutron"), backend: FakeNetworkBackend())
            })
    }

    private func ask(
        _ cloud: TestCloud, _ method: String, _ path: String, _ body: JSON? = nil
    ) async -> TestCloud.Answer {
        await cloud.call("network", method, "/v2.0" + path, body, as: .service("nova"))
    }

    private func policy(_ cloud: TestCloud, _ kilobits: Int) async -> String {
        let id = await ask(cloud, "POST", "/qos/policies", ["policy": ["name": "p"]])["policy"].id
        let made = await ask(
            cloud, "POST", "/qos/policies/\(id)/minimum_bandwidth_rules",
            ["minimum_bandwidth_rule": ["min_kbps": .integer(Int64(kilobits)), "direction": "ingress"]])
        #expect(made.status == 201)
        return id
    }

    private func held(_ cloud: TestCloud) async -> JSON? {
        await cloud.call("placement", "GET", "/allocations/\(Self.server)", at: "1.36", as: .service())["allocations"][
            Self.part]?["resources"]?[Self.word]
    }

    /// A server's port with so much of a part that has 1000.
    private func ground(_ cloud: TestCloud, _ policy: String) async throws -> String {
        let network = await ask(
            cloud, "POST", "/networks",
            ["network": ["provider:network_type": "flat", "provider:physical_network": "p"]])["network"].id
        let port = await ask(
            cloud, "POST", "/ports",
            [
                "port": [
                    "network_id": .string(network), "qos_policy_id": .string(policy), "device_id": .string(Self.server),
                    "device_owner": "compute:nova", "binding:host_id": "h",
                ]
            ])["port"]
        let group = port["resource_request"]?["request_groups"]?[0]?["id"]?.string ?? ""
        for (method, path, body) in [
            ("POST", "/resource_providers", ["uuid": .string(Self.part), "name": "part"]),
            (
                "PUT", "/resource_providers/\(Self.part)/inventories",
                [
                    "resource_provider_generation": 0,
                    "inventories": .object(JSONObject([(Self.word, .object(["total": 1000]))])),
                ]
            ),
            (
                "PUT", "/allocations/\(Self.server)",
                [
                    "allocations": .object(
                        JSONObject([
                            (Self.part, .object(["resources": .object(JSONObject([(Self.word, 300)]))]))
                        ])), "project_id": "a", "user_id": "b", "consumer_generation": nil,
                ]
            ),
        ] as [(String, String, JSON)] {
            let answer = await cloud.call("placement", method, path, body, at: "1.36", as: .service())
            #expect(answer.status < 300, "\(path) \(answer.json.text())")
        }
        let told = await ask(
            cloud, "PUT", "/ports/\(port.id)",
            [
                "port": [
                    "binding:profile": ["allocation": .object(JSONObject([(group, .string(Self.part))]))]
                ]
            ])
        #expect(told.status == 200, "\(told.json.text())")
        return port.id
    }

    @Test("Another policy takes as much as it asks for, more than there is takes nothing, and none gives all back")
    func policies() async throws {
        let cloud = try await cloud()
        let (small, large) = (await policy(cloud, 300), await policy(cloud, 900))
        let huge = await policy(cloud, 1001)
        let port = try await ground(cloud, small)
        #expect(await held(cloud) == 300)
        func become(_ policy: JSON) async -> TestCloud.Answer {
            await ask(cloud, "PUT", "/ports/\(port)", ["port": ["qos_policy_id": policy]])
        }
        let grown = await become(.string(large))
        #expect(grown.status == 200)
        #expect(await held(cloud) == 900)
        let group = grown["port"]["resource_request"]?["request_groups"]?[0]?["id"]?.string ?? ""
        #expect(grown["port"]["binding:profile"]?["allocation"]?[group]?.string == Self.part, "under its new name")
        let refused = await become(.string(huge))
        #expect(refused.status == 409 && refused.type == "QosPlacementAllocationUpdateConflict")
        #expect(await held(cloud) == 900)
        let lost = await become("88888888-8888-4888-8888-888888888888")
        #expect(lost.status == 404)
        #expect(await held(cloud) == 900, "what failed otherwise was given back")
        #expect(await become(.string(small)).status == 200)
        #expect(await held(cloud) == 300)
    }

    @Test("Another policy of the network takes for the ports that have none of their own, or is refused as a whole")
    func networks() async throws {
        let cloud = try await cloud()
        let (small, large) = (await policy(cloud, 300), await policy(cloud, 900))
        let huge = await policy(cloud, 1001)
        let port = try await ground(cloud, small)
        let network = await ask(cloud, "GET", "/ports/\(port)")["port"]["network_id"]?.string ?? ""
        func become(_ policy: JSON) async -> TestCloud.Answer {
            await ask(cloud, "PUT", "/networks/\(network)", ["network": ["qos_policy_id": policy]])
        }
        #expect(await become(.string(large)).status == 200)
        #expect(await held(cloud) == 300, "the port has a policy of its own")
        #expect(await become(.string(small)).status == 200)
        #expect(await ask(cloud, "PUT", "/ports/\(port)", ["port": ["qos_policy_id": .null]]).status == 200)
        #expect(await held(cloud) == 300, "the network's promises as much")
        #expect(await become(.string(large)).status == 200)
        #expect(await held(cloud) == 900)
        let shown = await ask(cloud, "GET", "/ports/\(port)")["port"]
        let group = shown["resource_request"]?["request_groups"]?[0]?["id"]?.string ?? ""
        #expect(shown["binding:profile"]?["allocation"]?[group]?.string == Self.part, "under its new name")
        #expect(await become(.string(huge)).status == 409)
        #expect(await held(cloud) == 900)
        let rule = await ask(
            cloud, "POST", "/qos/policies/\(large)/minimum_bandwidth_rules",
            ["minimum_bandwidth_rule": ["min_kbps": 10, "direction": "egress"]])
        #expect(rule.status == 501 && rule.message.contains("backed by resources tracked in Placement"))
    }
}
