// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct KeyWatchTests {
    private func onDisk(
        _ provider: TokenOptions.Provider, _ body: (IdentityCloud, KeyPlaces) async throws -> Void
    ) async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-keys")
        defer { FileSystem.remove(folder) }
        var options = IdentityOptions()
        options.tokens.provider = provider
        let places = KeyPlaces(directory: folder + "/fernet", options.tokens)
        let keys = try IdentityKeys(places, ids: RandomIdentifiers())
        try await body(try await IdentityCloud(options, keys: keys), places)
    }

    @Test("Keys rotated by another process are taken over, and tokens of those that went end")
    func rotation() async throws {
        try await onDisk(.fernet) { cloud, places in
            let repository = places.tokens(cloud.ids)
            let old = await cloud.token()
            let watch = KeyWatch(cloud.service)
            func status(_ token: String) async -> Int {
                await cloud.call("GET", "/v3/auth/projects", token: token).status
            }
            try repository.rotate(maxActive: 3)
            watch.look()
            #expect(await status(old) == 200)
            #expect(await status(await cloud.token()) == 200)
            for _ in 0..<3 { try repository.rotate(maxActive: 3) }
            #expect(await status(old) == 200, "nobody has looked yet")
            watch.look()
            #expect(await status(old) == 401)
            #expect(await status(await cloud.token()) == 200)
            FileSystem.remove(repository.directory)
            watch.look()
            #expect(await status(await cloud.token()) == 200, "what cannot be read changes nothing")
        }
    }

    @Test("Signed tokens are as good as the others, and can be read by anybody")
    func signed() async throws {
        try await onDisk(.jws) { cloud, _ in
            let token = await cloud.token()
            #expect(token.split(separator: ".").count == 3)
            let shown = await cloud.call("GET", "/v3/auth/tokens", token: token, headers: [("X-Subject-Token", token)])
            #expect(shown["token"]["project"]?["name"] == "admin")
            let again: JSON = ["auth": ["identity": ["methods": ["token"], "token": ["id": .string(token)]]]]
            let second = await cloud.call("POST", "/v3/auth/tokens", again)
            #expect(second.status == 201)
            #expect(
                await cloud.call("DELETE", "/v3/auth/tokens", token: token, headers: [("X-Subject-Token", token)])
                    .status == 204)
            #expect(await cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
            #expect(await cloud.call("GET", "/v3/auth/projects", token: token + "x").status == 401)
        }
    }
}
