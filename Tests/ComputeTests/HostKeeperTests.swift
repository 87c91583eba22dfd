// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// What is done on hosts unasked.
struct HostKeeperTests {
    private static func cloud(_ change: (inout CareOptions) -> Void = { _ in }) async throws -> ComputeCloud {
        var options = ComputeOptions()
        change(&options.care)
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        return cloud
    }

    @Test("Guests that ran before the host went down are started again when the operator wants that")
    func resume() async throws {
        let cloud = try await Self.cloud { $0.resumesGuests = true }
        let (running, stopped) = (try await cloud.server(), try await cloud.server())
        await cloud.act(stopped, ["os-stop": .null])
        try await cloud.work()
        let host = try #require(cloud.hosts["host-1"])
        await host.loseHost()
        await GuestWatch(cloud.room).resume()
        try await cloud.work()
        #expect(try await host.state(of: running) == .running)
        #expect(try await host.state(of: stopped) == .shutdown)
        #expect(await cloud.show(running)["status"]?.string == "ACTIVE")
        #expect(await cloud.show(stopped)["status"]?.string == "SHUTOFF")
    }

    @Test(
        "A guest whose server was deleted is ended, and one that nobody knows is left alone",
        arguments: CareOptions.DeletedGuest.allCases)
    func deleted(action: CareOptions.DeletedGuest) async throws {
        let cloud = try await Self.cloud { $0.deletedGuest = action }
        let id = try await cloud.server()
        let host = try #require(cloud.hosts["host-1"])
        let spec = try #require(await host.spec(of: id))
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        try await host.boot(spec, image: nil)
        var stranger = spec
        stranger.server = RandomIdentifiers().uuid()
        await host.addForeign(stranger)
        await HostKeeper(cloud.room).sweep()
        let wanted: GuestState? =
            switch action {
            case .noop, .log: .running
            case .shutdown: .shutdown
            case .reap: nil
            }
        #expect(try await host.state(of: id) == wanted)
        #expect(try await host.state(of: stranger.server) == .running)
    }

    @Test("A server that builds for too long ends in ERROR")
    func build() async throws {
        let cloud = try await Self.cloud { $0.buildTimeout = .seconds(600) }
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft())
        let id = made["server"]["id"]?.string ?? ""
        await HostKeeper(cloud.room).endBuilds()
        #expect(await cloud.show(id)["status"]?.string == "BUILD")
        _ = try await cloud.room.database.update(
            Server.self, set: "created_at = \(cloud.room.clock.now() - .seconds(601))", where: "id = \(id)")
        await HostKeeper(cloud.room).endBuilds()
        #expect(await cloud.show(id)["status"]?.string == "ERROR")
    }

    @Test("Images are fetched beforehand by the hosts of an aggregate; what is wrong is told at once")
    func images() async throws {
        let cloud = try await Self.cloud()
        let admin = Caller.admin()
        _ = await cloud.call("POST", "/os-aggregates", ["aggregate": ["name": "a"]], as: admin)
        _ = await cloud.call("POST", "/os-aggregates/1/action", ["add_host": ["host": "host-1"]], as: admin)
        func ask(_ id: String, _ images: [String], at version: String = "2.81", as caller: Caller = .admin()) async
            -> Int
        {
            let items: [JSON] = images.map { ["id": .string($0)] }
            return await cloud.call(
                "POST", "/os-aggregates/\(id)/images", ["cache": .array(items)], at: version, as: caller
            ).status
        }
        let image = ComputeCloud.image
        #expect(await ask("1", [image], at: "2.80") == 404)
        #expect(await ask("1", [image], as: .member()) == 403)
        #expect(await ask("2", [image]) == 404)
        #expect(await ask("1", [image, image]) == 400)
        #expect(await ask("1", [RandomIdentifiers().uuid()]) == 400)
        #expect(await ask("1", []) == 400)
        #expect(await ask("1", [image]) == 202)
        try await cloud.work()
        #expect(await cloud.hosts["host-1"]?.images == [image])
    }
}
