// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct NDPProxiesTests {
    /// An external network and an inner one, with IPv6 blocks of one address scope each.
    private struct Ground {
        let outside: String, inner: String, subnet: String
        let router: String
    }

    private static func block(
        _ cloud: NetworkCloud, _ network: String, _ cidr: String, pool: String, as caller: Caller
    ) async throws -> String {
        try await cloud.make(
            "subnet", "/subnets",
            [
                "network_id": .string(network), "ip_version": 6, "cidr": .string(cidr), "subnetpool_id": .string(pool),
                "enable_dhcp": false,
            ], as: caller
        ).id
    }

    private static func ground(_ cloud: NetworkCloud, enabled: Bool = true) async throws -> Ground {
        let scope = try await cloud.make(
            "address_scope", "/address-scopes", ["name": "wide", "ip_version": 6, "shared": true], as: .admin()
        ).id
        let pool = try await cloud.make(
            "subnetpool", "/subnetpools",
            [
                "name": "wide", "prefixes": ["2001:db8::/32"], "default_prefixlen": 64, "shared": true,
                "address_scope_id": .string(scope),
            ], as: .admin()
        ).id
        let outside = try await cloud.network(["name": "out", "router:external": true], as: .admin())
        _ = try await block(cloud, outside, "2001:db8:ffff::/64", pool: pool, as: .admin())
        let inner = try await cloud.network()
        let subnet = try await block(cloud, inner, "2001:db8:1::/64", pool: pool, as: .member())
        let router = try await cloud.make(
            "router", "/routers",
            ["external_gateway_info": ["network_id": .string(outside)], "enable_ndp_proxy": .bool(enabled)])
        #expect(router["enable_ndp_proxy"] == .bool(enabled))
        let joined = await cloud.call(
            "PUT", "/routers/\(router.id)/add_router_interface", ["subnet_id": .string(subnet)])
        #expect(joined.status == 200)
        return Ground(outside: outside, inner: inner, subnet: subnet, router: router.id)
    }

    @Test("A guest's address is answered for by its router, which keeps what that needs, until the port goes")
    func life() async throws {
        let cloud = try await NetworkCloud()
        let ground = try await Self.ground(cloud)
        let port = try await cloud.port(ground.inner)
        let proxy = try await cloud.make(
            "ndp_proxy", "/ndp_proxies",
            ["name": "door", "router_id": .string(ground.router), "port_id": .string(port.id)])
        #expect(proxy.text("ip_address") == port.addresses.first)
        try await cloud.sync()
        #expect(
            await cloud.backend.topology.routers[ground.router]?.ndpProxies.map(\.description) == port.addresses)
        let twice = await cloud.call(
            "POST", "/ndp_proxies",
            ["ndp_proxy": ["router_id": .string(ground.router), "port_id": .string(port.id)]])
        #expect(twice.status == 409)
        let unset = await cloud.call(
            "PUT", "/routers/\(ground.router)", ["router": ["external_gateway_info": [:]]])
        #expect(unset.status == 409 && unset.type == "RouterGatewayInUseByNDPProxy")
        let parted = await cloud.call(
            "PUT", "/routers/\(ground.router)/remove_router_interface", ["subnet_id": .string(ground.subnet)])
        #expect(parted.status == 409 && parted.type == "RouterInterfaceInUseByNDPProxy")
        let renamed = await cloud.call("PUT", "/ndp_proxies/\(proxy.id)", ["ndp_proxy": ["name": "gate"]])
        #expect(renamed["ndp_proxy"].text("name") == "gate")
        #expect(await cloud.call("GET", "/ndp_proxies/\(proxy.id)", as: .member(project: "other")).status == 404)
        #expect(await cloud.call("DELETE", "/ports/\(port.id)").status == 204)
        #expect(await cloud.call("GET", "/ndp_proxies/\(proxy.id)").type == "NDPProxyNotFound")
        try await cloud.sync()
        #expect(await cloud.backend.topology.routers[ground.router]?.ndpProxies == [])
    }

    @Test(
        "What cannot be reached is refused: other scopes, other networks, routers that do not answer, other addresses")
    func refused() async throws {
        let cloud = try await NetworkCloud()
        let ground = try await Self.ground(cloud, enabled: false)
        let port = try await cloud.port(ground.inner)
        func ask(_ more: JSONObject = JSONObject(), port: String) async -> TestCloud.Answer {
            var members = more
            members["router_id"] = .string(ground.router)
            members["port_id"] = .string(port)
            return await cloud.call("POST", "/ndp_proxies", .object(JSONObject([("ndp_proxy", .object(members))])))
        }
        #expect(await ask(port: port.id).type == "RouterNDPProxyNotEnable")
        let on = await cloud.call("PUT", "/routers/\(ground.router)", ["router": ["enable_ndp_proxy": true]])
        #expect(on.status == 200)
        let strange = await ask(["ip_address": "2001:db8:1::dead"], port: port.id)
        #expect(strange.status == 400 && strange.type == "InvalidAddress")
        let other = try await cloud.network(["name": "other"])
        _ = try await cloud.subnet(other, "10.7.0.0/24")
        #expect(await ask(port: try await cloud.port(other).id).type == "PortUnreachableRouter")
        let plain = try await cloud.network(["name": "plain"])
        let block = try await cloud.make(
            "subnet", "/subnets", ["network_id": .string(plain), "ip_version": 6, "cidr": "fd00::/64"]
        ).id
        _ = await cloud.call(
            "PUT", "/routers/\(ground.router)/add_router_interface", ["subnet_id": .string(block)])
        #expect(await ask(port: try await cloud.port(plain).id).type == "AddressScopeConflict")
    }

    @Test("A router answers only with a gateway that carries IPv6 of an address scope")
    func gateways() async throws {
        let cloud = try await NetworkCloud()
        let (outside, _) = try await cloud.outside()
        for members in [
            ["enable_ndp_proxy": true],
            ["enable_ndp_proxy": true, "external_gateway_info": ["network_id": .string(outside)]],
        ] as [JSON] {
            let answer = await cloud.call("POST", "/routers", ["router": members])
            #expect(answer.status == 409 && answer.type == "RouterGatewayNotValid", "\(answer.message)")
        }
        let ground = try await Self.ground(cloud)
        let both = await cloud.call(
            "PUT", "/routers/\(ground.router)", ["router": ["enable_ndp_proxy": true, "external_gateway_info": [:]]])
        #expect(both.status == 409)
        let unset = await cloud.call("PUT", "/routers/\(ground.router)", ["router": ["external_gateway_info": [:]]])
        #expect(unset.status == 200 && unset["router"]["enable_ndp_proxy"] == false)
    }
}
