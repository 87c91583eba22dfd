// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// Servers that change hosts with their volumes: in the end each volume is held once, for the host its server is on,
/// and the guest there reaches it as that host does.
struct VolumeMovesTests {
    static let root = "aaaaaaaa-0000-4000-8000-000000000001"
    static let data = "aaaaaaaa-0000-4000-8000-000000000002"

    enum Move: String, CaseIterable, Sendable { case resize, migrate, live, evacuate }

    /// A server with two volumes, one of which it boots from.
    private struct Scene {
        let cloud: ComputeCloud
        let storage: FakeBlockStorage
        let id: String

        init() async throws {
            storage = FakeBlockStorage()
            storage.add(root)
            storage.add(data)
            var options = ComputeOptions()
            options.allowsResizeToSameHost = false
            cloud = try await ComputeCloud(hosts: 2, options: options, storage: storage)
            await cloud.flavor()
            await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 0)
            let devices: JSON = [
                [
                    "source_type": "volume", "destination_type": "volume", "boot_index": 0,
                    "uuid": .string(VolumeMovesTests.root),
                ],
                [
                    "source_type": "volume", "destination_type": "volume", "boot_index": -1,
                    "uuid": .string(VolumeMovesTests.data),
                ],
            ]
            id = try await cloud.server(["imageRef": "", "block_device_mapping_v2": devices])
        }

        func start(_ move: Move) async throws {
            switch move {
            case .resize: #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
            case .migrate: #expect(await cloud.act(id, ["migrate": nil], as: .admin()).status == 202)
            case .live:
                let wish: JSON = ["host": nil, "block_migration": "auto"]
                #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
            case .evacuate:
                let host = await ServerMovesTests.host(cloud, id)
                await setDown(host, true)
                #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
            }
            try await cloud.work()
        }

        func setDown(_ host: String, _ isDown: Bool) async {
            await cloud.hosts[host]?.setUnreachable(isDown)
            let body: JSON = ["host": .string(host), "binary": "nova-compute", "forced_down": .bool(isDown)]
            _ = await cloud.call("PUT", "/os-services/force-down", body, at: "2.11", as: .admin())
        }

        /// Each volume is held once, for the server's host, and the guest there reaches it by that host's way.
        func check(_ comment: String, at host: String? = nil) async throws {
            let now = await ServerMovesTests.host(cloud, id)
            if let host { #expect(now == host, "\(comment)") }
            let holds = storage.attachments
            #expect(holds.count == 2, "\(comment): \(holds)")
            for hold in holds {
                #expect(hold["connector"]?["host"]?.string == now, "\(comment)")
                #expect(hold["status"]?.string == "attached", "\(comment)")
            }
            for volume in [root, data] { #expect(storage.volume(volume)?["status"] == "in-use", "\(comment)") }
            let spec = await cloud.hosts[now]?.spec(of: id)
            let paths = [root, data].map { VolumeConnection.file(path: "/volumes/\(now)/\($0)", format: "raw") }
            #expect(spec?.volumes.map(\.connection) == paths, "\(comment)")
            try await ServerMovesTests.clean(cloud)
        }
    }

    @Test("A server's volumes follow it wherever it goes", arguments: Move.allCases)
    func follow(move: Move) async throws {
        let scene = try await Scene()
        let source = await ServerMovesTests.host(scene.cloud, scene.id)
        let other = source == "host-1" ? "host-2" : "host-1"
        try await scene.check("at first")
        try await scene.start(move)
        try await scene.check("\(move)", at: other)
        if move == .resize || move == .migrate {
            #expect(await scene.cloud.show(scene.id)["status"] == "VERIFY_RESIZE")
            #expect(await scene.cloud.act(scene.id, ["confirmResize": nil]).status == 204)
            try await scene.cloud.work()
            try await scene.check("confirmed", at: other)
        }
        #expect(await scene.cloud.show(scene.id)["status"] == "ACTIVE")
        #expect(await scene.cloud.call("DELETE", "/servers/\(scene.id)").status == 204)
        try await scene.cloud.work()
        #expect(scene.storage.attachments.isEmpty)
    }

    @Test("A move that is taken back takes the volumes back, also those that came and went meanwhile")
    func revert() async throws {
        let scene = try await Scene()
        let source = await ServerMovesTests.host(scene.cloud, scene.id)
        try await scene.start(.resize)
        let path = "/servers/\(scene.id)/os-volume_attachments"
        #expect(await scene.cloud.call("DELETE", path + "/\(Self.data)").status == 202)
        try await scene.cloud.work()
        let body: JSON = ["volumeAttachment": ["volumeId": .string(Self.data)]]
        #expect(await scene.cloud.call("POST", path, body).status == 200)
        try await scene.cloud.work()
        #expect(await scene.cloud.act(scene.id, ["revertResize": nil]).status == 202)
        try await scene.cloud.work()
        #expect(await scene.cloud.show(scene.id)["status"] == "ACTIVE")
        try await scene.check("reverted", at: source)
    }

    @Test(
        "A move that Block storage fails is undone, or goes on when it fails only once",
        arguments: Move.allCases, ["reserve", "connect", "complete", "release", "attachments"])
    func failing(move: Move, call: String) async throws {
        for status in [400, 503] {
            let scene = try await Scene()
            let source = await ServerMovesTests.host(scene.cloud, scene.id)
            scene.storage.fail(call, status)
            try await scene.start(move)
            let now = await ServerMovesTests.host(scene.cloud, scene.id)
            let shown = await scene.cloud.show(scene.id)["status"]
            if move == .resize || move == .migrate {
                #expect(shown == (now == source ? "ACTIVE" : "VERIFY_RESIZE"), "\(move) \(call) \(status)")
            }
            if move == .evacuate, now == source {
                await scene.setDown(source, false)
            }
            if now != source, shown == "VERIFY_RESIZE" {
                #expect(await scene.cloud.act(scene.id, ["confirmResize": nil]).status == 204)
                try await scene.cloud.work()
            }
            // One that is settled in nowhere tells so; its volumes are let go when it is moved or deleted.
            if shown == "ERROR", move == .live { continue }
            if move == .evacuate, now != source {
                await scene.setDown(source, false)
                try await MoveKeeper(scene.cloud.room).clean(source)
            }
            try await MoveKeeper(scene.cloud.room).releaseOldVolumes()
            try await scene.cloud.work()
            try await scene.check("\(move) \(call) \(status)")
        }
    }

    @Test("A shelved server's volumes are held for no host, and are connected where it comes back")
    func shelved() async throws {
        let scene = try await Scene()
        #expect(await scene.cloud.act(scene.id, ["shelve": nil]).status == 202)
        try await scene.cloud.work()
        #expect(await scene.cloud.show(scene.id)["status"] == "SHELVED_OFFLOADED")
        #expect(scene.storage.attachments.count == 2)
        #expect(scene.storage.attachments.allSatisfy { $0["status"] == "reserved" && $0["connector"] == nil })
        #expect(scene.storage.volume(Self.root)?["status"] == "reserved")
        // While it is nowhere a volume may go.
        let path = "/servers/\(scene.id)/os-volume_attachments"
        #expect(await scene.cloud.call("DELETE", path + "/\(Self.data)", at: "2.20").status == 202)
        try await scene.cloud.work()
        #expect(scene.storage.volume(Self.data)?["status"] == "available")
        let body: JSON = ["volumeAttachment": ["volumeId": .string(Self.data)]]
        #expect(await scene.cloud.call("POST", path, body, at: "2.20").status == 200)
        try await scene.cloud.work()
        #expect(scene.storage.volume(Self.data)?["status"] == "in-use", "what is given away is in use")
        #expect(await scene.cloud.act(scene.id, ["unshelve": nil]).status == 202)
        try await scene.cloud.work()
        #expect(await scene.cloud.show(scene.id)["status"] == "ACTIVE")
        try await scene.check("unshelved")
    }

    @Test("A server that cannot be unshelved stays shelved, its volumes reserved")
    func unshelveFails() async throws {
        let scene = try await Scene()
        #expect(await scene.cloud.act(scene.id, ["shelve": nil]).status == 202)
        try await scene.cloud.work()
        scene.storage.fail("connect", 400)
        #expect(await scene.cloud.act(scene.id, ["unshelve": nil]).status == 202)
        try await scene.cloud.work()
        #expect(await scene.cloud.show(scene.id)["status"] == "SHELVED_OFFLOADED")
        #expect(scene.storage.attachments.count == 2)
        #expect(scene.storage.attachments.allSatisfy { $0["status"] == "reserved" })
    }

    @Test("A root disk that is a volume may go to a flavor without a disk, another may not")
    func zeroDisk() async throws {
        let scene = try await Scene()
        let local = try await scene.cloud.server()
        let refused = await scene.cloud.act(local, ["resize": ["flavorRef": "big"]])
        #expect(refused.status == 400 && refused.message.contains("zero disk flavor"))
    }
}
