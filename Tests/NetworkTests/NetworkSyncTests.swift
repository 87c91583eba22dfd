// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct NetworkSyncTests {
    @Test("What was handed over piece by piece is what a full comparison finds")
    func agreement() async throws {
        let scene = try await RoutersTests.Scene()
        _ = try await scene.cloud.make(
            "floatingip", "/floatingips",
            ["floating_network_id": .string(scene.outer), "port_id": .string(scene.port.id)])
        try await scene.cloud.sync()
        let topology = await scene.cloud.backend.topology
        #expect(topology.networks.count == 2)
        #expect(topology.ports[scene.port.id]?.securityGroupIDs.count == 1)
        #expect(topology.networks[scene.inner]?.subnets.first?.metadataAddress != nil)
        #expect(try await scene.cloud.service.sync.synchronize().isEmpty)
    }

    @Test("What the back end refused is handed over again")
    func refusal() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        await cloud.backend.refuse(.unavailable("not now"))
        await #expect(throws: Fault.self) { try await cloud.sync() }
        #expect(await cloud.backend.topology.networks.isEmpty)
        try await cloud.sync()
        #expect(await cloud.backend.topology.networks[network] != nil)
        _ = await cloud.call("DELETE", "/networks/\(network)")
        try await cloud.sync()
        #expect(await cloud.backend.topology.networks.isEmpty)
        #expect(await cloud.backend.topology.ports.isEmpty)
    }

    @Test("Hosts are shown as agents, and as dead ones when they are gone")
    func agents() async throws {
        let cloud = try await NetworkCloud()
        try await cloud.service.sync.noteHosts()
        let agents = await cloud.call("GET", "/agents", as: .admin())["agents"]
        #expect(agents[0]?.text("host") == "host-1")
        #expect(agents[0]?["alive"]?.bool == true)
        #expect(agents[0]?.text("agent_type") == "OVN Controller Gateway agent")
        await cloud.backend.setHosts([])
        try await cloud.service.sync.noteHosts()
        #expect(await cloud.call("GET", "/agents/chassis-1", as: .admin())["agent"]["alive"]?.bool == false)
        #expect(await cloud.call("GET", "/agents")["agents"] == [])
        #expect(await cloud.call("GET", "/agents/chassis-1").status == 404)
    }

    @Test("The loop pushes by itself once something is written")
    func loop() async throws {
        let cloud = try await NetworkCloud()
        var events = await cloud.backend.events().makeAsyncIterator()
        let running = Task { await cloud.service.sync.run() }
        let network = try await cloud.network()
        _ = try await cloud.subnet(network)
        let port = try await cloud.make(
            "port", "/ports", ["network_id": .string(network), "binding:host_id": "host-1"], as: .admin())
        let event = try #require(await events.next())
        #expect(event.portID == port.id)
        running.cancel()
        await cloud.backend.stop()
        await running.value
    }
}
