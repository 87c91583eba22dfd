// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct UsersTests {
    @Test("A user is made, shown, changed and removed; what no schema names is kept")
    func life() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let made = await cloud.call(
            "POST", "/v3/users",
            ["user": ["name": " ann ", "password": "pw", "email": "a@b.c", "description": "d"]], token: admin)
        #expect(made.status == 201)
        let id = made["user"]["id"]?.string ?? ""
        #expect(id.count == 32)
        #expect(made["user"]["name"] == "ann")
        #expect(made["user"]["email"] == "a@b.c")
        #expect(made["user"]["password"] == nil)
        #expect(made["user"]["enabled"] == true)
        #expect(made["user"]["domain_id"] == "default")
        #expect(made["user"]["options"] == [:])
        #expect(made["user"]["links"]?["self"]?.string == "http://cloud.test:5000/v3/users/\(id)")
        #expect(made["user"]["default_project_id"] == nil)
        let changed = await cloud.call(
            "PATCH", "/v3/users/\(id)", ["user": ["email": "x@y.z", "options": ["lock_password": true]]], token: admin)
        #expect(changed["user"]["email"] == "x@y.z")
        #expect(changed["user"]["description"] == "d")
        #expect(changed["user"]["options"] == ["lock_password": true])
        #expect(await cloud.call("HEAD", "/v3/users/\(id)", token: admin).status == 200)
        #expect(await cloud.call("DELETE", "/v3/users/\(id)", token: admin).status == 204)
        let gone = await cloud.call("GET", "/v3/users/\(id)", token: admin)
        #expect(gone.status == 404)
        #expect(gone["error"]["message"]?.string == "Could not find user: \(id).")
    }

    @Test(
        "Bad users are 400 and the message names the member",
        arguments: [
            ([:], "name"), (["name": ""], "name"), (["name": "  "], "name"), (["name": 7], "name"),
            (["name": .string(String(repeating: "x", count: 256))], "name"),
            (["name": "a", "enabled": "true"], "enabled"), (["name": "a", "password": 5], "password"),
            (["name": "a", "default_project_id": "default"], "default project"),
            (["name": "a", "options": ["magic": true]], "magic"),
            (["name": "a", "options": ["lock_password": "yes"]], "lock_password"),
        ] as [(JSON, String)])
    func badUsers(body: JSON, member: String) async throws {
        let cloud = try await IdentityCloud()
        let answer = await cloud.call("POST", "/v3/users", ["user": body], token: await cloud.token())
        #expect(answer.status == 400)
        #expect(answer["error"]["message"]?.string?.contains(member) == true, "\(answer.json)")
        #expect(answer["error"]["title"] == "Bad Request")
    }

    @Test("A name is taken once per domain, at making and at renaming")
    func duplicates() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let again = await cloud.call("POST", "/v3/users", ["user": ["name": "admin"]], token: admin)
        #expect(again.status == 409)
        #expect(
            again["error"]["message"]?.string
                == "Conflict occurred attempting to store user - Duplicate entry found with name admin at domain ID "
                + "default."
        )
        let bob = await cloud.make("user", ["name": "bob"], token: admin)
        let renamed = await cloud.call("PATCH", "/v3/users/\(bob)", ["user": ["name": "admin"]], token: admin)
        #expect(renamed.status == 409)
        let other = await cloud.make("domain", ["name": "other"], token: admin)
        let there = await cloud.call(
            "POST", "/v3/users", ["user": ["name": "admin", "domain_id": .string(other)]], token: admin)
        #expect(there.status == 201)
        let nowhere = await cloud.call(
            "POST", "/v3/users", ["user": ["name": "x", "domain_id": "nowhere"]], token: admin)
        #expect(nowhere.status == 404)
        #expect(
            await cloud.call("PATCH", "/v3/users/\(bob)", ["user": ["domain_id": .string(other)]], token: admin).status
                == 400)
    }

    @Test(
        "Changing the own password needs the old one and ends all earlier tokens, and none of the same second after it")
    func ownPassword() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let before = await cloud.token("ann", "one", scope: nil)
        #expect(await cloud.call("GET", "/v3/users/\(ann)", token: before).status == 200)
        let path = "/v3/users/\(ann)/password"
        let wrong: JSON = ["user": ["original_password": "two", "password": "three"]]
        #expect(await cloud.call("POST", path, wrong).status == 401)
        let right: JSON = ["user": ["original_password": "one", "password": "two"]]
        #expect(await cloud.call("POST", path, right).status == 204)
        #expect(await cloud.call("GET", "/v3/users/\(ann)", token: before).status == 401)
        #expect(await cloud.token("ann", "one", scope: nil) == "")
        let after = await cloud.token("ann", "two", scope: nil)
        #expect(await cloud.call("GET", "/v3/users/\(ann)", token: after).status == 200)
        let missing: JSON = ["user": ["password": "two"]]
        #expect(await cloud.call("POST", path, missing).status == 400)
    }

    @Test("A disabled user cannot log in and has no valid token")
    func disabled() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let token = await cloud.token("ann", "one", scope: nil)
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["enabled": false]], token: admin)
        #expect(await cloud.call("GET", "/v3/users/\(ann)", token: token).status == 401)
        #expect(await cloud.token("ann", "one", scope: nil) == "")
        _ = await cloud.call("PATCH", "/v3/users/\(ann)", ["user": ["enabled": true]], token: admin)
        #expect(await cloud.call("GET", "/v3/users/\(ann)", token: token).status == 401)
        #expect(await cloud.token("ann", "one", scope: nil) != "")
    }

    @Test("Too many wrong passwords lock a user out for a while, when the operator says so")
    func lockout() async throws {
        var options = IdentityOptions()
        options.compliance.lockoutAttempts = 2
        let cloud = try await IdentityCloud(options)
        #expect(await cloud.token("admin", "wrong") == "")
        #expect(await cloud.token("admin", "wrong") == "")
        #expect(await cloud.token() == "")
        cloud.clock.advance(.seconds(1801))
        #expect(await cloud.token() != "")
    }

    @Test(
        "Lists are filtered exactly and inexactly",
        arguments: [
            ("name=Ann", ["Ann"]), ("name=ann", []), ("name__contains=nn", ["Ann", "Hanna"]),
            ("name__contains=NN", []), ("name__icontains=NN", ["Ann", "Hanna"]), ("name__startswith=A", ["Ann"]),
            ("name__iendswith=N", ["Ann", "admin"]), ("enabled=false", ["Hanna"]),
            ("enabled", ["Ann", "admin"]), ("domain_id=nowhere", []), ("name__contains=%", []),
        ])
    func filters(query: String, names: [String]) async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        _ = await cloud.make("user", ["name": "Ann"], token: admin)
        _ = await cloud.make("user", ["name": "Hanna", "enabled": false], token: admin)
        let answer = await cloud.call(
            "GET", "/v3/users?\(query.replacing("%", with: "%25"))", token: admin)
        #expect(answer["users"].array?.names().sorted() == names)
        #expect(answer["links"]["next"] == .null)
        #expect(answer["links"]["previous"] == .null)
    }

    @Test("Pages follow one another through their links")
    func pages() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        for name in ["a", "b", "c"] { _ = await cloud.make("user", ["name": .string(name)], token: admin) }
        var seen: [String] = []
        var path = "/v3/users?limit=3"
        while true {
            let answer = await cloud.call("GET", path, token: admin)
            seen += answer["users"].array?.names() ?? []
            guard let next = answer["links"]["next"]?.string else { break }
            path = "/v3" + next.split(separator: "/v3")[1]
        }
        #expect(seen.sorted() == ["a", "admin", "b", "c"])
        #expect(await cloud.call("GET", "/v3/users?limit=x", token: admin).status == 400)
    }

    @Test("Whoever is nobody in particular sees the own user and no other, existing or not")
    func strangers() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let bob = await cloud.make("user", ["name": "bob"], token: admin)
        let token = await cloud.token("ann", "one", scope: nil)
        #expect(await cloud.call("GET", "/v3/users/\(ann)", token: token).status == 200)
        let refused = await cloud.call("GET", "/v3/users/\(bob)", token: token)
        #expect(refused.status == 403)
        #expect(
            refused["error"]["message"]?.string
                == "You are not authorized to perform the requested action: identity:get_user.")
        #expect(await cloud.call("GET", "/v3/users/nowhere", token: token).status == 403)
        #expect(await cloud.call("GET", "/v3/users", token: token).status == 403)
        #expect(await cloud.call("DELETE", "/v3/users/\(ann)", token: token).status == 403)
        #expect(await cloud.call("POST", "/v3/users", ["user": ["name": "x"]], token: token).status == 403)
    }

    @Test("The default project is the scope of whoever names none, while it is any good")
    func defaultProject() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let project = await cloud.make("project", ["name": "p"], token: admin)
        let ann = await cloud.make(
            "user", ["name": "ann", "password": "one", "default_project_id": .string(project)], token: admin)
        let without = await cloud.call("POST", "/v3/auth/tokens", IdentityCloud.login("ann", "one"))
        #expect(without["token"]["project"] == nil)
        let role = await cloud.role("member", token: admin)
        _ = await cloud.call("PUT", "/v3/projects/\(project)/users/\(ann)/roles/\(role)", token: admin)
        let with = await cloud.call("POST", "/v3/auth/tokens", IdentityCloud.login("ann", "one"))
        #expect(with["token"]["project"]?["id"]?.string == project)
        #expect(with["token"]["roles"]?.array?.names() == ["member", "reader"])
    }
}
