// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct DomainsTests {
    @Test("A domain is made, renamed, disabled, and goes with all that is in it")
    func life() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let made = await cloud.call("POST", "/v3/domains", ["domain": ["name": "d", "description": "x"]], token: admin)
        #expect(made.status == 201)
        let id = made["domain"]["id"]?.string ?? ""
        #expect(
            Set(made["domain"].object?.keys ?? []) == [
                "id", "name", "description", "enabled", "tags", "options", "links",
            ])
        let user = await cloud.make("user", ["name": "u", "domain_id": .string(id)], token: admin)
        let project = await cloud.make("project", ["name": "p", "domain_id": .string(id)], token: admin)
        #expect(await cloud.call("GET", "/v3/domains?name=d", token: admin)["domains"].array?.count == 1)
        #expect(await cloud.call("GET", "/v3/projects?domain_id=\(id)", token: admin)["projects"].array?.count == 1)
        #expect(
            await cloud.call("GET", "/v3/projects?is_domain=true", token: admin)["projects"].array?.names().sorted()
                == ["Default", "d"])
        let early = await cloud.call("DELETE", "/v3/domains/\(id)", token: admin)
        #expect(early.status == 403)
        #expect(early["error"]["message"]?.string?.contains("please disable it first") == true)
        let off = await cloud.call("PATCH", "/v3/domains/\(id)", ["domain": ["enabled": false]], token: admin)
        #expect(off["domain"]["enabled"] == false)
        #expect(await cloud.call("DELETE", "/v3/domains/\(id)", token: admin).status == 204)
        #expect(await cloud.call("GET", "/v3/domains/\(id)", token: admin).status == 404)
        #expect(await cloud.call("GET", "/v3/users/\(user)", token: admin).status == 404)
        #expect(await cloud.call("GET", "/v3/projects/\(project)", token: admin).status == 404)
    }

    @Test("Domain names are taken once; a project is no domain")
    func names() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let again = await cloud.call("POST", "/v3/domains", ["domain": ["name": "Default"]], token: admin)
        #expect(again.status == 409)
        let project = await cloud.make("project", ["name": "p"], token: admin)
        #expect(await cloud.call("GET", "/v3/domains/\(project)", token: admin).status == 404)
        #expect(await cloud.call("POST", "/v3/domains", ["domain": ["name": 1]], token: admin).status == 400)
        #expect(await cloud.call("POST", "/v3/domains", ["domain": [:]], token: admin).status == 400)
    }

    @Test("Clients may write a domain's name in another case, where no other domain is meant")
    func cases() async throws {
        let cloud = try await IdentityCloud()
        let scope: JSON = ["project": ["name": "admin", "domain": ["name": "default"]]]
        let admin = await cloud.token(scope: scope)
        #expect(!admin.isEmpty)
        _ = await cloud.make("domain", ["name": "DEFAULT"], token: admin)
        #expect(await cloud.token(scope: scope).isEmpty, "two could be meant")
        #expect(await !cloud.token().isEmpty, "its very name")
    }

    @Test("A domain is disabled as the project it is, whatever is in it; a project with enabled ones below is not")
    func disabledAsProject() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let domain = await cloud.make("domain", ["name": "d"], token: admin)
        let above = await cloud.make("project", ["name": "p", "domain_id": .string(domain)], token: admin)
        _ = await cloud.make(
            "project", ["name": "q", "domain_id": .string(domain), "parent_id": .string(above)], token: admin)
        let off: JSON = ["project": ["enabled": false]]
        #expect(await cloud.call("PATCH", "/v3/projects/\(above)", off, token: admin).status == 403)
        #expect(await cloud.call("PATCH", "/v3/projects/\(domain)", off, token: admin).status == 200)
        #expect(await cloud.call("GET", "/v3/domains/\(domain)", token: admin)["domain"]["enabled"] == false)
    }

    @Test("A disabled domain shuts out its users")
    func disabled() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let id = await cloud.make("domain", ["name": "d"], token: admin)
        let user = await cloud.make("user", ["name": "u", "password": "pw", "domain_id": .string(id)], token: admin)
        let login: JSON = [
            "auth": [
                "identity": [
                    "methods": ["password"], "password": ["user": ["id": .string(user), "password": "pw"]],
                ]
            ]
        ]
        let token = await cloud.call("POST", "/v3/auth/tokens", login).header("X-Subject-Token") ?? ""
        #expect(await cloud.call("GET", "/v3/users/\(user)", token: token).status == 200)
        _ = await cloud.call("PATCH", "/v3/domains/\(id)", ["domain": ["enabled": false]], token: admin)
        #expect(await cloud.call("GET", "/v3/users/\(user)", token: token).status == 401)
        #expect(await cloud.call("POST", "/v3/auth/tokens", login).status == 401)
    }

    @Test("The manager of a domain rules its users and sees no other domain's")
    func manager() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let id = await cloud.make("domain", ["name": "d"], token: admin)
        let user = await cloud.make("user", ["name": "u", "password": "pw", "domain_id": .string(id)], token: admin)
        let role = await cloud.role("manager", token: admin)
        _ = await cloud.call("PUT", "/v3/domains/\(id)/users/\(user)/roles/\(role)", token: admin)
        let login: JSON = [
            "auth": [
                "identity": [
                    "methods": ["password"], "password": ["user": ["id": .string(user), "password": "pw"]],
                ],
                "scope": ["domain": ["id": .string(id)]],
            ]
        ]
        let token = await cloud.call("POST", "/v3/auth/tokens", login).header("X-Subject-Token") ?? ""
        #expect(await cloud.call("GET", "/v3/users", token: token)["users"].array?.names() == ["u"])
        let made = await cloud.call("POST", "/v3/users", ["user": ["name": "v"]], token: token)
        #expect(made.status == 201)
        #expect(made["user"]["domain_id"]?.string == id)
        let foreign: JSON = ["user": ["name": "v", "domain_id": "default"]]
        #expect(await cloud.call("POST", "/v3/users", foreign, token: token).status == 403)
        let project = await cloud.make("project", ["name": "p", "domain_id": .string(id)], token: token)
        let member = await cloud.role("member", token: admin)
        let place = "/v3/projects/\(project)/users/\(user)/roles/"
        #expect(await cloud.call("PUT", place + member, token: token).status == 204)
        let adminRole = await cloud.role("admin", token: admin)
        #expect(await cloud.call("PUT", place + adminRole, token: token).status == 403)
        #expect(await cloud.call("GET", "/v3/projects", token: token)["projects"].array?.names() == ["p"])
        #expect(await cloud.call("GET", "/v3/domains", token: token)["domains"].array?.names() == ["d"])
    }
}
