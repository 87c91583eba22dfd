// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct RoutersTests {
    /// A router between an inner network and the outside, with a port on the inner one.
    struct Scene {
        let cloud: NetworkCloud
        let outer: String, inner: String, subnet: String, router: String, port: JSON

        init() async throws {
            cloud = try await NetworkCloud()
            outer = try await cloud.outside().network
            inner = try await cloud.network()
            subnet = try await cloud.subnet(inner)
            router = try await cloud.make(
                "router", "/routers", ["name": "r", "external_gateway_info": ["network_id": .string(outer)]]
            ).id
            let added = await cloud.call(
                "PUT", "/routers/\(router)/add_router_interface", ["subnet_id": .string(subnet)])
            try #require(added.status == 200)
            port = try await cloud.port(inner)
        }
    }

    @Test("A router is made with a gateway, shown, changed and deleted")
    func walk() async throws {
        let cloud = try await NetworkCloud()
        let (outer, subnet) = try await cloud.outside()
        let made = try await cloud.make(
            "router", "/routers", ["name": "r", "external_gateway_info": ["network_id": .string(outer)]])
        #expect(made["external_gateway_info"]?.text("network_id") == outer)
        #expect(made["external_gateway_info"]?["enable_snat"]?.bool == true)
        #expect(made["external_gateway_info"]?["external_fixed_ips"]?[0]?.text("subnet_id") == subnet)
        let path = "/routers/\(made.id)"
        let fixed = await cloud.call(
            "PUT", path,
            [
                "router": [
                    "external_gateway_info": [
                        "network_id": .string(outer), "enable_snat": false,
                        "external_fixed_ips": [["ip_address": "203.0.113.50"]],
                    ]
                ]
            ], as: .admin())
        #expect(
            fixed["router"]["external_gateway_info"]?["external_fixed_ips"]?[0]?.text("ip_address") == "203.0.113.50")
        #expect(fixed["router"]["external_gateway_info"]?["enable_snat"]?.bool == false)
        let bare = await cloud.call("PUT", path, ["router": ["external_gateway_info": [:]]])
        #expect(bare["router"]["external_gateway_info"] == .null)
        #expect(await cloud.call("DELETE", path).status == 204)
        #expect(await cloud.call("GET", path).message == "Router \(made.id) could not be found")
    }

    @Test("Interfaces come by subnet or by port, and go the same ways")
    func interfaces() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let subnet = try await cloud.subnet(network)
        let router = try await cloud.make("router", "/routers", ["name": "r"]).id
        let path = "/routers/\(router)"
        let added = await cloud.call("PUT", path + "/add_router_interface", ["subnet_id": .string(subnet)])
        #expect(added.json.id == router)
        #expect(added["subnet_ids"] == [.string(subnet)])
        let port = await cloud.call("GET", "/ports/\(added.json.text("port_id"))")["port"]
        #expect(port.addresses == ["10.0.0.1"])
        #expect(port.text("device_owner") == "network:router_interface")
        #expect(await cloud.call("DELETE", "/ports/\(port.id)").type == "ServicePortInUse")
        let again = await cloud.call("PUT", path + "/add_router_interface", ["subnet_id": .string(subnet)])
        #expect(again.status == 400)
        #expect(again.message == "Bad router request: Router already has a port on subnet \(subnet).")
        #expect(await cloud.call("DELETE", path).type == "RouterInUse")
        let removed = await cloud.call("PUT", path + "/remove_router_interface", ["subnet_id": .string(subnet)])
        #expect(removed.status == 200)
        let own = try await cloud.port(network)
        let byPort = await cloud.call("PUT", path + "/add_router_interface", ["port_id": .string(own.id)])
        #expect(byPort.json.text("port_id") == own.id)
        #expect(
            await cloud.call("PUT", path + "/remove_router_interface", ["port_id": .string(own.id)]).status == 200)
        #expect(await cloud.call("GET", "/ports/\(own.id)").status == 404)
        let gone = await cloud.call("PUT", path + "/remove_router_interface", ["port_id": .string(own.id)])
        #expect(gone.type == "RouterInterfaceNotFound")
        #expect(await cloud.call("PUT", path + "/add_router_interface", [:]).status == 400)
    }

    @Test("Routes lead to neighbours")
    func routes() async throws {
        let scene = try await Scene()
        let path = "/routers/\(scene.router)"
        let route: JSON = ["destination": "10.9.0.0/16", "nexthop": "10.0.0.200"]
        let set = await scene.cloud.call("PUT", path, ["router": ["routes": [route]]])
        #expect(set["router"]["routes"] == [route])
        let far = await scene.cloud.call(
            "PUT", path, ["router": ["routes": [["destination": "10.9.0.0/16", "nexthop": "10.77.0.1"]]]])
        #expect(far.type == "InvalidRoutes")
        let needed = await scene.cloud.call(
            "PUT", path + "/remove_router_interface", ["subnet_id": .string(scene.subnet)])
        #expect(needed.type == "RouterInterfaceInUseByRoute")
        #expect(await scene.cloud.call("PUT", path, ["router": ["routes": []]])["router"]["routes"] == [])
    }

    @Test("A floating IP is made, moved, let go and deleted; it is up once the back end carries it")
    func floating() async throws {
        let scene = try await Scene()
        let cloud = scene.cloud
        let made = try await cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(scene.outer), "port_id": .string(scene.port.id)])
        #expect(made.text("floating_ip_address").hasPrefix("203.0.113."))
        #expect(made.text("fixed_ip_address") == scene.port.addresses[0])
        #expect(made.text("router_id") == scene.router)
        #expect(made.text("status") == "DOWN")
        try await cloud.sync()
        let path = "/floatingips/\(made.id)"
        #expect(await cloud.call("GET", path)["floatingip"].text("status") == "ACTIVE")
        #expect(await cloud.backend.topology.routers[scene.router]?.floatingIPs.count == 1)
        let other = try await cloud.port(scene.inner)
        let moved = await cloud.call("PUT", path, ["floatingip": ["port_id": .string(other.id)]])
        #expect(moved["floatingip"].text("fixed_ip_address") == other.addresses[0])
        let needed = await cloud.call(
            "PUT", "/routers/\(scene.router)/remove_router_interface", ["subnet_id": .string(scene.subnet)])
        #expect(needed.type == "RouterInterfaceInUseByFloatingIP")
        #expect(
            await cloud.call(
                "PUT", "/routers/\(scene.router)", ["router": ["external_gateway_info": nil]]
            ).type == "RouterExternalGatewayInUseByFloatingIp")
        let words = await cloud.call("PUT", path, ["floatingip": ["description": "mine"]])
        #expect(words["floatingip"].text("port_id") == other.id)
        let free = await cloud.call("PUT", path, ["floatingip": ["port_id": nil]])
        #expect(free["floatingip"]["port_id"] == .null)
        #expect(free["floatingip"]["router_id"] == .null)
        #expect(free["floatingip"].text("status") == "DOWN")
        try await cloud.sync()
        #expect(await cloud.backend.topology.routers[scene.router]?.floatingIPs == [])
        #expect(await cloud.call("DELETE", path).status == 204)
        #expect(await cloud.call("DELETE", "/routers/\(scene.router)").type == "RouterInUse")
    }

    @Test("A router's own port may have a floating IP, one that serves DHCP may not")
    func floatingOwnPort() async throws {
        let scene = try await Scene()
        let cloud = scene.cloud
        let own = try await cloud.port(scene.inner)
        let router = try await cloud.make("router", "/routers", ["name": "second"]).id
        let interface: JSON = ["port_id": .string(own.id)]
        #expect(await cloud.call("PUT", "/routers/\(router)/add_router_interface", interface).status == 200)
        let gateway: JSON = ["router": ["external_gateway_info": ["network_id": .string(scene.outer)]]]
        #expect(await cloud.call("PUT", "/routers/\(router)", gateway).status == 200)
        let made = try await cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(scene.outer), "port_id": .string(own.id)])
        #expect(made.text("port_id") == own.id && made.text("fixed_ip_address") == own.addresses[0])
        try await cloud.sync()
        let dhcp = try await cloud.port(scene.inner, ["device_owner": "network:dhcp"], as: .admin())
        let refused = await cloud.call(
            "PUT", "/floatingips/\(made.id)", ["floatingip": ["port_id": .string(dhcp.id)]], as: .admin())
        #expect(refused.status == 400 && refused.message.contains("is unable to be assigned a floating IP"))
    }

    @Test("A floating IP is free again when its port is deleted")
    func portGone() async throws {
        let scene = try await Scene()
        let made = try await scene.cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(scene.outer), "port_id": .string(scene.port.id)])
        _ = await scene.cloud.call("DELETE", "/ports/\(scene.port.id)")
        let left = await scene.cloud.call("GET", "/floatingips/\(made.id)")["floatingip"]
        #expect(left["port_id"] == .null)
        #expect(left["fixed_ip_address"] == .null)
    }

    @Test("A floating IP that leads nowhere is refused")
    func unreachable() async throws {
        let cloud = try await NetworkCloud()
        let (outer, _) = try await cloud.outside()
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        let port = try await cloud.port(network)
        let answer = await cloud.call(
            "POST", "/floatingips",
            ["floatingip": ["floating_network_id": .string(outer), "port_id": .string(port.id)]])
        #expect(answer.status == 404)
        #expect(answer.type == "ExternalGatewayForFloatingIPNotFound")
        let inner = await cloud.call("POST", "/floatingips", ["floatingip": ["floating_network_id": .string(network)]])
        #expect(inner.status == 400)
        #expect(await cloud.call("GET", "/floatingips")["floatingips"] == [])
        // What the refused ones took is given back.
        let left = await cloud.call("GET", "/ports", as: .admin(), query: "device_owner=network:floatingip")
        #expect(left["ports"] == [])
    }
}
