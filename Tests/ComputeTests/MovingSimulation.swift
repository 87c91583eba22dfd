// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Clouds in which servers are resized, moved and evacuated while hosts fail and the process dies in the middle of its
/// work: in the end nothing is over capacity, nothing is held for nobody, nothing is stuck, and every guest is where
/// its server is said to be.
@Suite(.serialized)
struct MovingSimulation {
    /// Those that found something once are played always: 67 a hold in the name of a move that had failed, 75 a volume
    /// that its deleted server held.
    private static let seeds: [UInt64] =
        Environment.variable("APUS_SEED") == nil
        ? Set(SchedulingSimulation.seeds + [67, 75]).sorted() : SchedulingSimulation.seeds

    @Test("Resizes, migrations, evacuations and crashes leave the books balanced", arguments: seeds)
    func clouds(seed: UInt64) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run {
            var play = Play(simulated)
            try await play.run()
        }
        #expect(outcome == .done, "seed \(seed)")
    }

    /// One cloud's history.
    private struct Play {
        let simulated: Simulated
        var chance: SeededGenerator
        var made: [String] = []
        var down: String?

        static let volumes = (1...3).map { "aaaaaaaa-0000-4000-8000-00000000000\($0)" }

        /// Ports that are to be cards of hosts.
        static let cards = (1...3).map { "bbbbbbbb-0000-4000-8000-00000000000\($0)" }

        /// Two processors that are shared and three that are not, two devices, two cards of parts, and two functions
        /// of a network card.
        static var facts: HostResources {
            var facts = HostResources.fake(vcpus: 5, memoryMiB: 4096, diskGiB: 32)
            var cell = HostResources.NUMACell(id: 0, sharedCPUs: [0, 1], ownCPUs: [2, 3, 4], memoryMiB: 4096)
            cell.pages = [.init(kibibytes: 4, total: 1 << 20)]
            facts.numaCells = [cell]
            (facts.ownCPUs, facts.sharedCPUs) = (3, 2)
            facts.pciDevices = ["0000:81:00.0", "0000:82:00.0"].map {
                .init(address: $0, vendorID: "10de", productID: "1db4", cell: 0)
            }
            facts.pciDevices? += (0..<2).map { number in
                .init(
                    address: "0000:90:10.\(number)", vendorID: "8086", productID: "10ed", kind: .virtual,
                    parent: "0000:90:00.0", physicalNetwork: "physnet1")
            }
            facts.mediatedSources = ["0000:84:00.0", "0000:85:00.0"].map {
                MediatedSource(address: $0, type: "nvidia-35", total: 1)
            }
            return facts
        }

        /// A server's draft with a volume beside its own disk.
        static func holding(_ volume: String, _ server: JSON) -> JSON {
            var members = server.object ?? [:]
            members["block_device_mapping_v2"] = [
                [
                    "source_type": "image", "destination_type": "local", "boot_index": 0,
                    "uuid": .string(ComputeCloud.image), "delete_on_termination": true,
                ],
                [
                    "source_type": "volume", "destination_type": "volume", "boot_index": -1, "uuid": .string(volume),
                ],
            ]
            return .object(members)
        }

        init(_ simulated: Simulated) {
            self.simulated = simulated
            chance = SeededGenerator(seed: simulated.seed &* 11 &+ 5)
        }

        /// Half of the clouds claim devices in Placement, a quarter only tells it of them. Devices of half can travel.
        private var pci: PCIOptions {
            var options = PCIOptions()
            options.aliases = [.init(name: "gpu", vendorID: "10de", productID: "1db4")]
            options.aliases[0].isLiveMigratable = simulated.seed % 4 < 2 ? nil : true
            options.isInPlacement = simulated.seed % 2 == 0
            options.reportsInPlacement = simulated.seed % 4 < 3
            return options
        }

        mutating func run() async throws {
            var (options, facts) = (ComputeOptions(), Self.facts)
            options.pci = pci
            for at in 0..<2 { facts.pciDevices?[at].isLiveMigratable = options.pci.aliases[0].isLiveMigratable }
            let storage = FakeBlockStorage()
            for volume in Self.volumes { storage.add(volume) }
            let cloud = try await ComputeCloud(
                hosts: 3, options: options, each: facts, clock: simulated.clock, ids: simulated.ids,
                storage: storage)
            await addFlavors(cloud)
            addCards(cloud)
            let body: JSON = ["server_group": ["name": "g", "policy": "anti-affinity"]]
            let group = await cloud.call("POST", "/os-server-groups", body, at: "2.64")["server_group"]["id"] ?? ""
            for at in 0..<4 {
                var draft = ComputeCloud.draft().object ?? [:]
                if at < 2 { draft["os:scheduler_hints"] = ["group": group] }
                if at > 0 { draft["server"] = Self.holding(Self.volumes[at - 1], draft["server"] ?? [:]) }
                let answer = await cloud.call("POST", "/servers", .object(draft))
                if let id = answer["server"]["id"]?.string { made.append(id) }
            }
            try await live(cloud, "first", for: nil)
            for round in 0..<8 {
                for _ in 0..<Int(chance.next() % 3 + 1) { await act(cloud) }
                let name = "host-\(chance.next() % 3 + 1)"
                await cloud.hosts[name]?.setTrouble(.init(failures: 0.25, seed: chance.next()))
                await cloud.hosts[name]?.setJourney(.milliseconds(Int(chance.next() % 300)))
                if chance.next() % 3 == 0 { await setDown(cloud, name) }
                if chance.next() % 3 == 0 {
                    let calls = ["reserve", "connect", "complete", "release", "attachments"]
                    storage.fail(calls[Int(chance.next() % 5)], chance.next() % 2 == 0 ? 503 : 400)
                }
                try await live(cloud, "process-\(round)", for: .milliseconds(Int(chance.next() % 500)))
                if let down, chance.next() % 2 == 0 { await setUp(cloud, down) }
                await cloud.hosts[name]?.setTrouble(.init())
            }
            if let down { await setUp(cloud, down) }
            storage.state.withLock { $0.failures = [:] }
            try await live(cloud, "last", for: nil)
            for name in cloud.hosts.keys.sorted() {
                try await MoveKeeper(cloud.room).clean(name)
                await force(cloud, name, false)
            }
            await HostKeeper(cloud.room).sweep()
            try await MoveKeeper(cloud.room).releaseOldVolumes()
            try await live(cloud, "keeper", for: nil)
            // What a process that died did not tell Placement of, the next report does.
            if cloud.room.options.pci.reportsInPlacement, !cloud.room.options.pci.isInPlacement {
                try await HostReporter(cloud.room).report()
            }
            try await check(cloud)
            try await checkVolumes(cloud, storage)
            try await checkHardware(cloud)
            try await checkCards(cloud)
        }

        private func addFlavors(_ cloud: ComputeCloud) async {
            await cloud.flavor("small", vcpus: 1, ram: 512, disk: 2)
            await cloud.flavor("big", vcpus: 2, ram: 1024, disk: 4)
            for (id, specs) in [
                ("own", ["hw:cpu_policy": "dedicated", "pci_passthrough:alias": "gpu:1"]),
                ("graphic", ["resources1:VGPU": "1"]),
            ] as [(String, JSON)] {
                await cloud.flavor(id, vcpus: 1, ram: 512, disk: 4)
                _ = await cloud.call(
                    "POST", "/flavors/\(id)/os-extra_specs", ["extra_specs": specs], as: .admin())
            }
        }

        private func addCards(_ cloud: ComputeCloud) {
            cloud.network.state.withLock { state in
                state.networks[FakeNetwork.network]?["provider:physical_network"] = "physnet1"
                for (at, id) in Self.cards.enumerated() {
                    state.ports[id] = [
                        "id": .string(id), "network_id": .string(FakeNetwork.network), "project_id": "project-a",
                        "status": "DOWN", "mac_address": .string("fa:16:3e:00:30:0\(at)"), "device_id": "",
                        "fixed_ips": [["subnet_id": "s1", "ip_address": .string("10.0.0.20\(at)")]],
                        "binding:vnic_type": .string(["direct", "macvtap", "direct"][at]), "binding:profile": [:],
                    ]
                }
            }
        }

        /// A card is plugged into a server, or taken out of the one that has it.
        private mutating func plug(_ cloud: ComputeCloud, _ server: String) async {
            let port = Self.cards[Int(chance.next() % 3)]
            let owner = cloud.network.state.withLock { $0.ports[port]?["device_id"]?.string ?? "" }
            if owner.isEmpty {
                let body: JSON = ["interfaceAttachment": ["port_id": .string(port)]]
                _ = await cloud.call("POST", "/servers/\(server)/os-interface", body)
            } else {
                _ = await cloud.call("DELETE", "/servers/\(owner)/os-interface/\(port)")
            }
        }

        private mutating func setDown(_ cloud: ComputeCloud, _ name: String) async {
            guard down == nil else { return }
            down = name
            await force(cloud, name, true)
            await cloud.hosts[name]?.setUnreachable(true)
        }

        private mutating func setUp(_ cloud: ComputeCloud, _ name: String) async {
            down = nil
            await cloud.hosts[name]?.setUnreachable(false)
            try? await MoveKeeper(cloud.room).clean(name)
            await force(cloud, name, false)
            // A guest that was switched off for a move is off still when its host was silent while that was undone.
            await GuestWatch(cloud.room).reconcile(reportsStrangers: false)
        }

        private func force(_ cloud: ComputeCloud, _ name: String, _ isDown: Bool) async {
            let body: JSON = ["host": .string(name), "binary": "nova-compute", "forced_down": .bool(isDown)]
            _ = await cloud.call("PUT", "/os-services/force-down", body, at: "2.11", as: .admin())
        }

        /// Something happens to one of the servers; what its state does not allow is refused.
        private mutating func act(_ cloud: ComputeCloud) async {
            let id = made[Int(chance.next() % UInt64(made.count))]
            switch chance.next() % 15 {
            case 0, 1:
                await cloud.act(
                    id, ["resize": ["flavorRef": .string(["big", "small", "own", "graphic"][Int(chance.next() % 4)])]])
            case 2: await cloud.act(id, ["migrate": nil], as: .admin())
            case 3, 4: await cloud.act(id, ["confirmResize": nil])
            case 5, 6: await cloud.act(id, ["revertResize": nil])
            case 7, 8:
                let wish: JSON = ["host": nil, "block_migration": "auto"]
                await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin())
            case 9: await cloud.act(id, ["evacuate": [:]], at: "2.14", as: .admin())
            case 10:
                let number = chance.next() % 12 + 1
                _ = await cloud.call("DELETE", "/servers/\(id)/migrations/\(number)", at: "2.65", as: .admin())
            case 11, 12, 13: await plug(cloud, id)
            default:
                _ =
                    chance.next() % 3 == 0
                    ? await cloud.call("DELETE", "/servers/\(id)").status : await cloud.act(id, ["os-stop": nil]).status
            }
        }

        /// A process that works until it dies; one without a time until nothing is left to do.
        private func live(_ cloud: ComputeCloud, _ name: String, for time: Duration?) async throws {
            let worker = Worker(
                cloud.room.queue, name: name, kinds: ComputeKinds.all(cloud.room), log: .silent, isExclusive: true)
            let (queue, clock) = (cloud.room.queue, simulated.clock)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await worker.run() }
                group.addTask {
                    if let time { return (try? await clock.sleep(time)) ?? () }
                    for _ in 0..<20_000 where (try? await queue.unfinished()) ?? 1 > 0 {
                        guard (try? await clock.sleep(.milliseconds(50))) != nil else { return }
                    }
                }
                await group.next()
                group.cancelAll()
            }
        }

        // MARK: - What must hold in the end

        private func check(_ cloud: ComputeCloud) async throws {
            let (seed, database) = (simulated.seed, cloud.room.database)
            #expect(try await cloud.room.queue.unfinished() == 0, "seed \(seed): work is left")
            let stuck = try await database.rows(
                "SELECT id FROM compute_servers WHERE deleted_at IS NULL AND task_state IS NOT NULL")
            #expect(stuck.isEmpty, "seed \(seed): \(stuck)")
            let half = try await database.rows(
                """
                SELECT number, status FROM compute_migrations WHERE status NOT IN
                    ('finished', 'confirmed', 'reverted', 'error', 'failed', 'completed', 'cancelled')
                """)
            #expect(half.isEmpty, "seed \(seed): \(half.map { $0.text("status") ?? "" }) are half done")
            let over = try await database.rows(
                """
                SELECT i.provider_id FROM placement_inventories i
                WHERE i.used > (i.total - i.reserved) * i.allocation_ratio
                """)
            #expect(over.isEmpty, "seed \(seed): over capacity")
            let orphans = try await database.rows(
                """
                SELECT c.id FROM placement_consumers c WHERE c.id NOT IN
                    (SELECT id FROM compute_servers WHERE deleted_at IS NULL AND host IS NOT NULL)
                    AND c.id NOT IN (SELECT id FROM compute_migrations WHERE status = 'finished')
                """)
            for orphan in orphans {
                let id = orphan.text("id") ?? ""
                let servers = try await database.all(Server.self, "id = \(id)").map { "server \($0.vmState)" }
                let moves = try await database.all(ServerMigration.self, "id = \(id) OR server_id = \(id)")
                Issue.record("seed \(seed): \(id) holds for nobody: \(servers) \(moves.map { ($0.kind, $0.status) })")
            }
            let crowded = try await database.rows(
                """
                SELECT s.host FROM compute_servers s JOIN compute_server_group_members m ON m.server_id = s.id
                WHERE s.deleted_at IS NULL AND s.host IS NOT NULL GROUP BY s.host HAVING COUNT(*) > 1
                """)
            #expect(crowded.isEmpty, "seed \(seed): the group's policy is broken")
            let drift = try await Auditor(cloud.room).audit()
            #expect(drift.isEmpty, "seed \(seed): \(drift)")
            try await checkGuests(cloud)
        }

        /// Each volume of a server is held once, for the host it is on; those of nobody are held by nobody.
        private func checkVolumes(_ cloud: ComputeCloud, _ storage: FakeBlockStorage) async throws {
            let seed = simulated.seed
            let rows = try await cloud.room.database.rows(
                """
                SELECT d.volume_id, d.attachment_id, d.other_host, s.id, s.host, s.vm_state
                FROM compute_servers s JOIN compute_block_devices d ON d.server_id = s.id WHERE s.deleted_at IS NULL
                """)
            var expected = 0
            for row in rows where row.text("attachment_id") != nil {
                expected += 1
                // One in ERROR may have stopped anywhere on its way: its volumes are its own all the same.
                guard row.text("vm_state") != "error" else { continue }
                let (volume, host) = (row.text("volume_id"), row.text("host"))
                let holds = storage.attachments.filter { $0["volume_id"]?.string == volume }
                #expect(holds.count == 1, "seed \(seed): \(volume ?? "") of \(row.text("id") ?? "") is held \(holds)")
                #expect(holds.first?["id"]?.string == row.text("attachment_id"), "seed \(seed)")
                #expect(holds.first?["connector"]?["host"]?.string == host, "seed \(seed): \(volume ?? "")")
                #expect(holds.first?["status"]?.string == "attached", "seed \(seed): \(volume ?? "")")
                let reached = await cloud.hosts[host ?? ""]?.spec(of: row.text("id") ?? "")?.volumes.map(\.connection)
                let path = "/volumes/\(host ?? "")/\(volume ?? "")"
                #expect(reached == [.file(path: path, format: "raw")], "seed \(seed): \(volume ?? "")")
            }
            let own = Set(rows.compactMap { $0.text("volume_id") })
            let stray = storage.attachments.filter { !own.contains($0["volume_id"]?.string ?? "") }
            #expect(stray.isEmpty, "seed \(seed): held by nobody: \(stray)")
            #expect(storage.attachments.count >= expected, "seed \(seed)")
        }

        /// No processor and no device of a host is given twice, moves that wait included.
        private func checkHardware(_ cloud: ComputeCloud) async throws {
            let seed = simulated.seed
            for (host, holdings) in try await HardwareBooks.holdings(cloud.room.database) {
                let pins = holdings.flatMap { $0.numa?.pins ?? [] }.map(\.host)
                #expect(Set(pins).count == pins.count, "seed \(seed): \(host) has processors given twice: \(pins)")
                let devices = holdings.flatMap(\.devices).map(\.address)
                #expect(Set(devices).count == devices.count, "seed \(seed): \(host) has devices given twice")
            }
            for server in try await cloud.room.database.all(Server.self, "deleted_at IS NULL AND vm_state = 'active'") {
                let spec = await cloud.hosts[server.host ?? ""]?.spec(of: server.id)
                #expect(spec?.numa == server.numa, "seed \(seed): \(server.id) is not where its row says")
                let devices = server.hostDevices.filter { $0.portID == nil }
                #expect(spec?.hostDevices == devices, "seed \(seed): \(server.id)")
                let wanted: [HostDevice.Kind] =
                    server.flavor.id == "own" ? [.pci] : server.flavor.id == "graphic" ? [.mediated] : []
                #expect(devices.map(\.kind) == wanted, "seed \(seed): \(server.id) of \(server.flavor.id)")
                for nic in spec?.nics ?? [] {
                    let own = server.hostDevices.first { $0.portID == nic.portID }
                    #expect(nic.hostDevice == own, "seed \(seed): \(server.id) has another's card")
                }
            }
        }

        /// Ports that are cards are their server's in its row, in the books and in Network alike, or nobody's.
        private func checkCards(_ cloud: ComputeCloud) async throws {
            let seed = simulated.seed
            let servers = try await cloud.room.database.all(Server.self, "deleted_at IS NULL")
            for id in Self.cards {
                let (owner, profile) = cloud.network.state.withLock {
                    ($0.ports[id]?["device_id"]?.string ?? "", $0.ports[id]?["binding:profile"] ?? .null)
                }
                let holders = servers.filter { server in server.hostDevices.contains { $0.portID == id } }
                #expect(holders.map(\.id) == (owner.isEmpty ? [] : [owner]), "seed \(seed): \(id)")
                let device = holders.first?.hostDevices.first { $0.portID == id }
                // One in ERROR may have stopped anywhere on its way.
                guard holders.first?.vmState != .error else { continue }
                #expect(profile["pci_slot"]?.string == device?.address, "seed \(seed): \(id) \(profile.text())")
                #expect(
                    holders.first.map { $0.ports.contains { $0.portID == id } } ?? true,
                    "seed \(seed): \(id) is no port of its server")
            }
        }

        /// Guests are where their servers are, or where those may go back to, and nowhere else.
        private func checkGuests(_ cloud: ComputeCloud) async throws {
            let seed = simulated.seed
            let rows = try await cloud.room.database.rows(
                """
                SELECT s.id, s.host, s.vm_state, m.source FROM compute_servers s
                LEFT JOIN compute_migrations m ON m.server_id = s.id AND m.status = 'finished'
                WHERE s.deleted_at IS NULL
                """)
            var places: [String: Set<String>] = [:]
            for row in rows {
                places[row.text("id") ?? ""] = Set([row.text("host"), row.text("source")].compactMap(\.self))
                guard row.text("vm_state") == "active", let host = row.text("host") else { continue }
                let state = try await cloud.hosts[host]?.state(of: row.text("id") ?? "")
                guard state != .running else { continue }
                let story = try await story(of: row.text("id") ?? "", cloud)
                Issue.record("seed \(seed): a guest is \(String(describing: state)) on \(host)\n\(story)")
            }
            for (name, host) in cloud.hosts {
                for guest in try await host.guests().keys where places[guest]?.contains(name) != true {
                    Issue.record("seed \(seed): \(guest) is on \(name) as well\n\(try await story(of: guest, cloud))")
                }
            }
        }

        /// What was done to a server, for whoever has to find out.
        private func story(of server: String, _ cloud: ComputeCloud) async throws -> String {
            try await cloud.room.queue.timeline(of: server).map {
                "\($0.at) \($0.kind) \($0.step) \($0.what) \($0.message)"
            }.joined(separator: "\n")
        }
    }
}
