// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Simulation
import Testing

struct PoolsTests {
    @Test("Health decides operating statuses: a member in ERROR degrades its pool, all of them break it")
    func health() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let listener = try await cloud.listener(balancer.id)
        let pool = try await cloud.pool(balancer.id, ["listener_id": .string(listener.id)])
        let members = [try await cloud.member(pool.id), try await cloud.member(pool.id, "10.0.0.51")]
        #expect(
            await cloud.show("member", "/lbaas/pools/\(pool.id)/members/\(members[0].id)").operating == "NO_MONITOR")
        _ = try await cloud.make(
            "healthmonitor", "/lbaas/healthmonitors",
            ["pool_id": .string(pool.id), "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2])
        try await cloud.sync()
        func operating() async -> [String] {
            [
                await cloud.show("member", "/lbaas/pools/\(pool.id)/members/\(members[0].id)").operating,
                await cloud.show("pool", "/lbaas/pools/\(pool.id)").operating,
                await cloud.show("loadbalancer", "/lbaas/loadbalancers/\(balancer.id)").operating,
            ]
        }
        #expect(await operating() == ["ONLINE", "ONLINE", "ONLINE"])
        await cloud.haproxy.silence(members[0].id)
        try await cloud.service.sync.readReports()
        #expect(await operating() == ["ERROR", "DEGRADED", "DEGRADED"])
        await cloud.haproxy.silence(members[1].id)
        try await cloud.service.sync.readReports()
        #expect(await operating() == ["ERROR", "ERROR", "ERROR"])
        await cloud.haproxy.silence(members[0].id, false)
        await cloud.haproxy.silence(members[1].id, false)
        try await cloud.service.sync.readReports()
        #expect(await operating() == ["ONLINE", "ONLINE", "ONLINE"])
    }

    @Test("A batch makes, changes and takes away members at once; one that only adds leaves the others")
    func batch() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let pool = try await cloud.pool(balancer.id)
        let kept = try await cloud.member(pool.id, "10.0.0.50")
        _ = try await cloud.member(pool.id, "10.0.0.51")
        let path = "/lbaas/pools/\(pool.id)/members"
        let batch: JSON = [
            "members": [
                ["address": "10.0.0.50", "protocol_port": 8080, "weight": 9],
                ["address": "10.0.0.52", "protocol_port": 8080],
            ]
        ]
        #expect(await cloud.call("PUT", path, batch, query: "additive_only=true").status == 202)
        try await cloud.sync()
        #expect(await cloud.call("GET", path)["members"].array?.count == 3)
        #expect(await cloud.show("member", path + "/" + kept.id)["weight"] == 9)
        #expect(await cloud.call("PUT", path, batch).status == 202)
        try await cloud.sync()
        let addresses = await cloud.call("GET", path)["members"].array?.map { $0.text("address") }
        #expect(addresses?.sorted() == ["10.0.0.50", "10.0.0.52"])
        #expect(await cloud.call("PUT", path, ["members": []]).status == 202)
        try await cloud.sync()
        #expect(await cloud.call("GET", path)["members"].array?.isEmpty == true)
        let twice = await cloud.call(
            "PUT", path,
            [
                "members": [
                    ["address": "10.0.0.50", "protocol_port": 1], ["address": "10.0.0.50", "protocol_port": 1],
                ]
            ])
        #expect(twice.status == 400)
        #expect(twice.fault == "Validation failure: Member must be updated only once in the same request.")
    }

    @Test("A member is there once, its subnet must exist, and its path must name its own pool")
    func members() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let (pool, other) = (try await cloud.pool(balancer.id), try await cloud.pool(balancer.id))
        let member = try await cloud.member(pool.id)
        let path = "/lbaas/pools/\(pool.id)/members"
        let twin = await cloud.call("POST", path, ["member": ["address": "10.0.0.50", "protocol_port": 8080]])
        #expect(twin.status == 409)
        let nowhere = "99999999-9999-4999-8999-999999999999"
        let lost = await cloud.call(
            "POST", path, ["member": ["address": "10.0.0.5", "protocol_port": 80, "subnet_id": .string(nowhere)]])
        #expect(lost.status == 400)
        #expect(lost.fault == "Subnet \(nowhere) not found.")
        #expect(await cloud.call("GET", "/lbaas/pools/\(other.id)/members/\(member.id)").status == 404)
        let reserved = await cloud.call(
            "POST", path, ["member": ["address": "169.254.169.254", "protocol_port": 80]])
        #expect(reserved.fault == "169.254.169.254 is not a valid option for member address")
    }

    @Test("A pool that a policy sends to stays until the policy is gone")
    func policies() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let listener = try await cloud.listener(balancer.id)
        let pool = try await cloud.pool(balancer.id)
        let policy = try await cloud.make(
            "l7policy", "/lbaas/l7policies",
            [
                "listener_id": .string(listener.id), "action": "REDIRECT_TO_POOL",
                "redirect_pool_id": .string(pool.id),
            ])
        let rule = try await cloud.make(
            "rule", "/lbaas/l7policies/\(policy.id)/rules",
            ["type": "PATH", "compare_type": "STARTS_WITH", "value": "/images"])
        try await cloud.sync()
        let spec = await cloud.haproxy.balancers[balancer.id]
        #expect(spec?.listeners.first?.policies.first?.rules.first?.value == "/images")
        let refused = await cloud.call("DELETE", "/lbaas/pools/\(pool.id)")
        #expect(refused.status == 409)
        #expect(refused.fault == "Pool \(pool.id) is in use by L7 policy \(policy.id)")
        let second = try await cloud.make(
            "l7policy", "/lbaas/l7policies",
            ["listener_id": .string(listener.id), "action": "REJECT", "position": 1])
        #expect(second["position"] == 1)
        #expect(await cloud.show("l7policy", "/lbaas/l7policies/\(policy.id)")["position"] == 2)
        #expect(await cloud.call("DELETE", "/lbaas/l7policies/\(policy.id)/rules/\(rule.id)").status == 204)
        #expect(await cloud.call("DELETE", "/lbaas/l7policies/\(policy.id)").status == 204)
        #expect(await cloud.call("DELETE", "/lbaas/pools/\(pool.id)").status == 204)
        try await cloud.sync()
        #expect(await cloud.call("GET", "/lbaas/pools/\(pool.id)").status == 404)
    }

    @Test("What the OVN provider cannot do is refused in its own words")
    func limits() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer(["provider": "ovn"])
        let listener = await cloud.call(
            "POST", "/lbaas/listeners",
            ["listener": ["loadbalancer_id": .string(balancer.id), "protocol": "HTTP", "protocol_port": 80]])
        #expect(listener.status == 501)
        #expect(
            listener.fault
                == "Provider 'ovn' does not support a requested option: OVN provider does not support HTTP protocol")
        let pool = await cloud.call(
            "POST", "/lbaas/pools",
            [
                "pool": [
                    "loadbalancer_id": .string(balancer.id), "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN",
                ]
            ])
        #expect(pool.fault.hasSuffix("OVN provider does not support ROUND_ROBIN algorithm"))
        #expect(await cloud.call("PUT", "/lbaas/loadbalancers/\(balancer.id)/failover", as: .admin()).status == 501)
    }

    @Test("Pools of datagrams are watched as others are, and refuse members of the other family and LEAST_CONNECTIONS")
    func datagrams() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let listener = try await cloud.listener(balancer.id, ["protocol": "UDP"])
        let pool = try await cloud.pool(balancer.id, ["protocol": "UDP", "listener_id": .string(listener.id)])
        _ = try await cloud.member(pool.id)
        let mixed = await cloud.call(
            "POST", "/lbaas/pools/\(pool.id)/members", ["member": ["address": "fd00::50", "protocol_port": 53]])
        #expect(mixed.status == 501)
        #expect(mixed.fault.contains("mixing IPv4 and IPv6 addresses for its VIP and members in UDP load balancers."))
        let counting = await cloud.call(
            "POST", "/lbaas/pools",
            [
                "pool": [
                    "protocol": "UDP", "lb_algorithm": "LEAST_CONNECTIONS", "loadbalancer_id": .string(balancer.id),
                ]
            ])
        #expect(counting.status == 501)
        _ = try await cloud.make(
            "healthmonitor", "/lbaas/healthmonitors",
            ["pool_id": .string(pool.id), "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2])
        try await cloud.sync()
        // Its own legs look: no port is made for that.
        let ports = await cloud.cloud.call(
            "network", "GET", "/v2.0/ports", as: .admin(), query: "device_owner=ovn-lb-hm:distributed")
        #expect(ports["ports"].array?.isEmpty == true)
    }
}
