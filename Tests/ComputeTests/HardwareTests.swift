// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Testing

@testable import Compute

/// Cells, processors of one's own, large pages and devices: what fits, and that nothing is given twice.
struct HardwareTests {
    /// Two cells of four cores with two threads each; the first core of each is for shared use.
    private static func facts(threads: Bool = true) -> HostResources {
        var facts = HostResources.fake(vcpus: 16, memoryMiB: 8192)
        facts.numaCells = [0, 1].map { id in
            let first = id * 8
            var cell = HostResources.NUMACell(
                id: id, sharedCPUs: [first, first + 1], ownCPUs: Array(first + 2..<first + 8), memoryMiB: 4096)
            if threads { cell.siblings = (0..<4).map { [first + $0 * 2, first + $0 * 2 + 1] } }
            cell.pages = [.init(kibibytes: 4, total: 1 << 20), .init(kibibytes: 2048, total: 512)]
            return cell
        }
        facts.ownCPUs = 12
        facts.sharedCPUs = 4
        facts.pciDevices = [
            .init(address: "0000:81:00.0", vendorID: "10de", productID: "1db4", cell: 1),
            .init(address: "0000:82:00.0", vendorID: "8086", productID: "10fb", kind: .physical, cell: 0),
            .init(
                address: "0000:82:10.0", vendorID: "8086", productID: "10ed", kind: .virtual, cell: 0,
                parent: "0000:82:00.0"),
        ]
        return facts
    }

    private static func numa(_ specs: [String: String], vcpus: Int = 4, memory: Int = 1024) throws -> GuestNUMA? {
        try GuestNUMA(GuestWishes(vcpus: vcpus, memoryMiB: memory, extraSpecs: specs))
    }

    @Test("vCPUs get threads of one core together, and the guest is told which")
    func pinned() throws {
        let left = HardwareLeft(Self.facts())
        let placed = try #require(left.fit(try Self.numa(["hw:cpu_policy": "dedicated"]))?.numa)
        #expect(placed.cells[0].pins.map(\.host) == [2, 3, 4, 5] && placed.cells[0].hostCell == 0)
        #expect(placed.cells[0].siblings == [[0, 1], [2, 3]] && placed.isPlaced)
    }

    @Test("One that wants its cores for itself gets one thread of each, and nobody gets the other")
    func isolated() throws {
        var left = HardwareLeft(Self.facts())
        let wish = try Self.numa(["hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": "isolate"], vcpus: 3)
        let holding = try #require(left.fit(wish))
        #expect(holding.numa?.cells[0].pins.map(\.host) == [2, 4, 6])
        left.take(holding)
        #expect(left.cells?[0].freeOwn == [] && left.cells?[1].freeOwn.count == 6)
        let bare = HardwareLeft(Self.facts(threads: false))
        #expect(bare.fit(try Self.numa(["hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": "require"])) == nil)
    }

    @Test("QEMU's own threads get a processor too")
    func emulator() throws {
        let left = HardwareLeft(Self.facts())
        let wish = try Self.numa(["hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"], vcpus: 3)
        let placed = try #require(left.fit(wish)?.numa)
        #expect(placed.emulatorPin == 5 && placed.cells[0].pins.count == 3)
    }

    @Test("Large pages are counted, and two cells of a guest go to two of the host")
    func pages() throws {
        var left = HardwareLeft(Self.facts())
        left.cpuRatio = 4
        let wish = try Self.numa(["hw:numa_nodes": "2", "hw:mem_page_size": "large"], memory: 2048)
        let holding = try #require(left.fit(wish))
        #expect(holding.numa?.cells.map(\.hostCell) == [0, 1] && holding.numa?.cells.map(\.pageKiB) == [2048, 2048])
        left.take(holding)
        #expect(left.fit(wish) == nil, "512 pages of 2 MiB are 1 GiB, which is gone")
        #expect(left.fit(try Self.numa(["hw:numa_nodes": "2"], memory: 2048)) != nil)
        #expect(left.fit(try Self.numa(["hw:mem_page_size": "1GB"])) == nil)
        #expect(left.fit(try Self.numa(["hw:numa_nodes": "3"], vcpus: 3, memory: 3072)) == nil)
    }

    @Test("A device and its functions exclude each other")
    func devices() throws {
        var left = HardwareLeft(Self.facts())
        var options = PCIOptions()
        options.aliases = [
            .init(name: "gpu", vendorID: "10de"), .init(name: "vf", productID: "10ed", kind: "type-VF"),
            .init(name: "pf", kind: "type-PF"),
        ]
        let function = try PCIRequest.all(["pci_passthrough:alias": "vf:1, gpu:1"], options)
        let holding = try #require(left.fit(nil, function))
        #expect(holding.devices.map(\.address) == ["0000:82:10.0", "0000:81:00.0"])
        left.take(holding)
        #expect(left.devices.isEmpty, "the physical function went with its virtual one")
        #expect(throws: Fault.self) { try PCIRequest.all(["pci_passthrough:alias": "fpga:1"], options) }
    }

    @Test("Servers with processors of their own fill the host exactly, and each has other ones")
    func filled() async throws {
        let cloud = try await ComputeCloud(hosts: 1, each: Self.facts())
        await cloud.flavor("pin", vcpus: 3, ram: 512)
        let specs: JSON = ["extra_specs": ["hw:cpu_policy": "dedicated"]]
        #expect(await cloud.call("POST", "/flavors/pin/os-extra_specs", specs, as: .admin()).status == 200)
        let draft = ComputeCloud.draft(["flavorRef": "pin", "min_count": 4, "networks": "none"])
        #expect(await cloud.call("POST", "/servers", draft, at: "2.90").status == 202)
        try await cloud.work()
        let servers = try await cloud.room.database.all(Server.self, "deleted_at IS NULL")
        let pins = servers.flatMap { $0.numa?.pins ?? [] }.map(\.host)
        #expect(servers.count == 4 && servers.allSatisfy { $0.vmState == .active })
        #expect(pins.count == 12 && Set(pins).count == 12 && Set(pins).isDisjoint(with: [0, 1, 8, 9]))
        let spec = try #require(await cloud.hosts["host-1"]?.spec(of: servers[0].id))
        #expect(spec.numa?.pins.count == 3)
        let path = "/servers/\(servers[0].id)/topology"
        let shown = await cloud.call("GET", path, at: "2.78", as: .admin())
        #expect(shown.json["nodes"]?[0]?["vcpu_set"] == [0, 1, 2] && shown.json["pagesize_kb"]?.isNull == true)
        #expect(shown.json["nodes"]?[0]?["cpu_pinning"]?.object?.count == 3)
        #expect(shown.json["nodes"]?[0]?["host_node"]?.integer != nil)
        #expect(await cloud.call("GET", path, at: "2.78").json["nodes"]?[0]?["host_node"] == nil)
        // There is no fifth.
        let more = await cloud.call(
            "POST", "/servers", ComputeCloud.draft(["flavorRef": "pin", "networks": "none"]), at: "2.90")
        try await cloud.work()
        #expect(await cloud.show(more["server"]["id"]?.string ?? "")["status"]?.string == "ERROR")
        // One that goes leaves its processors to the next.
        #expect(await cloud.call("DELETE", "/servers/\(servers[0].id)").status == 204)
        try await cloud.work()
        let next = try await cloud.server(["flavorRef": "pin", "networks": "none"], at: "2.90")
        let row = try #require(try await cloud.room.database.first(Server.self, "id = \(next)"))
        #expect(row.vmState == .active && row.numa?.pins == servers[0].numa?.pins)
    }

    /// All that is held, with what moves that wait keep: nothing of a host is there twice.
    private static func checkBooks(_ cloud: ComputeCloud) async throws {
        for (host, holdings) in try await HardwareBooks.holdings(cloud.room.database) {
            let pins = holdings.flatMap { $0.numa?.pins ?? [] }.map(\.host)
            #expect(Set(pins).count == pins.count, "\(host): \(pins)")
            let devices = holdings.flatMap(\.devices).map(\.address)
            #expect(Set(devices).count == devices.count, "\(host): \(devices)")
        }
    }

    private static func place(_ cloud: ComputeCloud, _ id: String) async throws -> (String, GuestNUMA?, [HostDevice]) {
        let row = try #require(try await cloud.room.database.first(Server.self, "id = \(id)"))
        let spec = await cloud.hosts[row.host ?? ""]?.spec(of: id)
        #expect(spec?.numa == row.numa && spec?.hostDevices == row.hostDevices)
        try await checkBooks(cloud)
        return (row.host ?? "", row.numa, row.hostDevices)
    }

    /// Two hosts, and a flavor with three processors and a device of its own.
    private static func pair() async throws -> ComputeCloud {
        var options = ComputeOptions()
        options.quota.cores = -1
        options.quota.instances = -1
        options.pci.aliases = [.init(name: "gpu", vendorID: "10de")]
        let cloud = try await ComputeCloud(hosts: 2, options: options, each: facts())
        await cloud.flavor("pin", vcpus: 3, ram: 512)
        await cloud.flavor("own", vcpus: 3, ram: 512)
        let dedicated: JSONObject = ["hw:cpu_policy": "dedicated"]
        var both = dedicated
        both["pci_passthrough:alias"] = "gpu:1"
        for (id, specs) in [("pin", dedicated), ("own", both)] {
            let body: JSON = ["extra_specs": .object(specs)]
            #expect(await cloud.call("POST", "/flavors/\(id)/os-extra_specs", body, as: .admin()).status == 200)
        }
        return cloud
    }

    @Test("A server that moves gets processors and a device of its new host; the old ones are kept until it is settled")
    func moved() async throws {
        let cloud = try await Self.pair()
        let id = try await cloud.server(["flavorRef": "own", "networks": "none"], at: "2.90")
        let (source, oldNUMA, oldDevices) = try await Self.place(cloud, id)
        #expect(oldDevices.count == 1 && oldNUMA?.pins.count == 3)
        #expect(await cloud.act(id, ["migrate": nil], as: .admin()).status == 202)
        try await cloud.work()
        let (dest, newNUMA, newDevices) = try await Self.place(cloud, id)
        #expect(dest != source && newDevices.count == 1 && newNUMA?.pins.count == 3)
        let pins = await cloud.call("GET", "/servers/\(id)/topology", at: "2.78", as: .admin()).json["nodes"]?[0]
        #expect(pins?["cpu_pinning"]?["0"]?.integer == newNUMA?.pins.first?.host)
        // Both hosts' devices are taken, and six of 24 processors: there is room for six more servers and no seventh.
        let more = ComputeCloud.draft(["flavorRef": "pin", "networks": "none", "min_count": 6])
        #expect(await cloud.call("POST", "/servers", more, at: "2.90").status == 202)
        try await cloud.work()
        try await Self.checkBooks(cloud)
        for flavor in ["pin", "own"] {
            let last = await cloud.call(
                "POST", "/servers", ComputeCloud.draft(["flavorRef": .string(flavor), "networks": "none"]), at: "2.90")
            try await cloud.work()
            #expect(await cloud.show(last["server"]["id"]?.string ?? "")["status"]?.string == "ERROR")
        }
        #expect(await cloud.act(id, ["revertResize": nil]).status == 202)
        try await cloud.work()
        let back = try await Self.place(cloud, id)
        #expect(back.0 == source && back.1 == oldNUMA && back.2 == oldDevices)
        // What was set aside over there is free again.
        let next = try await cloud.server(["flavorRef": "own", "networks": "none"], at: "2.90")
        #expect(try await Self.place(cloud, next).0 == dest)
    }

    @Test(
        "A resize to other processors on the same host has both until it is confirmed, a live migration moves its own")
    func resized() async throws {
        let cloud = try await Self.pair()
        await cloud.flavor("pin4", vcpus: 4, ram: 1024)
        let specs: JSON = ["extra_specs": ["hw:cpu_policy": "dedicated"]]
        #expect(await cloud.call("POST", "/flavors/pin4/os-extra_specs", specs, as: .admin()).status == 200)
        let id = try await cloud.server(["flavorRef": "pin", "networks": "none"], at: "2.90")
        let other = await Self.host(cloud, besides: id)
        // The other host is closed, so the server stays where it is.
        let body: JSON = ["host": .string(other), "binary": "nova-compute"]
        #expect(await cloud.call("PUT", "/os-services/disable", body, as: .admin()).status == 200)
        let before = try await Self.place(cloud, id)
        #expect(await cloud.act(id, ["resize": ["flavorRef": "pin4"]]).status == 202)
        try await cloud.work()
        let now = try await Self.place(cloud, id)
        #expect(now.0 == before.0 && now.1?.pins.count == 4)
        #expect(try await HardwareBooks.holdings(cloud.room.database)[now.0]?.count == 2)
        #expect(await cloud.act(id, ["confirmResize": nil]).status == 204)
        try await cloud.work()
        #expect(try await HardwareBooks.holdings(cloud.room.database)[now.0]?.count == 1)
        #expect(await cloud.call("PUT", "/os-services/enable", body, as: .admin()).status == 200)
        let wish: JSON = ["host": nil, "block_migration": "auto"]
        #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        let after = try await Self.place(cloud, id)
        #expect(after.0 == other && after.1?.pins.count == 4)
        #expect(try await HardwareBooks.holdings(cloud.room.database).keys.sorted() == [other])
    }

    private static func host(_ cloud: ComputeCloud, besides id: String) async -> String {
        await ServerMovesTests.host(cloud, id) == "host-1" ? "host-2" : "host-1"
    }

    @Test("A server with a device of its host is not migrated while it runs, as upstream refuses it")
    func devicesStay() async throws {
        let cloud = try await Self.pair()
        let id = try await cloud.server(["flavorRef": "own", "networks": "none"], at: "2.90")
        let wish: JSON = ["host": nil, "block_migration": false, "disk_over_commit": false]
        let refused = await cloud.act(id, ["os-migrateLive": wish], as: .admin())
        #expect(refused.status == 400 && refused.message.contains("live-migratable devices"))
        let later = await cloud.act(
            id, ["os-migrateLive": ["host": nil, "block_migration": "auto"]], at: "2.34", as: .admin())
        #expect(later.status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
    }

    @Test("Placement is told of processors that are given whole, and of the shared ones apart")
    func inventory() async throws {
        let cloud = try await ComputeCloud(hosts: 1, each: Self.facts())
        let host = try #require(try await cloud.room.database.first(ComputeHost.self, "name = 'host-1'"))
        let stock = try await cloud.room.placement.inventory(of: host.id, requestID: "req-1")
        #expect(stock["PCPU"]?.total == 12 && stock["PCPU"]?.ratio == 1 && stock["VCPU"]?.total == 4)
    }
}
