// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Synchronization
import Testing

/// Users, groups, roles and projects of those who come from elsewhere.
struct FederatedLoginTests {
    /// What the provider says about Ada now.
    static func says(_ town: FederatedTown, _ claims: JSONObject = [:]) {
        var answer: JSONObject = ["active": true, "sub": "u1", "email": "ada@example.com", "groups": ["dev"]]
        for (name, value) in claims { answer[name] = value }
        town.issuer.state.withLock { $0.introspection = .object(answer) }
    }

    static func rescope(_ town: FederatedTown, _ token: String, _ scope: JSON?) async -> TestCloud.Answer {
        var auth: JSON = ["identity": ["methods": ["token"], "token": ["id": .string(token)]]]
        if let scope { auth["scope"] = scope }
        return await town.cloud.call("POST", "/v3/auth/tokens", ["auth": auth])
    }

    @Test("The groups of a token give its bearer their roles, and what it may be scoped to")
    func groups() async throws {
        let town = try await FederatedTown("bearer = introspection")
        Self.says(town)
        let project = await town.cloud.make("project", ["name": "p", "domain_id": "default"], token: town.admin)
        let member = await town.cloud.role("member", token: town.admin)
        let path = "/v3/projects/\(project)/groups/\(town.group)/roles/\(member)"
        #expect(await town.cloud.call("PUT", path, token: town.admin).status == 204)
        let token = await town.bring("at").header("X-Subject-Token") ?? ""
        let mine = await town.cloud.call("GET", "/v3/OS-FEDERATION/projects", token: token)
        #expect(mine["projects"].array?.names() == ["p"])
        let scoped = await Self.rescope(town, token, ["project": ["id": .string(project)]])
        #expect(scoped.status == 201)
        #expect(scoped["token"]["roles"]?.array?.names().sorted() == ["member", "reader"])
        #expect(Set(scoped["token"]["methods"]?.array?.compactMap(\.string) ?? []) == ["token", "openid"])
        #expect(scoped["token"]["user"]?["OS-FEDERATION"]?["identity_provider"]?["id"] == "acme")
        #expect(scoped["token"]["catalog"]?.array?.isEmpty == false)
        let admin: JSON = ["project": ["name": "admin", "domain": ["id": "default"]]]
        #expect(await Self.rescope(town, token, admin).status == 401)
        // The provider vouches no longer: no new token, and with it gone the old ones end.
        let provider = "/v3/OS-FEDERATION/identity_providers/acme"
        _ = await town.cloud.call(
            "PATCH", provider, ["identity_provider": ["enabled": false]], token: town.admin)
        #expect(await town.bring("at").status == 403)
        #expect(await Self.rescope(town, token, ["project": ["id": .string(project)]]).status == 403)
        #expect(await town.cloud.call("DELETE", provider, token: town.admin).status == 204)
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
    }

    @Test("The same person is the same user, under the name the provider gives now")
    func shadow() async throws {
        let town = try await FederatedTown("bearer = introspection")
        Self.says(town)
        let first = await town.bring("at")
        let id = first["token"]["user"]?["id"]?.string ?? ""
        let domain = first["token"]["user"]?["domain"]?["id"]?.string ?? ""
        #expect(id == Digest.hex(.sha256, domain + "useru1"))
        Self.says(town, ["email": "lovelace@example.com"])
        let second = await town.bring("at")
        #expect(second["token"]["user"]?["id"]?.string == id)
        #expect(second["token"]["user"]?["name"] == "lovelace@example.com")
        let shown = await town.cloud.call("GET", "/v3/users/" + id, token: town.admin)
        #expect(
            shown["user"]["federated"]
                == [["idp_id": "acme", "protocols": [["protocol_id": "openid", "unique_id": "u1"]]]])
        // A namesake is somebody else.
        Self.says(town, ["sub": "u2", "email": "lovelace@example.com"])
        let other = await town.bring("at")
        #expect(other.status == 201 && other["token"]["user"]?["id"]?.string != id)
        let off: JSON = ["user": ["enabled": false]]
        #expect(await town.cloud.call("PATCH", "/v3/users/" + id, off, token: town.admin).status == 200)
        Self.says(town)
        #expect(await town.bring("at").status == 401)
        _ = await town.cloud.call(
            "DELETE", "/v3/OS-FEDERATION/identity_providers/acme/protocols/openid", token: town.admin)
        #expect(await town.cloud.call("GET", "/v3/users/" + id, token: town.admin).status == 404)
    }

    @Test("Another provider may share the domain, and its users are not these")
    func strangers() async throws {
        let town = try await FederatedTown("bearer = introspection")
        Self.says(town, ["iss": .string(FakeIssuer.name)])
        _ = await town.cloud.call(
            "PATCH", "/v3/OS-FEDERATION/identity_providers/acme",
            ["identity_provider": ["remote_ids": ["https://other.test"]]], token: town.admin)
        let answer = await town.bring("at")
        #expect(answer.status == 403)
        #expect(
            answer["error"]["message"]
                == "Incoming identity provider identifier not included among the accepted identifiers.")
    }

    @Test("Memberships hold for as long as the provider is believed, also without the token")
    func memberships() async throws {
        let town = try await FederatedTown("bearer = introspection")
        let provider = "/v3/OS-FEDERATION/identity_providers/acme"
        _ = await town.cloud.call(
            "PATCH", provider, ["identity_provider": ["authorization_ttl": 10]], token: town.admin)
        Self.says(town)
        let project = await town.cloud.make("project", ["name": "p", "domain_id": "default"], token: town.admin)
        let member = await town.cloud.role("member", token: town.admin)
        _ = await town.cloud.call(
            "PUT", "/v3/projects/\(project)/groups/\(town.group)/roles/\(member)", token: town.admin)
        let token = await town.bring("at").header("X-Subject-Token") ?? ""
        let scoped = await Self.rescope(town, token, ["project": ["id": .string(project)]])
        let user = scoped["token"]["user"]?["id"]?.string ?? ""
        let made = await town.cloud.call(
            "POST", "/v3/users/\(user)/application_credentials", ["application_credential": ["name": "robot"]],
            token: scoped.header("X-Subject-Token") ?? "")
        #expect(made.status == 201)
        let credential = made["application_credential"]
        let login = ApplicationCredentialsTests.login(
            credential["id"]?.string ?? "", credential["secret"]?.string ?? "")
        let robot = await town.cloud.call("POST", "/v3/auth/tokens", login)
        #expect(robot.status == 201)
        let own = robot.header("X-Subject-Token") ?? ""
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: own).status == 200)
        town.cloud.clock.advance(.seconds(601))
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: own).status == 401)
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", login).status == 401)
        _ = await town.bring("at")
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", login).status == 201)
        // Out of the group, and with it out of the tokens that named it.
        town.cloud.clock.advance(.seconds(5))
        Self.says(town, ["groups": ["ops"]])
        _ = await town.bring("at")
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", login).status == 401)
    }

    static let projects: JSON = [
        [
            "local": [
                ["user": ["id": "{0}", "name": "{1}"]],
                ["projects": [["name": "of {1}", "roles": [["name": "member"]]], ["name": "all", "roles": []]]],
            ], "remote": [["type": "OIDC-sub"], ["type": "OIDC-email"]],
        ]
    ]

    @Test("A mapping may give projects, which are made once")
    func projects() async throws {
        let town = try await FederatedTown("bearer = introspection", rules: Self.projects)
        Self.says(town)
        let token = await town.bring("at").header("X-Subject-Token") ?? ""
        _ = await town.bring("at")
        let mine = await town.cloud.call("GET", "/v3/auth/projects", token: token)
        #expect(mine["projects"].array?.names() == ["of ada@example.com"])
        let id = mine["projects"][0]?["id"]?.string ?? ""
        let scoped = await Self.rescope(town, token, ["project": ["id": .string(id)]])
        #expect(scoped["token"]["roles"]?.array?.names().sorted() == ["member", "reader"])
    }

    @Test("A role that is not there stops everything before anything is made")
    func missingRole() async throws {
        let rules: JSON = [
            [
                "local": [["user": ["name": "{0}"]], ["projects": [["name": "p", "roles": [["name": "magic"]]]]]],
                "remote": [["type": "OIDC-email"]],
            ]
        ]
        let town = try await FederatedTown("bearer = introspection", rules: rules)
        Self.says(town)
        let answer = await town.bring("at")
        #expect(answer.status == 404 && answer["error"]["message"] == "Could not find role: magic.")
        #expect(await town.cloud.call("GET", "/v3/users?unique_id=x", token: town.admin)["users"] == [])
    }

    @Test("Somebody who was here before keeps the user, without anything of federation's")
    func local() async throws {
        let rules: JSON = [
            [
                "local": [["user": ["name": "{0}", "type": "local", "domain": ["id": "default"]]]],
                "remote": [["type": "OIDC-email"]],
            ]
        ]
        let town = try await FederatedTown("bearer = introspection", rules: rules)
        Self.says(town)
        #expect(await town.bring("at").status == 401)
        let id = await town.cloud.make(
            "user", ["name": "ada@example.com", "domain_id": "default"], token: town.admin)
        let answer = await town.bring("at")
        #expect(answer.status == 201 && answer["token"]["user"]?["id"]?.string == id)
        #expect(answer["token"]["user"]?["OS-FEDERATION"] == nil)
    }
}
