// SPDX-License-Identifier: Apache-2.0

/// A card of a host that guests get parts of, each a mediated device of one type.
package struct MediatedSource: Sendable, Hashable, Codable {
    /// What Placement calls such parts, unless the operator has a name for those of a type (`mdev_class`).
    package static let resourceClass = "VGPU"

    /// The card's PCI address.
    package var address: String
    /// `nvidia-35`.
    package var type: String
    /// How many there can be, those that are in use among them.
    package var total: Int
    package var ownClass: String?

    var className: String { ownClass ?? MediatedSource.resourceClass }

    package init(address: String, type: String, total: Int, ownClass: String? = nil) {
        self.address = address
        self.type = type
        self.total = total
        self.ownClass = ownClass
    }

    /// The UUIDs of its parts: the same at any time, and no other card's of the host.
    package func part(_ number: Int) -> String {
        NamedID.of("apus mediated device \(address) \(type) \(number)")
    }
}
