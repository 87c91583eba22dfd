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
        /// What Placement calls such devices, and what theirs must have.
        package var resourceClass: String?
        package var traits: Set<String> = []
        /// Whether the device must, or must not, be able to go along when its guest moves while it runs.
        package var isLiveMigratable: Bool?

        package init(
            name: String, vendorID: String? = nil, productID: String? = nil, kind: String? = nil, policy: String? = nil
        ) {
            self.name = name
            self.vendorID = vendorID
            self.productID = productID
            self.kind = kind
            self.policy = policy
        }

        var className: String {
            resourceClass ?? PCINames.resourceClass(vendor: vendorID ?? "", product: productID ?? "")
        }

        func fits(_ device: HostResources.PCIDevice) -> Bool {
            (vendorID ?? device.vendorID) == device.vendorID && (productID ?? device.productID) == device.productID
                && (kind ?? device.kind.rawValue) == device.kind.rawValue
                && (resourceClass ?? device.className) == device.className
                && traits.isSubset(of: device.allTraits)
                && (isLiveMigratable ?? (device.isLiveMigratable == true)) == (device.isLiveMigratable == true)
        }
    }

    package var aliases: [Alias] = []
    /// Whether Placement is told of devices, and whether it is asked for them, too.
    package var reportsInPlacement = false
    package var isInPlacement = false

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(PCIOptions.section)
        reportsInPlacement = read.bool(
            "report_in_placement", default: reportsInPlacement,
            help: "Whether Placement is told of the devices of device_spec; it stays on once it was.")
        let text = read.string(
            "alias", default: "[]",
            help: "JSON: names for devices, each with name, vendor_id, product_id, device_type, numa_policy, "
                + "resource_class, traits, live_migratable.")
        read.section("filter_scheduler")
        isInPlacement = read.bool(
            "pci_in_placement", default: isInPlacement,
            help: "Whether devices are claimed in Placement; [pci] report_in_placement must have been on before.")
        read.section(PCIOptions.section)
        guard let json = try? JSON.parse(text) else {
            read.refuse("alias is no JSON.")
            return
        }
        aliases = (json.array ?? [json]).compactMap { alias($0, &read) }
        check(&read)
    }

    private func alias(_ item: JSON, _ read: inout OptionReader) -> Alias? {
        guard let name = item["name"]?.string, !name.isEmpty else {
            read.refuse("alias has an entry without a name: \(item.text())")
            return nil
        }
        let kind = item["device_type"]?.string
        if let kind, HostResources.PCIDevice.Kind(rawValue: kind) == nil {
            read.refuse("alias '\(name)' has the device_type '\(kind)', which is not type-PCI, type-PF or type-VF.")
        }
        var alias = Alias(
            name: name, vendorID: item["vendor_id"]?.string, productID: item["product_id"]?.string, kind: kind,
            policy: item["numa_policy"]?.string)
        alias.resourceClass = item["resource_class"]?.string.map { PCINames.resourceClass($0) }
        alias.traits = Set(PCINames.traits(item["traits"]?.string ?? ""))
        if let text = item["live_migratable"]?.plain {
            alias.isLiveMigratable = Format<Bool>.truth(text)
            if alias.isLiveMigratable == nil {
                read.refuse("alias '\(name)' has live_migratable '\(text)', which is neither yes nor no.")
            }
        }
        return alias
    }

    /// What upstream refuses of names that stand for too much or too little.
    private func check(_ read: inout OptionReader) {
        let known = Set(aliases.map(\.name)).sorted()
        func those(_ isWrong: ([Alias]) -> Bool) -> String {
            known.filter { name in isWrong(aliases.filter { $0.name == name }) }.joined(separator: ",")
        }
        func hasNoIDs(_ alias: Alias) -> Bool { alias.vendorID == nil || alias.productID == nil }
        let bare = those { specs in specs.contains { hasNoIDs($0) && $0.resourceClass == nil } }
        let nameless = those { specs in specs.contains(where: hasNoIDs) }
        if isInPlacement {
            let several = those { $0.count > 1 }
            if !several.isEmpty {
                read.refuse(
                    "Invalid PCI alias definition: The PCI alias(es) \(several) have multiple specs but "
                        + "[filter_scheduler]pci_in_placement is True. The PCI in Placement feature only supports one "
                        + "spec per alias. You can assign the same resource_class to multiple [pci]device_spec "
                        + "matchers to allow using different devices for the same alias.")
            }
            if !bare.isEmpty {
                read.refuse(
                    "Invalid PCI alias definition: The PCI alias(es) \(bare) does not have vendor_id and product_id "
                        + "fields set or resource_class field set.")
            }
        } else if !nameless.isEmpty {
            read.refuse(
                "Invalid PCI alias definition: The PCI alias(es) \(nameless) does not have vendor_id and product_id "
                    + "fields set.")
        }
        for (word, value) in [("NUMA policy", \Alias.policy), ("Device type", \.kind)] {
            let mixed = those { specs in Set(specs.map { $0[keyPath: value] }).count > 1 }
            if !mixed.isEmpty {
                read.refuse("Invalid PCI alias definition: \(word) mismatch for alias '\(mixed)'")
            }
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
    /// Whether Placement says of which parts of a host the devices are.
    var isCounted = false

    /// A flavor's.
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
                var request = PCIRequest(alias: alias, count: count, specs: specs)
                request.isCounted = options.isInPlacement
                return request
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
