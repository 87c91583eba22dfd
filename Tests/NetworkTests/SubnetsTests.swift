// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct SubnetsTests {
    @Test("A subnet gets its first address as gateway and the rest as its pool")
    func defaults() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let subnet = try await cloud.make(
            "subnet", "/subnets", ["network_id": .string(network), "ip_version": 4, "cidr": "10.0.0.0/24"])
        #expect(subnet.text("gateway_ip") == "10.0.0.1")
        #expect(subnet["allocation_pools"] == [["start": "10.0.0.2", "end": "10.0.0.254"]])
        #expect(subnet["enable_dhcp"]?.bool == true)
        #expect(await cloud.call("GET", "/networks/\(network)")["network"]["subnets"] == [.string(subnet.id)])
        let bare = try await cloud.make(
            "subnet", "/subnets",
            ["network_id": .string(network), "ip_version": 6, "cidr": "2001:db8::/64", "gateway_ip": nil])
        #expect(bare["gateway_ip"] == .null)
        #expect(bare["ipv6_ra_mode"] == .null)
    }

    @Test("A network's addresses are counted: the whole subnet's, those of its pools, and those taken of both")
    func availability() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let pools: JSON = [["start": "10.0.0.10", "end": "10.0.0.19"]]
        let subnet = try await cloud.make(
            "subnet", "/subnets",
            ["network_id": .string(network), "ip_version": 4, "cidr": "10.0.0.0/24", "allocation_pools": pools])
        _ = try await cloud.port(network, ["fixed_ips": [["ip_address": "10.0.0.12"]]], as: .admin())
        _ = try await cloud.port(network, ["fixed_ips": [["ip_address": "10.0.0.99"]]], as: .admin())
        let path = "/network-ip-availabilities/\(network)"
        let line = await cloud.call("GET", path, as: .admin())["network_ip_availability"]
        let taken = line["used_ips"]?.integer ?? 0
        #expect(taken >= 2 && line["total_ips"] == 10)
        let details = try #require(line["ip_availability_details"])
        #expect(details["total_ips_in_subnet"] == 254 && details["total_ips_in_allocation_pool"] == 10)
        #expect(details["used_ips_in_subnet"]?.integer == taken)
        #expect(details["used_ips_in_allocation_pool"]?.integer == taken - 1, "one is outside of the pool")
        #expect(line["subnet_ip_availability"]?[0]?["ip_availability_details"] == details)
        let none: JSON = ["subnet": ["allocation_pools": []]]
        #expect(await cloud.call("PUT", "/subnets/\(subnet.id)", none).status == 200)
        #expect(await cloud.call("GET", path, as: .admin())["network_ip_availability"]["total_ips"] == 256)
        #expect(await cloud.call("GET", "/extensions/network-ip-availability-details").status == 200)
        // Of whole subnets the gateway's address is the only one that no pool has.
        let whole = try await cloud.network()
        for (version, cidr, gateway) in [(4, "10.0.1.0/24", "10.0.1.1"), (6, "2001:db8::/112", "2001:db8::1")] {
            _ = try await cloud.make(
                "subnet", "/subnets",
                ["network_id": .string(whole), "ip_version": .integer(Int64(version)), "cidr": .string(cidr)])
            _ = try await cloud.port(whole, ["fixed_ips": [["ip_address": .string(gateway)]]], as: .admin())
        }
        _ = try await cloud.port(whole, as: .admin())
        let lines = await cloud.call("GET", "/network-ip-availabilities", as: .admin())
        let wholes = (lines["network_ip_availabilities"].array ?? []).first { $0["network_id"]?.string == whole }
        let both = wholes?["subnet_ip_availability"]?.array
        #expect(both?.count == 2, "\(lines.json.text())")
        for subnet in both ?? [] {
            let (used, details) = (subnet["used_ips"]?.integer ?? 0, subnet["ip_availability_details"])
            #expect(used >= 2 && details?["used_ips_in_allocation_pool"]?.integer == used - 1, "\(subnet.text())")
        }
    }

    @Test(
        "What is not sound is refused with upstream's type",
        arguments: [
            (["ip_version": 4, "cidr": "10.0.1.0/255.255.255.0"], 400, "HTTPBadRequest"),
            (
                [
                    "ip_version": 4, "cidr": "10.0.1.0/24",
                    "host_routes": [["destination": "10.2.0.1/16", "nexthop": "10.0.1.9"]],
                ], 400, "HTTPBadRequest"
            ),
            (["ip_version": 6, "cidr": "10.0.1.0/24"], 400, "InvalidInput"),
            (["ip_version": 4], 400, "BadRequest"),
            (["ip_version": 4, "cidr": "10.0.0.0/25"], 400, "InvalidInput"),
            (["ip_version": 4, "cidr": "10.0.1.0/31"], 400, "InvalidInput"),
            (["ip_version": 4, "cidr": "10.0.1.0/24", "gateway_ip": "10.0.1.0"], 400, "InvalidInput"),
            (["ip_version": 4, "cidr": "10.0.1.0/24", "ipv6_ra_mode": "slaac"], 400, "InvalidInput"),
            (
                [
                    "ip_version": 4, "cidr": "10.0.1.0/24",
                    "allocation_pools": [["start": "10.0.2.2", "end": "10.0.2.9"]],
                ], 400, "OutOfBoundsAllocationPool"
            ),
            (
                [
                    "ip_version": 4, "cidr": "10.0.1.0/24",
                    "allocation_pools": [["start": "10.0.1.1", "end": "10.0.1.9"]],
                ], 409, "GatewayConflictWithAllocationPools"
            ),
            (
                [
                    "ip_version": 4, "cidr": "10.0.1.0/24",
                    "allocation_pools": [
                        ["start": "10.0.1.2", "end": "10.0.1.9"], ["start": "10.0.1.9", "end": "10.0.1.19"],
                    ],
                ], 409, "OverlappingAllocationPools"
            ),
            (["ip_version": 4, "cidr": "10.0.1.0/24", "dns_nameservers": ["there"]], 400, "HTTPBadRequest"),
        ] as [(JSON, Int, String)])
    func bad(members: JSON, status: Int, type: String) async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        var body = members.object ?? JSONObject()
        body["network_id"] = .string(network)
        let answer = await cloud.call("POST", "/subnets", ["subnet": .object(body)])
        #expect(answer.status == status)
        #expect(answer.type == type)
    }

    @Test(
        "An address inside a block names the block",
        arguments: [(4, "10.99.99.0/16", "10.99.0.0/16"), (6, "2001:db8::5/64", "2001:db8::/64")])
    func hostBits(version: Int, said: String, block: String) async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let made = try await cloud.make(
            "subnet", "/subnets",
            ["network_id": .string(network), "ip_version": .integer(Int64(version)), "cidr": .string(said)])
        #expect(made["cidr"]?.string == block)
    }

    @Test("Members that may change do, and those that may not are named")
    func update() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let path = "/subnets/" + (try await cloud.subnet(network))
        let changed = await cloud.call(
            "PUT", path,
            [
                "subnet": [
                    "name": "n", "gateway_ip": "10.0.0.9", "dns_nameservers": ["8.8.8.8"], "enable_dhcp": false,
                    "allocation_pools": [["start": "10.0.0.20", "end": "10.0.0.30"]],
                    "host_routes": [["destination": "10.20.0.0/32", "nexthop": "10.100.1.1"]],
                ]
            ])
        #expect(changed.status == 200)
        #expect(changed["subnet"].text("gateway_ip") == "10.0.0.9")
        #expect(changed["subnet"]["host_routes"] == [["destination": "10.20.0.0/32", "nexthop": "10.100.1.1"]])
        let refused = await cloud.call("PUT", path, ["subnet": ["cidr": "10.0.0.0/25"]])
        #expect(refused.status == 400)
        #expect(refused.message.contains("cidr"))
    }

    @Test("A subnet whose addresses are in use stays; its metadata port's does not count")
    func inUse() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let subnet = try await cloud.subnet(network)
        let port = try await cloud.port(network)
        let refused = await cloud.call("DELETE", "/subnets/\(subnet)")
        #expect(refused.status == 409)
        #expect(refused.type == "SubnetInUse")
        _ = await cloud.call("DELETE", "/ports/\(port.id)")
        #expect(await cloud.call("DELETE", "/subnets/\(subnet)").status == 204)
        let metadata = await cloud.call("GET", "/ports", query: "device_owner=network:distributed")["ports"][0]
        #expect(metadata?.addresses == [])
    }

    @Test("Subnets are cut from a pool, each its own block")
    func pools() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let pool = try await cloud.make(
            "subnetpool", "/subnetpools",
            ["name": "pool", "prefixes": ["10.11.12.0/24"], "min_prefixlen": 26, "default_prefixlen": "26"])
        #expect(pool.text("min_prefixlen") == "26")
        var blocks: Set<String> = []
        for _ in 0..<4 {
            let subnet = try await cloud.make(
                "subnet", "/subnets",
                ["network_id": .string(network), "ip_version": 4, "subnetpool_id": .string(pool.id)])
            blocks.insert(subnet.text("cidr"))
        }
        #expect(blocks == ["10.11.12.0/26", "10.11.12.64/26", "10.11.12.128/26", "10.11.12.192/26"])
        #expect(await cloud.call("DELETE", "/subnetpools/\(pool.id)").type == "SubnetPoolDeleteError")
    }

    @Test("The metadata port has the first free address in each subnet with DHCP")
    func metadata() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        #expect(try await cloud.service.metadataPorts() == [])
        let subnet = try await cloud.subnet(network)
        let endpoint = try #require(try await cloud.service.metadataPorts().first)
        #expect(endpoint.networkID == network)
        #expect(endpoint.addresses == ["10.0.0.2/24"])
        #expect(endpoint.mtu == 1442)
        _ = await cloud.call("PUT", "/subnets/\(subnet)", ["subnet": ["enable_dhcp": false]])
        #expect(try await cloud.service.metadataPorts() == [])
    }

    @Test(
        "IPv6 blocks that machines number themselves in have 64 bits; delegated prefixes are refused as such",
        arguments: ["slaac", "dhcpv6-stateless"])
    func automaticBlocks(mode: String) async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let narrow = await cloud.call(
            "POST", "/subnets",
            [
                "subnet": [
                    "network_id": .string(network), "ip_version": 6, "cidr": "fd00::/80",
                    "ipv6_address_mode": .string(mode),
                ]
            ])
        #expect(narrow.status == 400)
        #expect(narrow.message.contains("requires the prefix to be /64"))
        let delegated = await cloud.call(
            "POST", "/subnets",
            [
                "subnet": [
                    "network_id": .string(network), "ip_version": 6, "subnetpool_id": "prefix_delegation",
                    "ipv6_address_mode": .string(mode), "ipv6_ra_mode": .string(mode),
                ]
            ])
        #expect(delegated.status == 400)
        #expect(delegated.message.contains("Prefix delegation is not supported"))
    }
}
