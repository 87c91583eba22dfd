// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct PortForwardingsTests {
    /// A floating address that stands for nothing yet, in a scene with a router.
    private struct Ground {
        let scene: RoutersTests.Scene
        let floating: JSON
        var cloud: NetworkCloud { scene.cloud }
        var path: String { "/floatingips/\(floating.id)/port_forwardings" }

        init() async throws {
            scene = try await RoutersTests.Scene()
            floating = try await scene.cloud.make(
                "floatingip", "/floatingips", ["floating_network_id": .string(scene.outer)])
        }

        func draft(_ more: JSONObject = JSONObject()) -> JSON {
            var draft: JSONObject = [
                "internal_port_id": .string(scene.port.id), "internal_ip_address": .string(scene.port.addresses[0]),
                "protocol": "tcp", "internal_port": 22, "external_port": 2222,
            ]
            for (name, value) in more { draft[name] = value.isNull ? nil : value }
            return ["port_forwarding": .object(draft)]
        }
    }

    @Test("A port forwarding is made, shown with its floating IP, changed, and frees the floating IP when it goes")
    func walk() async throws {
        let ground = try await Ground()
        let cloud = ground.cloud
        let made = await cloud.call("POST", ground.path, ground.draft(["description": "ssh"]))
        try #require(made.status == 201, "\(made.json.text())")
        let forwarding = made["port_forwarding"]
        #expect(forwarding["external_port"] == 2222)
        #expect(forwarding["internal_port"] == 22)
        #expect(forwarding.text("external_port_range") == "2222:2222")
        #expect(forwarding.text("protocol") == "tcp")
        #expect(forwarding.text("description") == "ssh")
        try await cloud.sync()
        let floating = await cloud.call("GET", "/floatingips/\(ground.floating.id)")["floatingip"]
        #expect(floating.text("router_id") == ground.scene.router)
        #expect(floating.text("status") == "ACTIVE")
        #expect(floating["port_id"] == .null)
        #expect(floating["port_forwardings"]?[0]?.id == forwarding.id)
        #expect(floating["port_forwardings"]?[0]?["internal_port"] == 22)
        let spec = try #require(await cloud.backend.topology.routers[ground.scene.router]?.forwardings.first)
        #expect(spec.externals == 2222...2222)
        let one = ground.path + "/" + forwarding.id
        let changed = await cloud.call("PUT", one, ["port_forwarding": ["external_port": 2022, "protocol": "udp"]])
        #expect(changed["port_forwarding"]["external_port"] == 2022)
        #expect(changed["port_forwarding"].text("protocol") == "udp")
        let listed = await cloud.call("GET", ground.path, query: "protocol=udp")
        #expect(listed["port_forwardings"].array?.count == 1)
        #expect(await cloud.call("GET", ground.path, query: "protocol=tcp")["port_forwardings"] == [])
        #expect(await cloud.call("DELETE", one).status == 204)
        try await cloud.sync()
        #expect(await cloud.backend.topology.routers[ground.scene.router]?.forwardings == [])
        let free = await cloud.call("GET", "/floatingips/\(ground.floating.id)")["floatingip"]
        #expect(free["router_id"] == .null)
        #expect(free.text("status") == "DOWN")
        #expect(await cloud.call("GET", one).type == "PortForwardingNotFound")
    }

    @Test("Ranges lead to as many ports or to one")
    func ranges() async throws {
        let ground = try await Ground()
        let range: JSONObject = [
            "internal_port": nil, "external_port": nil, "external_port_range": "8000:8002",
            "internal_port_range": "80:82",
        ]
        let made = await ground.cloud.call("POST", ground.path, ground.draft(range))
        #expect(made["port_forwarding"].text("external_port_range") == "8000:8002")
        #expect(made["port_forwarding"]["external_port"] == nil)
        let uneven: JSONObject = [
            "internal_port": nil, "external_port": nil, "external_port_range": "9000:9004",
            "internal_port_range": "80:82",
        ]
        #expect(await ground.cloud.call("POST", ground.path, ground.draft(uneven)).status == 400)
        let clash = await ground.cloud.call(
            "POST", ground.path, ground.draft(["external_port": 8001, "internal_port": 99]))
        #expect(
            clash.message == "Bad port_forwarding request: There is a port collision with the external_port_range. The "
                + "following ranges collide: 8000:8002 and 8001:8001.")
        let inner = await ground.cloud.call(
            "POST", ground.path, ground.draft(["external_port": 9999, "internal_port": 81]))
        #expect(inner.status == 400)
        for bad: JSON in ["80:", "90:80", "0", "1:2:3", "70000", true, [], [:]] {
            let answer = await ground.cloud.call("POST", ground.path, ground.draft(["external_port_range": bad]))
            #expect(answer.status == 400, "\(bad)")
        }
        #expect(await ground.cloud.call("POST", ground.path, ground.draft(["protocol": "icmp"])).status == 400)
    }

    @Test("A floating IP with forwardings stays as it is, and is not everybody's")
    func inUse() async throws {
        let ground = try await Ground()
        let cloud = ground.cloud
        _ = await cloud.call("POST", ground.path, ground.draft())
        let floating = "/floatingips/\(ground.floating.id)"
        #expect(await cloud.call("DELETE", floating).type == "FipInUseByPortForwarding")
        let other = try await cloud.port(ground.scene.inner)
        let taken = await cloud.call("PUT", floating, ["floatingip": ["port_id": .string(other.id)]])
        #expect(taken.type == "FipInUseByPortForwarding")
        let subnet = await cloud.call(
            "PUT", "/routers/\(ground.scene.router)/remove_router_interface",
            ["subnet_id": .string(ground.scene.subnet)])
        #expect(subnet.type == "RouterInterfaceInUseByFloatingIP")
        #expect(await cloud.call("GET", ground.path, as: .member("eve", project: "other")).status == 404)
        #expect(await cloud.call("DELETE", "/ports/\(ground.scene.port.id)").status == 204)
        #expect(await cloud.call("GET", ground.path)["port_forwardings"] == [])
        #expect(await cloud.call("DELETE", floating).status == 204)
    }

    @Test("A port with a floating IP of its own needs none")
    func bound() async throws {
        let ground = try await Ground()
        _ = try await ground.cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(ground.scene.outer), "port_id": .string(ground.scene.port.id)])
        let answer = await ground.cloud.call("POST", ground.path, ground.draft())
        #expect(answer.status == 409)
        #expect(answer.type == "PortHasBindingFloatingIP")
    }
}
