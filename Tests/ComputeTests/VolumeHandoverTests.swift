// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Servers with volumes that their hosts will not have: the volumes stay theirs until no host is left.
struct VolumeHandoverTests {
    static let volume = "aaaaaaaa-0000-4000-8000-000000000001"
    static let refusal = Fault.conflict("The guest cannot be started (fake).")

    /// A server on a volume that is there, with one that is made for it.
    struct Scene {
        let cloud: ComputeCloud
        let storage = FakeBlockStorage()
        let names: [String]

        init(hosts: Int = 3) async throws {
            storage.add(volume)
            cloud = try await ComputeCloud(hosts: hosts, storage: storage)
            await cloud.flavor()
            names = cloud.hosts.keys.sorted()
        }

        func refuse(_ hosts: some Sequence<String>, _ fault: Fault? = VolumeHandoverTests.refusal) async {
            for host in hosts { await cloud.hosts[host]?.refuseBoots(fault) }
        }

        /// - Parameter makes: whether a second volume is made for it.
        func boot(makes: Bool = true) async -> String {
            let root: JSON = [
                "source_type": "volume", "destination_type": "volume", "boot_index": 0, "uuid": .string(volume),
            ]
            let data: JSON = [
                "source_type": "blank", "destination_type": "volume", "volume_size": 3, "boot_index": -1,
            ]
            let devices = JSON.array(makes ? [root, data] : [root])
            let draft = ComputeCloud.draft(["imageRef": "", "block_device_mapping_v2": devices])
            let made = await cloud.call("POST", "/servers", draft)
            #expect(made.status == 202, "\(made.json.text())")
            return made["server"]["id"]?.string ?? ""
        }

        /// Nothing is held, nothing that was made is left, and nobody saw it free before.
        func isGivenBack(_ comment: Comment) {
            #expect(storage.attachments.isEmpty, comment)
            #expect(storage.state.withLock { $0.volumes.keys.sorted() } == [volume], comment)
            #expect(history.last == "available" && history.count { $0 == "available" } == 1, "\(history)")
        }

        /// A process that can do one kind of work only.
        func work<Work: Operation>(_ kind: Work.Type, until isDone: () async throws -> Bool) async throws
        where Work.Site == ComputeSite {
            let room = cloud.room
            let kind = OperationKind.of(kind) { ComputeSite(room: room, context: $0) }
            let worker = Worker(room.queue, name: "test", kinds: [kind], log: .silent, isExclusive: true)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await worker.run() }
                try await cloud.until(isDone)
                group.cancelAll()
            }
        }

        /// A server that a host refused, and for which the scheduler was not asked again yet.
        func between() async throws -> String {
            await refuse(names)
            let id = await boot()
            let queue = cloud.room.queue
            func isNext(_ kind: String) async throws -> Bool {
                let waiting = try await queue.database.all(OperationRecord.self, "state = 'queued'")
                return try await queue.unfinished() == 1 && waiting.map(\.kind) == [kind]
            }
            try await work(ScheduleServers.self) { try await isNext(BootServer.kind) }
            try await work(BootServer.self) { try await isNext(ScheduleServers.kind) }
            #expect(await cloud.show(id)["status"] == "BUILD")
            #expect(history == ["reserved"])
            #expect(storage.attachments.count == 2 && storage.attachments.allSatisfy { $0["connector"] == nil })
            return id
        }

        var history: [String] { storage.state.withLock { $0.history[volume] ?? [] } }
    }

    @Test("A volume is free at no moment while its server goes from a host that refuses it to the next")
    func goesOn() async throws {
        let scene = try await Scene()
        await scene.refuse(scene.names.prefix(2))
        let id = await scene.boot()
        try await scene.cloud.work()
        #expect(await scene.cloud.show(id)["status"] == "ACTIVE")
        #expect(await scene.cloud.show(id)["OS-EXT-SRV-ATTR:host"] == .string(scene.names[2]))
        #expect(scene.history == ["reserved", "in-use"])
        let made = scene.storage.state.withLock { $0.history.filter { $0.key != Self.volume } }
        #expect(made.count == 1, "one that was made for the server is made once")
        #expect(made.values.allSatisfy { $0 == ["reserved", "in-use"] }, "\(made)")
        let holds = scene.storage.attachments
        #expect(holds.count == 2 && holds.allSatisfy { $0["connector"]?["host"]?.string == scene.names[2] })
        let devices = try await BlockDevice.of(id, scene.cloud.room.database)
        #expect(Set(devices.map(\.attachmentID)) == Set(holds.map { $0["id"]?.string }))
        let spec = await scene.cloud.hosts[scene.names[2]]?.spec(of: id)
        #expect(spec?.volumes.count == 2)
    }

    @Test("When the last host has refused it, a server's volumes are given back, and those made for it are gone")
    func last() async throws {
        for hosts in [1, 3] {
            let scene = try await Scene(hosts: hosts)
            await scene.refuse(scene.names)
            let id = await scene.boot()
            try await scene.cloud.work()
            #expect(await scene.cloud.show(id)["status"] == "ERROR")
            scene.isGivenBack("\(hosts) hosts")
            await scene.refuse(scene.names, nil)
            let next = await scene.boot()
            try await scene.cloud.work()
            #expect(await scene.cloud.show(next)["status"] == "ACTIVE")
        }
    }

    @Test("When the hosts that were left are gone meanwhile, the volumes are given back")
    func nowhere() async throws {
        let scene = try await Scene()
        let id = try await scene.between()
        for host in scene.names {
            let body: JSON = ["host": .string(host), "binary": "nova-compute"]
            _ = await scene.cloud.call("PUT", "/os-services/disable", body, as: .admin())
        }
        try await scene.cloud.work()
        let shown = await scene.cloud.show(id)
        #expect(shown["status"] == "ERROR" && shown["fault"]?["message"]?.string?.hasPrefix("No valid host") == true)
        scene.isGivenBack("no host is left")
    }

    @Test("Who deletes a server between two hosts has its volumes back")
    func deleted() async throws {
        let scene = try await Scene()
        let id = try await scene.between()
        #expect(await scene.cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await scene.cloud.work()
        #expect(await scene.cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(scene.storage.attachments.isEmpty && scene.history == ["reserved", "available"])
    }

    @Test(
        "What Block storage refuses between two hosts ends the boot, and what passes is waited for",
        arguments: ["reserve", "release", "attachments"], [400, 503])
    func failing(call: String, status: Int) async throws {
        let scene = try await Scene()
        await scene.refuse(scene.names.prefix(2))
        let id = await scene.boot(makes: false)
        // Where nothing is made it is called only when the first host has refused.
        scene.storage.fail(call, status)
        try await scene.cloud.work()
        let shown = await scene.cloud.show(id)["status"]
        #expect(shown == (status == 503 ? "ACTIVE" : "ERROR"))
        if status == 503 { return #expect(scene.history == ["reserved", "in-use"]) }
        scene.isGivenBack("\(call)")
    }

    @Test("What a server that no host would have was to have may be attached to another one")
    func another() async throws {
        let scene = try await Scene(hosts: 1)
        await scene.refuse(scene.names)
        let failed = await scene.boot()
        try await scene.cloud.work()
        await scene.refuse(scene.names, nil)
        let id = try await scene.cloud.server()
        let body: JSON = ["volumeAttachment": ["volumeId": .string(Self.volume)]]
        let attached = await scene.cloud.call("POST", "/servers/\(id)/os-volume_attachments", body)
        #expect(attached.status == 200, "\(attached.json.text())")
        try await scene.cloud.work()
        #expect(scene.history.last == "in-use")
        #expect(await scene.cloud.call("DELETE", "/servers/\(failed)").status == 204)
        try await scene.cloud.work()
        #expect(scene.history.last == "in-use" && scene.storage.attachments.map { $0["instance"]?.string } == [id])
    }

    @Test(
        "A server whose volumes Block storage will not take back ends in ERROR, and lets go of them when it is deleted")
    func heldOn() async throws {
        let scene = try await Scene(hosts: 1)
        await scene.refuse(scene.names)
        let id = await scene.boot(makes: false)
        scene.storage.fail("release", 409)
        try await scene.cloud.work()
        #expect(await scene.cloud.show(id)["status"] == "ERROR")
        #expect(scene.storage.attachments.count == 1)
        #expect(await scene.cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await scene.cloud.work()
        scene.isGivenBack("deleted")
    }
}
