// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct ApplicationCredentialsTests {
    static func login(_ id: String, _ secret: String) -> JSON {
        [
            "auth": [
                "identity": [
                    "methods": ["application_credential"],
                    "application_credential": ["id": .string(id), "secret": .string(secret)],
                ]
            ]
        ]
    }

    struct Town {
        let cloud: IdentityCloud
        let admin: String, user: String, path: String

        init() async throws {
            cloud = try await IdentityCloud()
            let answer = await cloud.call(
                "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
            admin = answer.header("X-Subject-Token") ?? ""
            user = answer["token"]["user"]?["id"]?.string ?? ""
            path = "/v3/users/\(user)/application_credentials"
        }

        func make(_ body: JSON) async -> TestCloud.Answer {
            await cloud.call("POST", path, ["application_credential": body], token: admin)
        }
    }

    @Test("A credential buys tokens for its project with its roles, and makes no others")
    func life() async throws {
        let town = try await Town()
        let made = await town.make(["name": "robot", "roles": [["name": "member"]]])
        #expect(made.status == 201)
        let credential = made["application_credential"]
        #expect(credential["roles"]?.array?.names().sorted() == ["member", "reader"])
        #expect(credential["unrestricted"] == false)
        let (id, secret) = (credential["id"]?.string ?? "", credential["secret"]?.string ?? "")
        let shown = await town.cloud.call("GET", town.path + "/" + id, token: town.admin)
        #expect(shown.status == 200)
        #expect(shown["application_credential"]["secret"] == nil)
        let answer = await town.cloud.call("POST", "/v3/auth/tokens", Self.login(id, secret))
        #expect(answer.status == 201)
        #expect(answer["token"]["methods"] == ["application_credential"])
        #expect(Set(answer["token"]["roles"]?.array?.names() ?? []) == ["member", "reader"])
        #expect(answer["token"]["application_credential"]?["restricted"] == true)
        #expect(answer["token"]["project"]?["name"] == "admin")
        let token = answer.header("X-Subject-Token") ?? ""
        let another: JSON = ["application_credential": ["name": "x"]]
        #expect(await town.cloud.call("POST", town.path, another, token: token).status == 403)
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", Self.login(id, "wrong")).status == 401)
        var scoped = Self.login(id, secret)
        scoped["auth"] = ["identity": scoped["auth"]?["identity"] ?? .null, "scope": IdentityCloud.adminProject]
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", scoped).status == 401)
        #expect(await town.make(["name": "robot"]).status == 409)
        #expect(await town.cloud.call("DELETE", town.path + "/" + id, token: town.admin).status == 204)
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
    }

    @Test("A credential ends when it says, and its tokens with it")
    func expiry() async throws {
        let town = try await Town()
        let made = await town.make(["name": "robot", "expires_at": "2027-01-15T08:10:00"])
        #expect(made["application_credential"]["expires_at"] == "2027-01-15T08:10:00.000000")
        let credential = made["application_credential"]
        let login = Self.login(credential["id"]?.string ?? "", credential["secret"]?.string ?? "")
        let answer = await town.cloud.call("POST", "/v3/auth/tokens", login)
        #expect(answer["token"]["expires_at"] == "2027-01-15T08:10:00.000000Z")
        let token = answer.header("X-Subject-Token") ?? ""
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 200)
        town.cloud.clock.advance(.seconds(601))
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
        #expect(await town.cloud.call("POST", "/v3/auth/tokens", login).status == 401)
        #expect(await town.make(["name": "late", "expires_at": "2020-01-01T00:00:00Z"]).status == 400)
        #expect(await town.make(["name": "odd", "expires_at": "soon"]).status == 400)
        #expect(await town.make(["name": "odd", "roles": [["name": "service"]]]).status == 400)
        #expect(await town.make(["name": "odd", "roles": [["name": "magic"]]]).status == 404)
    }

    @Test("Access rules leave a token the calls they name and no other")
    func accessRules() async throws {
        let town = try await Town()
        let rules: JSON = [
            ["service": "identity", "method": "GET", "path": "/v3/users/*"],
            ["service": "identity", "method": "GET", "path": "/v3/auth/**"],
        ]
        let made = await town.make(["name": "robot", "access_rules": rules])
        #expect(made["application_credential"]["access_rules"]?[0]?["path"] == "/v3/users/*")
        let credential = made["application_credential"]
        let login = Self.login(credential["id"]?.string ?? "", credential["secret"]?.string ?? "")
        let token = await town.cloud.call("POST", "/v3/auth/tokens", login).header("X-Subject-Token") ?? ""
        #expect(await town.cloud.call("GET", "/v3/users/\(town.user)", token: token).status == 200)
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 200)
        #expect(await town.cloud.call("GET", "/v3/users", token: token).status == 401)
        #expect(await town.cloud.call("DELETE", "/v3/users/\(town.user)", token: token).status == 401)
        let bad: JSON = [["service": "identity", "method": "LOOK", "path": "/"]]
        #expect(await town.make(["name": "bad", "access_rules": bad]).status == 400)
        let list = await town.cloud.call("GET", "/v3/users/\(town.user)/access_rules", token: town.admin)
        #expect(list["access_rules"].array?.count == 2)
        let id = list["access_rules"][0]?["id"]?.string ?? ""
        let path = "/v3/users/\(town.user)/access_rules/\(id)"
        #expect(await town.cloud.call("GET", path, token: town.admin).status == 200)
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 403)
        let own = town.path + "/" + (credential["id"]?.string ?? "")
        #expect(await town.cloud.call("DELETE", own, token: town.admin).status == 204)
        #expect(await town.cloud.call("DELETE", path, token: town.admin).status == 204)
        #expect(await town.cloud.call("GET", path, token: town.admin).status == 404)
    }
}
