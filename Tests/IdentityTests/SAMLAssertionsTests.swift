// SPDX-License-Identifier: Apache-2.0
import FederationSAML
import Identity
import Kernel
import Simulation
import Testing

/// One cloud vouches for its users to another.
struct SAMLAssertionsTests {
    static let spURL = SAMLNotary.base + "/ecp"

    /// A cloud that is an identity provider, with another one that takes its users.
    static func home() async throws -> (cloud: IdentityCloud, notary: SAMLNotary, token: String) {
        let notary = try SAMLNotary()
        var options = IdentityOptions()
        options.federation.saml.entityID = "https://home.test/v3/OS-FEDERATION/saml2/idp"
        options.federation.saml.endpoint = "https://home.test/v3/OS-FEDERATION/saml2/sso"
        let cloud = try await IdentityCloud(
            options, doors: FederationDoors(xml: notary.xml, signing: notary.signing))
        let token = await cloud.token()
        let draft: JSON = [
            "service_provider": [
                "auth_url": .string("http://cloud.test:5000" + SAMLTown.auth), "sp_url": .string(spURL),
                "enabled": true,
            ]
        ]
        _ = await cloud.call("PUT", "/v3/OS-FEDERATION/service_providers/beta", draft, token: token)
        return (cloud, notary, token)
    }

    static func ask(_ token: String, _ provider: String = "beta") -> JSON {
        [
            "auth": [
                "identity": ["methods": ["token"], "token": ["id": .string(token)]],
                "scope": ["service_provider": ["id": .string(provider)]],
            ]
        ]
    }

    @Test("A user of one cloud has a token of another")
    func clouds() async throws {
        let (cloud, _, token) = try await Self.home()
        let metadata = await cloud.call("GET", "/v3/OS-FEDERATION/saml2/metadata")
        #expect(metadata.status == 200 && metadata.header("Content-Type") == "text/xml")
        let made = await cloud.call("POST", "/v3/auth/OS-FEDERATION/saml2/ecp", Self.ask(token))
        #expect(made.status == 200 && made.header("X-sp-url") == Self.spURL)
        let away = try await SAMLTown(
            "unsolicited = true", entityID: "https://home.test/v3/OS-FEDERATION/saml2/idp",
            metadata: String(decoding: metadata.bytes, as: UTF8.self))
        let answer = await away.bring(String(decoding: made.bytes, as: UTF8.self))
        #expect(answer.status == 201)
        #expect(answer["token"]["user"]?["name"] == "admin")
        // The same in no envelope is signed as well.
        let plain = await cloud.call("POST", "/v3/auth/OS-FEDERATION/saml2", Self.ask(token))
        #expect(String(decoding: plain.bytes, as: UTF8.self).hasPrefix("<samlp:Response"))
    }

    @Test("Only a token for a project, and only for a cloud that is known and enabled")
    func refusals() async throws {
        let (cloud, _, token) = try await Self.home()
        let path = "/v3/auth/OS-FEDERATION/saml2"
        let unscoped = await cloud.token(scope: nil)
        let refused = await cloud.call("POST", path, Self.ask(unscoped))
        #expect(refused.status == 403)
        #expect(refused["error"]["message"]?.string?.contains("Use a project scoped token") == true)
        #expect(await cloud.call("POST", path, Self.ask(token, "nowhere")).status == 404)
        #expect(await cloud.call("POST", path, Self.ask("rubbish")).status == 404)
        #expect(await cloud.call("POST", path, ["auth": ["identity": [:]]]).status == 400)
        #expect(await cloud.call("GET", path).status == 405)
        _ = await cloud.call(
            "PATCH", "/v3/OS-FEDERATION/service_providers/beta", ["service_provider": ["enabled": false]],
            token: token)
        let off = await cloud.call("POST", path, Self.ask(token))
        #expect(off.status == 403 && off["error"]["message"] == "Service Provider beta is disabled")
    }

    @Test("A cloud that was not told to be a provider is none")
    func none() async throws {
        let cloud = try await IdentityCloud()
        #expect(await cloud.call("GET", "/v3/OS-FEDERATION/saml2/metadata").status == 404)
    }
}
