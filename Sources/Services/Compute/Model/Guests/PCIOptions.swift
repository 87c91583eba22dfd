// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// `[pci] alias`: the operator's names for kinds of devices, which flavors ask for by `pci_passthrough:alias`.
package struct PCIOptions: Options {
    package static let section = "pci"

    /// What a name stands for; a device is of it when all that is stated fits. One name may have several.
    package struct Alias: Sendable, Hashable {
        package var name: String
        package var vendorID: String?
        package var productID: String?
        package var kind: String?
        package var policy: String?

        package init(
            name: String, vendorID: String? = nil, productID: String? = nil, kind: String? = nil, policy: String? = nil
        ) {
            self.name = name
            self.vendorID = vendorID
            self.productID = productID
            self.kind = kind
            self.policy = policy
        }

        func fits(_ device: HostResources.PCIDevice) -> Bool {
            (vendorID ?? device.vendorID) == device.vendorID && (productID ?? device.productID) == device.productID
                && (kind ?? device.kind.rawValue) == device.kind.rawValue
        }
    }

    package var aliases: [Alias] = []

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(PCIOptions.section)
        let text = read.string(
            "alias", default: "[]",
            help: "JSON: names for devices, each with name, vendor_id, product_id, device_type, numa_policy.")
        guard let json = try? JSON.parse(text) else {
            read.refuse("alias is no JSON.")
            return
        }
        for item in json.array ?? [json] {
            guard let name = item["name"]?.string, !name.isEmpty else {
                read.refuse("alias has an entry without a name: \(item.text())")
                continue
            }
            let kind = item["device_type"]?.string
            if let kind, HostResources.PCIDevice.Kind(rawValue: kind) == nil {
                read.refuse("alias '\(name)' has the device_type '\(kind)', which is not type-PCI, type-PF or type-VF.")
            }
            aliases.append(
                Alias(
                    name: name, vendorID: item["vendor_id"]?.string, productID: item["product_id"]?.string, kind: kind,
                    policy: item["numa_policy"]?.string))
        }
    }
}

/// Devices that a flavor asks for: `pci_passthrough:alias = gpu:2,nic:1`.
struct PCIRequest: Sendable, Hashable {
    let alias: String
    let count: Int
    /// What the name stands for.
    let specs: [PCIOptions.Alias]
    /// Whether parts of cards are meant, which are made when they are needed.
    var isMediated = false
    /// The port that the device is to be the card of, and what it needs.
    var portID: String?
    var card: PortCard?

    static func all(
        _ extraSpecs: [String: String], _ options: PCIOptions
    ) throws(Fault) -> [PCIRequest] {
        let text = extraSpecs["pci_passthrough:alias"] ?? ""
        return try mediated(extraSpecs)
            + text.split(separator: ",").map { String($0) }.mapping { item throws(Fault) in
                let parts = item.split(separator: ":").map { String($0.filter { !$0.isWhitespace }) }
                guard let alias = parts.first, let count = parts.count > 1 ? Int(parts[1]) : 1 else {
                    throw .badRequest("Invalid PCI alias definition: \(item)")
                }
                let specs = options.aliases.filter { $0.name == alias }
                guard !specs.isEmpty else { throw .badRequest("PCI alias \(alias) is not defined") }
                return PCIRequest(alias: alias, count: count, specs: specs)
            }
    }

    /// `resources:VGPU`, also in named groups.
    private static func mediated(_ extraSpecs: [String: String]) -> [PCIRequest] {
        let name = MediatedSource.resourceClass
        let count = extraSpecs.reduce(0) { sum, spec in
            guard spec.key.hasPrefix("resources"), spec.key.hasSuffix(":" + name) else { return sum }
            return sum + max(0, Int(spec.value) ?? 0)
        }
        return count == 0 ? [] : [PCIRequest(alias: name, count: count, specs: [], isMediated: true)]
    }
}
