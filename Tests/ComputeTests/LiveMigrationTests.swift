// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct LiveMigrationTests {
    private static let anywhere: JSON = ["os-migrateLive": ["host": nil, "block_migration": "auto"]]

    private static func other(_ cloud: ComputeCloud, than host: String) -> String {
        cloud.hosts.keys.sorted().first { $0 != host } ?? ""
    }

    @Test("A server changes hosts while it runs or is paused, with its disk and its ports", arguments: [false, true])
    func moves(isPaused: Bool) async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let disk = await cloud.hosts[source]?.disk(of: id)
        if isPaused {
            _ = await cloud.act(id, ["pause": nil])
            try await cloud.work()
        }
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        #expect(await cloud.show(id)["status"] == "MIGRATING")
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == (isPaused ? "PAUSED" : "ACTIVE"))
        let dest = await ServerMovesTests.host(cloud, id)
        #expect(dest == Self.other(cloud, than: source))
        #expect(try await cloud.hosts[dest]?.state(of: id) == (isPaused ? .paused : .running))
        #expect(await cloud.hosts[dest]?.disk(of: id) == disk)
        #expect(try await cloud.hosts[source]?.state(of: id) == nil)
        #expect(cloud.network.ports.first?["binding:host_id"] == .string(dest))
        let migration = await ServerMovesTests.migrations(cloud, of: id).first
        #expect(migration?["status"] == "completed")
        #expect(migration?["migration_type"] == "live-migration")
        try await ServerMovesTests.clean(cloud)
    }

    @Test("Below 2.30 a host that is named is taken, and what stands against it is answered with 400")
    func named() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let source = await ServerMovesTests.host(cloud, id)
        let dest = Self.other(cloud, than: source)
        func ask(_ host: String) async -> TestCloud.Answer {
            let wish: JSON = ["host": .string(host), "block_migration": true, "disk_over_commit": false]
            return await cloud.act(id, ["os-migrateLive": wish], as: .admin())
        }
        #expect(await ask(source).message == "Unable to migrate instance (\(id)) to current host (\(source)).")
        let down: JSON = ["host": .string(dest), "binary": "nova-compute", "forced_down": true]
        _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin())
        #expect(await ask(dest).message == "Compute service of \(dest) is unavailable at this time.")
        let up: JSON = ["host": .string(dest), "binary": "nova-compute", "forced_down": false]
        _ = await cloud.call("PUT", "/os-services/force-down", up, at: "2.11", as: .admin())
        #expect(await ask(dest).status == 202)
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) == dest)
        _ = await cloud.act(id, ["suspend": nil])
        try await cloud.work()
        let suspended = await ask(source)
        #expect(suspended.message == "Cannot 'os-migrateLive' instance \(id) while it is in vm_state suspended")
    }

    @Test("Without another host, 2.25 hears 400 at once and 2.34 finds it in the actions log")
    func nowhere() async throws {
        let cloud = try await ComputeCloud(hosts: 1)
        await cloud.flavor()
        let id = try await cloud.server()
        let early = await cloud.act(id, Self.anywhere, at: "2.25", as: .admin())
        #expect(early.status == 400)
        #expect(early.message.hasPrefix("No valid host was found."))
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await ServerMovesTests.migrations(cloud, of: id).first?["status"] == "error")
        try await ServerMovesTests.clean(cloud)
    }

    /// A cloud with a server under way that will take an hour.
    private func underWay(
        _ body: @escaping @Sendable (ComputeCloud, _ server: String, _ number: String) async throws -> Void
    ) async throws -> (ComputeCloud, String) {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        for host in cloud.hosts.values { await host.setJourney(.seconds(3600)) }
        #expect(await cloud.act(id, Self.anywhere, at: "2.34", as: .admin()).status == 202)
        let database = cloud.room.database
        try await cloud.work {
            let rows = try await database.rows(
                "SELECT number FROM compute_migrations WHERE status = 'running' AND progress IS NOT NULL")
            guard let number = rows.first?.int("number") else { return false }
            try await body(cloud, id, "\(number)")
            return true
        }
        return (cloud, id)
    }

    @Test("A live migration under way is shown with its progress, and given up it leaves the server where it was")
    func abort() async throws {
        let (cloud, id) = try await underWay { cloud, id, number in
            let path = "/servers/\(id)/migrations"
            let list = await cloud.call("GET", path, at: "2.80", as: .admin())["migrations"]
            #expect(list[0]?["status"] == "running")
            #expect(list[0]?["memory_total_bytes"] == 536_870_912)
            #expect(list[0]?["server_uuid"] == .string(id))
            #expect(await cloud.call("GET", path + "/\(number)", at: "2.23", as: .admin())["migration"]["uuid"] == nil)
            let all = await cloud.call("GET", "/os-migrations", at: "2.23", as: .admin())["migrations"][0]
            #expect(all?["links"]?[0]?["href"]?.string?.hasSuffix(path + "/\(number)") == true)
            #expect(await cloud.call("DELETE", path + "/9", at: "2.24", as: .admin()).status == 404)
            #expect(await cloud.call("DELETE", path + "/\(number)", at: "2.24", as: .member()).status == 403)
            #expect(await cloud.call("DELETE", path + "/\(number)", at: "2.24", as: .admin()).status == 202)
        }
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        let migration = await ServerMovesTests.migrations(cloud, of: id).first
        #expect(migration?["status"] == "cancelled")
        #expect(await ServerMovesTests.host(cloud, id) == migration?["source_compute"]?.string)
        let late = await cloud.call("DELETE", "/servers/\(id)/migrations/1", at: "2.24", as: .admin())
        #expect(late.status == 400)
        #expect(late.message.contains("Cannot abort live migration while the migration is in this state."))
        try await ServerMovesTests.clean(cloud)
    }

    @Test("A live migration that is forced to complete arrives")
    func force() async throws {
        let (cloud, id) = try await underWay { cloud, id, number in
            let path = "/servers/\(id)/migrations/\(number)/action"
            #expect(await cloud.call("POST", path, ["force_complete": nil], at: "2.22", as: .admin()).status == 202)
        }
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await ServerMovesTests.migrations(cloud, of: id).first?["status"] == "completed")
        try await ServerMovesTests.clean(cloud)
    }

    @Test("A cold migration takes the host that is named, if the scheduler agrees, and a group's policy binds it")
    func cold() async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let body: JSON = ["server_group": ["name": "g", "policy": "anti-affinity"]]
        let group = await cloud.call("POST", "/os-server-groups", body, at: "2.64")["server_group"]["id"] ?? ""
        var ids: [String] = []
        for _ in 0..<2 {
            var draft = ComputeCloud.draft().object ?? [:]
            draft["os:scheduler_hints"] = ["group": group]
            ids.append(await cloud.call("POST", "/servers", .object(draft))["server"]["id"]?.string ?? "")
            try await cloud.work()
        }
        let (first, second) = (
            await ServerMovesTests.host(cloud, ids[0]), await ServerMovesTests.host(cloud, ids[1])
        )
        #expect(first != second)
        func migrate(_ host: String) async throws -> String {
            #expect(
                await cloud.act(ids[0], ["migrate": ["host": .string(host)]], at: "2.56", as: .admin()).status == 202)
            try await cloud.work()
            return await cloud.show(ids[0])["status"]?.string ?? ""
        }
        #expect(try await migrate(second) == "ACTIVE")
        let third = cloud.hosts.keys.first { $0 != first && $0 != second } ?? ""
        #expect(try await migrate(third) == "VERIFY_RESIZE")
        #expect(await ServerMovesTests.host(cloud, ids[0]) == third)
        try await ServerMovesTests.clean(cloud)
    }
}
