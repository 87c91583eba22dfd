// SPDX-License-Identifier: Apache-2.0
internal import Compute
package import Kernel

/// What of the machine guests may have: `[compute]` and `[pci]` of nova.conf.
package struct HostPartition: Options {
    package static let section = "compute"

    package var sharedCPUs: [Int]?
    package var dedicatedCPUs: [Int]?
    package var devices: [PCIScan.Spec] = []
    package var mediated = MediatedDevices()

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(HostPartition.section)
        func set(_ name: String, _ help: String) -> [Int]? {
            read.text(name, "set of processors such as 0-3,^2,8", help: help) { text -> [Int]? in
                (try? CPUSet.parse(text)).flatMap { $0.isEmpty ? nil : $0 }
            }
        }
        sharedCPUs = set("cpu_shared_set", "The processors that guests share; unset, all, if none are set aside.")
        dedicatedCPUs = set("cpu_dedicated_set", "The processors that are given to guests for themselves.")
        if let sharedCPUs, let dedicatedCPUs, !Set(sharedCPUs).isDisjoint(with: dedicatedCPUs) {
            read.refuse("cpu_shared_set and cpu_dedicated_set have processors in common.")
        }
        read.section("devices")
        let types = read.list("enabled_mdev_types", help: "The types of mediated devices that guests may be given.")
        var cards: [String: [String]] = [:]
        for type in types {
            read.section("mdev_" + type)
            cards[type] = read.list(
                "device_addresses", help: "The cards that are parted into this type; none are all that are no other's.")
        }
        for card in Set(cards.values.flatMap(\.self)) where cards.values.count(where: { $0.contains(card) }) > 1 {
            read.refuse("device_addresses has the card \(card) for several types of mediated devices.")
        }
        mediated = MediatedDevices(types, cards: cards)
        read.section("pci")
        let text = read.string(
            "device_spec", default: "[]",
            help: "JSON: devices for guests, each by vendor_id, product_id, address; physical_network for cards.")
        guard let json = try? JSON.parse(text) else {
            read.refuse("device_spec is no JSON.")
            return
        }
        devices = (json.array ?? [json]).map { item in
            PCIScan.Spec(
                vendorID: item["vendor_id"]?.string, productID: item["product_id"]?.string,
                address: item["address"]?.string, physicalNetwork: item["physical_network"]?.string)
        }
    }
}
