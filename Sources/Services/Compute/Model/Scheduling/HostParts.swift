// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What Placement counts of a host apart from the host itself: cards that guests get parts of, and PCI devices where
/// `[pci] report_in_placement` is on. Each is a provider below the host's, named as upstream names it; its id follows
/// from the name, so that whoever has a server's allocations knows which devices they are without asking.
struct HostParts: Sendable {
    struct Part: Sendable, Hashable {
        let id: String
        let name: String
        /// What is behind the host's name in the provider's.
        let key: String
        let resourceClass: String
        var total: Int
        let traits: Set<String>
        let isMediated: Bool
        /// The devices of it, as far as it is made of any.
        var addresses: [String] = []
    }

    /// By part's key and class: how many units of it somebody may have, because Placement gave them.
    typealias Limits = [String: [String: Int]]

    private(set) var all: [Part] = []
    /// Why Placement cannot be told of the host's devices.
    private(set) var mistake: String?
    let host: ComputeHost
    /// Where in `all` a card's parts stand, and a device's part: by key, and by the device's address.
    private var cards: [String: Int] = [:]
    private var places: [String: Int] = [:]
    private var devices: [String: Int] = [:]

    init(_ host: ComputeHost, _ options: PCIOptions) {
        self.host = host
        for source in host.resources.mediatedSources ?? [] where source.total > 0 {
            cards[source.partKey] = cards[source.partKey] ?? all.count
            all.append(
                part(source.partKey, source.className, total: source.total, [HostTraits.owner], isMediated: true))
        }
        guard options.reportsInPlacement else { return }
        for device in host.resources.pciDevices ?? [] where device.isCounted { add(device) }
    }

    private mutating func add(_ device: HostResources.PCIDevice) {
        let traits = device.allTraits.union([HostTraits.owner, HostTraits.managedDevice])
        let key = device.partKey
        guard let at = places[key] else {
            (places[key], devices[device.address]) = (all.count, all.count)
            var new = part(key, device.className, total: 1, traits, isMediated: false)
            new.addresses = [device.address]
            return all.append(new)
        }
        mistake =
            misfit(device, traits, all[at], hasParent: device.parent.map { devices[$0] == at } ?? false) ?? mistake
        all[at].total += 1
        all[at].addresses.append(device.address)
        devices[device.address] = at
    }

    /// Why a device cannot be of the same part as others.
    private func misfit(
        _ device: HostResources.PCIDevice, _ traits: Set<String>, _ known: Part, hasParent: Bool
    ) -> String? {
        if device.kind != .virtual || hasParent {
            let parent = device.kind == .virtual ? device.parent ?? "" : device.address
            let children = (known.addresses + [device.address]).filter { $0 != parent }.joined(separator: ",")
            return """
                Configuring both \(parent) and \(children) in [pci]device_spec is not supported. Either the parent PF \
                or its children VFs can be configured.
                """
        }
        if known.resourceClass != device.className {
            return """
                VFs from the same PF cannot be configured with different 'resource_class' values in \
                [pci]device_spec. We got \(device.className) for \(device.address) and \(known.resourceClass) for \
                \(known.addresses.joined(separator: ",")).
                """
        }
        guard known.traits != traits else { return nil }
        return """
            VFs from the same PF cannot be configured with different set of 'traits' in [pci]device_spec. We got \
            \(traits.sorted().joined(separator: ",")) for \(device.address) and \
            \(known.traits.sorted().joined(separator: ",")) for \(known.addresses.joined(separator: ",")).
            """
    }

    private func part(
        _ key: String, _ resourceClass: String, total: Int, _ traits: Set<String>, isMediated: Bool
    ) -> Part {
        let name = "\(host.name)_\(key)"
        return Part(
            id: HostParts.id(of: name, below: host.id), name: name, key: key, resourceClass: resourceClass,
            total: total, traits: traits, isMediated: isMediated)
    }

    /// Whether a provider below the host's is a part as we make them; others' are theirs.
    func isOurs(_ id: String, _ name: String) -> Bool { id == HostParts.id(of: name, below: host.id) }

    static func id(of name: String, below host: String) -> String { NamedID.of("apus part \(name) of \(host)") }
}

// MARK: - Amounts and devices

extension HostParts {
    /// What of a way is taken of the host's parts.
    func limits(_ way: PlacementClient.Way) -> Limits {
        guard !all.isEmpty else { return [:] }
        var limits: Limits = [:]
        for part in all {
            guard let amount = way[part.id]?[part.resourceClass], amount > 0 else { continue }
            limits[part.key, default: [:]][part.resourceClass] = amount
        }
        return limits
    }

    /// What somebody who has devices of the host takes of its parts. Devices that are none of them are left out.
    func way(of devices: [HostDevice]) -> PlacementClient.Way {
        var way: PlacementClient.Way = [:]
        for device in devices {
            guard let part = part(of: device) else { continue }
            way[part.id, default: [:]][part.resourceClass, default: 0] += 1
        }
        return way
    }

    private func part(of device: HostDevice) -> Part? {
        switch device.kind {
        case .pci: devices[device.address].map { all[$0] }
        case .mediated: cards[MediatedSource.partKey(device.parent ?? "")].map { all[$0] }
        }
    }

    /// A way without what is taken of the host's parts.
    func rest(of way: PlacementClient.Way) -> PlacementClient.Way {
        let own = Set(all.map(\.id))
        return way.filter { !own.contains($0.key) }
    }

    /// What of a way is taken of the host's parts.
    func share(of way: PlacementClient.Way) -> PlacementClient.Way {
        let own = Set(all.map(\.id))
        return way.filter { own.contains($0.key) }
    }
}

extension MediatedSource {
    /// As libvirt names the card.
    var partKey: String { MediatedSource.partKey(address) }

    static func partKey(_ address: String) -> String {
        // What is no PCI device has its own name.
        guard address.contains(":") else { return address }
        return "pci_" + address.map { $0 == ":" || $0 == "." ? "_" : $0 }
    }
}

extension HostResources.PCIDevice {
    /// Whether Placement may count it: cards of networks are not, as upstream leaves them to Network.
    var isCounted: Bool { physicalNetwork == nil }

    /// Functions of a card are counted with it.
    var partKey: String { (kind == .virtual ? parent ?? address : address).uppercased() }

    var className: String { resourceClass ?? PCINames.resourceClass(vendor: vendorID, product: productID) }

    var allTraits: Set<String> {
        Set(traits ?? []).union(isLiveMigratable == true ? [HostTraits.liveMigratable] : [])
    }
}

/// Names of classes and traits as operators write them, and as Placement has them.
package enum PCINames {
    private static let classes: Set = ["PCI_DEVICE", "SRIOV_NET_VF", "VGPU", "VGPU_DISPLAY_HEAD", "FPGA", "PGPU"]
    private static let prefixes = ["HW_", "COMPUTE_", "STORAGE_", "MISC_", "OWNER_"]

    package static func resourceClass(_ text: String) -> String {
        classes.contains(text.uppercased()) ? text.uppercased() : custom(text)
    }

    static func resourceClass(vendor: String, product: String) -> String {
        "CUSTOM_PCI_\(vendor)_\(product)".uppercased()
    }

    /// Of a list with commas. What begins as standard traits do is one of them.
    package static func traits(_ text: String) -> [String] {
        text.split(separator: ",").map { word in
            let word = String(word.filter { !$0.isWhitespace })
            return prefixes.contains { word.hasPrefix($0) } ? word : custom(word)
        }
    }

    private static func custom(_ text: String) -> String {
        let upper = text.uppercased()
        if upper.hasPrefix("CUSTOM_"), upper.allSatisfy(isPlain) { return upper }
        var name = "CUSTOM_"
        for letter in upper {
            if isPlain(letter), letter != "_" {
                name.append(letter)
            } else if name.last != "_" {
                name.append("_")
            }
        }
        return name
    }

    private static func isPlain(_ letter: Character) -> Bool {
        letter == "_" || (letter.isASCII && (letter.isNumber || letter.isLetter))
    }
}
