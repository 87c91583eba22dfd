// SPDX-License-Identifier: Apache-2.0

/// A device of a host that a guest has for itself: a PCI function, or a mediated device of one.
package struct HostDevice: Sendable, Hashable, Codable {
    package enum Kind: String, Sendable, Hashable, Codable { case pci, mediated }

    package var kind: Kind
    /// `0000:81:00.1`, or the mediated device's UUID.
    package var address: String
    /// The operator's name for such devices, which the flavor asked for.
    package var alias: String?
    /// The port that has the device as its card; nil for devices that flavors ask for.
    package var portID: String?
    /// The card that a mediated device is a part of, and the type that it has.
    package var parent: String?
    package var type: String?
    /// False where the host has it ready for guests, and libvirt shall not take it from a driver; nil is yes.
    package var isManaged: Bool?

    package init(_ kind: Kind, address: String, alias: String? = nil, portID: String? = nil) {
        self.kind = kind
        self.address = address
        self.alias = alias
        self.portID = portID
    }

    /// Domain, bus, slot and function of a PCI address, each as libvirt wants it; nil when it is none.
    package var pciParts: (domain: String, bus: String, slot: String, function: String)? {
        let parts = address.split(separator: ":")
        guard parts.count == 3 else { return nil }
        let last = parts[2].split(separator: ".")
        guard last.count == 2, (parts + last).allSatisfy({ $0.allSatisfy { $0.isHexDigit || $0 == "." } }) else {
            return nil
        }
        return ("0x\(parts[0])", "0x\(parts[1])", "0x\(last[0])", "0x\(last[1])")
    }
}
