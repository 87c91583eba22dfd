// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct ServerMovesTests {
    /// What a consumer holds in Placement, by class, over all providers.
    static func held(_ cloud: ComputeCloud, _ consumer: String) async -> [String: Int] {
        let answer = await cloud.cloud.call("placement", "GET", "/allocations/\(consumer)", as: .service())
        var sums: [String: Int] = [:]
        for (_, taken) in answer["allocations"].object ?? [:] {
            for (name, amount) in taken["resources"]?.object ?? [:] { sums[name, default: 0] += amount.integer ?? 0 }
        }
        return sums
    }

    static func migrations(
        _ cloud: ComputeCloud, of server: String, at version: String = "2.80"
    ) async -> [JSON] {
        await cloud.call(
            "GET", "/os-migrations", at: version, as: .admin(), query: "instance_uuid=\(server)")["migrations"].array
            ?? []
    }

    static func host(_ cloud: ComputeCloud, _ id: String) async -> String {
        await cloud.show(id)["OS-EXT-SRV-ATTR:host"]?.string ?? ""
    }

    static func clean(_ cloud: ComputeCloud) async throws {
        let drift = try await Auditor(cloud.room).audit()
        #expect(drift.isEmpty, "\(drift)")
    }

    @Test("A resize waits in VERIFY_RESIZE, holding both sizes; confirmed it is the new one, and nothing is left")
    func confirm() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 2)
        let id = try await cloud.server()
        let (source, disk) = (await Self.host(cloud, id), await cloud.hosts[Self.host(cloud, id)]?.disk(of: id))
        #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
        #expect(await cloud.show(id)["status"] == "RESIZE")
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == "resize_prep")
        try await cloud.work()
        let resized = await cloud.show(id)
        #expect(resized["status"] == "VERIFY_RESIZE", "\(resized.text())")
        #expect(resized["flavor"]?["id"] == "big")
        #expect(resized["OS-EXT-STS:power_state"] == 1)
        let dest = await Self.host(cloud, id)
        #expect(await cloud.hosts[dest]?.spec(of: id)?.vcpus == 2)
        #expect(await cloud.hosts[dest]?.disk(of: id) == disk)
        let migration = try #require(await Self.migrations(cloud, of: id).first)
        #expect(migration["status"] == "finished")
        #expect(migration["migration_type"] == "resize")
        #expect(migration["source_compute"] == .string(source))
        #expect(migration["dest_compute"] == .string(dest))
        #expect(await Self.held(cloud, id)["VCPU"] == 2)
        #expect(await Self.held(cloud, migration["uuid"]?.string ?? "")["VCPU"] == 1)
        try await Self.clean(cloud)
        #expect(await cloud.act(id, ["confirmResize": nil]).status == 204)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await Self.migrations(cloud, of: id).first?["status"] == "confirmed")
        #expect(await Self.held(cloud, migration["uuid"]?.string ?? "").isEmpty)
        if source != dest { #expect(try await cloud.hosts[source]?.state(of: id) == nil) }
        try await Self.clean(cloud)
        let actions = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        #expect(actions.compactMap { $0["action"]?.string } == ["confirmResize", "resize", "create"])
        let request = actions[1]["request_id"]?.string ?? ""
        let resize = await cloud.call("GET", "/servers/\(id)/os-instance-actions/\(request)", as: .admin())
        #expect(
            resize["instanceAction"]["events"]?.array?.compactMap { $0["event"]?.string } == [
                "compute_finish_resize", "compute_resize_instance", "compute_prep_resize", "conductor_migrate_server",
            ])
    }

    @Test("A resize that is taken back leaves the server what and where it was", arguments: [true, false])
    func revert(sameHost: Bool) async throws {
        var options = ComputeOptions()
        options.allowsResizeToSameHost = sameHost
        let cloud = try await ComputeCloud(hosts: sameHost ? 1 : 2, options: options)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 2)
        let id = try await cloud.server()
        let source = await Self.host(cloud, id)
        let disk = await cloud.hosts[source]?.disk(of: id)
        #expect(await cloud.act(id, ["os-stop": nil]).status == 202)
        try await cloud.work()
        #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
        try await cloud.work()
        let resized = await cloud.show(id)
        #expect(resized["status"] == "VERIFY_RESIZE")
        #expect(resized["OS-EXT-STS:power_state"] == 4)
        #expect((await Self.host(cloud, id) == source) == sameHost)
        #expect(cloud.network.ports.first?["binding:host_id"] == .string(await Self.host(cloud, id)))
        #expect(await cloud.act(id, ["revertResize": nil]).status == 202)
        #expect(await cloud.show(id)["status"] == "REVERT_RESIZE")
        try await cloud.work()
        let back = await cloud.show(id)
        #expect(back["status"] == "SHUTOFF")
        #expect(back["flavor"]?["id"] == "small")
        #expect(await Self.host(cloud, id) == source)
        #expect(await cloud.hosts[source]?.spec(of: id)?.vcpus == 1)
        #expect(await cloud.hosts[source]?.disk(of: id) == disk)
        #expect(await Self.migrations(cloud, of: id).first?["status"] == "reverted")
        #expect(cloud.network.ports.first?["binding:host_id"] == .string(source))
        #expect(await Self.held(cloud, id)["VCPU"] == 1)
        try await Self.clean(cloud)
    }

    @Test("What a resize may not be is refused in upstream's words before anything is done")
    func refusals() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        await cloud.flavor("zero", disk: 0)
        await cloud.flavor("tiny", ram: 32)
        await cloud.flavor("huge", vcpus: 30)
        let id = try await cloud.server()
        func refused(_ body: JSON, _ status: Int, _ words: String, at version: String = "2.1") async {
            let answer = await cloud.act(id, body, at: version, as: .admin())
            #expect(answer.status == status, "\(body.text()): \(answer.json.text())")
            #expect(answer.message.contains(words), "\(answer.message)")
        }
        await refused(["resize": ["flavorRef": "small"]], 400, "When resizing, instances must change flavor!")
        await refused(["resize": ["flavorRef": "none"]], 400, "Flavor none could not be found.")
        await refused(["resize": ["flavorRef": nil]], 400, "flavorRef")
        await refused(["resize": [:]], 400, "flavorRef")
        await refused(["resize": ["flavorRef": "zero"]], 400, "Resize to zero disk flavor is not allowed.")
        await refused(["resize": ["flavorRef": "tiny"]], 400, "Flavor's memory is too small for requested image.")
        await refused(["resize": ["flavorRef": "huge"]], 403, "Quota exceeded for cores")
        await refused(
            ["confirmResize": nil], 409, "Cannot 'confirmResize' instance \(id) while it is in vm_state active")
        await refused(["revertResize": nil], 409, "Cannot 'revertResize'")
        let host = await Self.host(cloud, id)
        await refused(
            ["migrate": ["host": .string(host)]], 400, "Cannot migrate to the host where the server exists.", at: "2.56"
        )
        await refused(["migrate": ["host": "x"]], 400, "Compute host x could not be found.", at: "2.56")
        await refused(["os-migrateLive": ["host": "x", "block_migration": "auto"]], 400, "Compute host x", at: "2.25")
        await refused(["os-migrateLive": ["host": nil, "block_migration": "auto"]], 400, "block_migration")
        await refused(["os-migrateLive": ["block_migration": false, "disk_over_commit": false]], 400, "host")
        await refused(
            ["os-migrateLive": ["host": nil, "block_migration": false, "force": true]], 400,
            "Can't force to a non-provided destination", at: "2.30")
        await refused(
            ["os-migrateLive": ["host": nil, "block_migration": false, "force": false]], 400, "force", at: "2.68")
        await refused(["evacuate": [:]], 400, "Compute service of \(host) is still in use.", at: "2.14")
        await refused(["evacuate": ["host": .string(host)]], 400, "The target host can't be the same one.", at: "2.14")
        await refused(["evacuate": ["host": "x"]], 404, "Compute host x not found.", at: "2.14")
        #expect(await cloud.act(id, ["migrate": nil]).status == 403)
        #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14").status == 403)
        #expect(await cloud.call("GET", "/os-migrations").status == 403)
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await Self.migrations(cloud, of: id).isEmpty)
    }

    @Test("A server that no host has room for stays as it is, and its action says why")
    func noRoom() async throws {
        let each = HostResources.fake(vcpus: 1, memoryMiB: 2048, diskGiB: 8)
        let cloud = try await ComputeCloud(hosts: 2, each: each)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 4, ram: 4096)
        let id = try await cloud.server()
        #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
        try await cloud.work()
        let server = await cloud.show(id)
        #expect(server["status"] == "ACTIVE")
        #expect(server["OS-EXT-STS:task_state"] == .null)
        #expect(server["OS-DCF:diskConfig"] == "MANUAL" || server["OS-DCF:diskConfig"] == "AUTO")
        let actions = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        #expect(actions.first?["message"] == "Error")
        #expect(await Self.migrations(cloud, of: id).first?["status"] == "error")
        #expect(await Self.held(cloud, id)["VCPU"] == 1)
        try await Self.clean(cloud)
    }

    @Test("A disk does not shrink: the server runs on as it was")
    func shrink() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor("wide", disk: 4)
        await cloud.flavor()
        let id = try await cloud.server(["flavorRef": "wide"])
        #expect(await cloud.act(id, ["resize": ["flavorRef": "small"]]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        let host = await Self.host(cloud, id)
        #expect(try await cloud.hosts[host]?.state(of: id) == .running)
        try await Self.clean(cloud)
    }

    @Test("A resize confirms itself when nobody does in time")
    func window() async throws {
        var options = ComputeOptions()
        options.resizeConfirmWindow = .seconds(3600)
        let clock = AdvancedClock()
        let cloud = try await ComputeCloud(hosts: 1, options: options, clock: clock)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 2)
        let id = try await cloud.server()
        _ = await cloud.act(id, ["resize": ["flavorRef": "big"]])
        try await cloud.work()
        try await MoveKeeper(cloud.room).confirmOverdue()
        #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
        clock.advance(by: .seconds(3601))
        try await MoveKeeper(cloud.room).confirmOverdue()
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        try await Self.clean(cloud)
    }

    @Test("A server that is deleted before its resize is confirmed leaves nothing on either host")
    func deleted() async throws {
        var options = ComputeOptions()
        options.allowsResizeToSameHost = false
        let cloud = try await ComputeCloud(hosts: 2, options: options)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 2)
        let id = try await cloud.server()
        _ = await cloud.act(id, ["resize": ["flavorRef": "big"]])
        try await cloud.work()
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        for host in cloud.hosts.values { #expect(try await host.guests().isEmpty) }
        #expect(await Self.migrations(cloud, of: id).first?["status"] == "confirmed")
        try await Self.clean(cloud)
    }

    @Test("A resize whose second host fails is undone: the server runs where it was")
    func undone() async throws {
        var options = ComputeOptions()
        options.allowsResizeToSameHost = false
        let cloud = try await ComputeCloud(hosts: 2, options: options)
        await cloud.flavor()
        await cloud.flavor("big", vcpus: 2)
        let id = try await cloud.server()
        let source = await Self.host(cloud, id)
        for (name, host) in cloud.hosts where name != source { await host.setUnreachable(true) }
        _ = await cloud.act(id, ["resize": ["flavorRef": "big"]])
        try await cloud.work()
        for host in cloud.hosts.values { await host.setUnreachable(false) }
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await Self.host(cloud, id) == source)
        #expect(try await cloud.hosts[source]?.state(of: id) == .running)
        try await Self.clean(cloud)
    }
}
