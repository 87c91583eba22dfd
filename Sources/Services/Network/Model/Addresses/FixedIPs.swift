// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A port's addresses, kept in its row as one short text: a list of ports is then one query.
package struct FixedIPs: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package let subnetID: String
        package let address: IPAddress
    }

    package var entries: [Entry]
    package init(_ entries: [Entry] = []) { self.entries = entries }

    package var isEmpty: Bool { entries.isEmpty }
    func first(_ version: IPVersion) -> Entry? { entries.first { $0.address.version == version } }
    func holds(subnet id: String) -> Bool { entries.contains { $0.subnetID == id } }
}

extension FixedIPs: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        entries = text.utf8.split(separator: UInt8(ascii: ";")).compactMap { part in
            guard let blank = part.firstIndex(of: UInt8(ascii: " ")),
                let address = IPAddress(Substring(part[part.index(after: blank)...]))
            else { return nil }
            return Entry(subnetID: String(Substring(part[..<blank])), address: address)
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(entries.map { "\($0.subnetID) \($0.address)" }.joined(separator: ";"))
    }
}

/// The owners of ports that the room itself deals with (`device_owner`).
enum DeviceOwner {
    static let routerInterface = "network:router_interface"
    static let routerGateway = "network:router_gateway"
    static let floatingIP = "network:floatingip"
    static let metadata = "network:distributed"
    static let dhcp = "network:dhcp"
    /// OVN's own balancers: nobody plugs their ports.
    static let balancer = "ovn-lb-vip:distributed"

    /// Ports that go when their network goes.
    static let goesWithNetwork = [metadata, dhcp]
    /// Ports that get the first free address of a subnet; all others get one by chance.
    static let takesFirst = [metadata, dhcp]
    /// Ports that only their router or floating address may delete.
    static let isServed = [routerInterface, routerGateway, floatingIP]

    static func isRouter(_ owner: String) -> Bool { owner == routerInterface || owner == routerGateway }
    /// Ports that are plugged into nothing on a host.
    static func isOwn(_ owner: String) -> Bool { owner.hasPrefix("network:") }
}
