// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct TrustsTests {
    struct Town {
        let cloud: IdentityCloud
        let admin: String, trustor: String, project: String, trustee: String

        init() async throws {
            cloud = try await IdentityCloud()
            let answer = await cloud.call(
                "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
            admin = answer.header("X-Subject-Token") ?? ""
            trustor = answer["token"]["user"]?["id"]?.string ?? ""
            project = answer["token"]["project"]?["id"]?.string ?? ""
            trustee = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        }

        func make(_ change: JSON = [:]) async -> TestCloud.Answer {
            var body: JSON = [
                "trustor_user_id": .string(trustor), "trustee_user_id": .string(trustee),
                "project_id": .string(project), "impersonation": false, "roles": [["name": "member"]],
            ]
            for (key, value) in change.object ?? [:] { body[key] = value }
            return await cloud.call("POST", "/v3/OS-TRUST/trusts", ["trust": body], token: admin)
        }

        func use(_ id: String, name: String = "ann", password: String = "one") async -> TestCloud.Answer {
            await cloud.call(
                "POST", "/v3/auth/tokens",
                IdentityCloud.login(name, password, scope: ["OS-TRUST:trust": ["id": .string(id)]]))
        }
    }

    @Test("The trustee acts with the roles given, in the own name or the trustor's", arguments: [false, true])
    func life(impersonation: Bool) async throws {
        let town = try await Town()
        let made = await town.make(["impersonation": .bool(impersonation)])
        #expect(made.status == 201)
        #expect(made["trust"]["roles"]?.array?.names() == ["member"])
        let id = made["trust"]["id"]?.string ?? ""
        let answer = await town.use(id)
        #expect(answer.status == 201)
        #expect(answer["token"]["user"]?["name"]?.string == (impersonation ? "admin" : "ann"))
        #expect(answer["token"]["roles"]?.array?.names() == ["member", "reader"])
        #expect(answer["token"]["OS-TRUST:trust"]?["trustee_user"] == ["id": .string(town.trustee)])
        let token = answer.header("X-Subject-Token") ?? ""
        #expect(await town.cloud.call("GET", "/v3/auth/catalog", token: token).status == 200)
        let again: JSON = ["auth": ["identity": ["methods": ["token"], "token": ["id": .string(token)]]]]
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", again).status == 403)
        #expect(await town.use(id, name: "admin", password: "secret").status == 403)
        let trustee = await town.cloud.token("ann", "one", scope: nil)
        let path = "/v3/OS-TRUST/trusts/" + id
        #expect(await town.cloud.call("GET", path, token: trustee).status == 200)
        #expect(await town.cloud.call("DELETE", path, token: trustee).status == 403)
        #expect(await town.cloud.call("GET", path + "/roles", token: trustee)["roles"].array?.count == 1)
        let lists = "/v3/OS-TRUST/trusts?trustee_user_id=\(town.trustee)"
        #expect(await town.cloud.call("GET", lists, token: trustee)["trusts"].array?.count == 1)
        #expect(await town.cloud.call("GET", "/v3/OS-TRUST/trusts", token: trustee).status == 403)
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 204)
        #expect(await town.cloud.call("GET", path, token: trustee).status == 404)
        #expect(await town.cloud.call("GET", "/v3/auth/catalog", token: token).status == 401)
        #expect(await town.use(id).status == 401)
    }

    @Test("A trust may be used so often and so long")
    func limits() async throws {
        let town = try await Town()
        let twice = await town.make(["remaining_uses": 2])["trust"]["id"]?.string ?? ""
        #expect(await town.use(twice).status == 201)
        #expect(await town.use(twice).status == 201)
        #expect(await town.use(twice).status == 401)
        let short = await town.make(["expires_at": "2027-01-15T08:10:00.000000Z"])
        #expect(short["trust"]["expires_at"] == "2027-01-15T08:10:00.000000Z")
        let token = await town.use(short["trust"]["id"]?.string ?? "").header("X-Subject-Token") ?? ""
        #expect(await town.cloud.call("GET", "/v3/auth/catalog", token: token).status == 200)
        town.cloud.clock.advance(.seconds(601))
        #expect(await town.cloud.call("GET", "/v3/auth/catalog", token: token).status == 401)
    }

    @Test("A trust may be handed on as often as it says, and ends with the one it came from")
    func chains() async throws {
        let town = try await Town()
        let made = await town.make(["impersonation": true, "allow_redelegation": true, "redelegation_count": 2])
        #expect(made["trust"]["redelegation_count"] == 2)
        let first = made["trust"]["id"]?.string ?? ""
        let token = await town.use(first).header("X-Subject-Token") ?? ""
        let bob = await town.cloud.make("user", ["name": "bob", "password": "two"], token: town.admin)
        func hand(_ change: JSON = [:], by token: String) async -> TestCloud.Answer {
            var body: JSON = [
                "trustor_user_id": .string(town.trustor), "trustee_user_id": .string(bob),
                "project_id": .string(town.project), "impersonation": true, "roles": [["name": "member"]],
            ]
            for (key, value) in change.object ?? [:] { body[key] = value }
            return await town.cloud.call("POST", "/v3/OS-TRUST/trusts", ["trust": body], token: token)
        }
        #expect(await hand(["allow_redelegation": true, "redelegation_count": 2], by: token).status == 403)
        #expect(await hand(["remaining_uses": 1], by: token).status == 403)
        #expect(await hand(["roles": [["name": "manager"]]], by: token).status == 403)
        let second = await hand(["allow_redelegation": true], by: token)
        #expect(second["trust"]["redelegation_count"] == 1, "\(second.json)")
        #expect(second["trust"]["redelegated_trust_id"]?.string == first)
        let id = second["trust"]["id"]?.string ?? ""
        let used = await town.use(id, name: "bob", password: "two")
        #expect(used.status == 201)
        #expect(used["token"]["user"]?["name"] == "admin")
        let deeper = used.header("X-Subject-Token") ?? ""
        let third = await hand([:], by: deeper)
        #expect(third["trust"]["redelegation_count"] == 0)
        let last = await town.use(third["trust"]["id"]?.string ?? "", name: "bob", password: "two")
        #expect(await hand([:], by: last.header("X-Subject-Token") ?? "").status == 403)
        let path = "/v3/OS-TRUST/trusts/" + first
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 204)
        #expect(await town.use(id, name: "bob", password: "two").status == 401)
        #expect(await town.cloud.call("GET", "/v3/auth/catalog", token: deeper).status == 401)
        #expect(await town.cloud.call("GET", "/v3/OS-TRUST/trusts", token: town.admin)["trusts"] == [])
    }

    @Test(
        "Bad trusts are refused",
        arguments: [
            (["trustor_user_id": "somebody"], 403), (["roles": []], 403), (["roles": [["name": "magic"]]], 404),
            (["roles": [["name": "service"]]], 404), (["trustee_user_id": "nobody"], 404),
            (["impersonation": "yes"], 400), (["remaining_uses": 0], 400), (["expires_at": "soon"], 400),
            (["expires_at": "2020-01-01T00:00:00Z"], 400),
            (["allow_redelegation": true, "redelegation_count": 4], 403),
            (["allow_redelegation": true, "remaining_uses": 2], 400),
        ] as [(JSON, Int)])
    func badTrusts(change: JSON, status: Int) async throws {
        let answer = try await Town().make(change)
        #expect(answer.status == status, "\(answer.json)")
    }
}
