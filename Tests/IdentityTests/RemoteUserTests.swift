// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct RemoteUserTests {
    static let body: JSON = ["auth": ["identity": ["methods": []]]]

    @Test(
        "A name from outside counts only from a proxy that the operator trusts, and only once",
        arguments: [
            ("203.0.113.9", [("X-Remote-User", "admin")], 201), ("192.0.2.7", [("X-Remote-User", "admin")], 401),
            ("203.0.113.9", [("X-Remote-User", "nobody")], 401), ("203.0.113.9", [("X-Remote-User", "")], 401),
            ("203.0.113.9", [("X-Remote-User", "admin"), ("X-Remote-User", "admin")], 401),
            ("203.0.113.9", [], 401),
        ] as [(String, [(String, String)], Int)])
    func trust(peer: String, headers: [(String, String)], status: Int) async throws {
        var options = IdentityOptions()
        options.tokens.external.proxies = ["203.0.113.9"]
        let cloud = try await IdentityCloud(options)
        let answer = await cloud.call("POST", "/v3/auth/tokens", Self.body, headers: headers, peer: peer)
        #expect(answer.status == status)
        if status == 201 { #expect(answer["token"]["methods"] == ["external"]) }
    }

    @Test("Nobody is believed unless the operator says so")
    func off() async throws {
        let cloud = try await IdentityCloud()
        let answer = await cloud.call(
            "POST", "/v3/auth/tokens", Self.body, headers: [("X-Remote-User", "admin")], peer: "127.0.0.1")
        #expect(answer.status == 401)
    }
}
