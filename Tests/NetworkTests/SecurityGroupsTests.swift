// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct SecurityGroupsTests {
    static func rule(_ cloud: NetworkCloud, _ group: String, _ members: JSONObject) async -> TestCloud.Answer {
        var body: JSONObject = ["security_group_id": .string(group), "direction": "ingress"]
        for (name, value) in members { body[name] = value }
        return await cloud.call("POST", "/security-group-rules", ["security_group_rule": .object(body)])
    }

    @Test("Every project has a default group that lets its members in and all out")
    func defaultGroup() async throws {
        let cloud = try await NetworkCloud()
        let groups = await cloud.call("GET", "/security-groups")["security_groups"].array ?? []
        let group = try #require(groups.first)
        #expect(groups.count == 1)
        #expect(group.text("name") == "default")
        let rules = group["security_group_rules"]?.array ?? []
        #expect(rules.count == 4)
        #expect(
            rules.filter { $0.text("direction") == "ingress" }.allSatisfy { $0.text("remote_group_id") == group.id })
        #expect(await cloud.call("DELETE", "/security-groups/\(group.id)").type == "SecurityGroupCannotRemoveDefault")
        let renamed = await cloud.call("PUT", "/security-groups/\(group.id)", ["security_group": ["name": "x"]])
        #expect(renamed.type == "SecurityGroupCannotUpdateDefault")
        let second = await cloud.call("POST", "/security-groups", ["security_group": ["name": "default"]])
        #expect(second.status == 409)
    }

    @Test("A group and its rules are made, shown and deleted")
    func walk() async throws {
        let cloud = try await NetworkCloud()
        let group = try await cloud.make("security_group", "/security-groups", ["name": "web", "description": "d"])
        #expect(group["security_group_rules"]?.array?.count == 2)
        let made = await Self.rule(
            cloud, group.id, ["protocol": "tcp", "port_range_min": 77, "port_range_max": 77, "ethertype": "IPv4"])
        #expect(made.status == 201)
        let rule = made["security_group_rule"]
        #expect(rule.text("protocol") == "tcp")
        #expect(rule["port_range_min"]?.integer == 77)
        #expect(rule["remote_ip_prefix"] == .null)
        #expect(await cloud.call("GET", "/security-group-rules/\(rule.id)")["security_group_rule"] == rule)
        let again = await Self.rule(cloud, group.id, ["protocol": "6", "port_range_min": "77", "port_range_max": 77])
        #expect(again.status == 409)
        #expect(again.message == "Security group rule already exists. Rule id is \(rule.id).")
        let listed = await cloud.call("GET", "/security-group-rules", query: "security_group_id=\(group.id)")
        #expect(listed["security_group_rules"].array?.count == 3)
        #expect(await cloud.call("DELETE", "/security-group-rules/\(rule.id)").status == 204)
        #expect(await cloud.call("DELETE", "/security-groups/\(group.id)").status == 204)
    }

    @Test(
        "Rules that make no sense are refused",
        arguments: [
            (["protocol": "tcp", "port_range_min": 80], "SecurityGroupInvalidPortRange"),
            (["protocol": "tcp", "port_range_min": 90, "port_range_max": 80], "SecurityGroupInvalidPortRange"),
            (["port_range_min": 80, "port_range_max": 80], "SecurityGroupProtocolRequiredWithPorts"),
            (["protocol": "smoke"], "SecurityGroupRuleInvalidProtocol"),
            (["protocol": "tcp", "port_range_min": 70_000, "port_range_max": 70_001], "SecurityGroupInvalidPortValue"),
            (["protocol": "icmp", "port_range_max": 5], "SecurityGroupMissingIcmpType"),
            (["protocol": "icmp", "port_range_min": 300], "SecurityGroupInvalidIcmpValue"),
            (["protocol": "icmpv6"], "SecurityGroupEthertypeConflictWithProtocol"),
            (["ethertype": "IPv5"], "SecurityGroupRuleInvalidEtherType"),
            (["remote_ip_prefix": "2001:db8::/32"], "SecurityGroupRuleParameterConflict"),
            (["remote_ip_prefix": "there"], "InvalidCIDR"),
            (["direction": "sideways"], "HTTPBadRequest"),
        ] as [(JSONObject, String)])
    func bad(members: JSONObject, type: String) async throws {
        let cloud = try await NetworkCloud()
        let group = try await cloud.make("security_group", "/security-groups", ["name": "web"])
        let answer = await Self.rule(cloud, group.id, members)
        #expect(answer.status == 400)
        #expect(answer.type == type)
    }

    @Test("A group on a port stays; a rule that names a group that goes, goes too")
    func inUse() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let one = try await cloud.make("security_group", "/security-groups", ["name": "one"]).id
        let other = try await cloud.make("security_group", "/security-groups", ["name": "other"]).id
        #expect(await Self.rule(cloud, other, ["remote_group_id": .string(one)]).status == 201)
        let port = try await cloud.port(network, ["security_groups": [.string(one)]])
        #expect(await cloud.call("DELETE", "/security-groups/\(one)").type == "SecurityGroupInUse")
        _ = await cloud.call("DELETE", "/ports/\(port.id)")
        #expect(await cloud.call("DELETE", "/security-groups/\(one)").status == 204)
        let left = await cloud.call("GET", "/security-groups/\(other)")["security_group"]
        #expect(left["security_group_rules"]?.array?.count == 2)
    }
}
