// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Testing

struct FakeNetworkBackendTests {
    static let network = SwitchSpec(id: "n")
    static let port = PortSpec(id: "p", generation: 2, networkID: "n", mac: .base, host: "h1")

    @Test("A port with a host comes up at once, and goes down when it is removed")
    func events() async throws {
        let backend = FakeNetworkBackend()
        let events = await backend.events()
        try await backend.apply(TopologyChange(put: [.network(Self.network), .port(Self.port)]))
        try await backend.apply(TopologyChange(remove: [.port("p")]))
        await backend.stop()
        var seen: [PortEvent] = []
        for await event in events { seen.append(event) }
        #expect(
            seen == [
                PortEvent(portID: "p", isUp: true, host: "h1"), PortEvent(portID: "p", isUp: false),
            ])
    }

    @Test("A late writer with an older generation does not undo a newer one")
    func generations() async throws {
        let backend = FakeNetworkBackend()
        try await backend.apply(TopologyChange(put: [.port(Self.port)]))
        var older = Self.port
        older.generation = 1
        older.host = "h2"
        try await backend.apply(TopologyChange(put: [.port(older)]))
        #expect(await backend.topology.ports["p"]?.host == "h1")
    }

    @Test("Synchronising twice finds nothing the second time, and a refused change leaves everything as it was")
    func synchronize() async throws {
        let backend = FakeNetworkBackend()
        let whole = Topology(networks: [Self.network], ports: [Self.port])
        #expect(try await backend.synchronize(whole).inserted.count == 2)
        #expect(try await backend.synchronize(whole).isEmpty)
        await backend.refuse(.unavailable("No."))
        await #expect(throws: Fault.unavailable("No.")) {
            try await backend.apply(TopologyChange(remove: [.port("p")]))
        }
        #expect(await backend.topology == whole)
    }
}
