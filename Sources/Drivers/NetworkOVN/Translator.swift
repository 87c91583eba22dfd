// SPDX-License-Identifier: Apache-2.0
package import Network
import OVSDB

/// From what should be to the northbound rows that make it so. Pure: the same topology and hosts give the same rows.
package struct Translator: Sendable {
    let graph: TopologyGraph
    let options: OVNOptions
    let chassis: [ChassisFact]

    package init(_ graph: TopologyGraph, _ options: OVNOptions = OVNOptions(), chassis: [ChassisFact] = []) {
        self.graph = graph
        self.options = options
        self.chassis = chassis
    }

    var topology: Topology { graph.topology }

    package func rows(_ pieces: some Sequence<Piece>) -> [NBRow] {
        dropRows + meterRows + pieces.flatMap { rows($0) } + nameRows(pieces)
    }

    package func everything() -> [NBRow] { rows(graph.pieces) }

    private func rows(_ piece: Piece) -> [NBRow] {
        graph.translated(piece.reference)?.rows(piece.part, self) ?? []
    }
}

// MARK: - Networks

extension SwitchSpec: Translated {
    static let parts: [Piece.Part] = [.whole, .names, .privacy]
    var uses: [Use] { Use.qos(qosPolicyID) }

    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] {
        switch part {
        case .names: translator.nameRows(self)
        case .name: []
        case .privacy: translator.privateRows(self)
        case .whole: translator.networkRows(self)
        }
    }
}

extension Translator {
    fileprivate func networkRows(_ network: SwitchSpec) -> [NBRow] {
        var ids = [
            "neutron:network_name": network.name, "neutron:mtu": "\(network.mtu)",
            "neutron:revision_number": "\(network.generation)", "neutron:provnet-network-type": network.provider.word,
        ]
        ids["neutron:provnet-physical-network"] = network.provider.physicalNetwork
        let config: OVSDBValue = [
            "mcast_snoop": "false", "mcast_flood_unregistered": "false",
            "vlan-passthru": network.passesTags ? "true" : "false",
        ]
        let device = NBRow(
            "Logical_Switch", network.id, ["name": .string(OVNNames.device(network.id)), "other_config": config],
            ids: ids)
        let subnets = network.subnets.filter { dhcpOptions($0, network) != nil }
        return [device] + providerRows(network)
            + subnets.map { subnet in
                NBRow(
                    "DHCP_Options", OVNNames.dhcp(subnet.id).id,
                    [
                        "cidr": .string(subnet.cidr.description),
                        "options": .strings(dhcpOptions(subnet, network) ?? [:]),
                    ],
                    ids: ["subnet_id": subnet.id, "neutron:network_id": network.id])
            }
    }

    private func providerRows(_ network: SwitchSpec) -> [NBRow] {
        ([SegmentSpec(id: network.id, provider: network.provider)] + network.more).compactMap {
            providerRow($0, network)
        }
    }

    private func providerRow(_ segment: SegmentSpec, _ network: SwitchSpec) -> NBRow? {
        guard let physical = segment.provider.physicalNetwork else { return nil }
        return NBRow(
            "Logical_Switch_Port", OVNNames.provider(segment.id),
            [
                "name": .string(OVNNames.provider(segment.id)), "type": "localnet", "addresses": "unknown",
                "tag_request": .optional(segment.provider.vlan),
                "options": [
                    "network_name": .string(physical), "mcast_flood_reports": "true", "mcast_flood": "false",
                    "localnet_learn_fdb": "false",
                ],
            ],
            ids: ["neutron:provnet-physical-network": physical], in: [(OVNNames.switch(network.id), "ports")])
    }

    func domain(_ network: SwitchSpec) -> String {
        // A domain with keywords is another for every port.
        let isEach = network.dnsDomain.contains("<")
        let domain = network.dnsDomain.isEmpty || isEach ? options.dnsDomain : network.dnsDomain
        return (domain.hasSuffix(".") ? String(domain.dropLast()) : domain).lowercased()
    }
}

extension SwitchProvider {
    fileprivate var word: String {
        switch self {
        case .overlay: "geneve"
        case .flat: "flat"
        case .vlan: "vlan"
        }
    }
}
