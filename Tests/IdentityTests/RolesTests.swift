// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct RolesTests {
    @Test("Bootstrap's roles imply one another and cannot be changed")
    func bootstrapped() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let roles = await cloud.call("GET", "/v3/roles", token: admin)["roles"].array ?? []
        #expect(roles.names().sorted() == ["admin", "manager", "member", "reader", "service"])
        #expect(roles.allSatisfy { $0["options"] == ["immutable": true] && $0["domain_id"] == .null })
        let inferences = await cloud.call("GET", "/v3/role_inferences", token: admin)["role_inferences"].array ?? []
        let pairs = inferences.map { ($0["prior_role"]?["name"]?.string, $0["implies"]?[0]?["name"]?.string) }
        #expect(pairs.contains { $0 == ("admin", "manager") })
        #expect(pairs.contains { $0 == ("manager", "member") })
        #expect(pairs.contains { $0 == ("member", "reader") })
        let id = await cloud.role("reader", token: admin)
        #expect(await cloud.call("PATCH", "/v3/roles/\(id)", ["role": ["name": "x"]], token: admin).status == 403)
        #expect(await cloud.call("DELETE", "/v3/roles/\(id)", token: admin).status == 403)
    }

    @Test("A role is made, renamed, and goes with the grants of it")
    func life() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let made = await cloud.call("POST", "/v3/roles", ["role": ["name": "r", "description": "d"]], token: admin)
        #expect(made.status == 201)
        #expect(made["role"]["domain_id"] == .null)
        #expect(made["role"]["description"] == "d")
        let id = made["role"]["id"]?.string ?? ""
        #expect(await cloud.call("POST", "/v3/roles", ["role": ["name": "r"]], token: admin).status == 409)
        let changed = await cloud.call("PATCH", "/v3/roles/\(id)", ["role": ["name": "s"]], token: admin)
        #expect(changed["role"]["name"] == "s")
        #expect(await cloud.call("DELETE", "/v3/roles/\(id)", token: admin).status == 204)
        #expect(await cloud.call("GET", "/v3/roles/\(id)", token: admin).status == 404)
        #expect(await cloud.call("POST", "/v3/roles", ["role": [:]], token: admin).status == 400)
    }

    @Test("A domain's own roles are listed with it and stand in no token")
    func domainRoles() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let own: JSON = ["name": "r", "domain_id": "default"]
        let id = await cloud.make("role", own, token: admin)
        #expect(await cloud.call("GET", "/v3/roles?name=r", token: admin)["roles"] == [])
        #expect(
            await cloud.call("GET", "/v3/roles?domain_id=default", token: admin)["roles"].array?.names() == ["r"])
        let member = await cloud.role("member", token: admin)
        #expect(await cloud.call("PUT", "/v3/roles/\(id)/implies/\(member)", token: admin).status == 201)
        #expect(await cloud.call("PUT", "/v3/roles/\(member)/implies/\(id)", token: admin).status == 403)
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let project = await cloud.make("project", ["name": "p"], token: admin)
        _ = await cloud.call("PUT", "/v3/projects/\(project)/users/\(ann)/roles/\(id)", token: admin)
        let login = IdentityCloud.login("ann", "one", scope: ["project": ["id": .string(project)]])
        let roles = await cloud.call("POST", "/v3/auth/tokens", login)["token"]["roles"]?.array?.names()
        #expect(roles == ["member", "reader"])
    }

    @Test("One role implies another until it no longer does")
    func implied() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let (r, s) = (
            await cloud.make("role", ["name": "r"], token: admin), await cloud.make("role", ["name": "s"], token: admin)
        )
        let path = "/v3/roles/\(r)/implies/\(s)"
        #expect(await cloud.call("GET", path, token: admin).status == 404)
        let made = await cloud.call("PUT", path, token: admin)
        #expect(made.status == 201)
        #expect(made["role_inference"]["prior_role"]?["name"] == "r")
        #expect(made["role_inference"]["implies"]?["name"] == "s")
        #expect(await cloud.call("HEAD", path, token: admin).status == 204)
        #expect(await cloud.call("GET", path, token: admin).status == 200)
        let all = await cloud.call("GET", "/v3/roles/\(r)/implies", token: admin)
        #expect(all["role_inference"]["implies"]?[0]?["name"] == "s")
        let highest = await cloud.role("admin", token: admin)
        #expect(await cloud.call("PUT", "/v3/roles/\(r)/implies/\(highest)", token: admin).status == 403)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        #expect(await cloud.call("DELETE", path, token: admin).status == 404)
    }
}
