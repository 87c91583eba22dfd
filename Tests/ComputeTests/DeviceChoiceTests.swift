// SPDX-License-Identifier: Apache-2.0
import Simulation
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

    // MARK: - One part's room, for several kinds of its devices

    /// Devices of a part, of some products, that are counted together.
    private static func mixed(_ part: Int, _ products: [String], cell: Int? = nil) -> [HostResources.PCIDevice] {
        products.enumerated().map { number, product in
            var device = HostResources.PCIDevice(
                address: "0000:8\(part):10.\(number)", vendorID: "10de", productID: product, kind: .virtual,
                parent: "0000:8\(part):00.0")
            (device.resourceClass, device.cell) = ("CUSTOM_CARD", cell)
            return device
        }
    }

    private static func request(products: [String]) -> PCIRequest {
        let name = products.joined(separator: "-")
        let specs = products.map { PCIOptions.Alias(name: name, vendorID: "10de", productID: $0) }
        var request = PCIRequest(alias: name, count: 1, specs: specs)
        request.isCounted = true
        return request
    }

    @Test("What is left of a part is shared by the kinds of its devices as the requests need it")
    func shared() throws {
        let devices = Self.mixed(1, ["a", "a", "b", "b"])
        let limits = ["0000:81:00.0": ["CUSTOM_CARD": 2]]
        let (a, b) = (Self.request(products: ["a"]), Self.request(products: ["b"]))
        for (units, addresses) in [([a, b], [0, 2]), ([b, a], [2, 0]), ([b, b], [2, 3]), ([a, a], [0, 1])] {
            let chosen = DeviceChoice(units, near: [], within: limits).choose(of: devices)
            #expect(chosen?.map(\.address) == addresses.map { devices[$0].address }, "\(units.map(\.alias))")
        }
        #expect(DeviceChoice([a, b, a], near: [], within: limits).choose(of: devices) == nil)
    }

    @Test("Who has the room of a part that another kind of its devices needs makes way for it")
    func makesRoom() throws {
        let devices = Self.mixed(1, ["a", "a", "b"]) + Self.mixed(2, ["a"])
        let limits = ["0000:81:00.0": ["CUSTOM_CARD": 2], "0000:82:00.0": ["CUSTOM_CARD": 1]]
        let (a, b) = (Self.request(products: ["a"]), Self.request(products: ["b"]))
        let chosen = try #require(DeviceChoice([a, a, b], near: [], within: limits).choose(of: devices))
        #expect(chosen[2].address == devices[2].address)
        #expect(Set(chosen.map(\.address)).count == 3)
        #expect(chosen.contains { $0.address == devices[3].address })
        #expect(DeviceChoice([a, b, b], near: [], within: limits).choose(of: devices) == nil)
    }

    @Test("As many as can be are near, also where those who came first could be elsewhere")
    func nearest() throws {
        let (near, other, far) = (
            Self.mixed(1, ["a"], cell: 1), Self.mixed(2, ["b"], cell: 1), Self.mixed(3, ["a"], cell: 0)
        )
        let devices = far + near + other
        let limits = Dictionary(uniqueKeysWithValues: devices.map { ($0.partKey, [$0.className: 1]) })
        let (any, a) = (Self.request(products: ["a", "b"]), Self.request(products: ["a"]))
        let chosen = try #require(DeviceChoice([any, a], near: [1], within: limits).choose(of: devices))
        #expect(chosen.map(\.address) == [other[0].address, near[0].address])
    }

    @Test("What some way of sharing out devices can do is found, and nothing else", arguments: 1...UInt64(40))
    func everyWay(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        for round in 0..<25 {
            let words = ["a", "b", "c"]
            var (devices, limits): ([HostResources.PCIDevice], HostParts.Limits) = ([], [:])
            for part in 1...Int(chance.next() % 3 + 1) {
                let products = (0..<chance.next() % 4 + 1).map { _ in words[Int(chance.next() % 3)] }
                devices += Self.mixed(part, products, cell: Int(chance.next() % 2))
                limits["0000:8\(part):00.0"] = ["CUSTOM_CARD": Int(chance.next() % 4)]
            }
            let units = (0..<chance.next() % 5 + 1).map { _ in
                Self.request(products: words.filter { _ in chance.next() % 2 == 0 })
            }
            let chosen = DeviceChoice(units, near: [1], within: limits).choose(of: devices)
            let best = Self.best(units[...], devices, limits)
            let comment: Comment = "seed \(seed), round \(round): \(units.map(\.alias)) of \(devices.map(\.productID))"
            #expect((chosen == nil) == (best == nil), comment)
            guard let chosen, let best else { continue }
            let given = chosen.compactMap { one in devices.first { $0.address == one.address } }
            #expect(Set(given.map(\.address)).count == units.count, comment)
            for (unit, device) in zip(units, given) {
                #expect(unit.specs.contains { $0.fits(device) } && unit.alias.contains(device.productID), comment)
            }
            for (part, amounts) in limits {
                #expect(given.count { $0.partKey == part } <= amounts["CUSTOM_CARD"] ?? 0, comment)
            }
            #expect(given.count { $0.cell == 1 } == best, comment)
        }
    }

    /// How many are near in the best of all ways there are; nil when there is none.
    private static func best(
        _ units: ArraySlice<PCIRequest>, _ free: [HostResources.PCIDevice], _ limits: HostParts.Limits
    ) -> Int? {
        guard let unit = units.first else { return 0 }
        var best: Int?
        for (at, device) in free.enumerated() where unit.specs.contains(where: { $0.fits(device) }) {
            guard let room = limits[device.partKey]?["CUSTOM_CARD"], room > 0 else { continue }
            var (rest, left) = (free, limits)
            rest.remove(at: at)
            left[device.partKey]?["CUSTOM_CARD"] = room - 1
            guard let found = Self.best(units.dropFirst(), rest, left) else { continue }
            best = max(best ?? 0, found + (device.cell == 1 ? 1 : 0))
        }
        return best
    }
}
