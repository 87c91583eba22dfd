// SPDX-License-Identifier: Apache-2.0
import Clients
import Image
import Kernel
import Simulation
import Testing

struct MetadefCatalogTests {
    private static func folder() -> String {
        #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/Examples/metadefs"
    }

    private func documents() throws -> [JSON] {
        try FileSystem.list(Self.folder()).filter { $0.hasSuffix(".json") }.sorted().map { name in
            let bytes = try #require(FileSystem.read("\(Self.folder())/\(name)"))
            return try JSON.parse(bytes, limits: .trusted)
        }
    }

    private func catalog(_ cloud: ImageCloud) -> MetadefCatalog {
        MetadefCatalog { method, path, body async throws(Fault) in
            let parts = path.split(separator: "?", maxSplits: 1).map(String.init)
            let answer = await cloud.cloud.call(
                "image", method, parts[0], body, as: .admin(), query: parts.count > 1 ? parts[1] : "")
            return RemoteCloud.Answer(status: answer.status, json: answer.json)
        }
    }

    @Test("The standard catalogue goes in whole, comes out the same, and goes away")
    func standard() async throws {
        let cloud = try await ImageCloud()
        let catalog = catalog(cloud)
        let all = try documents()
        #expect(all.count > 30)
        for document in all { #expect(try await catalog.load(document, .skip) == .loaded) }
        #expect(try await catalog.load(all[0], .skip) == .skipped)
        let names = try await catalog.names()
        #expect(names == all.compactMap { $0["namespace"]?.string }.sorted())
        for document in all {
            let name = try #require(document["namespace"]?.string)
            let (_, written) = try await catalog.export(name)
            #expect(written["properties"]?.object?.count == document["properties"]?.object?.count ?? 0)
            #expect(written["objects"]?.array?.count == document["objects"]?.array?.count ?? 0)
            #expect(written["protected"] == document["protected"] ?? false)
        }
        for name in names { #expect(try await catalog.unload(name) == .deleted) }
        #expect(try await catalog.names() == [])
    }

    @Test("A namespace that is there is kept, merged, changed or replaced")
    func meetings() async throws {
        let cloud = try await ImageCloud()
        let catalog = catalog(cloud)
        let old: JSON = [
            "namespace": "ns", "visibility": "public", "protected": true, "description": "old",
            "properties": ["a": ["title": "old", "type": "string"]],
        ]
        let new: JSON = [
            "namespace": "ns", "visibility": "public", "protected": true, "description": "new",
            "properties": [
                "a": ["title": "new", "type": "string"], "b": ["title": "new", "type": "string"],
            ],
            "objects": [["name": "o", "properties": [:]]], "tags": [["name": "t"]],
            "resource_type_associations": [["name": "OS::Nova::Server"]],
        ]
        func shown() async -> TestCloud.Answer { await cloud.call("GET", "/metadefs/namespaces/ns") }
        #expect(try await catalog.load(old, .skip) == .loaded)
        #expect(try await catalog.load(new, .merge) == .merged)
        #expect(await shown()["description"].string == "old")
        #expect(await shown()["properties"]["a"]?["title"] == "old")
        #expect(await shown()["properties"]["b"]?["title"] == "new")
        #expect(await shown()["tags"] == [["name": "t"]])
        #expect(try await catalog.load(new, .preferNew) == .merged)
        #expect(await shown()["description"].string == "new")
        #expect(await shown()["properties"]["a"]?["title"] == "new")
        #expect(try await catalog.load(old, .overwrite) == .loaded)
        #expect(await shown()["properties"].object?.count == 1)
    }
}
