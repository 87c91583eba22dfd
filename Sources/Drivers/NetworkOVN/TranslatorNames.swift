// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// OVN answers for names itself, whichever server the guest asks. It looks them up in lower case.
extension Translator {
    /// All names of a network.
    func nameRows(_ network: SwitchSpec) -> [NBRow] {
        let keys = graph.nameKeys(on: network.id)
        return nameRow(network, keys).map { [$0] } ?? []
    }

    /// The names that pieces are about, for each network that is not computed as a whole.
    func nameRows(_ pieces: some Sequence<Piece>) -> [NBRow] {
        var keys: [TopologyReference: Set<Piece.NameKey>] = [:]
        var whole: Set<TopologyReference> = []
        for piece in pieces {
            switch piece.part {
            case .name(let key): keys[piece.reference, default: []].insert(key)
            case .names: whole.insert(piece.reference)
            default: break
            }
        }
        return keys.filter { !whole.contains($0.key) }.compactMap { reference, keys in
            guard let network = topology.networks[reference.id], var row = nameRow(network, keys) else { return nil }
            row.parts["records"] = Set(keys.flatMap { names(of: $0, network) })
            return row
        }
    }

    /// Nil when the network has no name at all.
    private func nameRow(_ network: SwitchSpec, _ keys: Set<Piece.NameKey>) -> NBRow? {
        guard graph.hasNames(network.id) else { return nil }
        var records: [String: String] = [:]
        for key in keys {
            let ports = graph.ports(named: key, on: network.id)
            guard let last = ports.last else { continue }
            let value =
                switch key {
                case .host, .full:
                    ports.flatMap { $0.addresses.map(\.address).sorted().map(\.description) }.joined(separator: " ")
                case .address: last.ownFullName ?? full(last.dnsName.lowercased(), network)
                }
            for name in names(of: key, network) { records[name] = value }
        }
        return NBRow(
            "DNS", network.id, ["records": .strings(records)], ids: ["ls_name": OVNNames.device(network.id)],
            in: [(OVNNames.switch(network.id), "dns_records")])
    }

    private func full(_ host: String, _ network: SwitchSpec) -> String {
        let domain = domain(network)
        return domain.isEmpty ? host : "\(host).\(domain)"
    }

    private func names(of key: Piece.NameKey, _ network: SwitchSpec) -> Set<String> {
        switch key {
        case .host(let host): [host, full(host, network)]
        case .full(let name): [name]
        case .address(let address): [address.reverseName]
        }
    }
}
