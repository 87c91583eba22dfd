// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Glibc
internal import Kernel

/// What of the machine's PCI devices the operator has set aside for guests (`[pci] device_spec`).
package struct PCIScan: Sendable, Hashable {
    /// A device is set aside when all that is stated fits.
    package struct Spec: Sendable, Hashable {
        package var vendorID: String?
        package var productID: String?
        /// `0000:81:00.*`, `*:81:00.*`, or an address.
        package var address: String?
        package var physicalNetwork: String?
        /// What Placement is told of such devices.
        package var resourceClass: String?
        package var traits: [String]?
        package var isLiveMigratable: Bool?
        package var isManaged: Bool?
        /// Parts of the address as regular expressions, by `domain`, `bus`, `slot` and `function`.
        package var patterns: [String: String] = [:]
        /// The name of the network card that the device, or the card that it is a function of, has on the host.
        package var deviceName: String?
        /// Whether the network manages the device from elsewhere: it is for nobody whom the network does not know.
        package var isRemoteManaged = false

        package init(
            vendorID: String? = nil, productID: String? = nil, address: String? = nil, physicalNetwork: String? = nil
        ) {
            self.vendorID = vendorID
            self.productID = productID
            self.address = address
            self.physicalNetwork = physicalNetwork
        }

        /// The address of a card means its functions as well.
        func fits(_ device: HostResources.PCIDevice) -> Bool {
            guard (vendorID ?? device.vendorID) == device.vendorID,
                (productID ?? device.productID) == device.productID
            else { return false }
            guard matchesPatterns(device.address) else { return false }
            guard let address else { return true }
            let isOne = !address.contains("*")
            return Self.matches(address, device.address)
                || (isOne && device.parent.map { Self.matches(address, $0) } ?? false)
        }

        private func matchesPatterns(_ address: String) -> Bool {
            let parts = address.split { $0 == ":" || $0 == "." }
            guard !patterns.isEmpty, parts.count == 4 else { return patterns.isEmpty }
            return zip(["domain", "bus", "slot", "function"], parts).allSatisfy { name, part in
                guard let pattern = patterns[name], let expression = try? Regex(pattern) else {
                    return patterns[name] == nil
                }
                return (try? expression.wholeMatch(in: part)) != nil
            }
        }

        /// Writes what is said of devices that fit.
        func mark(_ device: inout HostResources.PCIDevice) {
            device.physicalNetwork = physicalNetwork
            device.resourceClass = resourceClass
            device.traits = traits
            device.isLiveMigratable = isLiveMigratable
            device.isManaged = isManaged
        }

        /// Part by part; a star stands for any.
        private static func matches(_ pattern: String, _ address: String) -> Bool {
            func parts(_ text: String) -> [Substring] { text.split { $0 == ":" || $0 == "." } }
            let (wanted, found) = (parts(pattern), parts(address))
            // The domain may be left out.
            let full = wanted.count == 3 ? ["0000"] + wanted : wanted
            return full.count == found.count && zip(full, found).allSatisfy { $0 == "*" || $0 == $1 }
        }
    }

    let specs: [Spec]
    let root: String

    package init(_ specs: [Spec], root: String = "/sys/bus/pci/devices") {
        self.specs = specs
        self.root = root
    }

    func devices() -> [HostResources.PCIDevice] {
        guard !specs.isEmpty else { return [] }
        return FileSystem.list(root).sorted().compactMap { address in
            let path = root + "/" + address
            func value(_ name: String) -> String? {
                FileSystem.text("\(path)/\(name)").map { String($0.filter { !$0.isWhitespace }) }
            }
            func id(_ name: String) -> String {
                let text = value(name) ?? ""
                return text.hasPrefix("0x") ? String(text.dropFirst(2)) : text
            }
            let parent = Self.link("\(path)/physfn")
            let kind: HostResources.PCIDevice.Kind =
                parent != nil ? .virtual : (value("sriov_totalvfs").flatMap { Int($0) } ?? 0) > 0 ? .physical : .plain
            var device = HostResources.PCIDevice(
                address: address, vendorID: id("vendor"), productID: id("device"), kind: kind,
                cell: value("numa_node").flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }, parent: parent)
            let fitting = specs.first { $0.fits(device) && isNamed($0.deviceName, device) }
            guard let spec = fitting, !spec.isRemoteManaged else { return nil }
            spec.mark(&device)
            if spec.physicalNetwork != nil { describe(&device) }
            return device
        }
    }

    private func isNamed(_ name: String?, _ device: HostResources.PCIDevice) -> Bool {
        guard let name else { return true }
        return [device.address, device.parent].contains { address in
            address.map { FileSystem.exists("\(root)/\($0)/net/\(name)") } ?? false
        }
    }

    /// What networks want to know of a card.
    private func describe(_ device: inout HostResources.PCIDevice) {
        device.mac = mac(of: device.address)
        guard let parent = device.parent else { return }
        device.parentMAC = mac(of: parent)
        let prefix = "virtfn"
        let functions = FileSystem.list("\(root)/\(parent)").filter { $0.hasPrefix(prefix) }
        device.functionNumber = functions.first { Self.link("\(root)/\(parent)/\($0)") == device.address }
            .flatMap { Int($0.dropFirst(prefix.count)) }
    }

    private func mac(of address: String) -> String? {
        let folder = "\(root)/\(address)/net"
        return FileSystem.list(folder).sorted().first.flatMap { FileSystem.text("\(folder)/\($0)/address") }
            .map { $0.filter { !$0.isWhitespace } }
    }

    /// The last part of where a link leads.
    private static func link(_ path: String) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            let length = readlink(path, buffer.baseAddress!, 4095)
            guard length > 0 else { return nil }
            buffer[length] = 0
            return String(cString: buffer.baseAddress!).split(separator: "/").last.map(String.init)
        }
    }
}
