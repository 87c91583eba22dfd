// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Simulation
import Testing

struct LoadBalancersTests {
    @Test("A balancer is PENDING_CREATE with its address at once, and ACTIVE once its provider has it")
    func creation() async throws {
        let cloud = try await BalancerCloud()
        let answer = await cloud.call(
            "POST", "/lbaas/loadbalancers",
            ["loadbalancer": ["name": "web", "vip_subnet_id": .string(cloud.subnet), "tags": ["a", "b"]]])
        try #require(answer.status == 201, "\(answer.json.text())")
        let made = answer["loadbalancer"]
        #expect(made.provisioning == "PENDING_CREATE")
        #expect(made.operating == "OFFLINE")
        #expect(made.text("vip_address").hasPrefix("10.0.0."))
        #expect(made.text("vip_network_id") == cloud.network)
        #expect(made.text("provider") == "haproxy")
        #expect(made["tags"]?.array?.count == 2)
        let port = await cloud.cloud.call("network", "GET", "/v2.0/ports/" + made.text("vip_port_id"), as: .admin())
        #expect(port["port"].text("device_id") == "lb-" + made.id)
        try await cloud.sync()
        let shown = await cloud.show("loadbalancer", "/lbaas/loadbalancers/\(made.id)")
        #expect(shown.provisioning == "ACTIVE")
        #expect(shown.operating == "ONLINE")
        #expect(await cloud.haproxy.balancers[made.id]?.addresses.first?.address == made.text("vip_address"))
    }

    @Test("Both spellings of the version answer, and the root lists upstream's minor versions")
    func versions() async throws {
        let cloud = try await BalancerCloud()
        for base in ["/v2", "/v2.0"] {
            let answer = await cloud.cloud.call("load-balancer", "GET", base + "/lbaas/loadbalancers")
            #expect(answer.status == 200)
        }
        let versions = await cloud.cloud.call("load-balancer", "GET", "/")["versions"].array ?? []
        #expect(versions.count == 31)
        #expect(versions.last?.text("status") == "CURRENT")
    }

    @Test("A balancer may be edited while it is busy, and the latest write is what becomes real")
    func latestWins() async throws {
        let cloud = try await BalancerCloud()
        let made = try await cloud.make(
            "loadbalancer", "/lbaas/loadbalancers", ["vip_subnet_id": .string(cloud.subnet)])
        let path = "/lbaas/loadbalancers/\(made.id)"
        for limit in [10, 20, 30] {
            let answer = await cloud.call(
                "POST", "/lbaas/listeners",
                [
                    "listener": [
                        "loadbalancer_id": .string(made.id), "protocol": "TCP", "protocol_port": .integer(Int64(limit)),
                    ]
                ])
            #expect(answer.status == 201, "\(answer.json.text())")
        }
        #expect(await cloud.call("PUT", path, ["loadbalancer": ["name": "second"]]).status == 200)
        try await cloud.sync()
        #expect(await cloud.show("loadbalancer", path).provisioning == "ACTIVE")
        #expect(await cloud.haproxy.balancers[made.id]?.listeners.count == 3)
        #expect(await cloud.haproxy.puts == 1)
    }

    @Test("A balancer with children goes only in a cascade, and nothing of it is left")
    func cascade() async throws {
        let cloud = try await BalancerCloud()
        let made = try await cloud.balancer()
        let pool = try await cloud.pool(made.id)
        _ = try await cloud.listener(made.id, ["default_pool_id": .string(pool.id)])
        _ = try await cloud.member(pool.id)
        let path = "/lbaas/loadbalancers/\(made.id)"
        let refused = await cloud.call("DELETE", path)
        #expect(refused.status == 400)
        #expect(refused.fault == "Validation failure: Cannot delete Load Balancer \(made.id) - it has children")
        #expect(await cloud.call("DELETE", path, query: "cascade=true").status == 204)
        #expect(await cloud.show("loadbalancer", path).provisioning == "PENDING_DELETE")
        #expect(await cloud.call("DELETE", path, query: "cascade=true").status == 204)
        try await cloud.sync()
        #expect(await cloud.call("GET", path).status == 404)
        #expect(await cloud.call("GET", "/lbaas/pools")["pools"].array?.isEmpty == true)
        #expect(await cloud.haproxy.balancers.isEmpty)
        let ports = await cloud.cloud.call(
            "network", "GET", "/v2.0/ports", as: .admin(), query: "device_id=lb-\(made.id)")
        #expect(ports["ports"].array?.isEmpty == true)
    }

    @Test("What another project owns is refused with 403, what is not there with 404")
    func owners() async throws {
        let cloud = try await BalancerCloud()
        let made = try await cloud.balancer()
        let path = "/lbaas/loadbalancers/\(made.id)"
        let stranger = Caller.member("bob", project: "project-b")
        let refused = await cloud.call("GET", path, as: stranger)
        #expect(refused.status == 403)
        #expect(refused["faultcode"].string == "Client")
        #expect(refused.fault == "Policy does not allow this request to be performed.")
        #expect(await cloud.call("GET", path, as: .reader()).status == 200)
        #expect(await cloud.call("DELETE", path, as: .reader()).status == 403)
        #expect(await cloud.call("GET", "/lbaas/loadbalancers", as: stranger)["loadbalancers"].array?.isEmpty == true)
        #expect(await cloud.call("GET", "/lbaas/loadbalancers", as: .admin())["loadbalancers"].array?.count == 1)
        let missing = await cloud.call("GET", "/lbaas/loadbalancers/nowhere")
        #expect(missing.status == 404)
        #expect(missing.fault == "Load Balancer nowhere not found.")
    }

    @Test("A provider that fails leaves the balancer busy, then in ERROR, and ACTIVE once it works again")
    func failing() async throws {
        let cloud = try await BalancerCloud()
        await cloud.haproxy.fail(.unavailable("out of order"))
        let made = try await cloud.make(
            "loadbalancer", "/lbaas/loadbalancers", ["vip_subnet_id": .string(cloud.subnet)])
        let path = "/lbaas/loadbalancers/\(made.id)"
        let database = cloud.cloud.database
        for _ in 1...3 {
            #expect(await cloud.show("loadbalancer", path).provisioning == "PENDING_CREATE")
            try await cloud.service.sync.applyOnce()
            try await database.execute("UPDATE load_balancer_load_balancers SET retry_at = 0")
        }
        #expect(await cloud.show("loadbalancer", path).provisioning == "ERROR")
        await cloud.haproxy.fail(nil)
        try await cloud.sync()
        #expect(await cloud.show("loadbalancer", path).provisioning == "ACTIVE")
    }
}
