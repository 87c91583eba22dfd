// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct SubnetPoolPrefixesTests {
    private func pool(_ cloud: NetworkCloud, _ prefixes: JSON = ["10.0.0.0/16"]) async throws -> String {
        try await cloud.make(
            "subnetpool", "/subnetpools", ["name": "p", "prefixes": prefixes, "default_prefixlen": 24]
        ).id
    }

    @Test("Prefixes come, grow together, and go unless a subnet is cut from them")
    func prefixes() async throws {
        let cloud = try await NetworkCloud()
        let path = "/subnetpools/\(try await pool(cloud))"
        let more = await cloud.call("PUT", path + "/add_prefixes", ["prefixes": ["10.1.0.0/16", "10.9.0.0/24"]])
        #expect(more["prefixes"] == ["10.0.0.0/15", "10.9.0.0/24"])
        let less = await cloud.call("PUT", path + "/remove_prefixes", ["prefixes": ["10.1.0.0/16"]])
        #expect(less["prefixes"] == ["10.0.0.0/16", "10.9.0.0/24"])
        let nothing = await cloud.call("PUT", path + "/remove_prefixes", ["prefixes": ["192.0.2.0/24"]])
        #expect(nothing["prefixes"] == ["10.0.0.0/16", "10.9.0.0/24"])
        let network = try await cloud.network()
        _ = try await cloud.make(
            "subnet", "/subnets",
            ["network_id": .string(network), "ip_version": 4, "subnetpool_id": .string(String(path.dropFirst(13)))])
        let used = await cloud.call("PUT", path + "/remove_prefixes", ["prefixes": ["10.0.0.0/24"]])
        #expect(used.type == "IllegalSubnetPoolPrefixUpdate")
        let mixed = await cloud.call("PUT", path + "/add_prefixes", ["prefixes": ["fd00::/64"]])
        #expect(mixed.type == "PrefixVersionMismatch")
        #expect(await cloud.call("PUT", path + "/add_prefixes", [:]).status == 400)
    }

    @Test("A network's subnets join a pool with their prefixes")
    func onboard() async throws {
        let cloud = try await NetworkCloud()
        let id = try await pool(cloud)
        let network = try await cloud.network()
        let subnet = try await cloud.subnet(network, "192.0.2.0/24")
        let path = "/subnetpools/\(id)/onboard_network_subnets"
        let answer = await cloud.call("PUT", path, ["network_id": .string(network)])
        #expect(answer.json == [["id": .string(subnet), "cidr": "192.0.2.0/24"]])
        #expect(await cloud.call("GET", "/subnets/\(subnet)")["subnet"].text("subnetpool_id") == id)
        let known = await cloud.call("GET", "/subnetpools/\(id)")["subnetpool"]
        #expect(known["prefixes"] == ["10.0.0.0/16", "192.0.2.0/24"])
        let again = await cloud.call("PUT", path, ["network_id": .string(network)])
        #expect(again.status == 400)
        #expect(await cloud.call("PUT", path, ["network_id": .string(id)]).type == "NetworkNotFound")
    }
}
