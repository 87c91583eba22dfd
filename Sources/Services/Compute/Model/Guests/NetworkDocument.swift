// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// `network_data.json`: links, networks and services as cloud-init reads them (nova/virt/netutils.py). Of each port the
/// first address of either version is told.
struct NetworkDocument {
    private(set) var links: [JSON] = []
    private(set) var networks: [JSON] = []
    private(set) var services: [JSON] = []

    /// - Parameter ports: of the server as Network has them; their subnets by id.
    init(_ server: Server, ports: [NetworkClient.Port], subnets: [String: NetworkClient.Subnet]) {
        for port in server.ports {
            guard let known = ports.first(where: { $0.id == port.portID }) else { continue }
            let ends = known.fixedIPs.compactMap { end in subnets[end.subnetID].map { (end.address, $0) } }
            guard !ends.isEmpty else { continue }
            let link = "tap" + port.portID.prefix(11)
            links.append([
                "id": .string(link), "vif_id": .string(port.portID), "type": "ovs", "mtu": .integer(Int64(port.mtu)),
                "ethernet_mac_address": .string(port.mac),
            ])
            for version in [4, 6] {
                guard let (address, subnet) = ends.first(where: { $0.1.version == version }) else { continue }
                add(address, subnet, link, port.networkID)
            }
        }
    }

    private mutating func add(
        _ address: String, _ subnet: NetworkClient.Subnet, _ link: String, _ network: String
    ) {
        let isStatic = subnet.addressMode != nil || !subnet.hasDHCP
        let kind = subnet.addressMode.map { "_" + $0 } ?? (subnet.hasDHCP ? "_dhcp" : "")
        var document: JSONObject = [
            "id": .string("network\(networks.count)"), "type": .string("ipv\(subnet.version)\(kind)"),
            "link": .string(link), "network_id": .string(network),
        ]
        let servers: [JSON] = subnet.nameservers.map { ["type": "dns", "address": .string($0)] }
        if isStatic {
            document["ip_address"] = .string(address)
            document["netmask"] = .string(NetworkDocument.netmask(subnet.cidr))
            document["routes"] = .array(routes(subnet))
            document["services"] = .array(servers)
        }
        networks.append(.object(document))
        for server in servers where !services.contains(server) { services.append(server) }
    }

    private func routes(_ subnet: NetworkClient.Subnet) -> [JSON] {
        var routes: [JSON] = []
        if let gateway = subnet.gateway {
            let any = subnet.version == 4 ? "0.0.0.0" : "::"
            routes.append(["network": .string(any), "netmask": .string(any), "gateway": .string(gateway)])
        }
        for route in subnet.routes {
            let network = route.destination.split(separator: "/").first.map(String.init) ?? route.destination
            routes.append([
                "network": .string(network), "netmask": .string(NetworkDocument.netmask(route.destination)),
                "gateway": .string(route.nextHop),
            ])
        }
        return routes
    }

    var json: JSON { ["links": .array(links), "networks": .array(networks), "services": .array(services)] }

    /// `255.255.255.0` or `ffff:ffff::`: what a prefix's length covers, in an address' own spelling.
    static func netmask(_ cidr: String) -> String {
        let parts = cidr.split(separator: "/")
        guard parts.count == 2, let length = Int(parts[1]) else { return "" }
        if !cidr.contains(":") {
            return (0..<4).map { byte in
                let bits = min(8, max(0, length - byte * 8))
                return String(UInt8(truncatingIfNeeded: 0xFF00 >> bits))
            }.joined(separator: ".")
        }
        let words = (0..<8).map { word in
            let bits = min(16, max(0, length - word * 16))
            return String(UInt16(truncatingIfNeeded: 0xFFFF_0000 >> bits), radix: 16)
        }
        let text = words.joined(separator: ":")
        return AddressText.canonical(text) ?? text
    }
}
