// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// Files that servers are given at creation, until 2.57.
struct InjectedFilesTests {
    private static func file(_ path: String, _ text: String) -> JSON {
        ["path": .string(path), "contents": .string(Base64.encode(Array(text.utf8)))]
    }

    private static func drive(_ cloud: ComputeCloud, _ id: String) async throws -> [String: [UInt8]] {
        try #require(await cloud.hosts["host-1"]?.spec(of: id)?.configDrive?.files)
    }

    @Test("Files given at creation lie on the drive, a rebuild brings others, and they go with the server")
    func life() async throws {
        var options = ComputeOptions()
        options.metadata.forcesDrive = true
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        let id = try await cloud.server(["personality": [Self.file("/etc/motd", "hello"), Self.file("/etc/two", "2")]])
        var files = try await Self.drive(cloud, id)
        #expect(files["openstack/content/0000"] == Array("hello".utf8))
        #expect(files["openstack/content/0001"] == Array("2".utf8))
        let named = try JSON.parse(try #require(files["openstack/latest/meta_data.json"]))["files"]
        #expect(named?[0]?["path"]?.string == "/etc/motd")
        #expect(named?[1]?["content_path"]?.string == "/content/0001")

        let image: JSON = .string(ComputeCloud.image)
        await cloud.act(id, ["rebuild": ["imageRef": image, "personality": [Self.file("/etc/issue", "new")]]])
        try await cloud.work()
        files = try await Self.drive(cloud, id)
        #expect(files["openstack/content/0000"] == Array("new".utf8))
        #expect(files["openstack/content/0001"] == nil)

        _ = await cloud.call("DELETE", "/servers/\(id)")
        try await cloud.work()
        #expect(try await InjectedFile.of(id, cloud.room.database).isEmpty)
    }

    @Test("More, larger or longer named files than the project may give are refused in Nova's words")
    func limits() async throws {
        var options = ComputeOptions()
        options.quota.injectedFiles = 2
        options.quota.injectedFilePathLength = 10
        options.quota.injectedFileContentBytes = 12
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        func create(_ files: [JSON], at version: String = "2.1") async -> TestCloud.Answer {
            await cloud.call("POST", "/servers", ComputeCloud.draft(["personality": .array(files)]), at: version)
        }
        let many = await create([Self.file("/a", ""), Self.file("/b", ""), Self.file("/c", "")])
        #expect(many.status == 403 && many.message == "Personality file limit exceeded")
        let long = await create([Self.file("/etc/issue.net", "")])
        #expect(long.status == 403 && long.message == "Personality file path exceeds maximum 10")
        let large = await create([Self.file("/a", "0123456789")])
        #expect(large.status == 403 && large.message == "Personality file content exceeds maximum 12")
        #expect(await create([["path": "/a", "contents": "not base64!"]]).status == 400)
        #expect(await create([Self.file("/a", "")], at: "2.57").status == 400)
        #expect(await create([Self.file("/a", "12"), Self.file("/b", "")]).status == 202)
        let shown = await cloud.call("GET", "/limits")["limits"]["absolute"]
        #expect(shown?["maxPersonality"]?.integer == 2 && shown?["maxPersonalitySize"]?.integer == 12)
    }
}
