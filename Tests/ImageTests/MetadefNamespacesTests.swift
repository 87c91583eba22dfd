// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

struct MetadefNamespacesTests {
    static let flavor: JSON = [
        "namespace": "OS::Test::Flavor", "display_name": "Flavors", "visibility": "public",
        "resource_type_associations": [["name": "OS::Nova::Flavor", "prefix": "hw:"]],
        "properties": ["cores": ["title": "Cores", "type": "integer", "minimum": 1, "default": 4]],
        "objects": [
            [
                "name": "limits", "required": ["period"],
                "properties": ["period": ["title": "Period", "type": "string"]],
            ]
        ],
        "tags": [["name": "fast"], ["name": "slow"]],
    ]

    @Test("A namespace is made with all that it holds, and read back")
    func whole() async throws {
        let cloud = try await ImageCloud()
        let made = await cloud.call("POST", "/metadefs/namespaces", Self.flavor, as: .admin())
        #expect(made.status == 201)
        #expect(made.header("Location") == "/v2/metadefs/namespaces/OS::Test::Flavor")
        #expect(made["owner"].string == "project-admin")
        #expect(made["protected"].bool == false)

        let shown = await cloud.call("GET", "/metadefs/namespaces/OS::Test::Flavor")
        #expect(shown.status == 200)
        #expect(shown["properties"]["cores"]?["default"]?.string == "4")
        #expect(shown["objects"].array?.first?["required"] == ["period"])
        #expect(shown["tags"].array?.count == 2)
        #expect(shown["self"].string == "/v2/metadefs/namespaces/OS::Test::Flavor")
        #expect(shown["schema"].string == "/v2/schemas/metadefs/namespace")
        let types = await cloud.call("GET", "/metadefs/resource_types")
        #expect(types["resource_types"].array?.compactMap { $0["name"]?.string } == ["OS::Nova::Flavor"])
    }

    @Test("For a type of things, properties bear its prefix")
    func prefix() async throws {
        let cloud = try await ImageCloud()
        _ = await cloud.call("POST", "/metadefs/namespaces", Self.flavor, as: .admin())
        let path = "/v2/metadefs/namespaces/OS::Test::Flavor"
        let shown = await cloud.cloud.call("image", "GET", path, query: "resource_type=OS::Nova::Flavor")
        #expect(shown["properties"]["hw:cores"] != nil)
        #expect(shown["objects"].array?.first?["required"] == ["hw:period"])
        let one = await cloud.cloud.call(
            "image", "GET", path + "/properties/hw:cores", query: "resource_type=OS::Nova::Flavor")
        #expect(one["name"].string == "cores")
        let bare = await cloud.cloud.call(
            "image", "GET", path + "/properties/cores", query: "resource_type=OS::Nova::Flavor")
        #expect(bare.status == 404)
        #expect(bare.message.contains("does not start with the expected resource type association prefix of 'hw:'"))
    }

    @Test("A private namespace is only its project's, and definitions are written by administrators alone")
    func visibility() async throws {
        let cloud = try await ImageCloud()
        let body: JSON = ["namespace": "mine", "owner": "project-a"]
        #expect(await cloud.call("POST", "/metadefs/namespaces", body).status == 403)
        #expect(await cloud.call("POST", "/metadefs/namespaces", body, as: .admin()).status == 201)
        #expect(await cloud.call("GET", "/metadefs/namespaces/mine").status == 200)
        let foreign = await cloud.call("GET", "/metadefs/namespaces/mine", as: .member(project: "project-b"))
        #expect(foreign.status == 404)
        #expect(foreign.message == "Metadata definition namespace=mine was not found.")
        #expect(await cloud.call("DELETE", "/metadefs/namespaces/mine").status == 403)
        let seen = await cloud.call("GET", "/metadefs/namespaces", as: .member(project: "project-b"))
        #expect(seen["namespaces"].array?.isEmpty == true)
    }

    @Test("A protected namespace and what is in it stay")
    func protected() async throws {
        let cloud = try await ImageCloud()
        var body = Self.flavor.object ?? JSONObject()
        body["protected"] = true
        _ = await cloud.call("POST", "/metadefs/namespaces", .object(body), as: .admin())
        for path in [
            "", "/objects", "/objects/limits", "/properties", "/properties/cores", "/tags", "/tags/fast",
            "/resource_types/OS::Nova::Flavor",
        ] {
            let answer = await cloud.call("DELETE", "/metadefs/namespaces/OS::Test::Flavor" + path, as: .admin())
            #expect(answer.status == 403, "\(path)")
            #expect(answer.message.contains("is protected and cannot be deleted"), "\(path)")
        }
        let open: JSON = ["namespace": "OS::Test::Flavor", "protected": false]
        #expect(
            await cloud.call("PUT", "/metadefs/namespaces/OS::Test::Flavor", open, as: .admin())["visibility"].string
                == "private")
        #expect(await cloud.call("DELETE", "/metadefs/namespaces/OS::Test::Flavor", as: .admin()).status == 204)
    }

    @Test("Lists are filtered, sorted and paged by name")
    func paging() async throws {
        let cloud = try await ImageCloud()
        for name in ["a", "b", "c"] {
            let body: JSON = [
                "namespace": .string(name), "visibility": name == "c" ? "private" : "public",
                "resource_type_associations": name == "a" ? [["name": "OS::Glance::Image"]] : [],
            ]
            _ = await cloud.call("POST", "/metadefs/namespaces", body, as: .admin())
        }
        func list(_ query: String) async -> [String] {
            let answer = await cloud.cloud.call(
                "image", "GET", "/v2/metadefs/namespaces", as: .admin(), query: query)
            return answer["namespaces"].array?.compactMap { $0["namespace"]?.string } ?? ["\(answer.status)"]
        }
        #expect(await list("") == ["c", "b", "a"])
        #expect(await list("sort_key=namespace&sort_dir=asc&limit=2") == ["a", "b"])
        #expect(await list("sort_key=namespace&sort_dir=asc&marker=b") == ["c"])
        #expect(await list("visibility=private") == ["c"])
        #expect(await list("resource_types=OS::Glance::Image,OS::None") == ["a"])
        #expect(await list("visibility=secret") == ["400"])
        #expect(await list("sort_dir=up") == ["400"])
        #expect(await list("marker=z") == ["404"])
        let page = await cloud.cloud.call(
            "image", "GET", "/v2/metadefs/namespaces", as: .admin(), query: "limit=2")
        #expect(page["next"].string == "/v2/metadefs/namespaces?limit=2&marker=b")
        #expect(page["first"].string == "/v2/metadefs/namespaces?limit=2")
    }

    @Test(
        "Bad bodies are refused by name",
        arguments: [
            ([:], 400, "'namespace' is a required property"), (["namespace": 7], 400, "namespace"),
            (["namespace": "a", "visibility": "shared"], 400, "visibility"),
            (["namespace": "a", "self": "x"], 403, "'self' is read-only"),
            (["namespace": "a", "colour": "x"], 400, "'colour' was unexpected"),
            (["namespace": "a", "properties": ["p": ["title": "P", "type": "date"]]], 400, "type"),
            (["namespace": "a", "properties": ["p": ["type": "string"]]], 400, "'title' is a required property"),
            (["namespace": "a", "tags": [[:]]], 400, "'name' is a required property"),
        ] as [(JSON, Int, String)])
    func badBodies(body: JSON, status: Int, part: String) async throws {
        let answer = try await ImageCloud().call("POST", "/metadefs/namespaces", body, as: .admin())
        #expect(answer.status == status)
        #expect(answer.message.contains(part), "\(answer.message)")
    }

    @Test("A name is taken once, also by renaming")
    func duplicate() async throws {
        let cloud = try await ImageCloud()
        for name in ["a", "b"] {
            _ = await cloud.call("POST", "/metadefs/namespaces", ["namespace": .string(name)], as: .admin())
        }
        let again = await cloud.call("POST", "/metadefs/namespaces", ["namespace": "a"], as: .admin())
        #expect(again.status == 409)
        #expect(again.message == "The metadata definition namespace=a already exists.")
        #expect(await cloud.call("PUT", "/metadefs/namespaces/a", ["namespace": "b"], as: .admin()).status == 409)
        #expect(await cloud.call("PUT", "/metadefs/namespaces/a", ["namespace": "c"], as: .admin()).status == 200)
    }
}
