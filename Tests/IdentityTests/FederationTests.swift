// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

/// Identity providers, protocols, mappings and service providers as the API has them.
struct FederationTests {
    static let base = "/v3/OS-FEDERATION"
    static let rules: JSON = [["local": [["user": ["name": "{0}"]]], "remote": [["type": "login"]]]]

    @Test("A provider is given a domain of its own, and takes it nowhere")
    func provider() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let path = Self.base + "/identity_providers/acme"
        let draft: JSON = ["identity_provider": ["enabled": true, "remote_ids": ["b", "a"], "description": "Acme"]]
        let made = await cloud.call("PUT", path, draft, token: admin)
        #expect(made.status == 201)
        let shown = made["identity_provider"]
        #expect(shown["id"] == "acme" && shown["remote_ids"] == ["a", "b"] && shown["authorization_ttl"] == .null)
        #expect(shown["links"]?["protocols"]?.string?.hasSuffix(path + "/protocols") == true)
        let domain = shown["domain_id"]?.string ?? ""
        let own = await cloud.call("GET", "/v3/domains/" + domain, token: admin)
        #expect(
            own["domain"]["description"] == "Auto generated federated domain for Identity Provider: acme")
        let again = await cloud.call("PUT", path, draft, token: admin)
        #expect(again.status == 409)
        #expect(
            again["error"]["message"]
                == "Conflict occurred attempting to store identity_provider - Duplicate entry: acme.")
        let other = await cloud.call(
            "PUT", Self.base + "/identity_providers/other", ["identity_provider": ["remote_ids": ["a"]]], token: admin)
        #expect(
            other["error"]["message"]
                == "Conflict occurred attempting to store identity_provider - Duplicate remote ID: a.")
        let changed = await cloud.call(
            "PATCH", path, ["identity_provider": ["remote_ids": ["c"], "authorization_ttl": 5]], token: admin)
        #expect(changed["identity_provider"]["remote_ids"] == ["c"])
        #expect(changed["identity_provider"]["authorization_ttl"] == 5)
        let moved: JSON = ["identity_provider": ["domain_id": "default"]]
        #expect(await cloud.call("PATCH", path, moved, token: admin).status == 400)
        let list = await cloud.call("GET", Self.base + "/identity_providers?enabled=true", token: admin)
        #expect(list["identity_providers"].array?.count == 1)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        let gone = await cloud.call("GET", path, token: admin)
        #expect(gone.status == 404)
        #expect(gone["error"]["message"] == "Could not find Identity Provider: acme.")
    }

    @Test("A protocol needs its provider and its mapping")
    func protocols() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let path = Self.base + "/identity_providers/acme/protocols/openid"
        let draft: JSON = ["protocol": ["mapping_id": "people", "remote_id_attribute": "HTTP_OIDC_ISS"]]
        let early = await cloud.call("PUT", path, draft, token: admin)
        #expect(early.status == 400 && early["error"]["message"] == "Invalid mapping id: people")
        let mapping: JSON = ["mapping": ["rules": Self.rules]]
        #expect(await cloud.call("PUT", Self.base + "/mappings/people", mapping, token: admin).status == 201)
        #expect(await cloud.call("PUT", path, draft, token: admin).status == 404)
        _ = await cloud.call("PUT", Self.base + "/identity_providers/acme", ["identity_provider": [:]], token: admin)
        let made = await cloud.call("PUT", path, draft, token: admin)
        #expect(made.status == 201)
        #expect(made["protocol"]["id"] == "openid" && made["protocol"]["mapping_id"] == "people")
        #expect(made["protocol"]["remote_id_attribute"] == nil)
        let list = await cloud.call("GET", Self.base + "/identity_providers/acme/protocols", token: admin)
        #expect(list["protocols"][0]?["remote_id_attribute"] == "HTTP_OIDC_ISS")
        #expect(list["protocols"][0]?["idp_id"] == "acme")
        #expect(await cloud.call("PUT", path, draft, token: admin).status == 409)
        let bad: JSON = ["protocol": ["mapping_id": "people", "odd": 1]]
        #expect(await cloud.call("PATCH", path, bad, token: admin).status == 400)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        let gone = await cloud.call("GET", path, token: admin)
        #expect(
            gone["error"]["message"] == "Could not find federated protocol openid for Identity Provider: acme.")
    }

    @Test("A mapping is checked, shown and replaced")
    func mappings() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let path = Self.base + "/mappings/people"
        let made = await cloud.call("PUT", path, ["mapping": ["rules": Self.rules]], token: admin)
        #expect(made["mapping"]["schema_version"] == "1.0")
        let bad = await cloud.call("PATCH", path, ["mapping": ["rules": []]], token: admin)
        #expect(bad.status == 400)
        let two: JSON = ["mapping": ["rules": Self.rules, "schema_version": "2.0"]]
        #expect(await cloud.call("PATCH", path, two, token: admin)["mapping"]["schema_version"] == "2.0")
        #expect(await cloud.call("GET", path, token: admin)["mapping"]["rules"] == Self.rules)
        #expect(await cloud.call("GET", Self.base + "/mappings", token: admin)["mappings"].array?.count == 1)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        #expect(await cloud.call("GET", path, token: admin).status == 404)
    }

    @Test("Tokens name the clouds that take our users, once they are enabled")
    func serviceProviders() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let path = Self.base + "/service_providers/beta"
        let draft: JSON = [
            "service_provider": ["auth_url": "https://beta/v3/auth", "sp_url": "https://beta/sp"]
        ]
        let made = await cloud.call("PUT", path, draft, token: admin)
        #expect(made.status == 201)
        #expect(made["service_provider"]["enabled"] == false)
        #expect(made["service_provider"]["relay_state_prefix"] == "ss:mem:")
        let login = IdentityCloud.login("admin", "secret")
        #expect(await cloud.call("POST", "/v3/auth/tokens", login)["token"]["service_providers"] == nil)
        _ = await cloud.call("PATCH", path, ["service_provider": ["enabled": true]], token: admin)
        let token = await cloud.call("POST", "/v3/auth/tokens", login)
        #expect(
            token["token"]["service_providers"]
                == [["auth_url": "https://beta/v3/auth", "id": "beta", "sp_url": "https://beta/sp"]])
        let bad: JSON = ["service_provider": ["auth_url": "nowhere"]]
        #expect(await cloud.call("PATCH", path, bad, token: admin).status == 400)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        let gone = await cloud.call("GET", path, token: admin)
        #expect(gone["error"]["message"] == "Could not find Service Provider: beta.")
    }

    @Test("Only administrators arrange federation", arguments: ["identity_providers", "mappings", "service_providers"])
    func rules(kind: String) async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        _ = await cloud.make("user", ["name": "ann", "password": "x", "domain_id": "default"], token: admin)
        let ann = await cloud.token("ann", "x", scope: nil)
        #expect(await cloud.call("GET", "\(Self.base)/\(kind)", token: ann).status == 403)
        #expect(await cloud.call("PUT", "\(Self.base)/\(kind)/x", [:], token: ann).status == 403)
        #expect(await cloud.call("DELETE", "\(Self.base)/\(kind)/x", token: ann).status == 403)
        #expect(await cloud.call("GET", "\(Self.base)/\(kind)").status == 401)
        #expect(await cloud.call("GET", "\(Self.base)/projects", token: ann).status == 200)
        #expect(await cloud.call("GET", "\(Self.base)/domains", token: ann).status == 200)
    }

    @Test("A user's names at providers are made, shown, found and replaced")
    func names() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let none: JSON = [["idp_id": "acme", "protocols": [["protocol_id": "openid", "unique_id": "u1"]]]]
        let early = await cloud.call(
            "POST", "/v3/users", ["user": ["name": "ann", "federated": none]], token: admin)
        #expect(early.status == 400)
        _ = await cloud.call("PUT", Self.base + "/mappings/m", ["mapping": ["rules": Self.rules]], token: admin)
        _ = await cloud.call("PUT", Self.base + "/identity_providers/acme", ["identity_provider": [:]], token: admin)
        _ = await cloud.call(
            "PUT", Self.base + "/identity_providers/acme/protocols/openid", ["protocol": ["mapping_id": "m"]],
            token: admin)
        let made = await cloud.call(
            "POST", "/v3/users", ["user": ["name": "ann", "federated": none]], token: admin)
        #expect(made.status == 201 && made["user"]["federated"] == none)
        let id = made["user"]["id"]?.string ?? ""
        let found = await cloud.call("GET", "/v3/users?unique_id=u1&idp_id=acme", token: admin)
        #expect(found["users"][0]?["id"]?.string == id)
        let other: JSON = [["idp_id": "acme", "protocols": [["protocol_id": "openid", "unique_id": "u2"]]]]
        _ = await cloud.call("PATCH", "/v3/users/" + id, ["user": ["federated": other]], token: admin)
        #expect(await cloud.call("GET", "/v3/users/" + id, token: admin)["user"]["federated"] == other)
        // She was here before the provider, and stays when it goes.
        _ = await cloud.call("DELETE", Self.base + "/identity_providers/acme", token: admin)
        let after = await cloud.call("GET", "/v3/users/" + id, token: admin)
        #expect(after.status == 200 && after["user"]["federated"] == nil)
    }
}
