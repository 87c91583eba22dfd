// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct TapMirrorsTests {
    private static func draft(_ port: String, _ directions: JSON = ["IN": 99, "OUT": 100]) -> JSON {
        [
            "name": "watch", "port_id": .string(port), "directions": directions, "remote_ip": "192.0.2.7",
            "mirror_type": "erspanv1",
        ]
    }

    @Test("A mirror becomes real with its port and goes with it")
    func life() async throws {
        let cloud = try await NetworkCloud()
        let port = try await cloud.port(try await cloud.network())
        let mirror = try await cloud.make("tap_mirror", "/taas/tap_mirrors", Self.draft(port.id))
        #expect(mirror["directions"] == ["IN": 99, "OUT": 100])
        try await cloud.sync()
        let spec = await cloud.backend.topology.table(TapMirrorSpec.self)[mirror.id]
        #expect(spec?.tunnels == [.ingress: 99, .egress: 100])
        #expect(spec?.type == .erspan)
        let renamed = await cloud.call(
            "PUT", "/taas/tap_mirrors/\(mirror.id)", ["tap_mirror": ["name": "ears", "description": "of the wall"]])
        #expect(renamed["tap_mirror"].text("description") == "of the wall")
        #expect(await cloud.call("DELETE", "/ports/\(port.id)").status == 204)
        try await cloud.sync()
        #expect(await cloud.backend.topology.table(TapMirrorSpec.self).isEmpty)
        #expect(await cloud.call("GET", "/taas/tap_mirrors/\(mirror.id)").type == "TapMirrorNotFound")
    }

    @Test("A tunnel's number is taken once; a port of another project's is not listened to")
    func refused() async throws {
        let cloud = try await NetworkCloud()
        let network = try await cloud.network()
        let (one, two) = (try await cloud.port(network), try await cloud.port(network))
        _ = try await cloud.make("tap_mirror", "/taas/tap_mirrors", Self.draft(one.id))
        let twice = await cloud.call("POST", "/taas/tap_mirrors", ["tap_mirror": Self.draft(two.id, ["BOTH": 100])])
        #expect(twice.status == 409)
        #expect(twice.message == "Tap Mirror with tunnel_id 100 already exists")
        let stranger = await cloud.call(
            "POST", "/taas/tap_mirrors", ["tap_mirror": Self.draft(one.id, ["IN": 3])], as: .member(project: "other"))
        #expect(stranger.status == 404)
        let way = await cloud.call("POST", "/taas/tap_mirrors", ["tap_mirror": Self.draft(two.id, ["UP": 3])])
        #expect(way.message == "Invalid input for directions. Reason: Unexpected keys supplied for field: 'UP'.")
    }
}
