// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Servers that wait hold nobody up, however many they are.
struct ParkedServersTests {
    /// Far more than a worker has places.
    private static let crowd = 300

    private static func cloud(
        _ clock: any WallClock = StandingClock(), _ change: (inout ComputeOptions) -> Void = { _ in }
    ) async throws -> ComputeCloud {
        var options = ComputeOptions()
        options.quota.driver = .none
        change(&options)
        let facts = HostResources.fake(vcpus: 400, memoryMiB: 400_000, diskGiB: 4000)
        let cloud = try await ComputeCloud(hosts: 1, options: options, each: facts, clock: clock)
        await cloud.flavor()
        return cloud
    }

    private static func states(_ cloud: ComputeCloud) async throws -> [VMState: Int] {
        let servers = try await cloud.room.database.all(Server.self, "deleted_at IS NULL")
        return Dictionary(grouping: servers, by: \.vmState).mapValues(\.count)
    }

    @Test("Hundreds of servers wait for their ports while others boot, are switched off, and are deleted")
    func plugs() async throws {
        let cloud = try await Self.cloud()
        let old = try await cloud.server()
        let host = try #require(cloud.hosts["host-1"])
        await host.setReporting(true)
        cloud.network.state.withLock { $0.comesUp = false }
        let many = await cloud.call(
            "POST", "/servers", ComputeCloud.draft(["min_count": .integer(Int64(Self.crowd))]))
        #expect(many.status == 202, "\(many.json.text())")
        let queue = cloud.room.queue
        try await cloud.work { try await queue.parked() == Self.crowd }
        #expect(try await Self.states(cloud) == [.building: Self.crowd, .active: 1])

        // Of a network that works: nobody stands in its way.
        cloud.network.state.withLock { $0.comesUp = true }
        let answer = await cloud.call("POST", "/servers", ComputeCloud.draft(["name": "other"]))
        let other = answer["server"]["id"]?.string ?? ""
        #expect(await cloud.act(old, ["os-stop": nil]).status == 202)
        let database = cloud.room.database
        try await cloud.work {
            let rows = try await database.all(Server.self, "id", in: [other, old])
            return rows.allSatisfy { $0.taskState == nil && $0.vmState != .building }
        }
        #expect(await cloud.show(other)["status"] == "ACTIVE")
        #expect(await cloud.show(old)["status"] == "SHUTOFF")

        // One of those that wait is deleted, and leaves nothing. Who looks is not parked meanwhile, and the process
        // that has just started makes everybody look: that has to be over before they are counted.
        let doomed = try #require(try await database.first(Server.self, "vm_state = 'building'")).id
        #expect(await cloud.call("DELETE", "/servers/\(doomed)").status == 204)
        try await cloud.work {
            let (parked, unfinished) = (try await queue.parked(), try await queue.unfinished())
            return parked == Self.crowd - 1 && unfinished == parked
        }
        #expect(await cloud.call("GET", "/servers/\(doomed)").status == 404)
        #expect(try await queue.operations(on: doomed).map(\.state) == [.done, .cancelled])
        #expect(try await host.state(of: doomed) == nil)
        #expect(try await Self.states(cloud) == [.building: Self.crowd - 1, .active: 1, .stopped: 1])

        // A process that starts finds all of them, and what happened meanwhile.
        cloud.network.state.withLock { state in
            for id in state.ports.keys { state.ports[id]?["status"] = "ACTIVE" }
        }
        try await cloud.work()
        #expect(try await Self.states(cloud) == [.active: Self.crowd, .stopped: 1])
        #expect(try await queue.parked() == 0)
    }

    @Test("Guests that do not hear that they shall shut down keep no one else from being switched off, and are heard")
    func shutdowns() async throws {
        let cloud = try await Self.cloud { $0.graceOfStop = .seconds(3600) }
        let (room, queue, host) = (cloud.room, cloud.room.queue, try #require(cloud.hosts["host-1"]))
        let many = await cloud.call("POST", "/servers", ComputeCloud.draft(["min_count": 100]))
        #expect(many.status == 202)
        try await cloud.work()
        let servers = try await room.database.all(Server.self).map(\.id)
        await host.setStubborn(Set(servers))
        try await cloud.working {
            for id in servers { #expect(await cloud.act(id, ["os-stop": nil]).status == 202) }
            try await cloud.until { try await queue.parked() == 100 }
            #expect(try await Self.states(cloud) == [.active: 100])
            let answer = await cloud.call("POST", "/servers", ComputeCloud.draft(["name": "other"]))
            let other = answer["server"]["id"]?.string ?? ""
            try await cloud.until { await cloud.show(other)["status"] == "ACTIVE" }
            #expect(await cloud.act(other, ["os-stop": nil]).status == 202)
            try await cloud.until { await cloud.show(other)["status"] == "SHUTOFF" }
            #expect(try await Self.states(cloud) == [.active: 100, .stopped: 1])

            // One goes down by itself. Nothing is due as the clock stands still: it is seen because it is told.
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await GuestWatch(room).run() }
                try await cloud.until {
                    // It is down as often as it takes until somebody listens.
                    try await host.shutDown(servers[0])
                    return await cloud.show(servers[0])["status"] == "SHUTOFF"
                }
                group.cancelAll()
            }
            try await cloud.until { try await queue.unfinished() == 99 }
            #expect(try await queue.parked() == 99)
        }
    }

    @Test("A guest that is not down in its time is switched off; one that is asked to reboot is started again")
    func grace() async throws {
        let cloud = try await Self.cloud(MachineClock()) { $0.graceOfStop = .milliseconds(100) }
        let host = try #require(cloud.hosts["host-1"])
        let id = try await cloud.server()
        await host.setStubborn([id])
        _ = await cloud.act(id, ["reboot": ["type": "SOFT"]])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(try await host.state(of: id) == .running)
        _ = await cloud.act(id, ["os-stop": nil])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHUTOFF")
        #expect(try await host.state(of: id) == .shutdown)
        _ = await cloud.act(id, ["os-start": nil])
        try await cloud.work()
        await host.setStubborn([])
        _ = await cloud.act(id, ["reboot": ["type": "SOFT"]])
        try await cloud.work()
        #expect(try await host.state(of: id) == .running)
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("A server that waits for a volume in the making holds nobody up, and boots when it is made")
    func volumes() async throws {
        let storage = FakeBlockStorage()
        var options = ComputeOptions()
        options.quota.driver = .none
        let cloud = try await ComputeCloud(options: options, storage: storage)
        await cloud.flavor()
        storage.state.withLock { $0.isSlow = true }
        let device: JSON = [
            "source_type": "image", "destination_type": "volume", "boot_index": 0,
            "uuid": .string(ComputeCloud.image), "volume_size": 1, "delete_on_termination": true,
        ]
        let answer = await cloud.call(
            "POST", "/servers",
            ["server": ["name": "v", "flavorRef": "small", "block_device_mapping_v2": [device], "networks": "none"]],
            at: "2.67")
        #expect(answer.status == 202, "\(answer.json.text())")
        let id = answer["server"]["id"]?.string ?? ""
        let queue = cloud.room.queue
        try await cloud.work { try await queue.parked() == 1 }
        #expect(await cloud.show(id)["status"] == "BUILD")
        storage.state.withLock { state in
            state.isSlow = false
            for id in state.volumes.keys { state.volumes[id]?["status"] = "available" }
        }
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(storage.state.withLock { $0.volumes.count } == 1)
    }
}
