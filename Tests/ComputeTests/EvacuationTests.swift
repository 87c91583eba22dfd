// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct EvacuationTests {
    /// - Parameter isDown: back again, the host is cleaned before it counts as up.
    private static func down(_ cloud: ComputeCloud, _ host: String, _ isDown: Bool = true) async throws {
        if !isDown {
            await cloud.hosts[host]?.setUnreachable(false)
            try await MoveKeeper(cloud.room).clean(host)
        }
        let body: JSON = ["host": .string(host), "binary": "nova-compute", "forced_down": .bool(isDown)]
        #expect(await cloud.call("PUT", "/os-services/force-down", body, at: "2.11", as: .admin()).status == 200)
        await cloud.hosts[host]?.setUnreachable(isDown)
    }

    @Test(
        "A server of a dead host is made anew on another, and what was left is cleaned when the host is back",
        arguments: [("2.14", "ACTIVE"), ("2.95", "SHUTOFF")])
    func evacuate(version: String, status: String) async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        try await Self.down(cloud, source)
        let answer = await cloud.act(id, ["evacuate": ["adminPass": "new"]], at: version, as: .admin())
        #expect(answer.status == 200)
        #expect(await cloud.show(id)["status"] == "REBUILD")
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == .string(status), "\(server.text())")
        let dest = await ServerMovesTests.host(cloud, id)
        #expect(dest != source)
        let migration = try #require(await ServerMovesTests.migrations(cloud, of: id).first)
        #expect(migration["status"] == "done")
        #expect(migration["migration_type"] == "evacuation")
        #expect(await ServerMovesTests.held(cloud, migration["uuid"]?.string ?? "")["VCPU"] == 1)
        try await MoveKeeper(cloud.room).clean(source)
        await cloud.hosts[source]?.setUnreachable(false)
        #expect(try await cloud.hosts[source]?.state(of: id) == .running)
        try await Self.down(cloud, source, false)
        #expect(try await cloud.hosts[source]?.state(of: id) == nil)
        #expect(await ServerMovesTests.migrations(cloud, of: id).first?["status"] == "completed")
        #expect(await ServerMovesTests.held(cloud, migration["uuid"]?.string ?? "").isEmpty)
        try await ServerMovesTests.clean(cloud)
    }

    @Test("Until 2.14 the answer tells the password; a stopped server stays stopped")
    func stopped() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["os-stop": nil])
        try await cloud.work()
        try await Self.down(cloud, await ServerMovesTests.host(cloud, id))
        let both: JSON = ["evacuate": ["onSharedStorage": true, "adminPass": "new"]]
        #expect(await cloud.act(id, both, as: .admin()).message == "admin password can't be changed on existing disk")
        let answer = await cloud.act(id, ["evacuate": ["onSharedStorage": false]], as: .admin())
        #expect(answer["adminPass"] != nil)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHUTOFF")
    }

    @Test("A server that nobody can take is in ERROR with the reason, and can be evacuated later")
    func nowhere() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        for host in cloud.hosts.keys { try await Self.down(cloud, host) }
        #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ERROR")
        #expect(server["fault"]?["message"]?.string?.hasPrefix("No valid host was found.") == true)
        for host in cloud.hosts.keys where host != source { try await Self.down(cloud, host, false) }
        #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        try await Self.down(cloud, source, false)
        try await ServerMovesTests.clean(cloud)
    }

    @Test("A server deleted after its evacuation leaves nothing on the old host either")
    func deleted() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        try await Self.down(cloud, source)
        _ = await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin())
        try await cloud.work()
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        try await Self.down(cloud, source, false)
        for host in cloud.hosts.values { #expect(try await host.guests().isEmpty) }
        try await ServerMovesTests.clean(cloud)
    }
}
