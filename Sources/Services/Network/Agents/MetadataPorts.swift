// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A network's port for the metadata service, as whoever opens a namespace for it needs it.
package struct MetadataPort: Sendable, Hashable {
    package let networkID: String
    package let portID: String
    package let mac: String
    /// Its addresses with their subnets' prefix lengths: `10.0.0.2/24`.
    package let addresses: [String]
    package let mtu: Int
}

extension NetworkService {
    /// The metadata ports that serve somebody: of networks with a subnet that has DHCP.
    package func metadataPorts() async throws(Fault) -> [MetadataPort] {
        let ports = try await database.all(
            Port.self, "device_owner = \(DeviceOwner.metadata) AND fixed_ips <> '' ORDER BY id")
        let ids = ports.map(\.networkID)
        let networks = try await database.all(Network.self, "id", in: ids)
        let prefixes = Dictionary(
            try await database.all(Subnet.self, "network_id", in: ids).map { ($0.id, $0.cidr.prefix) }
        ) { first, _ in first }
        return ports.compactMap { port in
            guard let network = networks.first(where: { $0.id == port.networkID }) else { return nil }
            let addresses = port.fixedIPs.entries.compactMap { entry in
                prefixes[entry.subnetID].map { "\(entry.address)/\($0)" }
            }
            return MetadataPort(
                networkID: network.id, portID: port.id, mac: port.macAddress.description, addresses: addresses,
                mtu: network.mtu)
        }
    }
}
