// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

@testable import Compute

/// Cards of hosts that are plugged into servers that exist, taken out again, and let go of while their server travels.
struct CardsInHandTests {
    private typealias Cards = PortCardsTests

    private static func attach(_ cloud: ComputeCloud, _ port: String, _ server: String) async throws -> Int {
        let body: JSON = ["interfaceAttachment": ["port_id": .string(port)]]
        let answer = await cloud.call("POST", "/servers/\(server)/os-interface", body)
        if answer.status == 400 {
            #expect(answer.message == "Failed to claim PCI device for \(server) during interface attach")
        }
        try await cloud.work()
        return answer.status
    }

    private static func devices(_ cloud: ComputeCloud, _ server: String) async throws -> [String] {
        let row = try #require(try await cloud.room.database.first(Server.self, "id = \(server)"))
        let known = Set(row.ports.filter { $0.card != nil }.map(\.portID))
        #expect(Set(row.hostDevices.compactMap(\.portID)) == known, "a device without its port")
        return row.hostDevices.map(\.address)
    }

    private static func spec(_ cloud: ComputeCloud, _ server: String) async -> GuestSpec? {
        await cloud.hosts[await ServerMovesTests.host(cloud, server)]?.spec(of: server)
    }

    @Test("A card is plugged into a server that runs, and taken out again; where none is left, nothing has changed")
    func plugged() async throws {
        let cloud = try await Cards.cloud()
        let (first, second) = (try await cloud.server(), try await cloud.server())
        let (one, two, three) = (Cards.port(cloud), Cards.port(cloud, "macvtap"), Cards.port(cloud))
        #expect(try await Self.attach(cloud, one, first) == 200)
        #expect(try await Self.devices(cloud, first) == ["0000:82:10.0"])
        let nic = try #require(await Self.spec(cloud, first)?.nics.last)
        #expect(nic.kind == .direct && nic.hostDevice?.address == "0000:82:10.0" && nic.vlan == 7)
        #expect(Cards.profile(cloud, one)["pci_slot"] == "0000:82:10.0")
        #expect(try await Self.attach(cloud, two, second) == 200)
        #expect(await Self.spec(cloud, second)?.nics.last?.kind == .macvtap)
        #expect(Cards.profile(cloud, two)["pci_slot"] == "0000:82:10.1")
        #expect(try await Self.attach(cloud, three, second) == 400)
        #expect(Cards.profile(cloud, three) == ["kept": "yes"])
        let free = cloud.network.state.withLock { $0.ports[three]?["device_id"] }
        #expect(free == "")
        #expect(await cloud.call("DELETE", "/servers/\(first)/os-interface/\(one)").status == 202)
        try await cloud.work()
        #expect(try await Self.devices(cloud, first) == [])
        #expect(await Self.spec(cloud, first)?.nics.contains { $0.portID == one } == false)
        #expect(Cards.profile(cloud, one) == ["kept": "yes"])
        #expect(try await Self.attach(cloud, three, second) == 200)
        #expect(Cards.profile(cloud, three)["pci_slot"] == "0000:82:10.0")
        // What was taken out is not asked for again.
        let events = await cloud.call("GET", "/servers/\(first)/os-instance-actions")["instanceActions"]
        let actions = Set((events.array ?? []).compactMap { $0["action"]?.string })
        #expect(actions.isSuperset(of: ["attach_interface", "detach_interface"]))
    }

    @Test("A whole card is plugged in and taken out as what it is")
    func whole() async throws {
        let cloud = try await Cards.cloud()
        let (id, port) = (try await cloud.server(), Cards.port(cloud, "direct-physical"))
        #expect(try await Self.attach(cloud, port, id) == 200)
        #expect(await Self.spec(cloud, id)?.hostDevices.map(\.address) == ["0000:83:00.0"])
        #expect(Cards.profile(cloud, port)["device_mac_address"] == "52:54:00:00:00:02")
        #expect(try await Self.attach(cloud, Cards.port(cloud, "direct-physical"), id) == 400)
        #expect(await cloud.call("DELETE", "/servers/\(id)/os-interface/\(port)").status == 202)
        try await cloud.work()
        #expect(await Self.spec(cloud, id)?.hostDevices.isEmpty == true)
        #expect(try await Self.devices(cloud, id).isEmpty)
    }

    @Test("A host that cannot plug the card in gives card and port back")
    func undone() async throws {
        let cloud = try await Cards.cloud()
        let (id, port) = (try await cloud.server(), Cards.port(cloud))
        await cloud.hosts["host-1"]?.refuse(port)
        #expect(try await Self.attach(cloud, port, id) == 200)
        #expect(try await Self.devices(cloud, id) == [])
        #expect(Cards.profile(cloud, port) == ["kept": "yes"])
        await cloud.hosts["host-1"]?.refuse(nil)
        #expect(try await Self.attach(cloud, port, id) == 200)
        #expect(try await Self.devices(cloud, id) == ["0000:82:10.0"])
    }

    @Test(
        "A guest lets go of its card before it travels, and has another over there", arguments: ["direct", "macvtap"])
    func travels(kind: String) async throws {
        let cloud = try await Cards.cloud(hosts: 2)
        let (other, port) = (Cards.port(cloud), Cards.port(cloud, kind))
        let resident = try await Cards.boot(cloud, other)
        let home = await ServerMovesTests.host(cloud, resident)
        let draft = ComputeCloud.draft(["availability_zone": .string("nova:\(home)")])
        let answer = await cloud.call("POST", "/servers", draft, as: .admin(project: "project-a"))
        try await cloud.work()
        let id = answer["server"]["id"]?.string ?? ""
        #expect(try await Self.attach(cloud, port, id) == 200)
        #expect(try await Self.devices(cloud, id) == ["0000:82:10.1"])
        let wish: JSON = ["host": nil, "block_migration": "auto"]
        #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) != home)
        #expect(try await Self.devices(cloud, id) == ["0000:82:10.0"])
        let nic = try #require(await Self.spec(cloud, id)?.nics.first { $0.portID == port })
        #expect(nic.kind.rawValue == kind && nic.hostDevice?.address == "0000:82:10.0")
        #expect(Cards.profile(cloud, port)["pci_slot"] == "0000:82:10.0")
        let bound = cloud.network.state.withLock { $0.ports[port]?["binding:host_id"] }
        #expect(bound?.string != home)
        #expect(try await HardwareBooks.holdings(cloud.room.database)[home]?.count == 1)
        #expect(try await Auditor(cloud.room).audit() == [])
    }

    @Test("A journey that comes to nothing gives the guest its card back")
    func stays() async throws {
        let cloud = try await Cards.cloud(hosts: 2)
        let port = Cards.port(cloud)
        let id = try await Cards.boot(cloud, port)
        let home = await ServerMovesTests.host(cloud, id)
        let before = try await Self.devices(cloud, id)
        await cloud.hosts[home]?.refuseJourneys(true)
        let wish: JSON = ["host": nil, "block_migration": "auto"]
        #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) == home)
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await Self.spec(cloud, id)?.nics.map(\.portID) == [port])
        #expect(try await Self.devices(cloud, id) == before)
        #expect(Cards.profile(cloud, port)["pci_slot"]?.string == before.first)
        let other = home == "host-1" ? "host-2" : "host-1"
        #expect(try await HardwareBooks.holdings(cloud.room.database)[other] == nil)
        #expect(await cloud.hosts[other]?.spec(of: id) == nil)
    }

    @Test("Devices of flavors go along when their alias says that they can, and where others like them are")
    func migratable() async throws {
        var options = ComputeOptions()
        options.pci.aliases = [.init(name: "vf", vendorID: "8086", productID: "10ed")]
        options.pci.aliases[0].isLiveMigratable = true
        var facts = HostResources.fake()
        facts.pciDevices = (0..<2).map { number in
            var device = HostResources.PCIDevice(
                address: "0000:82:10.\(number)", vendorID: "8086", productID: "10ed", kind: .virtual,
                parent: "0000:82:00.0")
            device.isLiveMigratable = number == 1
            return device
        }
        let cloud = try await ComputeCloud(hosts: 2, options: options, each: facts)
        await HostPartsTests.flavor(cloud, "vf", ["pci_passthrough:alias": "vf:1"])
        let id = try await cloud.server(["flavorRef": "vf", "networks": "none"], at: "2.37")
        #expect(try await Self.devices(cloud, id) == ["0000:82:10.1"])
        let home = await ServerMovesTests.host(cloud, id)
        let wish: JSON = ["host": nil, "block_migration": "auto"]
        #expect(await cloud.act(id, ["os-migrateLive": wish], at: "2.34", as: .admin()).status == 202)
        try await cloud.work()
        #expect(await ServerMovesTests.host(cloud, id) != home)
        #expect(await Self.spec(cloud, id)?.hostDevices.map(\.address) == ["0000:82:10.1"])
        let second = try await cloud.server(["flavorRef": "vf", "networks": "none"], at: "2.37")
        #expect(await ServerMovesTests.host(cloud, second) == home)
    }

    @Test("A guest that is suspended lets go of its card, and has it again when it is resumed")
    func suspended() async throws {
        let cloud = try await Cards.cloud()
        let (port, tap) = (Cards.port(cloud), Cards.port(cloud, "macvtap"))
        let id = try await cloud.server(["networks": [["port": .string(port)], ["port": .string(tap)]]])
        #expect(await Self.spec(cloud, id)?.nics.count == 2)
        #expect(await cloud.act(id, ["suspend": .null]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "SUSPENDED")
        #expect(await Self.spec(cloud, id)?.nics.map(\.portID) == [tap])
        #expect(try await Self.devices(cloud, id).count == 2)
        #expect(await cloud.act(id, ["resume": .null]).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "ACTIVE")
        #expect(await Self.spec(cloud, id)?.nics.map(\.portID) == [tap, port])
    }

    @Test("A port that was taken out is not asked for again when its server moves")
    func forgotten() async throws {
        let cloud = try await Cards.cloud(hosts: 2, functions: 1)
        let port = Cards.port(cloud)
        let id = try await Cards.boot(cloud, port)
        #expect(await cloud.call("DELETE", "/servers/\(id)/os-interface/\(port)").status == 202)
        try await cloud.work()
        // Both hosts' functions are others' by now.
        for _ in 0..<2 { _ = try await Cards.boot(cloud, Cards.port(cloud)) }
        #expect(await cloud.act(id, ["migrate": .null], as: .admin()).status == 202)
        try await cloud.work()
        #expect(await cloud.show(id)["status"] == "VERIFY_RESIZE")
        #expect(try await Self.devices(cloud, id).isEmpty)
    }
}
