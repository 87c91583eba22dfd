// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Rebuild, rescue, and deletion that can be taken back.
struct ServerLifeTests {
    @Test("A rebuild makes the guest anew on its host and its ports, and tells the password")
    func rebuild() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let id = try await cloud.server()
        let before = await cloud.show(id)
        let answer = await cloud.act(
            id,
            [
                "rebuild": [
                    "imageRef": .string(FakeImages.other), "name": "new", "metadata": ["a": "b"], "adminPass": "secret",
                    "OS-DCF:diskConfig": "AUTO",
                ]
            ])
        #expect(answer.status == 202, "\(answer.json.text())")
        #expect(answer["server"]["adminPass"] == "secret")
        #expect(answer["server"]["status"] == "REBUILD")
        #expect(answer["server"]["name"] == "new")
        #expect(answer["server"]["OS-EXT-STS:vm_state"] == nil)
        try await cloud.work()
        let after = await cloud.show(id)
        #expect(after["status"] == "ACTIVE")
        #expect(after["image"]?["id"] == .string(FakeImages.other))
        #expect(after["metadata"] == ["a": "b"])
        #expect(after["OS-DCF:diskConfig"] == "AUTO")
        #expect(after["OS-EXT-SRV-ATTR:host"] == before["OS-EXT-SRV-ATTR:host"])
        #expect(after["addresses"] == before["addresses"])
        #expect(cloud.network.ports.count == 1)
    }

    @Test("Members that came later are refused before their version")
    func rebuildVersions() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let members: [(String, JSON, String, String)] = [
            ("description", "d", "2.18", "2.19"), ("key_name", nil, "2.53", "2.54"),
            ("user_data", "YQ==", "2.56", "2.57"),
            ("trusted_image_certificates", ["c"], "2.62", "2.63"), ("hostname", "h", "2.89", "2.90"),
        ]
        for (name, value, before, since) in members {
            let body: JSON = ["rebuild": .object(["imageRef": .string(ComputeCloud.image), name: value])]
            #expect(await cloud.act(id, body, at: before).status == 400, "\(name) at \(before)")
            let taken = await cloud.act(id, body, at: since)
            #expect(taken.status == 202, "\(name) at \(since): \(taken.json.text())")
            try await cloud.work()
        }
        let server = await cloud.show(id, at: "2.90")
        #expect(server["trusted_image_certificates"] == ["c"])
        #expect(server["OS-EXT-SRV-ATTR:user_data"] == "YQ==")
        #expect(server["OS-EXT-SRV-ATTR:hostname"] == "h")
        // Nobody signed the image: it boots when nobody asks for that any more.
        #expect(server["status"] == "ERROR")
        let reset: JSON = ["imageRef": .string(ComputeCloud.image), "trusted_image_certificates": nil]
        #expect(await cloud.act(id, ["rebuild": reset], at: "2.63").status == 202)
        try await cloud.work()
        let whole = await cloud.act(id, ["rebuild": ["imageRef": .string(ComputeCloud.image)]], at: "2.75")
        #expect(whole["server"]["OS-EXT-STS:vm_state"] == "active")
        #expect(whole["server"]["user_data"] == "YQ==")
        let byAdmin = await cloud.act(
            id, ["rebuild": ["imageRef": .string(ComputeCloud.image)]], at: "2.75", as: .admin())
        #expect(byAdmin.status == 409, "it is being rebuilt")
        try await cloud.work()
        let told = await cloud.act(id, ["rebuild": ["imageRef": .string(ComputeCloud.image)]], at: "2.75", as: .admin())
        #expect(told["server"]["OS-EXT-SRV-ATTR:user_data"] == nil)
        #expect(told["server"]["OS-EXT-SRV-ATTR:host"] == "host-1")
    }

    @Test("A stopped server is stopped after its rebuild, and one in ERROR is well")
    func rebuildStates() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["os-stop": nil])
        try await cloud.work()
        let body: JSON = ["rebuild": ["imageRef": .string(ComputeCloud.image)]]
        #expect(await cloud.act(id, body).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHUTOFF")
        _ = await cloud.act(id, ["os-resetState": ["state": "error"]], as: .admin())
        #expect(await cloud.act(id, body).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        _ = await cloud.act(id, ["pause": nil])
        try await cloud.work()
        #expect(
            await cloud.act(id, body).message == "Cannot 'rebuild' instance \(id) while it is in vm_state paused")
        let unknown: JSON = ["rebuild": ["imageRef": "99999999-1111-4111-8111-111111111111"]]
        _ = await cloud.act(id, ["unpause": nil])
        try await cloud.work()
        #expect(await cloud.act(id, unknown).message == "Cannot find image for rebuild")
    }

    @Test("A rescued server is in RESCUE, refuses other actions, and comes back")
    func rescue() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let answer = await cloud.act(
            id, ["rescue": ["adminPass": "pass", "rescue_image_ref": .string(FakeImages.other)]])
        #expect(answer.status == 200)
        #expect(answer["adminPass"] == "pass")
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "RESCUE")
        let disk = await cloud.hosts["host-1"]?.rescueDisk(of: id)
        #expect(disk == GuestRescueDisk(bus: "virtio", device: "cdrom", isStable: true))
        await GuestWatch(cloud.room).reconcile()
        #expect(await cloud.show(id)["status"] == "RESCUE")
        for action in ["pause", "suspend", "os-stop", "rescue", "shelve"] {
            let refused = await cloud.act(id, .object([action: nil]))
            #expect(refused.status == 409, "\(action)")
            #expect(refused.message.contains("while it is in vm_state rescued"))
        }
        #expect(await cloud.act(id, ["unrescue": nil]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await cloud.hosts["host-1"]?.rescueDisk(of: id) == nil)
        let unknown = "99999999-1111-4111-8111-111111111111"
        #expect(
            await cloud.act(id, ["rescue": ["rescue_image_ref": .string(unknown)]]).message
                == "Requested rescue image '\(unknown)' is not supported")
    }

    @Test("A shelved server whose image somebody protects comes back, and can be deleted", arguments: [false, true])
    func protected(comesBack: Bool) async throws {
        let cloud = try await ComputeCloud(hosts: 1)
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SHELVED_OFFLOADED")
        let image = try #require(cloud.images.made.first?["id"]?.string)
        cloud.images.state.withLock { $0.images[image]?["protected"] = true }
        if comesBack {
            _ = await cloud.act(id, ["unshelve": nil])
            try await cloud.work()
            #expect(await cloud.show(id)["status"] == "ACTIVE")
        }
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(cloud.images.made.map { $0["id"]?.string } == [image], "it is whoever's who keeps it")
    }

    @Test("A shelved server that was deleted and is had back runs, and its image is nobody's burden")
    func restoreShelved() async throws {
        var options = ComputeOptions()
        options.life.reclaimInterval = .seconds(3600)
        options.life.shelvedOffloadTime = nil
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        let id = try await cloud.server()
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(cloud.images.made.count == 1)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SOFT_DELETED")
        #expect(await cloud.act(id, ["restore": nil]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(cloud.images.made.isEmpty)
        _ = await cloud.act(id, ["shelve": nil])
        try await cloud.work()
        #expect(cloud.images.made.count == 1)
    }

    @Test("A deleted server can be had back while the cloud keeps it, and is gone when its time is over")
    func softDelete() async throws {
        var options = ComputeOptions()
        options.life.reclaimInterval = .seconds(3600)
        options.quota.instances = 1
        let clock = AdvancedClock()
        let cloud = try await ComputeCloud(options: options, clock: clock)
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SOFT_DELETED")
        #expect(await cloud.call("GET", "/servers")["servers"].array?.isEmpty == true)
        #expect(await cloud.call("GET", "/servers", query: "status=SOFT_DELETED")["servers"].array?.count == 1)
        #expect(await cloud.act(id, ["restore": nil]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(
            await cloud.act(id, ["restore": nil]).message
                == "Cannot 'restore' instance \(id) while it is in vm_state active")
        _ = await cloud.call("DELETE", "/servers/\(id)")
        try await cloud.work()
        let second = try await cloud.server()
        #expect(await cloud.act(id, ["restore": nil]).status == 403, "the quota is used up")
        #expect(await cloud.act(second, ["forceDelete": nil]).status == 202)
        await ServerKeeper(cloud.room).sweep()
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SOFT_DELETED")
        clock.advance(by: .seconds(3601))
        await ServerKeeper(cloud.room).sweep()
        try await cloud.work()
        #expect(await cloud.call("GET", "/servers/\(id)").status == 404)
        #expect(cloud.network.ports.isEmpty)
    }

    @Test("A crash dump is triggered since 2.17, and a password set through the agent is written down")
    func small() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.act(id, ["trigger_crash_dump": nil], at: "2.16").status == 400)
        #expect(await cloud.act(id, ["trigger_crash_dump": nil], at: "2.17").status == 202)
        try await cloud.work()
        #expect(await cloud.hosts["host-1"]?.crashDumps(of: id) == 1)
        #expect(await cloud.act(id, ["changePassword": ["adminPass": "new"]]).status == 202)
        #expect(await cloud.hosts["host-1"]?.password(of: id) == "new")
        let actions = await cloud.call("GET", "/servers/\(id)/os-instance-actions")["instanceActions"].array ?? []
        #expect(actions.compactMap { $0["action"]?.string } == ["changePassword", "trigger_crash_dump", "create"])
    }
}
