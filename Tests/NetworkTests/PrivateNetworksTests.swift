// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct PrivateNetworksTests {
    private static func refused(
        _ cloud: NetworkCloud, _ network: String, _ more: JSONObject
    ) async -> TestCloud.Answer {
        var members = more
        members["network_id"] = .string(network)
        return await cloud.call("POST", "/ports", .object(JSONObject([("port", .object(members))])))
    }

    @Test("Ports of a private network are promiscuous, isolated or of a community, and become another")
    func places() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network(["name": "private", "pvlan": true])
        let plain = try await cloud.port(network)
        #expect(plain.text("pvlan_type") == "promiscuous" && plain["pvlan_community"] == .null)
        let alone = try await cloud.port(network, ["pvlan_type": "isolated"])
        _ = try await cloud.port(network, ["pvlan_type": "community", "pvlan_community": "blue"])
        try await cloud.sync()
        #expect(await cloud.backend.topology.networks[network]?.isPrivate == true)
        #expect(await cloud.backend.topology.ports[alone.id]?.place == .isolated)
        let moved = await cloud.call(
            "PUT", "/ports/\(alone.id)", ["port": ["pvlan_type": "community", "pvlan_community": "red"]])
        #expect(moved["port"].text("pvlan_community") == "red")
        let back = await cloud.call("PUT", "/ports/\(alone.id)", ["port": ["pvlan_type": "isolated"]])
        #expect(back["port"]["pvlan_community"] == .null)
        let found = await cloud.call("GET", "/ports", query: "pvlan_type=community")["ports"]
        #expect(found.array?.count == 1)
        let opened = await cloud.call("PUT", "/networks/\(network)", ["network": ["pvlan": false]])
        #expect(opened["network"]["pvlan"] == false)
        #expect(await cloud.call("GET", "/ports/\(alone.id)")["port"]["pvlan_type"] == .null)
        try await cloud.sync()
        #expect(await cloud.backend.topology.ports[alone.id]?.place == nil)
        let again = await cloud.call("PUT", "/networks/\(network)", ["network": ["pvlan": true]])
        #expect(again["network"]["pvlan"] == true)
        #expect(await cloud.call("GET", "/ports/\(alone.id)")["port"].text("pvlan_type") == "promiscuous")
    }

    @Test("What makes no sense is refused in upstream's words")
    func refusals() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network(["name": "private", "pvlan": true])
        let open = try await cloud.network(["name": "open"])
        #expect(await cloud.call("GET", "/networks/\(open)")["network"]["pvlan"] == false)
        for (place, members, type) in [
            (open, ["pvlan_type": "isolated"], "PVLANNotEnabledOnNetwork"),
            (network, ["pvlan_type": "community"], "PVLANCommunityNameRequired"),
            (network, ["pvlan_type": "isolated", "pvlan_community": "blue"], "PVLANCannotSetCommunityName"),
            (network, ["port_security_enabled": false], "PVLANPortSecurityDisabled"),
            (network, ["pvlan_type": "lonely"], "HTTPBadRequest"),
            (network, ["pvlan_type": "community", "pvlan_community": "1st"], "HTTPBadRequest"),
            (network, ["pvlan_type": "community", "pvlan_community": ""], "HTTPBadRequest"),
        ] as [(String, JSONObject, String)] {
            let answer = await Self.refused(cloud, place, members)
            #expect(answer.status == 400 && answer.type == type, "\(answer.message)")
        }
        let loose = await cloud.call(
            "POST", "/networks", ["network": ["pvlan": true, "port_security_enabled": false]])
        #expect(loose.status == 400 && loose.type == "PVLANNetworkPortSecurityDisabled")
    }
}
