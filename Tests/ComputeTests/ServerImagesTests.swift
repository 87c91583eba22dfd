// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Servers that become images: snapshots, backups, shelving.
struct ServerImagesTests {
    @Test("A snapshot is reserved at once and filled later; 2.45 tells its id, earlier versions its address")
    func snapshot() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let old = await cloud.act(id, ["createImage": ["name": "one", "metadata": ["mine": "yes"]]])
        #expect(old.status == 202, "\(old.json.text())")
        let image = cloud.images.made[0]
        #expect(image["status"] == "queued")
        let address = old.header("Location") ?? ""
        #expect(address.hasSuffix("/images/" + (image["id"]?.string ?? "?")), "\(address)")
        let expected: JSONObject = [
            "name": "one", "mine": "yes", "image_type": "snapshot", "instance_uuid": .string(id),
            "base_image_ref": .string(FakeImages.id), "user_id": "user-a", "min_ram": 64, "visibility": "private",
            "hw_disk_bus": "virtio",
        ]
        for (name, value) in expected { #expect(image[name] == value, "\(name): \(image[name]?.text() ?? "")") }
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == "image_snapshot_pending")
        let busy = await cloud.act(id, ["createImage": ["name": "two"]])
        #expect(
            busy.message == "Cannot 'createImage' instance \(id) while it is in task_state image_snapshot_pending")
        #expect(cloud.images.made.count == 1)
        try await cloud.work()
        #expect(cloud.images.made[0]["status"] == "active")
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == .null)
        #expect(await cloud.hosts["host-1"]?.snapshotNames == [])
        let new = await cloud.act(id, ["createImage": ["name": "two"]], at: "2.45")
        #expect(new["image_id"] == cloud.images.made[1]["id"])
    }

    @Test("An image that is refused, or deleted meanwhile, leaves the server as it was and no half image")
    func snapshotTrouble() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        cloud.images.state.withLock { $0.refusal = 403 }
        #expect(await cloud.act(id, ["createImage": ["name": "one"]]).status == 403)
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == .null)
        cloud.images.state.withLock { $0.refusal = nil }
        #expect(await cloud.act(id, ["createImage": ["name": "one"]]).status == 202)
        cloud.images.remove(cloud.images.made[0]["id"]?.string ?? "")
        try await cloud.work()
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == .null)
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(cloud.images.made.isEmpty)
        #expect(await cloud.hosts["host-1"]?.snapshotNames == [])
        #expect(try await cloud.room.database.rows("SELECT image_id FROM compute_snapshot_intents").isEmpty)
        cloud.images.state.withLock { $0.brokenUploads = 2 }
        #expect(await cloud.act(id, ["createImage": ["name": "again"]]).status == 202)
        try await cloud.work()
        #expect(cloud.images.made.map { $0["status"] } == ["active"])
    }

    @Test("An image that was reserved right before a crash is let go")
    func intents() async throws {
        let clock = AdvancedClock()
        let cloud = try await ComputeCloud(clock: clock)
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["createImage": ["name": "one"]])
        let image = cloud.images.made[0]["id"]?.string ?? ""
        // As if the process had ended before it queued the work.
        try await cloud.room.database.transaction { transaction throws(Fault) in
            try transaction.execute("DELETE FROM work_operations WHERE kind = 'compute.snapshot'")
            try transaction.execute(
                "INSERT INTO compute_snapshot_intents VALUES (\(image), \(id), \(clock.now()))")
        }
        await ServerKeeper(cloud.room).sweep()
        #expect(cloud.images.made.count == 1)
        clock.advance(by: .seconds(301))
        await ServerKeeper(cloud.room).sweep()
        #expect(cloud.images.made.isEmpty)
    }

    @Test("Of backups of a kind the oldest go; none is kept with a rotation of 0")
    func backup() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        func backUp(_ name: String, _ rotation: Int, _ type: String = "daily") async throws -> TestCloud.Answer {
            let body: JSON = [
                "createBackup": [
                    "name": .string(name), "backup_type": .string(type), "rotation": .integer(Int64(rotation)),
                ]
            ]
            let answer = await cloud.act(id, body)
            #expect(answer.status == 202, "\(answer.json.text())")
            try await cloud.work()
            return answer
        }
        _ = try await backUp("w1", 2, "weekly")
        for name in ["d1", "d2", "d3"] { #expect(try await backUp(name, 2).header("Location") != nil) }
        #expect(cloud.images.made.compactMap { $0["name"]?.string } == ["w1", "d2", "d3"])
        #expect(try await backUp("d4", 0).header("Location") == nil)
        #expect(cloud.images.made.compactMap { $0["name"]?.string } == ["w1"])
        let bad: JSON = ["createBackup": ["name": "x", "backup_type": "daily", "rotation": -1]]
        #expect(await cloud.act(id, bad).status == 400)
    }

    @Test("A shelved server leaves its host with its image, keeps its ports, and comes back from the image")
    func shelve() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let addresses = await cloud.show(id)["addresses"]
        #expect(await cloud.act(id, ["shelve": nil]).status == 202)
        #expect(await cloud.show(id)["OS-EXT-STS:task_state"] == "shelving")
        try await cloud.work()
        let shelved = await cloud.show(id)
        #expect(shelved["status"] == "SHELVED_OFFLOADED")
        #expect(shelved["OS-EXT-SRV-ATTR:host"] == .null)
        #expect(shelved["addresses"] == addresses)
        #expect(cloud.images.made.map { $0["name"] } == ["web-shelved"])
        let held = await cloud.cloud.call("placement", "GET", "/allocations/\(id)", as: .service())
        #expect(held["allocations"].object?.isEmpty == true)
        #expect(cloud.network.ports[0]["binding:host_id"] == "")
        #expect(await cloud.act(id, ["os-start": nil]).status == 409)
        let actions = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        let request = actions.first?["request_id"]?.string ?? ""
        let told = await cloud.call("GET", "/servers/\(id)/os-instance-actions/\(request)", at: "2.51")
        #expect(
            told["instanceAction"]["events"]?.array?.compactMap { $0["event"]?.string }
                == ["compute_shelve_offload_instance", "compute_shelve_instance"])
        #expect(await cloud.act(id, ["unshelve": nil]).status == 202)
        try await cloud.work()
        let back = await cloud.show(id)
        #expect(back["status"] == "ACTIVE", "\(back.text())")
        #expect(back["addresses"] == addresses)
        #expect(cloud.images.made.isEmpty)
        #expect(cloud.network.ports[0]["binding:host_id"] == back["OS-EXT-SRV-ATTR:host"])
        #expect(try await Auditor(cloud.room).audit().isEmpty)
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(cloud.images.made.isEmpty)
        #expect(cloud.network.ports.isEmpty)
    }

    @Test("A shelved server whose guest is gone already is no error: it is offloaded later, and comes back")
    func halfOffloaded() async throws {
        var options = ComputeOptions()
        options.life.shelvedOffloadTime = nil
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        try await cloud.hosts["host-1"]?.destroy(id)
        await GuestWatch(cloud.room).reconcile()
        #expect(await cloud.show(id)["status"] == "SHELVED")
        #expect(await cloud.act(id, ["shelveOffload": nil], as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.act(id, ["unshelve": nil]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("A server that is kept on its host is shelved there until its time, or until an administrator says so")
    func offload() async throws {
        var options = ComputeOptions()
        options.life.shelvedOffloadTime = .seconds(600)
        let clock = AdvancedClock()
        let cloud = try await ComputeCloud(options: options, clock: clock)
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED")
        await GuestWatch(cloud.room).reconcile()
        #expect(await cloud.show(id)["status"] == "SHELVED")
        _ = await cloud.act(id, ["unshelve": nil])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(cloud.images.made.isEmpty)
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(await cloud.act(id, ["shelveOffload": nil]).status == 403)
        await ServerKeeper(cloud.room).sweep()
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED")
        clock.advance(by: .seconds(601))
        await ServerKeeper(cloud.room).sweep()
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED_OFFLOADED")
        #expect(
            await cloud.act(id, ["shelveOffload": nil], as: .admin()).message
                == "Cannot 'shelveOffload' instance \(id) while it is in vm_state shelved_offloaded")
    }

    @Test("A server comes back to the zone or the host that is named, where both may be")
    func unshelveTo() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let zone: JSON = ["unshelve": ["availability_zone": "nova"]]
        #expect(await cloud.act(id, zone, at: "2.77").status == 409)
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(
            await cloud.act(id, ["unshelve": ["availability_zone": "moon"]], at: "2.77").message
                == "The requested availability zone is not available")
        #expect(await cloud.act(id, ["unshelve": [:]], at: "2.77").status == 400)
        let host: JSON = ["unshelve": ["host": "host-2"]]
        #expect(await cloud.act(id, host, at: "2.91").status == 403)
        #expect(await cloud.act(id, ["unshelve": ["host": "nobody"]], at: "2.91", as: .admin()).status == 400)
        #expect(await cloud.act(id, host, at: "2.91", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["OS-EXT-SRV-ATTR:host"] == "host-2")
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(await cloud.act(id, zone, at: "2.77").status == 202)
        try await cloud.work()
        #expect(await cloud.show(id, at: "2.96")["pinned_availability_zone"] == "nova")
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(await cloud.act(id, ["unshelve": ["availability_zone": nil]], at: "2.91").status == 202)
        try await cloud.work()
        #expect(await cloud.show(id, at: "2.96")["pinned_availability_zone"] == .null)
    }

    @Test("A server whose image is gone, or for which no host has room, is told so")
    func unshelveTrouble() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        let service = await cloud.call("GET", "/os-services", as: .admin())["services"].array?.first
        let off: JSON = ["host": service?["host"] ?? "", "binary": "nova-compute"]
        #expect(await cloud.call("PUT", "/os-services/disable", off, as: .admin()).status == 200)
        _ = await cloud.act(id, ["unshelve": nil])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED_OFFLOADED")
        #expect(cloud.images.made.count == 1)
        _ = await cloud.call("PUT", "/os-services/enable", off, as: .admin())
        cloud.images.remove(cloud.images.made[0]["id"]?.string ?? "")
        _ = await cloud.act(id, ["unshelve": nil])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ERROR")
        #expect(await cloud.show(id)["OS-EXT-SRV-ATTR:host"] == .null)
        #expect(cloud.network.ports.count == 1)
    }
}
