// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct AuthTokensTests {
    @Test("A password buys a token for a project, with user, roles, times and catalogue")
    func projectToken() async throws {
        let cloud = try await IdentityCloud()
        let answer = await cloud.call(
            "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
        #expect(answer.status == 201)
        #expect(answer.header("Vary") == "X-Auth-Token")
        let token = answer["token"]
        #expect(token["methods"] == ["password"])
        #expect(token["user"]?["name"] == "admin")
        #expect(token["user"]?["domain"] == ["id": "default", "name": "Default"])
        #expect(token["user"]?["password_expires_at"] == .null)
        #expect(token["project"]?["domain"] == ["id": "default", "name": "Default"])
        #expect(token["is_domain"] == false)
        #expect(token["roles"]?.array?.names() == ["admin", "manager", "member", "reader"])
        #expect(token["issued_at"] == "2027-01-15T08:00:00.000000Z")
        #expect(token["expires_at"] == "2027-01-15T09:00:00.000000Z")
        #expect(token["audit_ids"]?.array?.count == 1)
        #expect(token["catalog"]?[0]?["type"] == "identity")
        #expect(token["catalog"]?[0]?["endpoints"]?.array?.count == 3)
        #expect(token["catalog"]?[0]?["endpoints"]?[0]?["region"] == "RegionOne")
        let bare = await cloud.call(
            "POST", "/v3/auth/tokens?nocatalog",
            IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
        #expect(bare["token"]["catalog"] == nil)
    }

    @Test("Each scope has its own members: none, system, domain")
    func scopes() async throws {
        let cloud = try await IdentityCloud()
        for body in [
            IdentityCloud.login("admin", "secret"), IdentityCloud.login("admin", "secret", scope: "unscoped"),
            IdentityCloud.login("admin", "secret", scope: ["unscoped": [:]]),
        ] {
            let unscoped = await cloud.call("POST", "/v3/auth/tokens", body)
            #expect(unscoped.status == 201)
            #expect(unscoped["token"]["catalog"] == nil && unscoped["token"]["roles"] == nil)
        }
        let system = await cloud.call(
            "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: ["system": ["all": true]]))
        #expect(system["token"]["system"] == ["all": true])
        #expect(system["token"]["project"] == nil)
        let domain = IdentityCloud.login("admin", "secret", scope: ["domain": ["id": "default"]])
        #expect(await cloud.call("POST", "/v3/auth/tokens", domain).status == 401)
        let admin = await cloud.token()
        let user = system["token"]["user"]?["id"]?.string ?? ""
        let role = await cloud.role("reader", token: admin)
        #expect(
            await cloud.call("PUT", "/v3/domains/default/users/\(user)/roles/\(role)", token: admin).status == 204)
        let scoped = await cloud.call("POST", "/v3/auth/tokens", domain)
        #expect(scoped["token"]["domain"] == ["id": "default", "name": "Default"])
        #expect(scoped["token"]["roles"]?.array?.names() == ["reader"])
    }

    @Test(
        "Whatever is wrong with who somebody claims to be, the answer is the same 401",
        arguments: [
            IdentityCloud.login("admin", "wrong"), IdentityCloud.login("nobody", "secret"),
            IdentityCloud.login("admin", ""),
            IdentityCloud.login("admin", "secret", scope: ["project": ["id": "nowhere"]]),
            IdentityCloud.login("admin", "secret", scope: ["project": ["name": "x", "domain": ["name": "Default"]]]),
            IdentityCloud.login("admin", "secret", scope: ["domain": ["name": "nowhere"]]),
            ["auth": ["identity": ["methods": ["token"], "token": ["id": "gAAAAAB"]]]],
            ["auth": ["identity": ["methods": ["magic"], "magic": [:]]]],
        ] as [JSON])
    func refusals(body: JSON) async throws {
        let cloud = try await IdentityCloud()
        let answer = await cloud.call("POST", "/v3/auth/tokens", body)
        #expect(answer.status == 401)
        #expect(
            answer.json == [
                "error": [
                    "code": 401, "message": "The request you have made requires authentication.",
                    "title": "Unauthorized",
                ]
            ])
        #expect(answer.header("WWW-Authenticate")?.hasPrefix("Keystone uri=") == true)
    }

    @Test(
        "A malformed request is 400 and names the member",
        arguments: [
            ([:], "auth"), (["auth": [:]], "identity"), (["auth": ["identity": [:]]], "methods"),
            (["auth": ["identity": ["methods": "password"]]], "methods"),
            (["auth": ["identity": ["methods": ["password"]]]], "password in identity"),
            (["auth": ["identity": ["methods": ["password"], "password": [:]]]], "user"),
            (["auth": ["identity": ["methods": ["password"], "password": ["user": [:]]]]], "id or name in user"),
            (
                ["auth": ["identity": ["methods": ["password"], "password": ["user": ["name": "a"]]]]],
                "domain in user"
            ),
            (IdentityCloud.login("admin", "secret", scope: [:]), "system, project, domain"),
            (IdentityCloud.login("admin", "secret", scope: ["system": ["all": true], "unscoped": [:]]), "scope"),
        ] as [(JSON, String)])
    func malformed(body: JSON, member: String) async throws {
        let answer = try await IdentityCloud().call("POST", "/v3/auth/tokens", body)
        #expect(answer.status == 400)
        #expect(answer["error"]["message"]?.string?.contains(member) == true, "\(answer.json)")
    }

    @Test("A token buys another that ends no later, keeps the first audit id, and adds its method")
    func rescoping() async throws {
        let cloud = try await IdentityCloud()
        let first = await cloud.call("POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret"))
        cloud.clock.advance(.seconds(600))
        let text = first.header("X-Subject-Token") ?? ""
        let body: JSON = [
            "auth": [
                "identity": ["methods": ["token"], "token": ["id": .string(text)]], "scope": IdentityCloud.adminProject,
            ]
        ]
        let second = await cloud.call("POST", "/v3/auth/tokens", body)
        #expect(second.status == 201)
        #expect(second["token"]["expires_at"] == first["token"]["expires_at"])
        #expect(second["token"]["audit_ids"]?[1] == first["token"]["audit_ids"]?[0])
        #expect(Set(second["token"]["methods"]?.array?.compactMap(\.string) ?? []) == ["password", "token"])
        let system = await cloud.token(scope: ["system": ["all": true]])
        let escape: JSON = [
            "auth": [
                "identity": ["methods": ["token"], "token": ["id": .string(system)]],
                "scope": IdentityCloud.adminProject,
            ]
        ]
        #expect(await cloud.call("POST", "/v3/auth/tokens", escape).status == 403)
    }

    @Test("Validation answers what issuing did; an ended token is only for whoever allows it, and not for ever")
    func validation() async throws {
        let cloud = try await IdentityCloud()
        let issued = await cloud.call(
            "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
        let text = issued.header("X-Subject-Token") ?? ""
        let subject = [("X-Subject-Token", text)]
        let shown = await cloud.call("GET", "/v3/auth/tokens", token: text, headers: subject)
        #expect(shown.status == 200)
        #expect(shown.json == issued.json)
        #expect(shown.header("X-Subject-Token") == text)
        #expect(await cloud.call("HEAD", "/v3/auth/tokens", token: text, headers: subject).status == 200)
        #expect(await cloud.call("GET", "/v3/auth/tokens", token: text).status == 404)
        #expect(await cloud.call("GET", "/v3/auth/tokens", headers: subject).status == 401)
        cloud.clock.advance(.seconds(3601))
        let fresh = await cloud.token()
        #expect(await cloud.call("GET", "/v3/auth/tokens", token: fresh, headers: subject).status == 404)
        let allowed = "/v3/auth/tokens?allow_expired=1"
        #expect(await cloud.call("GET", allowed, token: fresh, headers: subject).status == 200)
        #expect(await cloud.call("GET", "/v3/users", token: text).status == 401)
        cloud.clock.advance(.seconds(172_801))
        let later = await cloud.token()
        #expect(await cloud.call("GET", allowed, token: later, headers: subject).status == 404)
    }

    @Test("A revoked token is worth nothing at once; others of the same user live on")
    func revocation() async throws {
        let cloud = try await IdentityCloud()
        let (admin, other) = (await cloud.token(), await cloud.token())
        #expect(await cloud.call("GET", "/v3/users", token: other).status == 200)
        let headers = [("X-Subject-Token", other)]
        #expect(await cloud.call("DELETE", "/v3/auth/tokens", token: admin, headers: headers).status == 204)
        #expect(await cloud.call("GET", "/v3/users", token: other).status == 401)
        #expect(await cloud.call("GET", "/v3/auth/tokens", token: admin, headers: headers).status == 404)
        #expect(await cloud.call("GET", "/v3/users", token: admin).status == 200)
    }

    @Test(
        "Tampered and foreign tokens are refused",
        arguments: ["", "x", "gAAAAABmX", "€", String(repeating: "a", count: 20_000)])
    func tampered(text: String) async throws {
        let cloud = try await IdentityCloud()
        #expect(await cloud.call("GET", "/v3/users", token: text).status == 401)
        var altered = Array(await cloud.token())
        altered[20] = altered[20] == "A" ? "B" : "A"
        #expect(await cloud.call("GET", "/v3/users", token: String(altered)).status == 401)
    }

    @Test("The caller's own scopes and catalogue are listed")
    func ownScopes() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        #expect(await cloud.call("GET", "/v3/auth/projects", token: admin)["projects"].array?.names() == ["admin"])
        #expect(await cloud.call("GET", "/v3/auth/domains", token: admin)["domains"] == [])
        #expect(await cloud.call("GET", "/v3/auth/system", token: admin)["system"] == [["all": true]])
        #expect(await cloud.call("GET", "/v3/auth/catalog", token: admin)["catalog"].array?.count == 1)
        let unscoped = await cloud.token(scope: nil)
        #expect(await cloud.call("GET", "/v3/auth/projects", token: unscoped).status == 200)
        #expect(await cloud.call("GET", "/v3/auth/catalog", token: unscoped).status == 403)
        #expect(await cloud.call("GET", "/v3/auth/projects").status == 401)
    }

    @Test("Discovery tells of one version")
    func versions() async throws {
        let cloud = try await IdentityCloud()
        let root = await cloud.call("GET", "/")
        #expect(root.status == 300)
        #expect(root["versions"]["values"]?[0]?["links"]?[0]?["href"] == "http://cloud.test:5000/v3/")
        let version = await cloud.call("GET", "/v3")
        #expect(version["version"]["id"] == "v3.14")
        #expect(version["version"]["status"] == "stable")
    }

    @Test("A full line at the password check is told to come back")
    func fullLine() async throws {
        let pool = BlockingPool(name: "passwords", threads: 1, queue: 1)
        let cloud = try await IdentityCloud(pool: pool)
        let statuses = await withTaskGroup(of: TestCloud.Answer.self) { group in
            for _ in 0..<64 {
                group.addTask { await cloud.call("POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret")) }
            }
            var all: [TestCloud.Answer] = []
            for await answer in group { all.append(answer) }
            return all
        }
        #expect(statuses.allSatisfy { $0.status == 201 || $0.status == 503 && $0.header("Retry-After") != nil })
    }
}
