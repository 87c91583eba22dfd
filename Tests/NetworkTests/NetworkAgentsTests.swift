// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

/// Who is alive, who is dead, and who is gone.
struct NetworkAgentsTests {
    private static func host(_ id: String, progress: Int?) -> ChassisFact {
        var fact = ChassisFact(id: id, hostname: "\(id).example", isGateway: true)
        fact.progress = progress
        return fact
    }

    private func agent(_ cloud: NetworkCloud, _ id: String) async -> JSON {
        await cloud.call("GET", "/agents/\(id)", as: .admin())["agent"]
    }

    @Test("A host that stays listed but says nothing new is dead after a while, and alive again when it does")
    func silence() async throws {
        let cloud = try await NetworkCloud()
        await cloud.backend.setHosts([Self.host("c1", progress: 7), Self.host("c2", progress: 7)])
        try await cloud.service.sync.noteHosts()
        _ = try await cloud.cloud.database.transaction { transaction throws(Fault) in
            try transaction.execute("UPDATE network_agents SET heartbeat = heartbeat - 76000000")
        }
        await cloud.backend.setHosts([Self.host("c1", progress: 7), Self.host("c2", progress: 8)])
        try await cloud.service.sync.noteHosts()
        #expect(await agent(cloud, "c1")["alive"] == false)
        #expect(await agent(cloud, "c2")["alive"] == true)
        await cloud.backend.setHosts([Self.host("c1", progress: 8), Self.host("c2", progress: 8)])
        try await cloud.service.sync.noteHosts()
        #expect(await agent(cloud, "c1")["alive"] == true)
    }

    @Test("A dead host's agent can be deleted, and the back end forgets the host; a living one's cannot")
    func deletion() async throws {
        let cloud = try await NetworkCloud()
        await cloud.backend.setHosts([Self.host("c1", progress: 7), Self.host("c2", progress: 7)])
        try await cloud.service.sync.noteHosts()
        #expect(await cloud.call("DELETE", "/agents/c1", as: .admin()).status == 400)
        _ = try await cloud.cloud.database.transaction { transaction throws(Fault) in
            try transaction.execute("UPDATE network_agents SET heartbeat = 0 WHERE id = 'c1'")
        }
        try await cloud.service.sync.noteHosts()
        #expect(await cloud.call("DELETE", "/agents/c1", as: .admin()).status == 204)
        try await cloud.service.sync.noteHosts()
        #expect(await cloud.call("GET", "/agents/c1", as: .admin()).status == 404)
        #expect(try await cloud.backend.chassis().map(\.id) == ["c2"])
    }

    @Test("Who speaks BGP is among all agents, under one id, found by type and deleted with what it hosts")
    func speakers() async throws {
        let cloud = try await NetworkCloud()
        try await cloud.service.sync.noteHosts()
        let speaker = try await cloud.make(
            "bgp_speaker", "/bgp-speakers", ["name": "edge", "ip_version": 4, "local_as": 64_512], as: .admin()
        ).id
        _ = try await RouteAnnouncer(cloud.service, FakeRouteAdvertiser()).once(nil)
        let hosting = await cloud.call("GET", "/bgp-speakers/\(speaker)/bgp-dragents", as: .admin())["agents"]
        let id = hosting.array?.first?.id ?? ""
        let listed = await cloud.call(
            "GET", "/agents", as: .admin(), query: "agent_type=BGP%20dynamic%20routing%20agent")["agents"]
        #expect(listed.array?.map(\.id) == [id])
        #expect(listed[0]?.text("binary") == "bird" && listed[0]?.text("topic") == "bgp_dragent")
        #expect(listed[0]?["alive"] == true)
        #expect(await cloud.call("GET", "/agents", as: .admin())["agents"].array?.count == 2)
        try await cloud.service.sync.noteHosts()
        #expect(await agent(cloud, id)["alive"] == true, "hosts' comings and goings are not its own")
        #expect(await cloud.call("DELETE", "/agents/\(id)", as: .admin()).status == 204)
        let left = await cloud.call("GET", "/bgp-speakers/\(speaker)/bgp-dragents", as: .admin())["agents"]
        #expect(left == [])
        let zones = await cloud.call("GET", "/availability_zones", as: .admin())["availability_zones"]
        #expect(zones.array?.isEmpty == false)
    }
}
