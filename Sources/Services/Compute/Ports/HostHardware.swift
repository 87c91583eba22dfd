// SPDX-License-Identifier: Apache-2.0

extension HostResources {
    /// Processors and memory that are near each other, as the host has them; what is taken of them stands in the rows
    /// of the servers there.
    package struct NUMACell: Sendable, Hashable, Codable {
        package var id: Int
        /// Processors that guests share, and those that are given to guests for themselves.
        package var sharedCPUs: [Int]
        package var ownCPUs: [Int]
        /// Threads of one core, for each core that has several.
        package var siblings: [[Int]] = []
        package var memoryMiB: Int
        package var pages: [Pages] = []

        package init(id: Int, sharedCPUs: [Int], ownCPUs: [Int] = [], memoryMiB: Int) {
            self.id = id
            self.sharedCPUs = sharedCPUs
            self.ownCPUs = ownCPUs
            self.memoryMiB = memoryMiB
        }
    }

    /// Pages of one size that the host has set aside.
    package struct Pages: Sendable, Hashable, Codable {
        package var kibibytes: Int
        package var total: Int

        package init(kibibytes: Int, total: Int) { (self.kibibytes, self.total) = (kibibytes, total) }
    }

    /// A device that the operator has set aside for guests.
    package struct PCIDevice: Sendable, Hashable, Codable {
        /// What it is: a whole device, one that has virtual functions, or such a function.
        package enum Kind: String, Sendable, Hashable, Codable {
            case plain = "type-PCI"
            case physical = "type-PF"
            case virtual = "type-VF"
        }

        package var address: String
        package var vendorID: String
        package var productID: String
        package var kind: Kind
        package var cell: Int?
        /// The device that it is a function of.
        package var parent: String?
        package var physicalNetwork: String?
        /// Which function of its device it is, and that one's address on the network, or its own.
        package var functionNumber: Int?
        package var parentMAC: String?
        package var mac: String?
        /// How the operator wants Placement to call such a device and what it has; nil leaves the name to its ids.
        package var resourceClass: String?
        package var traits: [String]?
        /// Whether it may go to another host's like while its guest runs; nil is no.
        package var isLiveMigratable: Bool?
        /// Whether libvirt takes it from the host's driver and gives it back; nil is yes.
        package var isManaged: Bool?

        package init(
            address: String, vendorID: String, productID: String, kind: Kind = .plain, cell: Int? = nil,
            parent: String? = nil, physicalNetwork: String? = nil
        ) {
            self.address = address
            self.vendorID = vendorID
            self.productID = productID
            self.kind = kind
            self.cell = cell
            self.parent = parent
            self.physicalNetwork = physicalNetwork
        }
    }
}
