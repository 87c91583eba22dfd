// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Upstream's versioned events (doc/notification_samples), and which of them are told here.
struct NoticeEventsTests {
    /// Told at some point below.
    private static let told: Set<String> = [
        "instance.create.start", "instance.create.end", "instance.delete.start", "instance.delete.end",
        "instance.shutdown.start", "instance.shutdown.end", "instance.soft_delete.start", "instance.soft_delete.end",
        "instance.restore.start", "instance.restore.end", "instance.update", "instance.exists",
        "instance.power_on.start", "instance.power_on.end", "instance.power_off.start", "instance.power_off.end",
        "instance.reboot.start", "instance.reboot.end", "instance.pause.start", "instance.pause.end",
        "instance.unpause.start", "instance.unpause.end", "instance.suspend.start", "instance.suspend.end",
        "instance.resume.start", "instance.resume.end", "instance.lock", "instance.unlock",
        "instance.trigger_crash_dump.start", "instance.trigger_crash_dump.end", "instance.rescue.start",
        "instance.rescue.end", "instance.unrescue.start", "instance.unrescue.end", "instance.snapshot.start",
        "instance.snapshot.end", "instance.rebuild_scheduled", "instance.rebuild.start", "instance.rebuild.end",
        "instance.evacuate", "instance.shelve.start", "instance.shelve.end", "instance.shelve_offload.start",
        "instance.shelve_offload.end", "instance.unshelve.start", "instance.unshelve.end",
        "instance.resize_prep.start", "instance.resize_prep.end", "instance.resize.start", "instance.resize.end",
        "instance.resize_finish.start", "instance.resize_finish.end", "instance.resize_confirm.start",
        "instance.resize_confirm.end", "instance.resize_revert.start", "instance.resize_revert.end",
        "instance.live_migration_pre.start", "instance.live_migration_pre.end", "instance.live_migration_post.start",
        "instance.live_migration_post.end", "instance.live_migration_post_dest.start",
        "instance.live_migration_post_dest.end", "instance.live_migration_abort.start",
        "instance.live_migration_abort.end", "instance.live_migration_rollback.start",
        "instance.live_migration_rollback.end", "instance.live_migration_rollback_dest.start",
        "instance.live_migration_rollback_dest.end", "instance.live_migration_force_complete.start",
        "instance.live_migration_force_complete.end", "instance.volume_attach.start", "instance.volume_attach.end",
        "instance.volume_attach.error", "instance.volume_detach.start", "instance.volume_detach.end",
        "instance.volume_swap.start", "instance.volume_swap.end", "instance.interface_attach.start",
        "instance.interface_attach.end", "instance.interface_detach.start", "instance.interface_detach.end",
        "scheduler.select_destinations.start", "scheduler.select_destinations.end", "instance.create.error",
        "instance.resize.error", "instance.rebuild.error", "instance.volume_swap.error",
        "instance.interface_attach.error", "compute_task.migrate_server.error", "compute_task.rebuild_server.error",
        "service.delete",
    ]
    /// Told in `NotificationsTests` and `NoticesTests`.
    private static let toldElsewhere: Set<String> = [
        "instance.reboot.error", "compute_task.build_instances.error", "compute.exception", "flavor.create",
        "flavor.update", "flavor.delete", "keypair.create.start", "keypair.create.end", "keypair.import.start",
        "keypair.import.end", "keypair.delete.start", "keypair.delete.end", "aggregate.create.start",
        "aggregate.create.end", "aggregate.delete.start", "aggregate.delete.end", "aggregate.add_host.start",
        "aggregate.add_host.end", "aggregate.remove_host.start", "aggregate.remove_host.end",
        "aggregate.update_metadata.start", "aggregate.update_metadata.end", "aggregate.update_prop.start",
        "aggregate.update_prop.end", "aggregate.cache_images.start", "aggregate.cache_images.progress",
        "aggregate.cache_images.end", "server_group.create", "server_group.delete", "server_group.add_member",
        "service.create", "service.update",
    ]
    /// Nobody is told of these.
    private static let notTold: Set<String> = [
        // There is no shared file system service whose shares servers could have.
        "instance.share_attach.start", "instance.share_attach.end", "instance.share_attach.error",
        "instance.share_detach.start", "instance.share_detach.end", "instance.share_detach.error",
        // Upstream tells these only where operators configure monitors and a polling interval.
        "metrics.update", "volume.usage",
        // A driver that loses its host is in the log.
        "libvirt.connect.error",
    ]

    @Test("Every event of upstream's is told or named as one that is not, and no other is told")
    func all() async throws {
        let all = Self.told.union(Self.toldElsewhere).union(Self.notTold)
        // As many as upstream has samples of, those of one event in two situations taken once.
        #expect(all.count == Self.told.count + Self.toldElsewhere.count + Self.notTold.count)
        #expect(all.count == 132)
        var heard: Set<String> = []
        for life in [Self.power, Self.repair, Self.moves, Self.parts, Self.failures, Self.nowhere] {
            heard.formUnion(try await life())
        }
        #expect(Self.told.subtracting(heard).isEmpty, "not told: \(Self.told.subtracting(heard).sorted())")
        let others = heard.subtracting(all)
        #expect(others.isEmpty, "not upstream's: \(others.sorted())")
    }

    private static func power() async throws -> Set<String> {
        let listening = try await ListeningCloud(changes: .stateAndTask) { $0.life.reclaimInterval = .seconds(3600) }
        let cloud = listening.cloud
        let id = try await cloud.server()
        let actions: [JSON] = [
            ["os-stop": nil], ["os-start": nil], ["reboot": ["type": "SOFT"]], ["pause": nil], ["unpause": nil],
            ["suspend": nil], ["resume": nil], ["lock": nil], ["unlock": nil], ["trigger_crash_dump": nil],
        ]
        for action in actions {
            await cloud.act(id, action, at: "2.17")
            try await cloud.work()
        }
        _ = await cloud.call("DELETE", "/servers/\(id)")
        try await cloud.work()
        await cloud.act(id, ["restore": nil])
        try await cloud.work()
        await cloud.act(id, ["forceDelete": nil])
        try await cloud.work()
        return Set(try await listening.events())
    }

    private static func repair() async throws -> Set<String> {
        let listening = try await ListeningCloud { $0.life.shelvedOffloadTime = .zero }
        let cloud = listening.cloud
        let id = try await cloud.server()
        let actions: [JSON] = [
            ["rescue": nil], ["unrescue": nil], ["createImage": ["name": "i"]],
            ["rebuild": ["imageRef": .string(ComputeCloud.image)]], ["shelve": nil], ["unshelve": nil],
        ]
        for action in actions {
            let answer = await cloud.act(id, action)
            #expect((200..<300).contains(answer.status), "\(action.text()): \(answer.json.text())")
            try await cloud.work()
        }
        return Set(try await listening.events())
    }

    private static func moves() async throws -> Set<String> {
        let listening = try await ListeningCloud(hosts: 2)
        let cloud = listening.cloud
        await cloud.flavor("big", vcpus: 2)
        let id = try await cloud.server()
        let live: JSON = ["os-migrateLive": ["host": nil, "block_migration": "auto"]]
        for action: JSON in [
            ["resize": ["flavorRef": "big"]], ["confirmResize": nil], ["migrate": nil], ["revertResize": nil], live,
        ] {
            #expect(await cloud.act(id, action, at: "2.34", as: .admin()).status < 300)
            try await cloud.work()
        }
        for verb in ["give up", "hurry"] {
            for host in cloud.hosts.values { await host.setJourney(.seconds(3600)) }
            #expect(await cloud.act(id, live, at: "2.34", as: .admin()).status == 202)
            let database = cloud.room.database
            try await cloud.work {
                let rows = try await database.rows(
                    "SELECT number FROM compute_migrations WHERE status = 'running' AND progress IS NOT NULL")
                guard let number = rows.first?.int("number") else { return false }
                let path = "/servers/\(id)/migrations/\(number)"
                if verb == "hurry" {
                    _ = await cloud.call(
                        "POST", path + "/action", ["force_complete": nil], at: "2.22", as: .admin())
                } else {
                    _ = await cloud.call("DELETE", path, at: "2.24", as: .admin())
                }
                return true
            }
            try await cloud.work()
        }
        let source = await ServerMovesTests.host(cloud, id)
        let down: JSON = ["host": .string(source), "binary": "nova-compute", "forced_down": true]
        _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin())
        await cloud.hosts[source]?.setUnreachable(true)
        #expect(await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin()).status == 200)
        try await cloud.work()
        return Set(try await listening.events())
    }

    private static func parts() async throws -> Set<String> {
        let storage = FakeBlockStorage()
        storage.add(VolumesTests.one)
        storage.add(VolumesTests.two)
        let listening = try await ListeningCloud(storage: storage)
        let cloud = listening.cloud
        let id = try await cloud.server()
        let path = "/servers/\(id)/os-volume_attachments"
        func body(_ volume: String) -> JSON { ["volumeAttachment": ["volumeId": .string(volume)]] }
        storage.fail("connect", 400)
        _ = await cloud.call("POST", path, body(VolumesTests.one))
        try await cloud.work()
        _ = await cloud.call("POST", path, body(VolumesTests.one))
        try await cloud.work()
        storage.state.withLock { $0.volumes[VolumesTests.one]?["migration_status"] = "migrating" }
        _ = await cloud.call("PUT", path + "/\(VolumesTests.one)", body(VolumesTests.two), as: .service())
        try await cloud.work()
        _ = await cloud.call("DELETE", path + "/\(VolumesTests.two)")
        try await cloud.work()
        let card = await cloud.call("POST", "/servers/\(id)/os-interface", ["interfaceAttachment": [:]])
        try await cloud.work()
        let port = card["interfaceAttachment"]["port_id"]?.string ?? ""
        _ = await cloud.call("DELETE", "/servers/\(id)/os-interface/\(port)")
        try await cloud.work()
        let heard = try await listening.heard()
        let attached = heard.first { $0["event_type"] == "instance.volume_attach.end" }
        #expect(attached?["payload"]?["nova_object.name"] == "InstanceActionVolumePayload")
        #expect(NotificationsTests.data(attached)?["volume_id"]?.string == VolumesTests.one)
        let swapped = heard.first { $0["event_type"] == "instance.volume_swap.end" }
        #expect(NotificationsTests.data(swapped)?["new_volume_id"]?.string == VolumesTests.two)
        return Set(heard.compactMap { $0["event_type"]?.string })
    }

    private static func failures() async throws -> Set<String> {
        let storage = FakeBlockStorage()
        storage.add(VolumesTests.one)
        storage.add(VolumesTests.two)
        let listening = try await ListeningCloud(hosts: 2, storage: storage)
        let cloud = listening.cloud
        await cloud.flavor("wide", disk: 2)
        let id = try await cloud.server(["flavorRef": "wide"])
        // A disk does not shrink.
        #expect(await cloud.act(id, ["resize": ["flavorRef": "small"]]).status == 202)
        try await cloud.work()
        let path = "/servers/\(id)/os-volume_attachments"
        func body(_ volume: String) -> JSON { ["volumeAttachment": ["volumeId": .string(volume)]] }
        _ = await cloud.call("POST", path, body(VolumesTests.one))
        try await cloud.work()
        storage.state.withLock { $0.volumes[VolumesTests.one]?["migration_status"] = "migrating" }
        storage.fail("connect", 400)
        _ = await cloud.call("PUT", path + "/\(VolumesTests.one)", body(VolumesTests.two), as: .service())
        try await cloud.work()
        let host = await ServerMovesTests.host(cloud, id)
        await cloud.hosts[host]?.setTrouble(.init(failures: 1))
        #expect(await cloud.act(id, ["rebuild": ["imageRef": .string(ComputeCloud.image)]]).status == 202)
        try await cloud.work()
        await cloud.hosts[host]?.setTrouble(.init())
        _ = await cloud.act(id, ["os-resetState": ["state": "active"]], as: .admin())
        try await cloud.hosts[host]?.destroy(id)
        _ = await cloud.call("POST", "/servers/\(id)/os-interface", ["interfaceAttachment": [:]])
        try await cloud.work()
        // The kernel that the image names goes while the server is on its way.
        let kernel = "11111111-1111-4111-8111-33333333333a"
        cloud.images.state.withLock { state in
            state.images[kernel] = ["id": .string(kernel), "status": "active", "disk_format": "aki", "checksum": "k"]
            state.images[FakeImages.id]?["kernel_id"] = .string(kernel)
        }
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 202)
        cloud.images.remove(kernel)
        try await cloud.work()
        let services = await cloud.call("GET", "/os-services", at: "2.53", as: .admin())["services"].array ?? []
        let other = services.first { $0["host"]?.string != host }?["id"]?.string ?? ""
        #expect(await cloud.call("DELETE", "/os-services/\(other)", at: "2.53", as: .admin()).status == 204)
        return Set(try await listening.events())
    }

    private static func nowhere() async throws -> Set<String> {
        let listening = try await ListeningCloud { $0.quota.ram = -1 }
        let cloud = listening.cloud
        await cloud.flavor("huge", ram: 4_000_000)
        let id = try await cloud.server()
        _ = await cloud.act(id, ["resize": ["flavorRef": "huge"]])
        try await cloud.work()
        let down: JSON = ["host": "host-1", "binary": "nova-compute", "forced_down": true]
        _ = await cloud.call("PUT", "/os-services/force-down", down, at: "2.11", as: .admin())
        await cloud.hosts["host-1"]?.setUnreachable(true)
        _ = await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin())
        try await cloud.work()
        return Set(try await listening.events())
    }
}
