// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct AssignmentsTests {
    /// A project, a user, a group with the user in it, and roles by name.
    struct Town {
        let cloud: IdentityCloud
        let admin: String
        let project: String, user: String, group: String

        init() async throws {
            cloud = try await IdentityCloud()
            admin = await cloud.token()
            project = await cloud.make("project", ["name": "p"], token: admin)
            user = await cloud.make("user", ["name": "ann", "password": "one"], token: admin)
            group = await cloud.make("group", ["name": "g"], token: admin)
            let path = "/v3/groups/\(group)/users/\(user)"
            #expect(await cloud.call("PUT", path, token: admin).status == 204)
            #expect(await cloud.call("HEAD", path, token: admin).status == 204)
        }

        func call(_ method: String, _ path: String, _ body: JSON? = nil) async -> TestCloud.Answer {
            await cloud.call(method, path, body, token: admin)
        }

        func roles() async -> [String]? {
            let login = IdentityCloud.login("ann", "one", scope: ["project": ["id": .string(project)]])
            return await cloud.call("POST", "/v3/auth/tokens", login)["token"]["roles"]?.array?.names()
        }
    }

    @Test("A grant is made, checked, listed and taken back, for users and groups on each kind of target")
    func life() async throws {
        let town = try await Town()
        let role = await town.cloud.role("reader", token: town.admin)
        let actors = ["users/\(town.user)", "groups/\(town.group)"]
        let targets = ["/v3/projects/\(town.project)", "/v3/domains/default", "/v3/system"]
        for path in targets.flatMap({ target in actors.map { "\(target)/\($0)/roles" } }) {
            let grant = path + "/" + role
            #expect(await town.call("HEAD", grant).status == 404)
            #expect(await town.call("PUT", grant).status == 204)
            #expect(await town.call("PUT", grant).status == 204)
            #expect(await town.call("HEAD", grant).status == 204)
            #expect(await town.call("GET", path)["roles"].array?.names() == ["reader"])
            #expect(await town.call("DELETE", grant).status == 204)
            #expect(await town.call("DELETE", grant).status == 404)
            #expect(await town.call("GET", path)["roles"] == [])
        }
        let missing = await town.call("HEAD", "/v3/projects/nowhere/users/\(town.user)/roles/\(role)")
        #expect(missing.status == 404)
        #expect(await town.call("PUT", "/v3/projects/\(town.project)/users/nobody/roles/\(role)").status == 404)
        #expect(await town.call("PUT", "/v3/projects/\(town.project)/users/\(town.user)/roles/none").status == 404)
    }

    @Test("Roles come directly, through groups, from the domain and from projects above, and go at once")
    func effective() async throws {
        let town = try await Town()
        let member = await town.cloud.role("member", token: town.admin)
        for path in [
            "/v3/projects/\(town.project)/users/\(town.user)/roles/\(member)",
            "/v3/projects/\(town.project)/groups/\(town.group)/roles/\(member)",
            "/v3/OS-INHERIT/domains/default/users/\(town.user)/roles/\(member)/inherited_to_projects",
            "/v3/OS-INHERIT/domains/default/groups/\(town.group)/roles/\(member)/inherited_to_projects",
        ] {
            #expect(await town.roles() == nil)
            #expect(await town.call("PUT", path).status == 204)
            #expect(await town.roles() == ["member", "reader"])
            #expect(await town.call("DELETE", path).status == 204)
        }
        let path = "/v3/OS-INHERIT/projects/\(town.project)/users/\(town.user)/roles/\(member)/inherited_to_projects"
        _ = await town.call("PUT", path)
        #expect(await town.roles() == nil)
    }

    @Test("A token loses its worth with the last role behind it, and each role as it goes")
    func lostRoles() async throws {
        let town = try await Town()
        let member = await town.cloud.role("member", token: town.admin)
        let path = "/v3/projects/\(town.project)/groups/\(town.group)/roles/\(member)"
        _ = await town.call("PUT", path)
        let token = await town.cloud.token("ann", "one", scope: ["project": ["id": .string(town.project)]])
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 200)
        _ = await town.call("DELETE", "/v3/groups/\(town.group)/users/\(town.user)")
        #expect(await town.cloud.call("GET", "/v3/auth/projects", token: token).status == 401)
    }

    @Test("The list of assignments is filtered, worked out and named")
    func assignments() async throws {
        let town = try await Town()
        let member = await town.cloud.role("member", token: town.admin)
        _ = await town.call("PUT", "/v3/projects/\(town.project)/groups/\(town.group)/roles/\(member)")
        _ = await town.call(
            "PUT", "/v3/OS-INHERIT/domains/default/users/\(town.user)/roles/\(member)/inherited_to_projects")
        let path = "/v3/role_assignments"
        #expect(await town.call("GET", path)["role_assignments"].array?.count == 4)
        let ofGroup = await town.call("GET", path + "?group.id=\(town.group)")["role_assignments"]
        #expect(ofGroup[0]?["scope"] == ["project": ["id": .string(town.project)]])
        #expect(ofGroup[0]?["role"] == ["id": .string(member)])
        let system = await town.call("GET", path + "?scope.system=all")["role_assignments"]
        #expect(system[0]?["scope"] == ["system": ["all": true]])
        let inherited = await town.call("GET", path + "?scope.OS-INHERIT:inherited_to=projects")["role_assignments"]
        #expect(inherited.array?.count == 1)
        #expect(inherited[0]?["scope"]?["OS-INHERIT:inherited_to"] == "projects")
        let effective =
            await town.call(
                "GET", path + "?effective&include_names&user.id=\(town.user)&scope.project.id=\(town.project)"
            )["role_assignments"].array ?? []
        #expect(Set(effective.compactMap { $0["role"]?["name"]?.string }) == ["member", "reader"])
        #expect(effective.allSatisfy { $0["user"]?["name"] == "ann" && $0["user"]?["domain"]?["name"] == "Default" })
        #expect(effective.contains { $0["links"]?["membership"] != nil })
        for query in ["user.id=a&group.id=b", "scope.project.id=a&scope.domain.id=b"] {
            #expect(await town.call("GET", path + "?" + query).status == 400)
        }
    }

    @Test("Groups are listed by user and users by group")
    func memberships() async throws {
        let town = try await Town()
        #expect(await town.call("GET", "/v3/users/\(town.user)/groups")["groups"].array?.names() == ["g"])
        #expect(await town.call("GET", "/v3/groups/\(town.group)/users")["users"].array?.names() == ["ann"])
        #expect(await town.call("DELETE", "/v3/groups/\(town.group)/users/\(town.user)").status == 204)
        #expect(await town.call("DELETE", "/v3/groups/\(town.group)/users/\(town.user)").status == 404)
        #expect(await town.call("PUT", "/v3/groups/\(town.group)/users/nobody").status == 404)
        #expect(await town.call("POST", "/v3/groups", ["group": ["name": "g"]]).status == 409)
        let changed = await town.call("PATCH", "/v3/groups/\(town.group)", ["group": ["description": "x"]])
        #expect(changed["group"]["description"] == "x")
        #expect(await town.call("DELETE", "/v3/groups/\(town.group)").status == 204)
        #expect(await town.call("GET", "/v3/groups/\(town.group)").status == 404)
    }
}
