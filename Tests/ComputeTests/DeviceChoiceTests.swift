// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Compute

/// Which devices requests get when Placement has said of which parts they are.
struct DeviceChoiceTests {
    private static func devices(_ count: Int, big: Set<Int> = []) -> [HostResources.PCIDevice] {
        (0..<count).map { number in
            var device = HostResources.PCIDevice(
                address: "0000:81:\(number / 10)\(number % 10).0", vendorID: "10de", productID: "1db4")
            if big.contains(number) { device.traits = ["CUSTOM_BIG"] }
            return device
        }
    }

    private static func limits(_ devices: [HostResources.PCIDevice]) -> HostParts.Limits {
        Dictionary(uniqueKeysWithValues: devices.map { ($0.partKey, [$0.className: 1]) })
    }

    private static func request(_ alias: String, traits: Set<String> = []) -> PCIRequest {
        var spec = PCIOptions.Alias(name: alias, vendorID: "10de", productID: "1db4")
        spec.traits = traits
        var request = PCIRequest(alias: alias, count: 1, specs: [spec])
        request.isCounted = true
        return request
    }

    @Test("Who has the only device that another can have makes way for it")
    func makesWay() throws {
        let (any, big) = (Self.request("any"), Self.request("big", traits: ["CUSTOM_BIG"]))
        let devices = Self.devices(4, big: [0, 1])
        let units = [any, big, any, big]
        let chosen = try #require(
            DeviceChoice(units, near: [], within: Self.limits(devices)).choose(of: devices))
        #expect(chosen.map(\.alias) == ["any", "big", "any", "big"])
        #expect(Set([chosen[1].address, chosen[3].address]) == Set(devices[..<2].map(\.address)))
        #expect(Set(chosen.map(\.address)).count == 4)
        #expect(DeviceChoice(units + [any], near: [], within: Self.limits(devices)).choose(of: devices) == nil)
    }

    @Test("Many devices alike are tried once, also when they are one too few")
    func alike() {
        let (any, big) = (Self.request("any"), Self.request("big", traits: ["CUSTOM_BIG"]))
        let devices = Self.devices(64)
        let units = Array(repeating: any, count: 64)
        #expect(
            DeviceChoice(units, near: [], within: Self.limits(devices)).choose(of: devices)?.map(\.address)
                == devices.map(\.address))
        let fewer = Self.limits(Array(devices.dropLast()))
        #expect(DeviceChoice(units, near: [], within: fewer).choose(of: devices) == nil)
        #expect(DeviceChoice(units.dropLast() + [big], near: [], within: fewer).choose(of: devices) == nil)
    }

    @Test("No part gives more of its devices than Placement said, near ones first")
    func parts() throws {
        var devices = (0..<8).map { number in
            HostResources.PCIDevice(
                address: "0000:83:10.\(number)", vendorID: "10de", productID: "1db4", kind: .virtual,
                parent: number < 4 ? "0000:83:00.0" : "0000:83:00.1")
        }
        for number in 4..<8 { devices[number].cell = 1 }
        let limits = ["0000:83:00.0": ["CUSTOM_PCI_10DE_1DB4": 1], "0000:83:00.1": ["CUSTOM_PCI_10DE_1DB4": 2]]
        let any = Self.request("any")
        let chosen = try #require(DeviceChoice([any, any, any], near: [1], within: limits).choose(of: devices))
        #expect(chosen.map(\.address) == [devices[4], devices[5], devices[0]].map(\.address))
        #expect(DeviceChoice([any, any, any, any], near: [1], within: limits).choose(of: devices) == nil)
    }
}
