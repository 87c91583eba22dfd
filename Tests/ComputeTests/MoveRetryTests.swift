// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// Moves whose first host will not do.
struct MoveRetryTests {
    private static let anywhere: JSON = ["os-migrateLive": ["host": nil, "block_migration": "auto"]]

    private static func last(_ cloud: ComputeCloud, _ id: String) async throws -> ServerMigration {
        try #require(try await cloud.room.database.all(ServerMigration.self, "server_id = \(id) ORDER BY number").last)
    }

    /// The hosts that a move was tried with, as the action's message tells them.
    private static func tried(_ cloud: ComputeCloud, _ id: String) async throws -> [String] {
        let log = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        let request = log[0]["request_id"]?.string ?? ""
        let action = try #require(
            try await cloud.room.database.first(InstanceAction.self, "server_id = \(id) AND request_id = \(request)"))
        let text = action.message ?? ""
        #expect(text.hasPrefix("No valid host was found."), "\(text)")
        return cloud.hosts.keys.filter { text.contains("\($0): the server could not go there") }.sorted()
    }

    @Test("A guest that a host does not let in goes to the next one; when none is left it runs on, and all are named")
    func live() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let others = cloud.hosts.keys.filter { $0 != source }.sorted()
        for host in others { await cloud.hosts[host]?.refuseArrivals(true) }
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await ServerMovesTests.host(cloud, id) == source)
        #expect(try await Self.last(cloud, id).status == .error)
        #expect(try await Self.tried(cloud, id) == others)
        try await ServerMovesTests.clean(cloud)

        for willing in others {
            // Whichever of them is asked first.
            let unwilling = cloud.hosts.keys.filter { $0 != willing }
            for host in unwilling { await cloud.hosts[host]?.refuseArrivals(true) }
            await cloud.hosts[willing]?.refuseArrivals(false)
            guard await ServerMovesTests.host(cloud, id) != willing else { continue }
            #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
            try await cloud.work()
            #expect(await ServerMovesTests.host(cloud, id) == willing)
            let move = try await Self.last(cloud, id)
            #expect(move.status == .completed && move.dest == willing)
            for host in unwilling { #expect(try await cloud.hosts[host]?.state(of: id) == nil) }
            try await ServerMovesTests.clean(cloud)
        }
    }

    @Test("A host that speaks of something cancelled is no user who wants the move to end")
    func words() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let words = Fault.conflict("The operation was cancelled in its step 'pre_live_migration'.")
        let others = cloud.hosts.keys.filter { $0 != source }.sorted()
        for host in others { await cloud.hosts[host]?.refuseArrivals(true, saying: words) }
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(try await Self.last(cloud, id).status == .error)
        #expect(try await Self.tried(cloud, id) == others)
        try await ServerMovesTests.clean(cloud)
    }

    @Test("A move that is given up while what failed of it is undone goes to no other host")
    func givenUp() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let others = cloud.hosts.keys.filter { $0 != source }.sorted()
        for host in others { await cloud.hosts[host]?.setUnreachable(true) }
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        let database = cloud.room.database
        try await cloud.work { try await database.count(OperationRecord.self, "note LIKE 'undoing %'") > 0 }
        let number = try await Self.last(cloud, id).number
        let path = "/servers/\(id)/migrations/\(number)"
        #expect(await cloud.call("DELETE", path, at: "2.65", as: .admin()).status == 202)
        for host in others { await cloud.hosts[host]?.setUnreachable(false) }
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) == source)
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(try await Self.last(cloud, id).status == .cancelled)
        try await ServerMovesTests.clean(cloud)
        // Another move is another one.
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(try await Self.last(cloud, id).status == .completed)
    }

    @Test("A host that was named is the only one that is asked")
    func named() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let target = cloud.hosts.keys.filter { $0 != source }.sorted()[0]
        await cloud.hosts[target]?.refuseArrivals(true)
        let wish: JSON = ["os-migrateLive": ["host": .string(target), "block_migration": "auto"]]
        #expect(await cloud.act(id, wish, at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        let move = try await Self.last(cloud, id)
        #expect(move.status == .failed && move.dest == target)
        #expect(await ServerMovesTests.host(cloud, id) == source)
        try await ServerMovesTests.clean(cloud)
    }

    @Test("A resize that a host cannot take goes to the next, and no further than max_attempts hosts")
    func cold() async throws {
        var options = ComputeOptions()
        options.scheduler.maxAttempts = 2
        options.allowsResizeToSameHost = false
        let cloud = try await ComputeCloud(hosts: 4, options: options)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 2)
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let others = cloud.hosts.keys.filter { $0 != source }.sorted()
        for host in others { await cloud.hosts[host]?.setUnreachable(true) }
        #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        let failed = try await Self.last(cloud, id)
        #expect(failed.status == .error && others.contains(failed.dest ?? ""), "the second that was tried")
        #expect(await ServerMovesTests.held(cloud, id)["VCPU"] == 1)

        // Of those two one is back: it gets the server, whether it is asked first or second.
        let willing = failed.dest ?? ""
        await cloud.hosts[willing]?.setUnreachable(false)
        #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
        #expect(await ServerMovesTests.host(cloud, id) == willing)
        #expect(await ServerMovesTests.held(cloud, id)["VCPU"] == 2)
    }
}
