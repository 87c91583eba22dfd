// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

/// A cloud with a domain `corp` whose users are in a directory, set through the API.
struct Corp {
    static let domain = "corp"

    let cloud: IdentityCloud
    let directory = FakeDirectory()
    let admin: String
    let project: String

    init() async throws {
        var options = IdentityOptions()
        options.domains.isEnabled = true
        options.domains.isFromDatabase = true
        directory.add(DirectoryUser(id: "ann", place: "uid=ann", name: "Ann", email: "ann@corp.test"), password: "pw-a")
        directory.add(DirectoryUser(id: "bob", place: "uid=bob", name: "Bob"), password: "pw-b")
        directory.add(DirectoryUser(id: "eve", place: "uid=eve", name: "Eve", isEnabled: false), password: "pw-e")
        directory.add(DirectoryGroup(id: "ops", place: "cn=ops", name: "Operators"), members: ["ann", "night"])
        directory.add(DirectoryGroup(id: "night", place: "cn=night", name: "Night"), members: ["bob"])
        cloud = try await IdentityCloud(options, directories: FakeDirectoryOpener([Corp.domain: directory]))
        admin = await cloud.token()
        _ = await cloud.make("domain", ["name": "corp", "explicit_domain_id": "corp"], token: admin)
        project = await cloud.make("project", ["name": "ship", "domain_id": "corp"], token: admin)
        _ = await cloud.call(
            "PUT", "/v3/domains/corp/config",
            ["config": ["identity": ["driver": "ldap"], "ldap": ["url": "ldap://x"]]],
            token: admin)
    }

    func get(_ path: String) async -> TestCloud.Answer { await cloud.call("GET", "/v3" + path, token: admin) }

    func call(_ method: String, _ path: String, _ body: JSON? = nil) async -> TestCloud.Answer {
        await cloud.call(method, "/v3" + path, body, token: admin)
    }

    func login(_ name: String, _ password: String, scope: JSON? = nil) async -> TestCloud.Answer {
        var auth: JSON = [
            "identity": [
                "methods": ["password"],
                "password": [
                    "user": ["name": .string(name), "password": .string(password), "domain": ["name": "corp"]]
                ],
            ]
        ]
        if let scope { auth["scope"] = scope }
        return await cloud.call("POST", "/v3/auth/tokens", ["auth": auth])
    }

    var inProject: JSON { ["project": ["id": .string(project)]] }

    func userID(_ name: String) async -> String {
        await get("/users?domain_id=corp&name=\(name)")["users"][0]?["id"]?.string ?? "none"
    }

    func groupID(_ name: String) async -> String {
        await get("/groups?domain_id=corp&name=\(name)")["groups"][0]?["id"]?.string ?? "none"
    }

    /// Lets a group of the directory be members of the project.
    func admit(_ group: String) async -> Int {
        let role = await cloud.role("member", token: admin)
        return await call("PUT", "/projects/\(project)/groups/\(await groupID(group))/roles/\(role)").status
    }
}

struct PeopleTests {
    @Test("Ids of a directory's users are upstream's digest of domain, kind and the directory's own id")
    func ids() async throws {
        let corp = try await Corp()
        let id = await corp.userID("ann")
        #expect(id == Digest.hex(.sha256, "corpuserann"))
        let shown = await corp.get("/users/\(id)")
        #expect(shown["user"]["name"] == "Ann")
        #expect(shown["user"]["domain_id"] == "corp")
        #expect(shown["user"]["email"] == "ann@corp.test")
        #expect(shown["user"]["options"] == [:])
        #expect(await corp.groupID("Operators") == Digest.hex(.sha256, "corpgroupops"))
    }

    @Test("Lists are of the domain that is asked about, filtered and paged as others are")
    func lists() async throws {
        let corp = try await Corp()
        func names(_ query: String) async -> [String] {
            await corp.get("/users?" + query)["users"].array?.names().sorted() ?? []
        }
        #expect(await names("domain_id=corp") == ["Ann", "Bob", "Eve"])
        #expect(await names("domain_id=corp&enabled=false") == ["Eve"])
        #expect(await names("domain_id=corp&name=ANN") == ["Ann"])
        #expect(await names("domain_id=corp&name__contains=o") == ["Bob"])
        #expect(await names("domain_id=corp&name__startswith=b") == [])
        #expect(await names("domain_id=corp&name__istartswith=b") == ["Bob"])
        #expect(await names("") == ["admin"], "a project's token lists its own domain")
        let first = await corp.get("/users?domain_id=corp&limit=2")
        #expect(first["users"].array?.count == 2)
        let marker = first["users"][1]?["id"]?.string ?? ""
        #expect(first["links"]["next"]?.string?.contains("marker=\(marker)") == true)
        #expect(await corp.get("/users?domain_id=corp&limit=2&marker=\(marker)")["users"].array?.count == 1)
        #expect(await corp.get("/groups?domain_id=corp")["groups"].array?.names().sorted() == ["Night", "Operators"])
    }

    @Test("A directory's user logs in and holds the roles of its groups, nested ones too")
    func login() async throws {
        let corp = try await Corp()
        #expect(await corp.login("ann", "pw-a").status == 201)
        #expect(await corp.login("ann", "wrong").status == 401)
        #expect(await corp.login("ann", "").status == 401)
        #expect(await corp.login("eve", "pw-e").status == 401, "disabled")
        #expect(await corp.login("nobody", "pw").status == 401)
        #expect(await corp.login("bob", "pw-b", scope: corp.inProject).status == 401, "no role yet")
        #expect(await corp.admit("Operators") == 204)
        let answer = await corp.login("bob", "pw-b", scope: corp.inProject)
        #expect(answer.status == 201)
        #expect(answer["token"]["roles"]?.array?.names().contains("member") == true)
        let token = answer.header("X-Subject-Token") ?? ""
        #expect(
            await corp.cloud.call(
                "GET", "/v3/auth/tokens", token: corp.admin, headers: [("X-Subject-Token", token)]
            ).status == 200)
        let own = await corp.cloud.call("GET", "/v3/auth/projects", token: token)
        #expect(own["projects"].array?.names() == ["ship"])
    }

    @Test("What tokens are worth follows the directory: at the next login, or when it is asked again")
    func freshness() async throws {
        let corp = try await Corp()
        #expect(await corp.admit("Operators") == 204)
        let token = await corp.login("ann", "pw-a", scope: corp.inProject).header("X-Subject-Token") ?? ""
        func isGood() async -> Bool {
            await corp.cloud.call("GET", "/v3/auth/catalog", token: token).status == 200
        }
        #expect(await isGood())
        let asked = corp.directory.questions
        #expect(await isGood())
        #expect(corp.directory.questions == asked, "remembered")
        corp.directory.add(DirectoryUser(id: "ann", place: "uid=ann", name: "Ann", isEnabled: false), password: "pw-a")
        corp.cloud.clock.advance(.seconds(61))
        #expect(await !isGood())

        corp.directory.add(DirectoryUser(id: "bob", place: "uid=bob", name: "Bob"), password: "pw-b")
        corp.directory.add(DirectoryGroup(id: "ops", place: "cn=ops", name: "Operators"), members: [])
        #expect(await corp.login("bob", "pw-b").status == 201)
        #expect(await corp.login("bob", "pw-b", scope: corp.inProject).status == 401)
        corp.directory.add(DirectoryGroup(id: "ops", place: "cn=ops", name: "Operators"), members: ["bob"])
        #expect(await corp.login("bob", "pw-b", scope: corp.inProject).status == 201, "the next login looks again")
    }

    @Test("Memberships and assignments see the directory's groups")
    func assignments() async throws {
        let corp = try await Corp()
        #expect(await corp.admit("Operators") == 204)
        let (ann, bob, ops) = (await corp.userID("ann"), await corp.userID("bob"), await corp.groupID("Operators"))
        #expect(await corp.get("/groups/\(ops)/users")["users"].array?.names().sorted() == ["Ann", "Bob"])
        #expect(await corp.get("/groups/\(ops)/users?name=bob")["users"].array?.names() == ["Bob"])
        #expect(await corp.get("/users/\(bob)/groups")["groups"].array?.names().sorted() == ["Night", "Operators"])
        #expect(await corp.call("HEAD", "/groups/\(ops)/users/\(ann)").status == 204)
        let eve = await corp.userID("eve")
        #expect(await corp.call("HEAD", "/groups/\(ops)/users/\(eve)").status == 404)
        let all = await corp.get("/role_assignments?scope.project.id=\(corp.project)&include_names")
        #expect(all["role_assignments"][0]?["group"]?["name"] == "Operators")
        #expect(all["role_assignments"][0]?["group"]?["domain"]?["name"] == "corp")
        let effective = await corp.get("/role_assignments?scope.project.id=\(corp.project)&effective&include_names")
        let members = effective["role_assignments"].array?.filter { $0["role"]?["name"] == "member" }
        #expect(Set(members?.compactMap { $0["user"]?["name"]?.string } ?? []) == ["Ann", "Bob"])
        let one = await corp.get("/role_assignments?user.id=\(bob)&effective")
        #expect(one["role_assignments"].array?.isEmpty == false)
        #expect(one["role_assignments"].array?.allSatisfy { $0["user"]?["id"]?.string == bob } == true)
    }

    @Test("A directory is only read")
    func readOnly() async throws {
        let corp = try await Corp()
        let (ann, ops) = (await corp.userID("ann"), await corp.groupID("Operators"))
        let user: JSON = ["user": ["name": "new", "domain_id": "corp"]]
        let made = await corp.call("POST", "/users", user)
        #expect(made.status == 403)
        #expect(made["error"]["message"]?.string?.contains("LDAP does not support write operations") == true)
        #expect(await corp.call("PATCH", "/users/\(ann)", ["user": ["enabled": false]]).status == 403)
        #expect(await corp.call("DELETE", "/users/\(ann)").status == 403)
        #expect(await corp.call("POST", "/groups", ["group": ["name": "g", "domain_id": "corp"]]).status == 403)
        #expect(await corp.call("PATCH", "/groups/\(ops)", ["group": ["name": "g"]]).status == 403)
        #expect(await corp.call("DELETE", "/groups/\(ops)").status == 403)
        #expect(await corp.call("PUT", "/groups/\(ops)/users/\(ann)").status == 403)
        #expect(await corp.call("DELETE", "/groups/\(ops)/users/\(ann)").status == 403)
        let password: JSON = ["user": ["original_password": "pw-a", "password": "other"]]
        #expect(await corp.call("POST", "/users/\(ann)/password", password).status == 403)
        let own = await corp.cloud.make("group", ["name": "own"], token: corp.admin)
        let across = await corp.call("PUT", "/groups/\(own)/users/\(ann)")
        #expect(across.status == 403)
        #expect(across["error"]["message"]?.string?.contains("backend boundaries") == true)
    }

    @Test("A dead directory is told as such, and harms nobody else")
    func down() async throws {
        let corp = try await Corp()
        let ann = await corp.userID("ann")
        corp.directory.isDown = true
        let answer = await corp.login("ann", "pw-a")
        #expect(answer.status == 503)
        #expect(answer.header("Retry-After") == "5")
        #expect(await corp.get("/users/\(ann)").status == 503)
        #expect(await corp.get("/users?domain_id=default").status == 200)
        #expect(await corp.cloud.token() != "")
        corp.directory.isDown = false
        #expect(await corp.login("ann", "pw-a").status == 201)
    }

    @Test("Without its configuration a domain keeps its users itself again; deleted, it leaves nothing behind")
    func ending() async throws {
        let corp = try await Corp()
        #expect(await corp.admit("Operators") == 204)
        let ann = await corp.userID("ann")
        #expect(await corp.call("DELETE", "/domains/corp/config").status == 204)
        #expect(await corp.get("/users/\(ann)").status == 404)
        #expect(await corp.call("POST", "/users", ["user": ["name": "new", "domain_id": "corp"]]).status == 201)
        #expect(await corp.call("PATCH", "/domains/corp", ["domain": ["enabled": false]]).status == 200)
        #expect(await corp.call("DELETE", "/domains/corp").status == 204)
        let left = try await corp.cloud.database.rows("SELECT COUNT(*) FROM identity_mappings")
        #expect(left.first?[0] == .integer(0))
        let grants = await corp.get("/role_assignments?scope.project.id=\(corp.project)")
        #expect(grants["role_assignments"].array?.isEmpty == true)
    }

    @Test("Ids are made beforehand and forgotten by domain, kind or one by one, and come back the same")
    func upkeep() async throws {
        let corp = try await Corp()
        let upkeep = MappingUpkeep(corp.cloud.service)
        let made = try await upkeep.populate(domainName: "corp")
        #expect(made == (3, 2))
        let ann = Digest.hex(.sha256, "corpuserann")
        #expect(await corp.get("/users/\(ann)").status == 200)
        var selection = MappingUpkeep.Selection()
        selection.publicID = ann
        #expect(try await upkeep.purge(selection) == 1)
        #expect(await corp.get("/users/\(ann)").status == 404)
        #expect(await corp.userID("ann") == ann)
        selection = MappingUpkeep.Selection()
        selection.type = "group"
        selection.domainName = "corp"
        #expect(try await upkeep.purge(selection) == 2)
        #expect(try await upkeep.purge(MappingUpkeep.Selection()) == 3)
        selection.domainName = "nowhere"
        await #expect(throws: Fault.badRequest("Unknown domain 'nowhere'")) { try await upkeep.purge(selection) }
        await #expect(throws: Fault.self, "kept here") { try await upkeep.populate(domainName: "Default") }
    }

    @Test("The cloud's one directory shows its own ids, beside the users that the cloud keeps itself")
    func single() async throws {
        var options = IdentityOptions()
        options.driver = .ldap
        let directory = FakeDirectory()
        directory.add(DirectoryUser(id: "ann", place: "uid=ann", name: "Ann"), password: "pw-a")
        let cloud = try await IdentityCloud(options, directories: FakeDirectoryOpener(["default": directory]))
        let admin = await cloud.token()
        #expect(await cloud.call("GET", "/v3/users/ann", token: admin)["user"]["name"] == "Ann")
        let names = await cloud.call("GET", "/v3/users", token: admin)["users"].array?.names().sorted()
        #expect(names == ["Ann", "admin"])
        #expect(await cloud.call("POST", "/v3/auth/tokens", IdentityCloud.login("ann", "pw-a")).status == 201)
        #expect(
            await cloud.call("POST", "/v3/users", ["user": ["name": "x"]], token: admin).status == 403)
        options.keepsDirectoryIDs = false
        let other = try await IdentityCloud(options, directories: FakeDirectoryOpener(["default": directory]))
        let token = await other.token()
        let id = await other.call("GET", "/v3/users?name=ann", token: token)["users"][0]?["id"]?.string
        #expect(id == Digest.hex(.sha256, "defaultuserann"))
    }
}
