// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct BGPTests {
    private static func speaker(_ cloud: NetworkCloud, _ more: JSONObject = JSONObject()) async throws -> String {
        var members: JSONObject = ["name": "edge", "ip_version": 4, "local_as": 64_512]
        for (name, value) in more { members[name] = value }
        return try await cloud.make("bgp_speaker", "/bgp-speakers", .object(members), as: .admin()).id
    }

    private static func peer(_ cloud: NetworkCloud, _ address: String = "192.0.2.2") async throws -> String {
        try await cloud.make(
            "bgp_peer", "/bgp-peers",
            ["name": "router", "peer_ip": .string(address), "remote_as": 64_513, "auth_type": "none"], as: .admin()
        ).id
    }

    @Test("A speaker shows its peers and networks; a peer never shows its password")
    func shown() async throws {
        let cloud = try await NetworkCloud()
        let (speaker, peer) = (try await Self.speaker(cloud), try await Self.peer(cloud))
        let (network, _) = try await cloud.outside()
        let joined = await cloud.call(
            "PUT", "/bgp-speakers/\(speaker)/add_bgp_peer", ["bgp_peer_id": .string(peer)], as: .admin())
        #expect(joined.status == 200)
        #expect(joined["bgp_peer_id"] == .string(peer))
        _ = await cloud.call(
            "PUT", "/bgp-speakers/\(speaker)/add_gateway_network", ["network_id": .string(network)], as: .admin())
        let shown = await cloud.call("GET", "/bgp-speakers/\(speaker)", as: .admin())["bgp_speaker"]
        #expect(shown["peers"] == [.string(peer)])
        #expect(shown["networks"] == [.string(network)])
        #expect(shown["advertise_tenant_networks"] == true)
        let secret = try await cloud.make(
            "bgp_peer", "/bgp-peers",
            ["peer_ip": "192.0.2.3", "remote_as": 65_550, "auth_type": "md5", "password": "sesame"], as: .admin())
        #expect(secret["password"] == nil)
        #expect(secret["remote_as"] == 65_550)
    }

    @Test("Only administrators have to do with BGP")
    func personas() async throws {
        let cloud = try await NetworkCloud()
        let speaker = try await Self.speaker(cloud)
        #expect(await cloud.call("GET", "/bgp-speakers/\(speaker)").status == 404)
        #expect(await cloud.call("GET", "/bgp-speakers")["bgp_speakers"] == [])
        let refused = await cloud.call(
            "POST", "/bgp-speakers", ["bgp_speaker": ["ip_version": 4, "local_as": 1]])
        #expect(refused.status == 403)
    }

    @Test(
        "Bad input is refused in upstream's words",
        arguments: [
            (["local_as": 64_512], "Failed to parse request. Required attribute 'ip_version' not specified"),
            (["local_as": 64_512, "ip_version": 5], "Invalid input for ip_version. Reason: '5' is not in [4, 6]."),
            (
                ["local_as": 0, "ip_version": 4],
                "Invalid input for local_as. Reason: '0' is too small - must be at least '1'."
            ),
        ] as [(JSON, String)])
    func refused(members: JSON, message: String) async throws {
        let cloud = try await NetworkCloud()
        let answer = await cloud.call("POST", "/bgp-speakers", ["bgp_speaker": members], as: .admin())
        #expect(answer.status == 400)
        #expect(answer.message == message)
    }

    @Test("One peer address once per speaker; what is not joined cannot be parted")
    func associations() async throws {
        let cloud = try await NetworkCloud()
        let speaker = try await Self.speaker(cloud)
        let (one, two) = (try await Self.peer(cloud), try await Self.peer(cloud))
        let add = "/bgp-speakers/\(speaker)/add_bgp_peer"
        #expect(await cloud.call("PUT", add, ["bgp_peer_id": .string(one)], as: .admin()).status == 200)
        let again = await cloud.call("PUT", add, ["bgp_peer_id": .string(two)], as: .admin())
        #expect(again.status == 409)
        #expect(again.type == "DuplicateBgpPeerIpException")
        let none = await cloud.call("PUT", add, [:], as: .admin())
        #expect(none.message == "Bad bgp-speaker request: bgp_peer_id must be specified.")
        let parted = await cloud.call(
            "PUT", "/bgp-speakers/\(speaker)/remove_bgp_peer", ["bgp_peer_id": .string(two)], as: .admin())
        #expect(parted.type == "BgpSpeakerPeerNotAssociated")
        let bare = await cloud.call(
            "POST", "/bgp-peers", ["bgp_peer": ["peer_ip": "192.0.2.9", "remote_as": 1, "auth_type": "md5"]],
            as: .admin())
        #expect(bare.type == "InvalidBgpPeerMd5Authentication")
    }

    @Test("Floating addresses and routed networks lead to the router; others are not told of")
    func advertised() async throws {
        let cloud = try await NetworkCloud()
        let scope = try await cloud.make(
            "address_scope", "/address-scopes", ["name": "routed", "ip_version": 4, "shared": true], as: .admin()
        ).id
        let pool = try await cloud.make(
            "subnetpool", "/subnetpools",
            [
                "name": "routed", "prefixes": ["10.20.0.0/16", "198.51.100.0/24"], "address_scope_id": .string(scope),
                "default_prefixlen": 26, "shared": true,
            ], as: .admin()
        ).id
        let outer = try await cloud.network(
            [
                "name": "public", "router:external": true, "provider:network_type": "flat",
                "provider:physical_network": "external",
            ], as: .admin())
        func cut(_ network: String, _ cidr: String) async throws {
            _ = try await cloud.make(
                "subnet", "/subnets",
                [
                    "network_id": .string(network), "ip_version": 4, "subnetpool_id": .string(pool),
                    "cidr": .string(cidr),
                ], as: .admin())
        }
        try await cut(outer, "198.51.100.0/26")
        let (routed, hidden) = (
            try await cloud.network(["name": "routed"], as: .admin()), try await cloud.network(as: .admin())
        )
        try await cut(routed, "10.20.7.0/24")
        let hiddenSubnet = try await cloud.subnet(hidden, "10.99.0.0/24", as: .admin())
        let router = try await cloud.make(
            "router", "/routers", ["external_gateway_info": ["network_id": .string(outer)]], as: .admin())
        let subnets = await cloud.call("GET", "/subnets", as: .admin(), query: "network_id=\(routed)")["subnets"]
        for subnet in [subnets.array?.first?.id ?? "", hiddenSubnet] {
            let path = "/routers/\(router.id)/add_router_interface"
            _ = await cloud.call("PUT", path, ["subnet_id": .string(subnet)], as: .admin())
        }
        let port = try await cloud.port(routed, as: .admin())
        let floating = try await cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(outer), "port_id": .string(port.id)], as: .admin())

        let speaker = try await Self.speaker(cloud)
        let path = "/bgp-speakers/\(speaker)"
        #expect(await cloud.call("GET", path + "/get_advertised_routes", as: .admin())["advertised_routes"] == [])
        _ = await cloud.call("PUT", path + "/add_gateway_network", ["network_id": .string(outer)], as: .admin())
        let hop = router["external_gateway_info"]?["external_fixed_ips"]?.array?.first?["ip_address"]?.string ?? ""
        let routes = await cloud.call("GET", path + "/get_advertised_routes", as: .admin())["advertised_routes"]
        #expect(
            routes.array?.map { $0.text("destination") } == [
                "10.20.7.0/24", floating.text("floating_ip_address") + "/32",
            ])
        #expect(routes.array?.allSatisfy { $0.text("next_hop") == hop } == true)

        _ = await cloud.call(
            "PUT", path, ["bgp_speaker": ["advertise_floating_ip_host_routes": false]], as: .admin())
        let fewer = await cloud.call("GET", path + "/get_advertised_routes", as: .admin())["advertised_routes"]
        #expect(fewer.array?.count == 1)
    }

    @Test("The agent hosts what nobody does, tells it once, and says on its row when it cannot")
    func announced() async throws {
        let cloud = try await NetworkCloud()
        let (speaker, peer) = (try await Self.speaker(cloud), try await Self.peer(cloud))
        _ = await cloud.call(
            "PUT", "/bgp-speakers/\(speaker)/add_bgp_peer", ["bgp_peer_id": .string(peer)], as: .admin())
        let fake = FakeRouteAdvertiser(host: "host-1")
        let announcer = RouteAnnouncer(cloud.service, fake)
        let told = try await announcer.once(nil)
        #expect(told.map(\.id) == [speaker])
        #expect(told.first?.peers.map(\.remoteAS) == [64_513])
        _ = try await announcer.once(told)
        #expect(await fake.words == 1)

        let agents = await cloud.call("GET", "/bgp-speakers/\(speaker)/bgp-dragents", as: .admin())["agents"]
        #expect(agents.array?.first?.text("host") == "host-1")
        let agent = agents.array?.first?.id ?? ""
        let listed = await cloud.call("GET", "/agents/\(agent)/bgp-drinstances", as: .admin())["bgp_speakers"]
        #expect(listed.array?.map(\.id) == [speaker])
        let twice = await cloud.call(
            "POST", "/agents/\(agent)/bgp-drinstances", ["bgp_speaker_id": .string(speaker)], as: .admin())
        #expect(twice.type == "DrAgentAssociationError")
        let parted = await cloud.call("DELETE", "/agents/\(agent)/bgp-drinstances/\(speaker)", as: .admin())
        #expect(parted.status == 204)

        await fake.refuse(.unavailable("BGP needs the program bird"))
        await #expect(throws: Fault.self) { _ = try await announcer.once(nil) }
        let shown = await cloud.call("GET", "/bgp-speakers/\(speaker)/bgp-dragents", as: .admin())["agents"]
        #expect(shown.array?.first?.text("description") == "BGP needs the program bird")
    }
}
