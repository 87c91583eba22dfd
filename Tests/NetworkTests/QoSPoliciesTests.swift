// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct QoSPoliciesTests {
    private static let manager = Caller.admin()

    @Test("A policy's rules reach the back end for whatever is under the policy")
    func effective() async throws {
        let cloud = try await NetworkCloud()
        let policy = try await cloud.make("policy", "/qos/policies", ["name": "slow"], as: .admin())
        let path = "/qos/policies/\(policy.id)"
        let limit = await cloud.call(
            "POST", path + "/bandwidth_limit_rules",
            ["bandwidth_limit_rule": ["max_kbps": 1000, "max_burst_kbps": 100, "direction": "ingress"]], as: .admin())
        #expect(limit.status == 201)
        #expect(
            await cloud.call(
                "POST", path + "/dscp_marking_rules", ["dscp_marking_rule": ["dscp_mark": 26]], as: .admin()
            )
            .status == 201)
        #expect(
            await cloud.call(
                "POST", path + "/dscp_marking_rules", ["dscp_marking_rule": ["dscp_mark": 3]], as: .admin()
            )
            .status == 400)
        let network = try await cloud.network(["name": "n", "qos_policy_id": .string(policy.id)], as: .admin())
        let port = try await cloud.port(network, as: .admin())
        #expect(port["qos_policy_id"] == .null)
        #expect(port.text("qos_network_policy_id") == policy.id)
        try await cloud.sync()
        let spec = await cloud.backend.topology.table(QoSPolicySpec.self)[policy.id]
        #expect(spec?.ingress.limit == QoSLimit(kilobits: 1000, burst: 100))
        #expect(spec?.egress.mark == 26)
        #expect(await cloud.backend.topology.networks[network]?.qosPolicyID == policy.id)
        #expect(await cloud.call("DELETE", path, as: .admin()).type == "QosPolicyInUse")
        let id = limit["bandwidth_limit_rule"].id
        let alias = await cloud.call(
            "PUT", "/qos/alias_bandwidth_limit_rules/\(id)", ["alias_bandwidth_limit_rule": ["max_kbps": 2000]],
            as: .admin())
        #expect(alias["alias_bandwidth_limit_rule"]["max_kbps"] == 2000)
        #expect(await cloud.call("DELETE", path + "/bandwidth_limit_rules/\(id)", as: .admin()).status == 204)
        #expect(
            await cloud.call("GET", "/qos/alias_bandwidth_limit_rules/\(id)", as: .admin()).type == "QosRuleNotFound")
    }

    @Test("Rules that contradict or double each other are refused, and so are those that nobody can enforce")
    func conflicts() async throws {
        let cloud = try await NetworkCloud()
        let policy = try await cloud.make("policy", "/qos/policies", ["name": "p"], as: .admin())
        let path = "/qos/policies/\(policy.id)"
        func add(_ kind: String, _ members: JSON) async -> String {
            await cloud.call("POST", "\(path)/\(kind)s", .object(JSONObject([(kind, members)])), as: .admin()).type
        }
        #expect(await add("minimum_bandwidth_rule", ["min_kbps": 500]) == "")
        #expect(await add("bandwidth_limit_rule", ["max_kbps": 100]) == "QoSRuleParameterConflict")
        #expect(await add("bandwidth_limit_rule", ["max_kbps": 1000]) == "")
        #expect(await add("bandwidth_limit_rule", ["max_kbps": 2000]) == "QoSRulesConflict")
        #expect(await add("minimum_packet_rate_rule", ["min_kpps": 10, "direction": "any"]) == "")
        #expect(await add("minimum_packet_rate_rule", ["min_kpps": 10]) == "QoSRuleParameterConflict")
        let network = try await cloud.network(as: .admin())
        let refused = await cloud.call(
            "POST", "/ports", ["port": ["network_id": .string(network), "qos_policy_id": .string(policy.id)]],
            as: .admin())
        #expect(refused.type == "QosRuleNotSupported")
        #expect(await cloud.call("POST", "/qos/policies", ["policy": ["name": "x"]]).status == 403)
    }

    @Test("A packet rate fits nothing until a host promises packets; then ports ask Placement for it")
    func packets() async throws {
        let cloud = try await NetworkCloud()
        let policy = try await cloud.make("policy", "/qos/policies", ["name": "p"], as: .admin())
        let rule = await cloud.call(
            "POST", "/qos/policies/\(policy.id)/minimum_packet_rate_rules",
            ["minimum_packet_rate_rule": ["min_kpps": 10, "direction": "any"]], as: .admin())
        #expect(rule.status == 201)
        let network = try await cloud.network(as: .admin())
        func make() async -> TestCloud.Answer {
            await cloud.call(
                "POST", "/ports", ["port": ["network_id": .string(network), "qos_policy_id": .string(policy.id)]],
                as: .admin())
        }
        func types() async -> [String] {
            let list = await cloud.call("GET", "/qos/rule-types", as: .admin())["rule_types"]
            return (list.array ?? []).compactMap { $0["type"]?.string }
        }
        #expect(await make().type == "QosRuleNotSupported")
        #expect(await !types().contains("minimum_packet_rate"))
        for (option, isKept) in [("resource_provider_packet_processing_without_direction=:700", true), ("", false)] {
            var host = ChassisFact(id: "c1", hostname: "c1.example")
            host.packetRates = PacketRate.read([option], host: "c1.example")
            await cloud.backend.setHosts([host])
            try await cloud.service.sync.noteHosts()
            let answer = await make()
            #expect((answer.status == 201) == isKept)
            #expect(await types().contains("minimum_packet_rate") == isKept)
            guard isKept else { continue }
            let group = answer["port"]["resource_request"]?["request_groups"]?[0]
            #expect(group?["resources"]?["NET_PACKET_RATE_KILOPACKET_PER_SEC"] == 10)
            #expect(group?["required"] == ["CUSTOM_VNIC_TYPE_NORMAL"])
        }
    }

    @Test("A guaranteed bandwidth is asked of Placement, under an id that stays")
    func requests() async throws {
        let cloud = try await NetworkCloud()
        let policy = try await cloud.make("policy", "/qos/policies", ["name": "sure"], as: .admin())
        let made = await cloud.call(
            "POST", "/qos/policies/\(policy.id)/minimum_bandwidth_rules", ["minimum_bandwidth_rule": ["min_kbps": 500]],
            as: .admin())
        #expect(made.status == 201)
        let network = try await cloud.network(
            ["name": "n", "provider:network_type": "vlan", "provider:physical_network": "rack-1"], as: .admin())
        let port = try await cloud.port(network, JSONObject([("qos_policy_id", .string(policy.id))]), as: .admin())
        let group = port["resource_request"]?["request_groups"]?[0]
        #expect(group?["resources"]?["NET_BW_EGR_KILOBIT_PER_SEC"] == 500)
        #expect(group?["required"] == ["CUSTOM_PHYSNET_RACK_1", "CUSTOM_VNIC_TYPE_NORMAL"])
        let again = await cloud.call("GET", "/ports/\(port.id)", as: .admin())["port"]
        #expect(again["resource_request"] == port["resource_request"])
    }

    @Test("A project's default policy is on its new networks, and there is one")
    func standard() async throws {
        let cloud = try await NetworkCloud()
        let project = Caller.admin().projectID ?? ""
        let policy = try await cloud.make("policy", "/qos/policies", ["name": "d", "is_default": true], as: .admin())
        let network = try await cloud.network(as: .admin())
        #expect(
            await cloud.call("GET", "/networks/\(network)", as: .admin())["network"].text("qos_policy_id") == policy.id)
        let second = await cloud.call(
            "POST", "/qos/policies", ["policy": ["name": "e", "is_default": true]], as: .admin())
        #expect(second.message == "A default QoS policy exists for project \(project).")
    }
}
