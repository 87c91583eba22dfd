// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Testing

@testable import Compute

/// Cards and devices that Placement counts apart from their host: providers below its own, and who holds what of them.
struct HostPartsTests {
    static func cards(_ classes: [String?] = [nil, nil], each total: Int = 2) -> HostResources {
        var facts = HostResources.fake()
        facts.mediatedSources = classes.enumerated().map { at, name in
            MediatedSource(
                address: "0000:8\(4 + at):00.0", type: "nvidia-35", total: total, ownClass: name)
        }
        return facts
    }

    /// Two graphics cards, and a card with two functions.
    static func devices() -> HostResources {
        var facts = HostResources.fake()
        facts.pciDevices = [
            .init(address: "0000:81:00.0", vendorID: "10de", productID: "1db4"),
            .init(address: "0000:82:00.0", vendorID: "10de", productID: "1db4"),
        ]
        facts.pciDevices?[1].traits = ["CUSTOM_BIG"]
        facts.pciDevices? += (0..<2).map { number in
            var device = HostResources.PCIDevice(
                address: "0000:83:10.\(number)", vendorID: "8086", productID: "10ed", kind: .virtual,
                parent: "0000:83:00.0")
            device.resourceClass = "CUSTOM_FAST"
            return device
        }
        return facts
    }

    static func options(isInPlacement: Bool = true) -> ComputeOptions {
        var options = ComputeOptions()
        options.quota.instances = -1
        options.pci.reportsInPlacement = true
        options.pci.isInPlacement = isInPlacement
        var (big, fast) = (
            PCIOptions.Alias(name: "big", vendorID: "10de", productID: "1db4"), PCIOptions.Alias(name: "fast")
        )
        big.traits = ["CUSTOM_BIG"]
        fast.resourceClass = "CUSTOM_FAST"
        options.pci.aliases = [.init(name: "gpu", vendorID: "10de", productID: "1db4"), big, fast]
        return options
    }

    static func flavor(_ cloud: ComputeCloud, _ id: String, _ specs: JSONObject) async {
        await cloud.flavor(id)
        let body: JSON = ["extra_specs": .object(specs)]
        let answer = await cloud.call("POST", "/flavors/\(id)/os-extra_specs", body, as: .admin())
        #expect(answer.status == 200, "\(answer.json.text())")
    }

    /// Providers of a cloud by name.
    static func providers(_ cloud: ComputeCloud) async -> [String: String] {
        let list = await cloud.cloud.call("placement", "GET", "/resource_providers", at: "1.36", as: .service())
        let pairs = (list["resource_providers"].array ?? []).map {
            ($0["name"]?.string ?? "", $0["uuid"]?.string ?? "")
        }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }

    static func stock(_ cloud: ComputeCloud, _ provider: String?) async -> [String: Int] {
        let answer = await cloud.cloud.call(
            "placement", "GET", "/resource_providers/\(provider ?? "")/inventories", at: "1.36", as: .service())
        return (answer["inventories"].object ?? [:]).reduce(into: [:]) { $0[$1.key] = $1.value["total"]?.integer }
    }

    /// What somebody holds, by the name of the provider.
    static func held(_ cloud: ComputeCloud, _ consumer: String) async -> [String: [String: Int]] {
        let names = Dictionary(
            await providers(cloud).map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        let answer = await cloud.cloud.call(
            "placement", "GET", "/allocations/\(consumer)", at: "1.36", as: .service())
        return (answer["allocations"].object ?? [:]).reduce(into: [:]) { held, item in
            held[names[item.key] ?? item.key] = (item.value["resources"]?.object ?? [:]).reduce(into: [:]) {
                $0[$1.key] = $1.value.integer
            }
        }
    }

    static func row(_ cloud: ComputeCloud, _ id: String) async throws -> Server {
        try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
    }

    @Test("Each card is a provider below its host's, and a server has its part of the card that Placement says")
    func graphics() async throws {
        let cloud = try await ComputeCloud(each: Self.cards())
        await cloud.flavor()
        await Self.flavor(cloud, "graphic", ["resources:VGPU": "1"])
        await Self.flavor(cloud, "two", ["resources1:VGPU": "1", "resources2:VGPU": "1", "group_policy": "isolate"])
        let names = await Self.providers(cloud)
        #expect(names.keys.sorted() == ["host-1", "host-1_pci_0000_84_00_0", "host-1_pci_0000_85_00_0"])
        #expect(await Self.stock(cloud, names["host-1_pci_0000_84_00_0"]) == ["VGPU": 2])
        #expect(await Self.stock(cloud, names["host-1"])["VGPU"] == nil)
        let traits = try await cloud.room.placement.traits(
            of: names["host-1_pci_0000_84_00_0"] ?? "", requestID: "req-1")
        #expect(traits == ["OWNER_NOVA"])
        let pair = try await cloud.server(["flavorRef": "two"])
        #expect(try await Set(Self.row(cloud, pair).hostDevices.compactMap(\.parent)).count == 2)
        var servers = [pair]
        for _ in 0..<2 { servers.append(try await cloud.server(["flavorRef": "graphic"])) }
        var seen = Set<String>()
        for id in servers {
            let row = try await Self.row(cloud, id)
            #expect(row.vmState == .active)
            let held = await Self.held(cloud, id)
            for device in row.hostDevices {
                #expect(held["host-1_\(MediatedSource.partKey(device.parent ?? ""))"] == ["VGPU": 1], "\(held)")
                #expect(seen.insert(device.address).inserted)
            }
        }
        let fifth = try await cloud.server(["flavorRef": "graphic"])
        #expect(await cloud.show(fifth)["status"] == "ERROR")
        #expect(try await Auditor(cloud.room).audit() == [])
    }

    @Test("Parts that have a class of their own are asked for by that, and traits that an operator gives stay")
    func classes() async throws {
        let cloud = try await ComputeCloud(each: Self.cards([nil, "CUSTOM_MDEV"]))
        await Self.flavor(cloud, "own", ["resources:CUSTOM_MDEV": "2"])
        await Self.flavor(cloud, "red", ["resources1:VGPU": "1", "trait1:CUSTOM_RED": "required"])
        let names = await Self.providers(cloud)
        let card = names["host-1_pci_0000_84_00_0"] ?? ""
        #expect(await Self.stock(cloud, names["host-1_pci_0000_85_00_0"]) == ["CUSTOM_MDEV": 2])
        let own = try await cloud.server(["flavorRef": "own", "networks": "none"], at: "2.37")
        #expect(try await Self.row(cloud, own).hostDevices.map(\.parent) == ["0000:85:00.0", "0000:85:00.0"])
        let placement = cloud.room.placement
        try await placement.defineTraits(["CUSTOM_RED"], requestID: "req-1")
        try await placement.setTraits(card, ["CUSTOM_RED"], isOwn: { _ in false }, requestID: "req-1")
        try await HostReporter(cloud.room).report()
        #expect(try await placement.traits(of: card, requestID: "req-1") == ["CUSTOM_RED", "OWNER_NOVA"])
        let red = try await cloud.server(["flavorRef": "red", "networks": "none"], at: "2.37")
        #expect(try await Self.row(cloud, red).hostDevices.map(\.parent) == ["0000:84:00.0"])
        #expect(try await Auditor(cloud.room).audit() == [])
    }

    @Test("What servers held of the host itself becomes the card's that their part is of, and nothing of it is lost")
    func reshape() async throws {
        let cloud = try await ComputeCloud(each: Self.cards())
        await cloud.flavor()
        await Self.flavor(cloud, "graphic", ["resources:VGPU": "1"])
        var servers: [String] = []
        for _ in 0..<3 { servers.append(try await cloud.server(["flavorRef": "graphic"])) }
        let now = await [Self.held(cloud, servers[0]), Self.held(cloud, servers[1]), Self.held(cloud, servers[2])]
        // As it was before there were parts. One has lost track of what it has.
        let names = await Self.providers(cloud)
        let (root, placement) = (names["host-1"] ?? "", cloud.room.placement)
        let cards = [names["host-1_pci_0000_84_00_0"] ?? "", names["host-1_pci_0000_85_00_0"] ?? ""]
        try await placement.setInventory(
            root, ["VGPU": .init(total: 4, reserved: 0, ratio: 1)], requestID: "req-1")
        for id in servers {
            let claim = try #require(try await placement.holding(id, requestID: "req-1"))
            var whole = claim.allocations.filter { $0.key == root }
            whole[root]?["VGPU"] = 1
            try await placement.claim([claim.taking(whole)], requestID: "req-1")
        }
        for card in cards { try await placement.deleteProvider(card, requestID: "req-1") }
        let database = cloud.room.database
        _ = try await database.execute("UPDATE compute_servers SET host_devices = '[]' WHERE id = \(servers[2])")
        #expect(
            await Self.held(cloud, servers[0]) == ["host-1": ["VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1, "VGPU": 1]])
        try await HostReporter(cloud.room).report()
        #expect(await Self.stock(cloud, root)["VGPU"] == nil)
        #expect(await Self.held(cloud, servers[0]) == now[0])
        #expect(await Self.held(cloud, servers[1]) == now[1])
        let last = await Self.held(cloud, servers[2])
        #expect(last.count == 2 && last.values.contains(["VGPU": 1]), "\(last)")
        // And once more changes nothing.
        try await HostReporter(cloud.room).report()
        #expect(await Self.held(cloud, servers[2]) == last)
    }

    @Test(
        "Devices are providers with their class and traits, functions those of their card; aliases ask for them there")
    func devicesInPlacement() async throws {
        let cloud = try await ComputeCloud(options: Self.options(), each: Self.devices())
        await cloud.flavor()
        for (id, alias) in [("gpu", "gpu:1"), ("big", "big:1"), ("fast", "fast:2"), ("both", "gpu:1,big:1")] {
            await Self.flavor(cloud, id, ["pci_passthrough:alias": .string(alias)])
        }
        let names = await Self.providers(cloud)
        #expect(
            names.keys.sorted() == [
                "host-1", "host-1_0000:81:00.0", "host-1_0000:82:00.0", "host-1_0000:83:00.0",
            ])
        #expect(await Self.stock(cloud, names["host-1_0000:81:00.0"]) == ["CUSTOM_PCI_10DE_1DB4": 1])
        #expect(await Self.stock(cloud, names["host-1_0000:83:00.0"]) == ["CUSTOM_FAST": 2])
        let traits = try await cloud.room.placement.traits(of: names["host-1_0000:82:00.0"] ?? "", requestID: "req-1")
        #expect(traits == ["COMPUTE_MANAGED_PCI_DEVICE", "CUSTOM_BIG", "OWNER_NOVA"])
        // Of two that would do, the one that only the other request can have is left to it.
        let both = try await cloud.server(["flavorRef": "both"])
        let row = try await Self.row(cloud, both)
        #expect(row.hostDevices.map(\.alias) == ["gpu", "big"])
        #expect(row.hostDevices.map(\.address) == ["0000:81:00.0", "0000:82:00.0"])
        let held = await Self.held(cloud, both)
        #expect(held["host-1_0000:81:00.0"] == ["CUSTOM_PCI_10DE_1DB4": 1])
        #expect(held["host-1_0000:82:00.0"] == ["CUSTOM_PCI_10DE_1DB4": 1])
        let fast = try await cloud.server(["flavorRef": "fast"])
        #expect(await Self.held(cloud, fast)["host-1_0000:83:00.0"] == ["CUSTOM_FAST": 2])
        #expect(try await Auditor(cloud.room).audit() == [])
        let more = try await cloud.server(["flavorRef": "gpu"])
        #expect(await cloud.show(more)["status"] == "ERROR")
        #expect(await cloud.call("DELETE", "/servers/\(both)").status == 204)
        try await cloud.work()
        let next = try await cloud.server(["flavorRef": "big"])
        #expect(try await Self.row(cloud, next).hostDevices.map(\.address) == ["0000:82:00.0"])
    }

    @Test("Servers that want all devices of a host each have their own host")
    func whole() async throws {
        var facts = HostResources.fake()
        facts.pciDevices = (0..<8).map { .init(address: "0000:81:0\($0).0", vendorID: "10de", productID: "1db4") }
        let cloud = try await ComputeCloud(hosts: 2, options: Self.options(), each: facts)
        await Self.flavor(cloud, "all", ["pci_passthrough:alias": "gpu:8"])
        let draft = ComputeCloud.draft([
            "flavorRef": "all", "networks": "none", "min_count": 2, "max_count": 2,
        ])
        #expect(await cloud.call("POST", "/servers", draft, at: "2.37").status == 202)
        try await cloud.work()
        let rows = try await cloud.room.database.all(Server.self, "deleted_at IS NULL")
        #expect(rows.map(\.vmState) == [.active, .active])
        #expect(Set(rows.compactMap(\.host)).count == 2 && rows.allSatisfy { Set($0.hostDevices).count == 8 })
        #expect(try await Auditor(cloud.room).audit() == [])
    }

    @Test("Who asks for more devices than a host has is told how many there are of them all")
    func lacking() async throws {
        let cloud = try await ComputeCloud(options: Self.options(), each: Self.devices())
        await Self.flavor(cloud, "three", ["pci_passthrough:alias": "gpu:3"])
        let id = try await cloud.server(["flavorRef": "three", "networks": "none"], at: "2.37")
        let message = await cloud.show(id)["fault"]?["message"]?.string ?? ""
        #expect(message.contains("CUSTOM_PCI_10DE_1DB4 3 asked, at most 2 free"), "\(message)")
    }

    @Test("A move holds devices on both hosts until it is settled; reverted, it holds what it had")
    func moved() async throws {
        let cloud = try await ComputeCloud(hosts: 2, options: Self.options(), each: Self.devices())
        await Self.flavor(cloud, "big", ["pci_passthrough:alias": "big:1"])
        let id = try await cloud.server(["flavorRef": "big", "networks": "none"], at: "2.37")
        let before = await Self.held(cloud, id)
        #expect(await cloud.act(id, ["migrate": nil], as: .admin()).status == 202)
        try await cloud.work()
        let there = await Self.held(cloud, id)
        #expect(there != before && there.values.contains(["CUSTOM_PCI_10DE_1DB4": 1]), "\(there)")
        let move = try #require(try await cloud.room.database.first(ServerMigration.self, "server_id = \(id)"))
        #expect(await Self.held(cloud, move.id) == before)
        #expect(try await Auditor(cloud.room).audit() == [])
        let other = try await cloud.server(["flavorRef": "big", "networks": "none"], at: "2.37")
        #expect(await cloud.show(other)["status"] == "ERROR")
        #expect(await cloud.act(id, ["revertResize": nil]).status == 202)
        try await cloud.work()
        #expect(await Self.held(cloud, id) == before)
        #expect(try await Auditor(cloud.room).audit() == [])
    }

    @Test("Where Placement is only told, it is told of what servers have, also of those that had it before")
    func healed() async throws {
        let cloud = try await ComputeCloud(options: Self.options(isInPlacement: false), each: Self.devices())
        await Self.flavor(cloud, "gpu", ["pci_passthrough:alias": "gpu:1"])
        let id = try await cloud.server(["flavorRef": "gpu", "networks": "none"], at: "2.37")
        let held = await Self.held(cloud, id)
        #expect(held["host-1_0000:81:00.0"] == ["CUSTOM_PCI_10DE_1DB4": 1], "\(held)")
        #expect(try await Auditor(cloud.room).audit() == [])
        // As if it were older than the part.
        let claim = try #require(try await cloud.room.placement.holding(id, requestID: "req-1"))
        let bare = claim.allocations.filter { $0.value["VCPU"] != nil }
        try await cloud.room.placement.claim([claim.taking(bare)], requestID: "req-1")
        #expect(try await Auditor(cloud.room).audit().map(\.kind) == [.wrongAmounts])
        try await HostReporter(cloud.room).report()
        #expect(await Self.held(cloud, id) == held)
        #expect(try await Auditor(cloud.room).audit() == [])
    }

    @Test("A device that is gone leaves Placement, unless a server has it still; what was told is not left to itself")
    func gone() async throws {
        let cloud = try await ComputeCloud(options: Self.options(), each: Self.devices())
        await Self.flavor(cloud, "gpu", ["pci_passthrough:alias": "gpu:1"])
        let id = try await cloud.server(["flavorRef": "gpu", "networks": "none"], at: "2.37")
        // Which of the two it has is Placement's to say, by ids that are other ones each time.
        let own = try #require(try await Self.row(cloud, id).hostDevices.first?.address)
        var facts = Self.devices()
        facts.hostName = "host-1"
        facts.pciDevices?.removeAll { $0.kind == .plain }
        await cloud.hosts["host-1"]?.setFacts(facts)
        try await HostReporter(cloud.room).report()
        #expect(await Self.providers(cloud).keys.sorted() == ["host-1", "host-1_\(own)", "host-1_0000:83:00.0"])
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        try await HostReporter(cloud.room).report()
        #expect(await Self.providers(cloud).keys.sorted() == ["host-1", "host-1_0000:83:00.0"])
        // Functions of one card that differ are a mistake of the operator's.
        facts.pciDevices?[1].resourceClass = nil
        await cloud.hosts["host-1"]?.setFacts(facts)
        let complaint = try await HostReporter(cloud.room).report()["host-1"]
        #expect(complaint?.message.hasPrefix("VFs from the same PF cannot be configured with different") == true)
    }

    @Test("Parts go along while their guest runs, where the other host has such parts; elsewhere they do not")
    func travels() async throws {
        let cloud = try await ComputeCloud(hosts: 2, each: Self.cards())
        await Self.flavor(cloud, "graphic", ["resources:VGPU": "1"])
        let id = try await cloud.server(["flavorRef": "graphic", "networks": "none"], at: "2.37")
        let (home, before) = (await ServerMovesTests.host(cloud, id), try await Self.row(cloud, id).hostDevices)
        let wish: JSON = ["host": nil, "block_migration": "auto"]
        #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        let dest = await ServerMovesTests.host(cloud, id)
        #expect(dest != home)
        let (spec, row) = (await cloud.hosts[dest]?.spec(of: id), try await Self.row(cloud, id))
        #expect(spec?.hostDevices == row.hostDevices)
        #expect(await Self.held(cloud, id).keys.contains { $0.hasPrefix("\(dest)_pci_") })
        #expect(try await Auditor(cloud.room).audit() == [])
        var facts = Self.cards()
        facts.hostName = home
        facts.mediatedSources = facts.mediatedSources?.map { .init(address: $0.address, type: "nvidia-36", total: 2) }
        await cloud.hosts[home]?.setFacts(facts)
        try await HostReporter(cloud.room).report()
        #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) == dest && before.count == 1)
        let moves = try await cloud.room.database.all(ServerMigration.self, "server_id = \(id) ORDER BY number")
        #expect(moves.map(\.status) == [.completed, .error])
        #expect(try await Auditor(cloud.room).audit() == [])
    }
}
