// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct AutoAllocatedTopologiesTests {
    private func ready() async throws -> NetworkCloud {
        let cloud = try await NetworkCloud()
        let outer = try await cloud.outside().network
        _ = await cloud.call("PUT", "/networks/\(outer)", ["network": ["is_default": true]], as: .admin())
        _ = try await cloud.make(
            "subnetpool", "/subnetpools",
            [
                "name": "p", "prefixes": ["10.0.0.0/16"], "default_prefixlen": 24, "is_default": true, "shared": true,
            ], as: .admin())
        return cloud
    }

    @Test("The first asking makes a network that leads outside, the next ones find it, and it goes as a whole")
    func walk() async throws {
        let cloud = try await ready()
        let path = "/auto-allocated-topology/None"
        let check = await cloud.call("GET", path, query: "fields=dry-run")
        #expect(check["auto_allocated_topology"].text("id") == "dry-run=pass")
        #expect(await cloud.call("GET", "/networks", query: "name=auto_allocated_network")["networks"] == [])
        let made = await cloud.call("GET", path)["auto_allocated_topology"]
        #expect(made.text("project_id") == "project-a")
        #expect(await cloud.call("GET", path)["auto_allocated_topology"].id == made.id)
        let network = await cloud.call("GET", "/networks/\(made.id)")["network"]
        #expect(network["admin_state_up"] == true)
        #expect(network["subnets"]?.array?.count == 1)
        let router = await cloud.call("GET", "/routers", query: "name=auto_allocated_router")["routers"][0]
        #expect(router?["external_gateway_info"] != .null)
        let port = try await cloud.port(made.id)
        #expect(await cloud.call("DELETE", path).status == 409, "a port is in use")
        #expect(await cloud.call("DELETE", "/ports/\(port.id)").status == 204)
        #expect(await cloud.call("DELETE", path).status == 204)
        #expect(await cloud.call("GET", "/routers")["routers"] == [])
        #expect(await cloud.call("GET", "/networks/\(made.id)").status == 404)
        #expect(await cloud.call("DELETE", path).status == 204)
    }

    @Test("Without a default network or pool it says what is missing; other projects' are not to be had")
    func missing() async throws {
        let cloud = try await NetworkCloud()
        let answer = await cloud.call("GET", "/auto-allocated-topology/None")
        #expect(answer.status == 409)
        #expect(answer.message == "Deployment error: No default router:external network.")
        #expect(await cloud.call("GET", "/auto-allocated-topology/other").status == 403)
    }

    @Test("Pools of floating IPs are the IPv4 subnets of external networks")
    func pools() async throws {
        let cloud = try await NetworkCloud()
        let (outer, subnet) = try await cloud.outside()
        let pools = await cloud.call("GET", "/floatingip_pools")["floatingip_pools"]
        #expect(pools[0]?.text("network_id") == outer)
        #expect(pools[0]?.text("subnet_id") == subnet)
        #expect(pools[0]?.text("cidr") == "203.0.113.0/24")
        #expect(await cloud.call("GET", "/floatingip_pools", query: "cidr=192.0.2.0/24")["floatingip_pools"] == [])
    }
}
