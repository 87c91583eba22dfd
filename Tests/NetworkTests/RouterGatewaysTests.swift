// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct RouterGatewaysTests {
    private func router(_ cloud: NetworkCloud) async throws -> String {
        "/routers/" + (try await cloud.make("router", "/routers", ["name": "r"]).id)
    }

    private func gateways(_ network: String, _ count: Int = 1) -> JSON {
        ["router": ["external_gateways": .array((0..<count).map { _ in ["network_id": .string(network)] })]]
    }

    @Test("A router has several gateways; the first is the one that older clients see")
    func walk() async throws {
        let cloud = try await NetworkCloud()
        let outer = try await cloud.outside().network
        let path = try await router(cloud)
        let added = await cloud.call("PUT", path + "/add_external_gateways", gateways(outer, 3))
        try #require(added.status == 200, "\(added.json.text())")
        let shown = added["router"]
        let list = shown["external_gateways"]?.array ?? []
        #expect(list.count == 3)
        #expect(shown["external_gateway_info"]?["external_fixed_ips"] == list.first?["external_fixed_ips"])
        #expect(shown["enable_snat"] == true)
        try await cloud.sync()
        let spec = await cloud.backend.topology.routers[String(path.dropFirst(9))]
        #expect(spec?.gateway?.more.count == 2)
        let crowd = await cloud.call("PUT", path + "/add_external_gateways", gateways(outer, 33))
        #expect(crowd.message.hasPrefix("Invalid input for external_gateways."))
        let more = await cloud.call("PUT", path + "/add_external_gateways", gateways(outer, 30))
        #expect(more.message.hasPrefix("Invalid input for external_gateways."), "nothing of it is done")
        let vague = await cloud.call("PUT", path + "/remove_external_gateways", gateways(outer))
        #expect(vague.type == "UnableToMatchGateways")
        let first = try #require(list.first)
        let removed = await cloud.call(
            "PUT", path + "/remove_external_gateways", ["router": ["external_gateways": [first]]])
        #expect(removed["router"]["external_gateways"]?.array?.count == 2)
        #expect(removed["router"]["external_gateway_info"]?["external_fixed_ips"] == list[1]["external_fixed_ips"])
        let moved = await cloud.call(
            "PUT", path + "/update_external_gateways", ["router": ["external_gateways": [list[2], first]]],
            as: .admin())
        try #require(moved.status == 200, "\(moved.json.text())")
        #expect(
            moved["router"]["external_gateways"]?.array?.compactMap { $0["external_fixed_ips"] }
                == [list[2]["external_fixed_ips"], first["external_fixed_ips"]].compactMap(\.self))
        let none = await cloud.call(
            "PUT", path + "/update_external_gateways", ["router": ["external_gateways": []]])
        #expect(none["router"]["external_gateways"] == [])
        #expect(none["router"]["external_gateway_info"] == .null)
        let nothing: JSON = ["router": ["external_gateways": [:]]]
        #expect(await cloud.call("PUT", path + "/remove_external_gateways", nothing).status == 200)
        let empty = await cloud.call("PUT", path + "/remove_external_gateways", gateways(outer))
        #expect(empty.type == "UnableToRemoveGateways")
        #expect(await cloud.call("DELETE", path).status == 204)
        let left = await cloud.call("GET", "/ports", as: .admin(), query: "device_owner=network:router_gateway")
        #expect(left["ports"] == [])
    }

    @Test("Who may not set addresses or SNAT may not here either")
    func rules() async throws {
        let cloud = try await NetworkCloud()
        let outer = try await cloud.outside().network
        let path = try await router(cloud)
        let snat = await cloud.call(
            "PUT", path + "/add_external_gateways",
            ["router": ["external_gateways": [["network_id": .string(outer), "enable_snat": false]]]])
        #expect(snat.status == 403)
        let ecmp = await cloud.call("PUT", path, ["router": ["enable_default_route_ecmp": true]])
        #expect(ecmp.status == 403)
        let asAdmin = await cloud.call(
            "PUT", path, ["router": ["enable_default_route_ecmp": true, "enable_default_route_bfd": true]],
            as: .admin())
        #expect(asAdmin["router"]["enable_default_route_ecmp"] == true)
        #expect(asAdmin["router"]["enable_default_route_bfd"] == true)
        #expect(asAdmin["router"]["ha"] == true)
        #expect(await cloud.call("GET", path)["router"]["ha"] == nil)
        let alone = await cloud.call("PUT", path, ["router": ["ha": false]], as: .admin())
        #expect(alone.message == "Invalid input for operation: Provider ovn does not support ha=False.")
        #expect(await cloud.call("PUT", path, ["router": ["distributed": true]], as: .admin()).status == 400)
    }

    @Test("A floating IP of a second gateway's network finds the router, and keeps that gateway")
    func floating() async throws {
        let scene = try await RoutersTests.Scene()
        let cloud = scene.cloud
        let second = try await cloud.network(
            [
                "name": "other", "router:external": true, "provider:network_type": "flat",
                "provider:physical_network": "external2",
            ], as: .admin())
        _ = try await cloud.subnet(second, "198.51.100.0/24", as: .admin())
        let path = "/routers/\(scene.router)"
        #expect(await cloud.call("PUT", path + "/add_external_gateways", gateways(second)).status == 200)
        let made = try await cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(second), "port_id": .string(scene.port.id)])
        #expect(made.text("router_id") == scene.router)
        let used = await cloud.call("PUT", path + "/remove_external_gateways", gateways(second))
        #expect(used.type == "RouterExternalGatewayInUseByFloatingIp")
        let other = await cloud.call("PUT", path + "/remove_external_gateways", gateways(scene.outer))
        #expect(other["router"]["external_gateway_info"]?.text("network_id") == second)
    }

    @Test("A flavor leads to the provider of routers by a service profile")
    func flavors() async throws {
        let cloud = try await NetworkCloud()
        let admin = Caller.admin()
        let flavor = try await cloud.make(
            "flavor", "/flavors", ["name": "plain", "service_type": "L3_ROUTER_NAT"], as: admin
        ).id
        let bare = await cloud.call("POST", "/routers", ["router": ["name": "r", "flavor_id": .string(flavor)]])
        #expect(bare.type == "FlavorServiceProfileBindingNotFound")
        let strange = await cloud.call(
            "POST", "/service_profiles", ["service_profile": ["driver": "nobody"]], as: admin)
        #expect(strange.type == "ServiceProfileDriverNotFound")
        let empty = await cloud.call("POST", "/service_profiles", ["service_profile": [:]], as: admin)
        #expect(empty.type == "ServiceProfileEmpty")
        let driver: JSON = "neutron.services.ovn_l3.service_providers.ovn.OvnDriver"
        let profile = try await cloud.make("service_profile", "/service_profiles", ["driver": driver], as: admin).id
        let bound = await cloud.call(
            "POST", "/flavors/\(flavor)/service_profiles", ["service_profile": ["id": .string(profile)]], as: admin)
        #expect(bound.status == 201)
        #expect(bound["service_profile"]["service_profiles"] == [.string(profile)])
        let router = try await cloud.make("router", "/routers", ["name": "r", "flavor_id": .string(flavor)])
        #expect(router.text("flavor_id") == flavor)
        #expect(await cloud.call("DELETE", "/flavors/\(flavor)", as: admin).type == "FlavorInUse")
        #expect(await cloud.call("DELETE", "/service_profiles/\(profile)", as: admin).type == "ServiceProfileInUse")
        #expect(await cloud.call("DELETE", "/routers/\(router.id)").status == 204)
        let path = "/flavors/\(flavor)/service_profiles/\(profile)"
        #expect(await cloud.call("DELETE", path, as: admin).status == 204)
        #expect(await cloud.call("DELETE", path, as: admin).type == "FlavorServiceProfileBindingNotFound")
        #expect(await cloud.call("DELETE", "/flavors/\(flavor)", as: admin).status == 204)
        #expect(await cloud.call("GET", "/service-providers")["service_providers"][0]?.text("name") == "ovn")
    }

    @Test("Hosts name zones, routers ask for them, and agents tell who carries which router")
    func zones() async throws {
        let cloud = try await NetworkCloud()
        let (outer, _) = try await cloud.outside()
        await cloud.backend.setHosts([
            ChassisFact(
                id: "a", hostname: "host-a", physicalNetworks: ["external"], isGateway: true, zones: ["east"]),
            ChassisFact(id: "b", hostname: "host-b", isGateway: true),
        ])
        try await cloud.service.sync.noteHosts()
        let zones = await cloud.call("GET", "/availability_zones", query: "resource=router")["availability_zones"]
        #expect(zones.array?.map { $0.text("name") } == ["east", "nova"])
        let nowhere = await cloud.call(
            "POST", "/routers", ["router": ["name": "r", "availability_zone_hints": ["west"]]])
        #expect(nowhere.type == "AvailabilityZoneNotFound")
        let router = try await cloud.make(
            "router", "/routers",
            [
                "name": "r", "availability_zone_hints": ["east"],
                "external_gateway_info": ["network_id": .string(outer)],
            ])
        #expect(router["availability_zones"] == ["east"])
        try await cloud.sync()
        #expect(await cloud.backend.topology.routers[router.id]?.zoneHints == ["east"])
        let agents = await cloud.call("GET", "/routers/\(router.id)/l3-agents", as: .admin())["agents"]
        #expect(agents.array?.map(\.id) == ["a", "b"])
        #expect(agents[0]?.text("ha_state") == "active")
        #expect(await cloud.call("GET", "/routers/\(router.id)/l3-agents").status == 403)
        let routers = await cloud.call("GET", "/agents/a/l3-routers", as: .admin())["routers"]
        #expect(routers.array?.map(\.id) == [router.id])
        let sent = await cloud.call(
            "POST", "/agents/a/l3-routers", ["router_id": .string(router.id)], as: .admin())
        #expect(sent.type == "RouterHostedByL3Agent")
        let gone = await cloud.call("DELETE", "/agents/a/l3-routers/\(router.id)", as: .admin())
        #expect(gone.status == 204)
        #expect(
            await cloud.call("DELETE", "/agents/a/l3-routers/\(router.id)", as: .admin()).type
                == "RouterNotHostedByL3Agent")
        let back = await cloud.call(
            "POST", "/agents/a/l3-routers",
            ["router_id": .string(router.id), "ha_chassis_priority": 9], as: .admin())
        #expect(back.status == 201)
        for (priority, type) in [(9, "HAChassisPriorityAlreadyAssigned"), (40_000, "InvalidHAChassisPriority")] {
            let refused = await cloud.call(
                "PUT", "/agents/b/l3-routers/\(router.id)", ["ha_chassis_priority": .integer(Int64(priority))],
                as: .admin())
            #expect(refused.type == type)
        }
        let first = await cloud.call(
            "PUT", "/agents/b/l3-routers/\(router.id)", ["ha_chassis_priority": 10], as: .admin())
        #expect(first.status == 200)
        try await cloud.sync()
        #expect(
            await cloud.backend.topology.routers[router.id]?.hosts == [
                GatewayHost(id: "b", priority: 10), GatewayHost(id: "a", priority: 9),
            ])
        let ordered = await cloud.call("GET", "/routers/\(router.id)/l3-agents", as: .admin())["agents"]
        #expect(ordered.array?.map(\.id) == ["b", "a"])
        #expect(ordered[1]?["ha_chassis_priority"] == 9)
    }
}
