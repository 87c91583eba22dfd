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
        readMediated(&read)
        read.section("pci")
        let text = read.string(
            "device_spec", default: "[]",
            help: "JSON: devices for guests, each by vendor_id, product_id, address; physical_network for cards.")
        guard let json = try? JSON.parse(text) else {
            read.refuse("device_spec is no JSON.")
            return
        }
        devices = (json.array ?? [json]).map { spec($0, &read) }
    }

    private mutating func readMediated(_ read: inout OptionReader) {
        read.section("devices")
        let types = read.list("enabled_mdev_types", help: "The types of mediated devices that guests may be given.")
        var cards: [String: [String]] = [:]
        mediated = MediatedDevices(types)
        for type in types {
            read.section("mdev_" + type)
            cards[type] = read.list(
                "device_addresses", help: "The cards that are parted into this type; none are all that are no other's.")
            mediated.classes[type] = read.text(
                "mdev_class", "VGPU or a name that begins with CUSTOM_",
                help: "What Placement calls parts of this type; unset, VGPU."
            ) { text -> String? in
                let isName =
                    text.hasPrefix("CUSTOM_") && text.utf8.count <= 255 && text.dropFirst(7).isEmpty == false
                    && text.allSatisfy { $0 == "_" || ($0.isASCII && ($0.isUppercase || $0.isNumber)) }
                return text == "VGPU" || isName ? text : nil
            }
            mediated.most[type] = read.text(
                "max_instances", "number above 0", help: "How many parts of this type there may be; unset, as can be."
            ) { text -> Int? in Int(text).flatMap { $0 > 0 ? $0 : nil } }
        }
        for card in Set(cards.values.flatMap(\.self)) where cards.values.count(where: { $0.contains(card) }) > 1 {
            read.refuse("device_addresses has the card \(card) for several types of mediated devices.")
        }
        mediated.cards = cards
    }

    private func spec(_ item: JSON, _ read: inout OptionReader) -> PCIScan.Spec {
        var spec = PCIScan.Spec(
            vendorID: item["vendor_id"]?.string, productID: item["product_id"]?.string,
            address: item["address"]?.string, physicalNetwork: item["physical_network"]?.string)
        spec.resourceClass = item["resource_class"]?.string.map { PCINames.resourceClass($0) }
        spec.traits = item["traits"]?.string.map { PCINames.traits($0) }
        func flag(_ name: String) -> Bool? {
            guard let text = item[name].map({ $0.string ?? $0.text() }) else { return nil }
            let value = Format<Bool>.truth(text)
            if value == nil {
                read.refuse(
                    "Invalid [pci]device_spec config: Cannot parse tag '\(name)': Unrecognized value '\(text)', "
                        + "acceptable values are: '0', '1', 'f', 'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', "
                        + "'yes'")
            }
            return value
        }
        for name in ["domain", "bus", "slot", "function"] { spec.patterns[name] = item["address"]?[name]?.string }
        spec.deviceName = item["devname"]?.string
        if spec.deviceName != nil, item["address"] != nil {
            read.refuse(
                "Invalid PCI Whitelist: The PCI whitelist can specify devname or address, but not both")
        }
        spec.isRemoteManaged = flag("remote_managed") ?? false
        spec.isLiveMigratable = flag("live_migratable")
        spec.isManaged = flag("managed")
        return spec
    }
}
