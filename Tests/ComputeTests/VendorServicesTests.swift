// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Vendor data from a service of the operator's: a real one, on a socket.
struct VendorServicesTests {
    private final class Heard: Sendable {
        let bodies = Mutex<[JSON]>([])
    }

    /// A service that answers as it is told by the path it is asked at, while the test runs.
    private func withService(
        _ test: (_ port: Int, _ heard: Heard) async throws -> Void
    ) async throws {
        let heard = Heard()
        let server = try HTTPServer(loops: 1) { request in
            let bytes = (try? await request.body.collect(limit: 1 << 16)) ?? []
            if let body = try? JSON.parse(bytes) { heard.bodies.withLock { $0.append(body) } }
            switch request.path {
            case "/broken": return HTTPResponse(status: 500, body: .bytes(Array("out of order".utf8)))
            case "/text": return HTTPResponse(status: 200, body: .bytes(Array("no JSON".utf8)))
            case "/empty": return HTTPResponse(status: 200)
            default: return HTTPResponse(status: 200, body: .bytes(Array(#"{"key": "value"}"#.utf8)))
            }
        }
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "vendor")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await server.run() }
            defer { group.cancelAll() }
            try await test(port, heard)
        }
    }

    private static func cloud(_ change: (inout MetadataOptions) -> Void) async throws -> ComputeCloud {
        var options = ComputeOptions()
        options.metadata.vendorProviders = ["StaticJSON", "DynamicJSON"]
        options.metadata.vendorTimeout = .seconds(120)
        change(&options.metadata)
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        return cloud
    }

    private static func data(_ cloud: ComputeCloud, _ id: String) async throws -> JSON {
        let server = try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
        return try await GuestMetadata(cloud.room).vendorData(server).second
    }

    @Test("A service is told of the server, and its answer stands under its name; a name counts once")
    func answered() async throws {
        try await withService { port, heard in
            let cloud = try await Self.cloud {
                $0.vendorTargets = [
                    ("one", "http://127.0.0.1:\(port)/ok"), ("one", "http://127.0.0.1:\(port)/empty"),
                    ("nothing", "http://127.0.0.1:\(port)/empty"),
                ]
            }
            let id = try await cloud.server(["metadata": ["role": "db"], "user_data": "aGVsbG8="])
            let data = try await Self.data(cloud, id)
            #expect(data["one"]?["key"]?.string == "value" && data["nothing"]?.text() == "{}")
            #expect(data["static"]?.text() == "{}")
            let told = heard.bodies.withLock { $0 }
            #expect(told.count == 2)
            #expect(told.first?["instance-id"]?.string == id && told.first?["metadata"]?["role"] == "db")
            #expect(told.first?["user-data"] == "aGVsbG8=" && told.first?["hostname"] == "web")
            let members = told.first?.object?.keys.sorted() ?? [String]()
            #expect(
                members == [
                    "boot-roles", "hostname", "image-id", "instance-id", "metadata", "project-id", "user-data",
                ])
        }
    }

    @Test("What fails adds nothing, and others are asked all the same", arguments: ["broken", "text", "refused"])
    func failing(path: String) async throws {
        try await withService { port, _ in
            let bad = path == "refused" ? "http://127.0.0.1:1/" : "http://127.0.0.1:\(port)/\(path)"
            let cloud = try await Self.cloud {
                $0.vendorTargets = [("bad", bad), ("good", "http://127.0.0.1:\(port)/ok")]
            }
            let id = try await cloud.server()
            let data = try await Self.data(cloud, id)
            #expect(data["bad"]?.text() == "{}" && data["good"]?["key"] == "value")
        }
    }

    @Test("One that never answers is given up when its time is over")
    func silent() async throws {
        // Nobody accepts what the kernel has taken.
        let server = try HTTPServer(loops: 1) { _ in HTTPResponse(status: 200) }
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "silent")
        let cloud = try await Self.cloud {
            $0.vendorTargets = [("silent", "http://127.0.0.1:\(port)/")]
            $0.vendorTimeout = .milliseconds(100)
        }
        let id = try await cloud.server()
        #expect(try await Self.data(cloud, id)["silent"]?.text() == "{}")
        withExtendedLifetime(server) {}
    }

    @Test("Where failures are fatal a server with a config drive does not boot")
    func fatal() async throws {
        try await withService { port, _ in
            let cloud = try await Self.cloud {
                $0.vendorTargets = [("bad", "http://127.0.0.1:\(port)/broken")]
                $0.vendorFailureIsFatal = true
            }
            let id = try await cloud.server(["config_drive": true])
            let server = await cloud.show(id)
            #expect(server["status"] == "ERROR")
            #expect(server["fault"]?["message"]?.string?.contains("vendor data service bad failed") == true)
        }
    }

    @Test("Devices with tags are listed with their places: cards and volumes")
    func devices() async throws {
        let storage = FakeBlockStorage()
        storage.add(VolumesTests.one)
        let cloud = try await ComputeCloud(storage: storage)
        await cloud.flavor()
        let id = try await cloud.server()
        let volume: JSON = ["volumeAttachment": ["volumeId": .string(VolumesTests.one), "tag": "data"]]
        #expect(await cloud.call("POST", "/servers/\(id)/os-volume_attachments", volume, at: "2.49").status == 200)
        try await cloud.work()
        let server = try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
        let metadata = GuestMetadata(cloud.room)
        var documents = metadata.documents(of: server)
        documents.volumes = try await metadata.taggedVolumes(server)
        let before = documents.metaData(.epoxy)["devices"]?[0]
        #expect(before?["type"] == "disk" && before?["bus"] == "none" && before?["tags"]?[0] == "data")
        documents.places[VolumesTests.one] = GuestDevicePlace(bus: "scsi", address: "0:0:0:1")
        let after = documents.metaData(.newtonOne)["devices"]?[0]
        #expect(after?["bus"] == "scsi" && after?["address"] == "0:0:0:1")
        #expect(after?["serial"]?.string == VolumesTests.one)
        #expect(documents.metaData(.liberty)["devices"] == nil)
    }
}
