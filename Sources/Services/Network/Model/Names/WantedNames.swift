// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Which names a DNS service outside should have, by port or floating address. The rules are upstream's.
struct WantedNames: Sendable {
    private let database: Database
    private let options: NetworkOptions

    init(_ database: Database, _ options: NetworkOptions) {
        self.database = database
        self.options = options
    }

    func all() async throws(Fault) -> [String: PublishedName] {
        let ports = try await database.all(Port.self, "dns_name <> ''")
        let domains = try await ResolvedDomain.all(database, ports)
        let floating = try await database.all(FloatingIP.self, "dns_name <> '' OR port_id IS NOT NULL")
        var networks: [String: Network] = [:]
        for network in try await database.all(Network.self, "id", in: Array(Set(ports.map(\.networkID)))) {
            networks[network.id] = network
        }
        var wanted: [String: PublishedName] = [:]
        if !hasDefaultDomain {
            for (id, name) in try await ofPorts(ports, networks, domains) { wanted[id] = name }
        }
        let named = Dictionary(ports.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        for address in floating { wanted[address.id] = ofFloating(address, named, networks, domains) }
        // Keywords that meant nothing when the name was written are no domain.
        return wanted.filter { !ResolvedDomain.hasKeywords($0.value.domain) }
    }

    /// Upstream leaves names of ports alone until its `dns_domain` is given.
    private var hasDefaultDomain: Bool {
        ["openstacklocal", "openstacklocal.", ""].contains(options.dnsDomain)
    }

    // MARK: Floating addresses

    /// Its own name, or that of the port it leads to, in the domain of the port's network.
    private func ofFloating(
        _ floating: FloatingIP, _ ports: [String: Port], _ networks: [String: Network], _ domains: [String: String]
    ) -> PublishedName? {
        guard let address = IPAddress(floating.floatingIPAddress) else { return nil }
        var (name, domain) = (floating.dnsName, floating.dnsDomain)
        if name.isEmpty {
            guard let port = floating.portID.flatMap({ ports[$0] }), let network = networks[port.networkID] else {
                return nil
            }
            let isOwn = ResolvedDomain.hasKeywords(network.dnsDomain)
            (name, domain) = (port.dnsName, isOwn ? domains[port.id] ?? network.dnsDomain : network.dnsDomain)
        }
        guard !name.isEmpty, !domain.isEmpty else { return nil }
        return PublishedName(domain: domain, name: name, addresses: [address], projectID: floating.projectID)
    }

    // MARK: Ports

    private func ofPorts(
        _ ports: [Port], _ networks: [String: Network], _ domains: [String: String]
    ) async throws(Fault) -> [String: PublishedName] {
        let ids = Array(networks.keys)
        let published = Set(
            try await database.all(Subnet.self, "network_id", in: ids).filter(\.dnsPublishFixedIP).map {
                "\($0.networkID) \($0.id)"
            })
        let segments = try await Segment.several(database, ids)
        let ranges = try await database.all(NetworkSegmentRange.self, "network_type = 'vlan'")
        var wanted: [String: PublishedName] = [:]
        for port in ports {
            guard let network = networks[port.networkID] else { continue }
            let domain = domains[port.id] ?? (port.dnsDomain.isEmpty ? network.dnsDomain : port.dnsDomain)
            let chosen = port.fixedIPs.entries.filter { published.contains("\(network.id) \($0.subnetID)") }
            let isAsked = published.contains { $0.hasPrefix(network.id) }
            guard !domain.isEmpty,
                isAsked || reachesOut(network, isSeveral: segments[network.id] != nil, ranges)
            else { continue }
            // Subnets that publish speak for the port alone; without one of them all its addresses do.
            let addresses = (chosen.isEmpty ? port.fixedIPs.entries : chosen).map(\.address)
            guard !addresses.isEmpty else { continue }
            wanted[port.id] = PublishedName(
                domain: domain, name: port.dnsName, addresses: addresses.sorted(), projectID: port.projectID)
        }
        return wanted
    }

    /// Whether a network's own addresses mean something outside: not those of projects' networks, which repeat.
    private func reachesOut(_ network: Network, isSeveral: Bool, _ ranges: [NetworkSegmentRange]) -> Bool {
        if network.external { return false }
        if isSeveral { return true }
        let number = network.segmentationID ?? 0
        switch network.networkType {
        case "flat": return true
        case "vlan":
            return !ranges.contains {
                $0.physicalNetwork == network.physicalNetwork && ($0.minimum...$0.maximum).contains(number)
            }
        case "geneve", "vxlan": return !options.segmentationIDs.contains(number)
        default: return false
        }
    }
}
