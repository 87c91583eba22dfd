// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Simulation
import Testing

@testable import Compute

/// What becomes of reports that go wrong: they are made again, and they are nobody else's.
struct HostReporterTests {
    typealias Parts = HostPartsTests

    private static func tell(_ cloud: ComputeCloud, _ host: String, _ devices: [HostResources.PCIDevice]) async {
        var facts = HostResources.fake()
        (facts.hostName, facts.pciDevices) = (host, devices)
        await cloud.hosts[host]?.setFacts(facts)
    }

    @Test("A mistake in one host's devices is that host's: the others are told of, and all are alive")
    func mistake() async throws {
        let cloud = try await ComputeCloud(hosts: 3, options: Parts.options())
        let devices = Parts.devices().pciDevices ?? []
        var memory = HostReporter.Memory()
        await Self.tell(cloud, "host-1", devices)
        #expect(try await HostReporter(cloud.room).report(&memory).isEmpty)
        let before = try await cloud.room.database.all(ComputeHost.self, "1 = 1 ORDER BY name")
        var mistaken = devices
        mistaken[3].resourceClass = nil
        await Self.tell(cloud, "host-1", mistaken)
        for host in ["host-2", "host-3"] { await Self.tell(cloud, host, devices) }
        let failures = try await HostReporter(cloud.room).report(&memory)
        #expect(Array(failures.keys) == ["host-1"])
        let message = failures["host-1"]?.message ?? ""
        #expect(message.hasPrefix("VFs from the same PF") && message.contains("Mend [pci]device_spec on host-1"))
        let names = await Parts.providers(cloud)
        #expect(names["host-2_0000:81:00.0"] != nil && names["host-3_0000:81:00.0"] != nil)
        #expect(names["host-1_0000:83:00.0"] != nil, "it keeps what it had")
        let after = try await cloud.room.database.all(ComputeHost.self, "1 = 1 ORDER BY name")
        #expect(zip(before, after).allSatisfy { $0.reportedAt < $1.reportedAt })
        await Self.tell(cloud, "host-1", devices)
        #expect(try await HostReporter(cloud.room).report(&memory).isEmpty)
    }

    @Test("A new host that does not answer is named with the reason, keeps no other back, and is there once it answers")
    func silent() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        let old = try #require(try await cloud.room.database.first(ComputeHost.self, "name = 'host-2'"))
        try await cloud.room.placement.deleteTree(old.id, requestID: "req-1")
        _ = try await cloud.room.database.delete(ComputeHost.self, "id = \(old.id)")
        await cloud.hosts["host-2"]?.setUnreachable(true)
        var memory = HostReporter.Memory()
        let failures = try await HostReporter(cloud.room).report(&memory)
        #expect(failures.mapValues(\.message) == ["host-2": "Hypervisor host-2 cannot be reached."])
        #expect(memory.complaints.keys.sorted() == ["host-2"])
        #expect(try await cloud.room.database.all(ComputeHost.self).map(\.name) == ["host-1"])
        await cloud.hosts["host-2"]?.setUnreachable(false)
        #expect(try await HostReporter(cloud.room).report(&memory).isEmpty)
        #expect(try await cloud.room.database.count(ComputeHost.self) == 2)
    }

    @Test("What a server has and Placement could not be told of is told with a later report")
    func again() async throws {
        let cloud = try await ComputeCloud(options: Parts.options(isInPlacement: false), each: Parts.devices())
        await Parts.flavor(cloud, "gpu", ["pci_passthrough:alias": "gpu:1"])
        let id = try await cloud.server(["flavorRef": "gpu", "networks": "none"], at: "2.37")
        let (held, placement) = (await Parts.held(cloud, id), cloud.room.placement)
        // As if the server were older than the part, and somebody else held that by now.
        let claim = try #require(try await placement.holding(id, requestID: "req-1"))
        let part = claim.allocations.filter { $0.value["VCPU"] == nil }
        #expect(part.count == 1)
        try await placement.claim(
            [claim.taking(claim.allocations.filter { $0.value["VCPU"] != nil })], requestID: "req-1")
        let other = cloud.room.ids.uuid()
        try await placement.claim(
            [.init(consumer: other, allocations: part, project: "project-a", user: "user-a")], requestID: "req-1")
        var memory = HostReporter.Memory()
        #expect(try await HostReporter(cloud.room).report(&memory).isEmpty)
        #expect(await Parts.held(cloud, id) != held)
        try await placement.release(other, requestID: "req-1")
        #expect(try await HostReporter(cloud.room).report(&memory).isEmpty)
        #expect(await Parts.held(cloud, id) == held)
    }

    @Test("The last devices of a host leave Placement too, one that is held once it is let go of")
    func last() async throws {
        var facts = HostResources.fake()
        facts.pciDevices = Parts.devices().pciDevices?.filter { $0.kind == .plain }
        let cloud = try await ComputeCloud(options: Parts.options(), each: facts)
        await Parts.flavor(cloud, "gpu", ["pci_passthrough:alias": "gpu:1"])
        let id = try await cloud.server(["flavorRef": "gpu", "networks": "none"], at: "2.37")
        let own = try #require(try await Parts.row(cloud, id).hostDevices.first?.address)
        await Self.tell(cloud, "host-1", [])
        var memory = HostReporter.Memory()
        for _ in 0..<2 {
            try await HostReporter(cloud.room).report(&memory)
            #expect(await Parts.providers(cloud).keys.sorted() == ["host-1", "host-1_\(own)"])
        }
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(try await Auditor(cloud.room).audit().map(\.kind) == [.wrongInventory])
        try await HostReporter(cloud.room).report(&memory)
        #expect(await Parts.providers(cloud).keys.sorted() == ["host-1"])
        #expect(try await Auditor(cloud.room).audit() == [])
    }
}
