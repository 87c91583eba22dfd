// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A network's port for the metadata service, as the agent needs it that opens a namespace for it.
package struct MetadataEndpoint: Sendable, Hashable {
    package let networkID: String
    package let portID: String
    package let mac: MACAddress
    /// Its addresses with their subnets' blocks.
    package let addresses: [(address: IPAddress, subnet: CIDR)]

    package static func == (left: MetadataEndpoint, right: MetadataEndpoint) -> Bool {
        left.portID == right.portID && left.mac == right.mac
            && left.addresses.elementsEqual(right.addresses) { $0 == $1 }
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(portID) }
}

extension NetworkService {
    /// The metadata ports that serve somebody: of networks with a subnet that has DHCP.
    package func metadataEndpoints() async throws(Fault) -> [MetadataEndpoint] {
        let ports = try await database.all(
            Port.self, "device_owner = \(DeviceOwner.metadata) AND fixed_ips <> '' ORDER BY id")
        let subnets = try await database.all(Subnet.self, "network_id", in: ports.map(\.networkID))
        let blocks = Dictionary(subnets.map { ($0.id, $0.cidr) }) { first, _ in first }
        return ports.map { port in
            MetadataEndpoint(
                networkID: port.networkID, portID: port.id, mac: port.macAddress,
                addresses: port.fixedIPs.entries.compactMap { entry in
                    blocks[entry.subnetID].map { (entry.address, $0) }
                })
        }
    }
}
