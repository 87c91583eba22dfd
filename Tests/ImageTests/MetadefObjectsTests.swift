// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// Objects, properties, tags and associations: the same walk through each.
struct MetadefObjectsTests {
    private func cloud() async throws -> ImageCloud {
        let cloud = try await ImageCloud()
        _ = await cloud.call(
            "POST", "/metadefs/namespaces", ["namespace": "ns", "visibility": "public"], as: .admin())
        return cloud
    }

    @Test("An object is made, listed, changed, renamed and deleted")
    func objects() async throws {
        let cloud = try await cloud()
        let body: JSON = ["name": "cpu", "properties": ["n": ["title": "N", "type": "integer"]]]
        let made = await cloud.call("POST", "/metadefs/namespaces/ns/objects", body, as: .admin())
        #expect(made.status == 201)
        #expect(made["required"] == [])
        #expect(await cloud.call("POST", "/metadefs/namespaces/ns/objects", body, as: .admin()).status == 409)
        #expect(await cloud.call("POST", "/metadefs/namespaces/ns/objects", body).status == 403)
        #expect(await cloud.call("GET", "/metadefs/namespaces/ns/objects")["objects"].array?.count == 1)
        let changed = await cloud.call(
            "PUT", "/metadefs/namespaces/ns/objects/cpu", ["name": "cpus", "description": "all"], as: .admin())
        #expect(changed["name"].string == "cpus")
        #expect(await cloud.call("GET", "/metadefs/namespaces/ns/objects/cpus")["description"].string == "all")
        let gone = await cloud.call("GET", "/metadefs/namespaces/ns/objects/cpu")
        #expect(gone.status == 404)
        #expect(gone.message == "The metadata definition object with name=cpu was not found in namespace=ns.")
        #expect(await cloud.call("DELETE", "/metadefs/namespaces/ns/objects/cpus", as: .admin()).status == 204)
        #expect(await cloud.call("DELETE", "/metadefs/namespaces/ns/objects", as: .admin()).status == 204)
    }

    @Test("A property is made, shown with its name, changed and deleted")
    func properties() async throws {
        let cloud = try await cloud()
        let body: JSON = ["name": "n", "title": "N", "type": "array", "items": ["type": "string"], "minItems": 1]
        let made = await cloud.call("POST", "/metadefs/namespaces/ns/properties", body, as: .admin())
        #expect(made.status == 201)
        #expect(made["name"].string == "n")
        let nameless: JSON = ["title": "N", "type": "string"]
        #expect(await cloud.call("POST", "/metadefs/namespaces/ns/properties", nameless, as: .admin()).status == 400)
        let all = await cloud.call("GET", "/metadefs/namespaces/ns/properties")
        #expect(all["properties"]["n"]?["items"]?["type"] == "string")
        #expect(all["properties"]["n"]?["name"] == nil)
        let changed: JSON = ["name": "m", "title": "M", "type": "string"]
        #expect(
            await cloud.call("PUT", "/metadefs/namespaces/ns/properties/n", changed, as: .admin())["name"].string
                == "m")
        #expect(await cloud.call("DELETE", "/metadefs/namespaces/ns/properties/m", as: .admin()).status == 204)
        #expect(await cloud.call("GET", "/metadefs/namespaces/ns/properties/m").status == 404)
    }

    @Test("Tags come one at a time or all at once, which replaces them unless they are to be appended")
    func tags() async throws {
        let cloud = try await cloud()
        let path = "/metadefs/namespaces/ns/tags"
        func names() async -> [String] {
            await cloud.call("GET", path)["tags"].array?.compactMap { $0["name"]?.string } ?? []
        }
        #expect(await cloud.call("POST", path, ["tags": [["name": "a"], ["name": "b"]]], as: .admin()).status == 201)
        #expect(await cloud.call("POST", path + "/c", as: .admin()).status == 201)
        #expect(await names() == ["c", "b", "a"])
        #expect(await cloud.call("POST", path, ["tags": [["name": "d"]]], as: .admin()).status == 201)
        #expect(await names() == ["d"])
        let more = await cloud.cloud.call(
            "image", "POST", "/v2" + path, ["tags": [["name": "e"]]], as: .admin(),
            headers: [("X-Openstack-Append", "True")])
        #expect(more.status == 201)
        #expect(await names() == ["e", "d"])
        let page = await cloud.cloud.call("image", "GET", "/v2" + path, query: "marker=e&limit=1")
        #expect(page["tags"] == [["name": "d"]])
        #expect(await cloud.call("PUT", path + "/d", ["name": "e"], as: .admin()).status == 409)
        #expect(await cloud.call("PUT", path + "/d", ["name": "f"], as: .admin())["name"].string == "f")
        #expect(await cloud.call("DELETE", path + "/f", as: .admin()).status == 204)
        #expect(await cloud.call("DELETE", path, as: .admin()).status == 204)
        #expect(await names() == [])
    }

    @Test("A resource type is associated and dissociated")
    func associations() async throws {
        let cloud = try await cloud()
        let path = "/metadefs/namespaces/ns/resource_types"
        let body: JSON = ["name": "OS::Glance::Image", "prefix": "hw_", "properties_target": "image"]
        #expect(await cloud.call("POST", path, body, as: .admin())["prefix"].string == "hw_")
        #expect(await cloud.call("POST", path, body, as: .admin()).status == 409)
        let listed = await cloud.call("GET", path)["resource_type_associations"].array
        #expect(listed?.first?["properties_target"] == "image")
        #expect(await cloud.call("DELETE", path + "/OS::Glance::Image", as: .admin()).status == 204)
        let gone = await cloud.call("DELETE", path + "/OS::Glance::Image", as: .admin())
        #expect(gone.status == 404)
        #expect(gone.message == "Failed to find resource type OS::Glance::Image to delete")
        #expect(await cloud.call("GET", "/metadefs/resource_types")["resource_types"].array?.count == 1)
    }

    @Test(
        "Every schema is there",
        arguments: [
            "namespace", "namespaces", "object", "objects", "property", "properties", "tag", "tags", "resource_type",
            "resource_types",
        ])
    func schemas(name: String) async throws {
        let answer = try await ImageCloud().call("GET", "/schemas/metadefs/\(name)")
        #expect(answer.status == 200)
        let titles = ["resource_type": "resource_type_association", "resource_types": "resource_type_associations"]
        #expect(answer["name"].string == titles[name] ?? name)
        #expect(answer["properties"].object != nil)
    }
}
