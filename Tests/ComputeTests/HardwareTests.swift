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

    @Test("Placement is told of processors that are given whole, and of the shared ones apart")
    func inventory() async throws {
        let cloud = try await ComputeCloud(hosts: 1, each: Self.facts())
        let host = try #require(try await cloud.room.database.first(ComputeHost.self, "name = 'host-1'"))
        let stock = try await cloud.room.placement.inventory(of: host.id, requestID: "req-1")
        #expect(stock["PCPU"]?.total == 12 && stock["PCPU"]?.ratio == 1 && stock["VCPU"]?.total == 4)
    }
}
