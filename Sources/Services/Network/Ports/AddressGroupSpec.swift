// SPDX-License-Identifier: Apache-2.0

/// Blocks of addresses that rules of security groups point at by the group's id.
package struct AddressGroupSpec: TopologySpec {
    package static let kind = TopologyKind("addressGroup")

    package var id: String
    package var generation: Int
    package var name: String
    package var addresses: [CIDR]

    package init(id: String, generation: Int = 0, name: String = "", addresses: [CIDR] = []) {
        self.id = id
        self.generation = generation
        self.name = name
        self.addresses = addresses
    }
}
