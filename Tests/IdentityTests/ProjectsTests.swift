// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct ProjectsTests {
    @Test("A project is made in the default domain and below it; its tree is shown when asked for")
    func tree() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let made = await cloud.call(
            "POST", "/v3/projects", ["project": ["name": "top", "colour": "red"]], token: admin)
        let top = made["project"]["id"]?.string ?? ""
        #expect(made.status == 201)
        #expect(made["project"]["domain_id"] == "default")
        #expect(made["project"]["parent_id"] == "default")
        #expect(made["project"]["is_domain"] == false)
        #expect(made["project"]["description"] == "")
        #expect(made["project"]["tags"] == [])
        #expect(made["project"]["options"] == [:])
        #expect(made["project"]["colour"] == "red")
        let below = await cloud.make("project", ["name": "below", "parent_id": .string(top)], token: admin)
        let up = await cloud.call("GET", "/v3/projects/\(below)?parents_as_ids", token: admin)
        #expect(up["project"]["parents"] == [top: ["default": .null]])
        let down = await cloud.call("GET", "/v3/projects/\(top)?subtree_as_ids", token: admin)
        #expect(down["project"]["subtree"] == [below: .null])
        #expect(await cloud.call("DELETE", "/v3/projects/\(top)", token: admin).status == 403)
        let disabling: JSON = ["project": ["enabled": false]]
        #expect(await cloud.call("PATCH", "/v3/projects/\(top)", disabling, token: admin).status == 403)
        #expect(await cloud.call("DELETE", "/v3/projects/\(below)", token: admin).status == 204)
        #expect(await cloud.call("DELETE", "/v3/projects/\(top)", token: admin).status == 204)
        #expect(await cloud.call("GET", "/v3/projects/\(top)", token: admin).status == 404)
    }

    @Test("Lists of a project's tree hold what the caller has a role on, also an administrator's")
    func lists() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let top = await cloud.make("project", ["name": "top"], token: admin)
        let middle = await cloud.make("project", ["name": "middle", "parent_id": .string(top)], token: admin)
        _ = await cloud.make("project", ["name": "below", "parent_id": .string(middle)], token: admin)
        func names(_ list: String) async -> [String?] {
            let query = list == "parents" ? "parents_as_list" : "subtree_as_list"
            let answer = await cloud.call("GET", "/v3/projects/\(middle)?\(query)", token: admin)
            return answer["project"][list]?.array?.map { $0["project"]?["name"]?.string } ?? []
        }
        #expect(await names("parents").isEmpty)
        #expect(await names("subtree").isEmpty)
        let user = await cloud.call("GET", "/v3/users?name=admin", token: admin)["users"][0]?["id"]?.string ?? ""
        let role = await cloud.role("member", token: admin)
        let path = "/v3/projects/\(top)/users/\(user)/roles/\(role)"
        #expect(await cloud.call("PUT", path, token: admin).status == 204)
        #expect(await names("parents") == ["top"])
        #expect(await names("subtree").isEmpty)
    }

    @Test("Projects nest as deep as the operator allows")
    func depth() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        var parent = "default"
        for level in 1...5 {
            parent = await cloud.make(
                "project", ["name": .string("p\(level)"), "parent_id": .string(parent)], token: admin)
        }
        let deeper = await cloud.call(
            "POST", "/v3/projects", ["project": ["name": "p6", "parent_id": .string(parent)]], token: admin)
        #expect(deeper.status == 403)
        #expect(deeper["error"]["message"]?.string?.hasPrefix("Max hierarchy depth reached") == true)
    }

    @Test(
        "Bad projects are refused and the message names the member",
        arguments: [
            ([:], 400, "name"), (["name": .string(String(repeating: "x", count: 65))], 400, "name"),
            (["name": "a", "enabled": "no"], 400, "enabled"), (["name": "a", "parent_id": "nowhere"], 404, "nowhere"),
            (["name": "a", "tags": ["x,y"]], 400, "tags"), (["name": "a", "tags": ["x", "x"]], 400, "non-unique"),
            (["name": "a", "options": ["x": 1]], 400, "x"), (["name": "admin"], 409, "admin"),
        ] as [(JSON, Int, String)])
    func badProjects(body: JSON, status: Int, member: String) async throws {
        let cloud = try await IdentityCloud()
        let answer = await cloud.call("POST", "/v3/projects", ["project": body], token: await cloud.token())
        #expect(answer.status == status)
        #expect(answer["error"]["message"]?.string?.contains(member) == true, "\(answer.json)")
    }

    @Test("What cannot change does not: domain, parent, kind, an immutable project")
    func fixedMembers() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let id = await cloud.make("project", ["name": "p", "options": ["immutable": true]], token: admin)
        let path = "/v3/projects/\(id)"
        let tries: [(JSON, Int)] = [
            (["domain_id": "x"], 400), (["parent_id": "x"], 403), (["is_domain": true], 400), (["name": "q"], 403),
            (["options": ["immutable": false]], 200), (["name": "q"], 200),
        ]
        for (change, status) in tries {
            #expect(await cloud.call("PATCH", path, ["project": change], token: admin).status == status, "\(change)")
        }
    }

    @Test("A disabled project's tokens end, and it can no longer be a scope")
    func disabled() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let scope = try await member(cloud, admin)
        let token = await cloud.token("ann", "one", scope: scope.json)
        #expect(await cloud.call("GET", "/v3/auth/projects", token: token)["projects"].array?.count == 1)
        let path = "/v3/projects/\(scope.id)"
        #expect(await cloud.call("PATCH", path, ["project": ["enabled": false]], token: admin).status == 200)
        #expect(await cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
        #expect(await cloud.token("ann", "one", scope: scope.json) == "")
        _ = await cloud.call("DELETE", path, token: admin)
        #expect(await cloud.token("ann", "one", scope: scope.json) == "")
    }

    @Test("A member of a project sees it and no other")
    func visibility() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let scope = try await member(cloud, admin)
        let token = await cloud.token("ann", "one", scope: scope.json)
        let other = await cloud.make("project", ["name": "other"], token: admin)
        #expect(await cloud.call("GET", "/v3/projects/\(scope.id)", token: token).status == 200)
        #expect(await cloud.call("GET", "/v3/projects/\(other)", token: token).status == 403)
        #expect(await cloud.call("GET", "/v3/projects", token: token).status == 403)
        #expect(await cloud.call("PATCH", "/v3/projects/\(scope.id)", ["project": [:]], token: token).status == 403)
    }

    @Test("Tags are put, listed, checked, filtered by, and taken away")
    func tags() async throws {
        let cloud = try await IdentityCloud()
        let admin = await cloud.token()
        let id = await cloud.make("project", ["name": "p", "tags": ["a"]], token: admin)
        let path = "/v3/projects/\(id)/tags"
        #expect(await cloud.call("PUT", path + "/b", token: admin).status == 201)
        #expect(await cloud.call("GET", path, token: admin)["tags"] == ["a", "b"])
        #expect(await cloud.call("PUT", path + "/b", token: admin).status == 400)
        #expect(await cloud.call("HEAD", path + "/b", token: admin).status == 204)
        #expect(await cloud.call("GET", path + "/c", token: admin).status == 404)
        #expect(await cloud.call("GET", "/v3/projects?tags=a,b", token: admin)["projects"].array?.names() == ["p"])
        #expect(await cloud.call("GET", "/v3/projects?tags=a,c", token: admin)["projects"] == [])
        #expect(await cloud.call("GET", "/v3/projects?tags-any=a,c", token: admin)["projects"].array?.count == 1)
        #expect(await cloud.call("PUT", path, ["tags": ["z"]], token: admin)["tags"] == ["z"])
        #expect(await cloud.call("PUT", path, ["tags": ["z/y"]], token: admin).status == 400)
        #expect(await cloud.call("DELETE", path + "/z", token: admin).status == 204)
        #expect(await cloud.call("DELETE", path, token: admin).status == 204)
        #expect(await cloud.call("GET", path, token: admin)["tags"] == [])
    }

    /// A project in which the user ann with the password one is a member.
    private func member(_ cloud: IdentityCloud, _ admin: String) async throws -> (id: String, json: JSON) {
        let project = await cloud.make("project", ["name": "p"], token: admin)
        let ann = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
        let role = await cloud.role("member", token: admin)
        let path = "/v3/projects/\(project)/users/\(ann)/roles/\(role)"
        #expect(await cloud.call("PUT", path, token: admin).status == 204)
        return (project, ["project": ["id": .string(project)]])
    }
}
