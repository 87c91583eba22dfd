// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// Parts of graphics cards: what Placement is told, who gets which, and that none is given twice.
struct MediatedDevicesTests {
    private static func cloud(total: Int) async throws -> ComputeCloud {
        var facts = HostResources.fake()
        facts.mediatedSources = [
            MediatedSource(address: "0000:84:00.0", type: "nvidia-35", total: total),
            MediatedSource(address: "0000:85:00.0", type: "nvidia-35", total: 0),
        ]
        let cloud = try await ComputeCloud(each: facts)
        await cloud.flavor()
        await cloud.flavor("graphic")
        _ = await cloud.call(
            "POST", "/flavors/graphic/os-extra_specs", ["extra_specs": ["resources:VGPU": "1"]], as: .admin())
        return cloud
    }

    @Test("A server gets a part that nobody has, keeps it while it lives, and gives it back")
    func parts() async throws {
        let cloud = try await Self.cloud(total: 2)
        let names = await HostPartsTests.providers(cloud)
        #expect(await HostPartsTests.stock(cloud, names["host-1_pci_0000_84_00_0"]) == ["VGPU": 2])
        #expect(names["host-1_pci_0000_85_00_0"] == nil)
        let first = try await cloud.server(["flavorRef": "graphic"])
        let second = try await cloud.server(["flavorRef": "graphic"])
        let devices = [
            await cloud.hosts["host-1"]?.spec(of: first)?.hostDevices.first,
            await cloud.hosts["host-1"]?.spec(of: second)?.hostDevices.first,
        ].compactMap(\.self)
        #expect(devices.count == 2 && Set(devices.map(\.address)).count == 2)
        #expect(devices.allSatisfy { $0.kind == .mediated && $0.parent == "0000:84:00.0" && $0.type == "nvidia-35" })
        #expect(devices.allSatisfy { Hex.isUUID($0.address) })
        let third = try await cloud.server(["flavorRef": "graphic"])
        #expect(await cloud.show(third)["status"] == "ERROR")
        _ = await cloud.call("DELETE", "/servers/\(first)")
        try await cloud.work()
        let fourth = try await cloud.server(["flavorRef": "graphic"])
        let again = await cloud.hosts["host-1"]?.spec(of: fourth)?.hostDevices.first
        #expect(again?.address == devices.first?.address)
        let plain = try await cloud.server()
        #expect(await cloud.hosts["host-1"]?.spec(of: plain)?.hostDevices.isEmpty == true)
    }
}
