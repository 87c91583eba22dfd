// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct AddressGroupsTests {
    @Test("Blocks are added and taken away; those that are there already, or not, are named")
    func addresses() async throws {
        let cloud = try await NetworkCloud()
        let group = try await cloud.make(
            "address_group", "/address-groups", ["name": "offices", "addresses": ["192.0.2.0/24", "2001:db8::/32"]])
        let path = "/address-groups/\(group.id)"
        let more = await cloud.call("PUT", path + "/add_addresses", ["addresses": ["198.51.100.7/32"]])
        #expect(more["address_group"]["addresses"]?.array?.count == 3)
        let twice = await cloud.call("PUT", path + "/add_addresses", ["addresses": ["192.0.2.0/24"]])
        #expect(twice.status == 400)
        #expect(twice.message == "Addresses ['192.0.2.0/24'] already exist in the address group \(group.id).")
        let gone = await cloud.call("PUT", path + "/remove_addresses", ["addresses": ["203.0.113.0/24"]])
        #expect(gone.status == 404 && gone.type == "AddressesNotFound")
        try await cloud.sync()
        let spec = await cloud.backend.topology.table(AddressGroupSpec.self)[group.id]
        #expect(spec?.addresses.map(\.description).sorted() == ["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"])
    }

    @Test("A rule points at a group, which then stays")
    func rules() async throws {
        let cloud = try await NetworkCloud()
        let group = try await cloud.make(
            "address_group", "/address-groups", ["name": "a", "addresses": ["10.0.0.0/8"]])
        let security = try await cloud.make("security_group", "/security-groups", ["name": "web"])
        let rule = try await cloud.make(
            "security_group_rule", "/security-group-rules",
            [
                "security_group_id": .string(security.id), "direction": "ingress",
                "remote_address_group_id": .string(group.id),
            ])
        #expect(rule.text("remote_address_group_id") == group.id)
        #expect(await cloud.call("DELETE", "/address-groups/\(group.id)").type == "AddressGroupInUse")
        let both = await cloud.call(
            "POST", "/security-group-rules",
            [
                "security_group_rule": [
                    "security_group_id": .string(security.id), "direction": "ingress",
                    "remote_address_group_id": .string(group.id), "remote_ip_prefix": "10.0.0.0/8",
                ]
            ])
        #expect(both.type == "SecurityGroupMultipleRemoteEntites")
        try await cloud.sync()
        let spec = await cloud.backend.topology.securityGroups[security.id]
        #expect(spec?.rules.contains { $0.remote == .addressGroup(group.id) } == true)
    }

    @Test("Another project sees a group once it was let in, and no longer than that")
    func sharing() async throws {
        let cloud = try await NetworkCloud()
        let group = try await cloud.make("address_group", "/address-groups", ["name": "a"])
        let other = Caller.member("bob", project: "other")
        #expect(await cloud.call("GET", "/address-groups/\(group.id)", as: other).status == 404)
        let policy = try await cloud.make(
            "rbac_policy", "/rbac-policies",
            [
                "object_type": "address_group", "object_id": .string(group.id), "action": "access_as_shared",
                "target_tenant": "other",
            ])
        #expect(await cloud.call("GET", "/address-groups/\(group.id)", as: other).status == 200)
        #expect(await cloud.call("DELETE", "/rbac-policies/\(policy.id)").status == 204)
        #expect(await cloud.call("GET", "/address-groups/\(group.id)", as: other).status == 404)
    }

    @Test("New groups begin with the cloud's default rules, and are as stateful as it says")
    func defaults() async throws {
        let cloud = try await NetworkCloud()
        let rule = try await cloud.make(
            "default_security_group_rule", "/default-security-group-rules",
            ["direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22], as: .admin())
        #expect(rule["used_in_default_sg"] == false && rule["used_in_non_default_sg"] == true)
        let again = await cloud.call(
            "POST", "/default-security-group-rules",
            [
                "default_security_group_rule": [
                    "direction": "ingress", "protocol": "6", "port_range_min": 22, "port_range_max": 22,
                ]
            ], as: .admin())
        #expect(again.type == "DefaultSecurityGroupRuleExists")
        _ = try await cloud.make(
            "security_groups_default_statefulness", "/security-groups-default-statefulness", ["stateful": false],
            as: .admin())
        let group = try await cloud.make("security_group", "/security-groups", ["name": "web"])
        #expect(group["stateful"] == false)
        let rules = group["security_group_rules"]?.array ?? []
        #expect(rules.count == 3)
        #expect(rules.contains { $0["port_range_min"] == 22 })
        #expect(
            await cloud.call(
                "POST", "/default-security-group-rules", ["default_security_group_rule": ["direction": "egress"]]
            ).status
                == 403)
    }
}
