// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// Private networks as groups of ports under Neutron's names, whose rules come before those of security groups.
extension Translator {
    private static let dropping = 1010
    private static let promiscuous = 1011
    private static let community = 1012

    private static func name(_ place: PrivatePlace, _ network: String) -> String {
        let id = String(network.map { $0 == "-" ? "_" : $0 })
        return switch place {
        case .promiscuous: "pvlan_promiscuous_\(id)"
        case .isolated: "pvlan_isolated_\(id)"
        case .community(let name): "pvlan_community_\(name)_\(id)"
        }
    }

    /// One for each network, unlike upstream's, so that a network's rows are its own affair.
    private static func drop(_ network: String) -> String {
        "pvlan_drop_" + String(network.map { $0 == "-" ? "_" : $0 })
    }

    /// The groups that a port of a private network is in.
    func privateGroups(_ port: PortSpec, _ network: SwitchSpec) -> [(NBKey, String)] {
        guard network.isPrivate, let place = port.place else { return [] }
        return [Translator.name(place, network.id), Translator.drop(network.id)].map {
            (NBKey("Port_Group", $0), "ports")
        }
    }

    func privateRows(_ network: SwitchSpec) -> [NBRow] {
        guard network.isPrivate else { return [] }
        let places = Set(graph.ports(on: network.id).compactMap(\.place)).union([.promiscuous, .isolated])
        let names = places.map { ($0, Translator.name($0, network.id)) }.sorted { $0.1 < $1.1 }
        let drop = Translator.drop(network.id)
        var rows = (names.map(\.1) + [drop]).map { name in
            NBRow("Port_Group", name, ["name": .string(name)], ids: ["neutron:network_id": network.id])
        }
        for (direction, side) in [("from-lport", "inport"), ("to-lport", "outport")] {
            rows.append(rule(drop, direction, Translator.dropping, "\(side) == @\(drop) && ip", "drop"))
        }
        let everybody = Translator.name(.promiscuous, network.id)
        rows.append(allow(everybody, "to-lport", Translator.promiscuous, "outport == @\(everybody)"))
        for (place, name) in names {
            // Everybody may send; who is meant decides.
            rows.append(allow(name, "from-lport", Translator.promiscuous, "inport == @\(name)"))
            switch place {
            case .promiscuous: break
            case .isolated: rows.append(allow(name, "to-lport", Translator.promiscuous, from(everybody, to: name)))
            case .community:
                for source in [name, everybody] {
                    rows.append(allow(name, "to-lport", Translator.community, from(source, to: name)))
                }
            }
        }
        return rows
    }

    /// A port that is on another host is known by its addresses alone.
    private func from(_ source: String, to name: String) -> String {
        "outport == @\(name) && (inport == @\(source) || ip4.src == $\(source)_ip4 || ip6.src == $\(source)_ip6)"
    }

    private func allow(_ group: String, _ direction: String, _ priority: Int, _ match: String) -> NBRow {
        rule(group, direction, priority, match, "allow-stateless")
    }

    private func rule(
        _ group: String, _ direction: String, _ priority: Int, _ match: String, _ action: String
    ) -> NBRow {
        NBRow(
            "ACL", "\(group) \(direction) \(priority) \(match)",
            [
                "direction": .string(direction), "priority": .integer(priority), "match": .string(match),
                "action": .string(action), "log": false, "name": .empty, "severity": .empty, "meter": .empty,
            ], in: [(NBKey("Port_Group", group), "acls")])
    }
}
