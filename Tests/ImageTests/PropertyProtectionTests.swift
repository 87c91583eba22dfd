// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct PropertyProtectionTests {
    private static let file = """
        [^x_owner_]
        create = admin,member
        read = admin,member
        update = admin
        delete = !
        [^x_secret$]
        create = admin
        read = admin
        update = admin
        delete = admin
        [^open]
        create = @
        read = @
        update = @
        delete = @
        """

    private func cloud(_ text: String = file, format: PropertyProtection.Format = .roles) async throws -> ImageCloud {
        var options = ImageOptions()
        options.protection = PropertyProtection(text, format: format) { Issue.record("\($0)") }
        return try await ImageCloud(options: options)
    }

    @Test("Who may do what with a property is what the first pattern says that is found in its name")
    func roles() async throws {
        let cloud = try await cloud()
        func make(_ name: String, as caller: Caller = .member()) async -> Int {
            var body = ImageCloud.raw.object ?? JSONObject()
            body[name] = "1"
            return await cloud.call("POST", "/images", .object(body), as: caller).status
        }
        #expect(await make("x_owner_a") == 201)
        #expect(await make("x_secret") == 403)
        #expect(await make("x_secret", as: .admin()) == 201)
        #expect(await make("open_a") == 201)
        #expect(await make("nobodys", as: .admin()) == 403)
    }

    @Test("What may not be seen is not there, and what may not be changed stays")
    func patches() async throws {
        let cloud = try await cloud()
        let body: JSON = [
            "disk_format": "raw", "container_format": "bare", "owner": "project-a", "x_secret": "s", "x_owner_a": "1",
        ]
        let id = await cloud.make(body, as: .admin())
        #expect(await cloud.show(id)["x_secret"].isNull)
        #expect(await cloud.show(id)["x_owner_a"].string == "1")
        #expect(await cloud.show(id, as: .admin())["x_secret"].string == "s")
        func patch(_ op: String, _ path: String, as caller: Caller = .member()) async -> Int {
            await cloud.patch(
                id, [["op": .string(op), "path": .string("/" + path), "value": "2"]], as: caller
            ).status
        }
        #expect(await patch("replace", "x_owner_a") == 403)
        #expect(await patch("replace", "x_owner_a", as: .admin()) == 200)
        #expect(await patch("remove", "x_owner_a", as: .admin()) == 403)
        #expect(await patch("replace", "x_secret") == 409)
        #expect(await patch("add", "x_secret") == 403)
        #expect(await patch("add", "open_b") == 200)
        #expect(await patch("remove", "open_b") == 200)
        #expect(await patch("replace", "name") == 200)
    }

    @Test("Policies may be named instead of roles")
    func policies() async throws {
        let text =
            "[.*]\ncreate = context_is_admin\nread = default\nupdate = context_is_admin\ndelete = context_is_admin"
        let cloud = try await cloud(text, format: .policies)
        let body: JSON = ["disk_format": "raw", "a": "1", "owner": "project-a"]
        #expect(await cloud.call("POST", "/images", body).status == 403)
        let id = await cloud.make(body, as: .admin())
        #expect(await cloud.show(id)["a"].string == "1")
        let change: JSON = [["op": "replace", "path": "/a", "value": "2"]]
        #expect(await cloud.patch(id, change).status == 403)
        #expect(await cloud.patch(id, change, as: .admin()).status == 200)
    }

    @Test(
        "A file with a mistake is not taken",
        arguments: [
            ("[(]\ncreate = a\nread = a\nupdate = a\ndelete = a", .roles, "no regular expression"),
            ("[a]\ncreate = a\nread = a\nupdate = a", .roles, "may delete"),
            ("[a]\ncreate = @,!\nread = a\nupdate = a\ndelete = a", .roles, "exclude one another"),
            ("[a]\ncreate = a,b\nread = a\nupdate = a\ndelete = a", .policies, "several policies"),
        ] as [(String, PropertyProtection.Format, String)])
    func mistakes(text: String, format: PropertyProtection.Format, part: String) {
        var reasons: [String] = []
        _ = PropertyProtection(text, format: format) { reasons.append($0) }
        #expect(reasons.contains { $0.contains(part) }, "\(reasons)")
    }
}
