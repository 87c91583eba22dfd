// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

extension SecurityGroupSpec: Translated {
    /// A match that names a set which is not there would be no match at all.
    var uses: [Use] {
        let groups = rules.compactMap { if case .addressGroup(let id) = $0.remote { id } else { nil } }
        return Set(groups).map { Use(reference: TopologyReference(AddressGroupSpec.kind, $0), presenceOnly: true) }
    }

    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] { translator.groupRows(self) }
}

extension Translator {
    private static let allow = 1002
    private static let drop = 1001

    /// One port group per security group, so that rules are counted by groups and never by ports.
    fileprivate func groupRows(_ group: SecurityGroupSpec) -> [NBRow] {
        let row = NBRow(
            "Port_Group", group.id, ["name": .string(OVNNames.group(group.id))],
            ids: ["neutron:security_group_id": group.id, "neutron:revision_number": "\(group.generation)"])
        let log = logColumns(accepting: group.id)
        return [row]
            + group.rules.compactMap { rule in
                match(rule, in: group.id).map { match in
                    NBRow(
                        "ACL", rule.id,
                        [
                            "direction": rule.direction == .ingress ? "to-lport" : "from-lport",
                            "priority": .integer(Translator.allow), "match": .string(match),
                            "action": group.stateful ? "allow-related" : "allow-stateless",
                        ].merging(log) { $1 },
                        ids: ["neutron:security_group_rule_id": rule.id], in: [(row.key, "acls")])
                }
            }
    }

    /// Everything from and to ports under port security is dropped unless a rule allows it. Asking for an address is
    /// always allowed, whatever the rules say.
    var dropRows: [NBRow] {
        let group = OVNNames.dropGroup
        func rule(_ id: String, _ direction: OVSDBValue, _ priority: Int, _ match: String, _ action: OVSDBValue)
            -> NBRow
        {
            NBRow(
                "ACL", "\(group) \(id)",
                [
                    "direction": direction, "priority": .integer(priority), "match": .string(match), "action": action,
                ].merging(action == "drop" ? dropLogColumns : ["log": false]) { $1 }, in: [(OVNNames.dropKey, "acls")])
        }
        let dhcpv4 = "inport == @\(group) && ip4 && udp && udp.src == 68 && udp.dst == 67"
        let dhcpv6 = "inport == @\(group) && ip6 && udp && udp.src == 546 && udp.dst == 547"
        return [
            NBRow("Port_Group", group, ["name": .string(group)]),
            rule("from", "from-lport", Translator.drop, "inport == @\(group) && ip", "drop"),
            rule("to", "to-lport", Translator.drop, "outport == @\(group) && ip", "drop"),
            rule("dhcpv4", "from-lport", Translator.allow, dhcpv4, "allow"),
            rule("dhcpv6", "from-lport", Translator.allow, dhcpv6, "allow"),
        ]
    }

    /// The rule in OVN's match language; nil when it can match nothing.
    private func match(_ rule: SecurityRuleSpec, in group: String) -> String? {
        let side = rule.direction == .ingress ? "src" : "dst"
        let port = rule.direction == .ingress ? "outport" : "inport"
        var parts = ["\(port) == @\(OVNNames.group(group))", rule.version.word]
        let field = "\(rule.version.word).\(side)"
        switch rule.remote {
        case .anyone: break
        case .prefix(let block):
            guard block.version == rule.version else { return nil }
            parts.append("\(field) == \(block)")
        case .group(let remote): parts.append("\(field) == \(OVNNames.members(remote, rule.version))")
        case .addressGroup(let id):
            guard graph.translated(TopologyReference(AddressGroupSpec.kind, id)) != nil else { return nil }
            parts.append("\(field) == $\(OVNNames.addressSet(id, rule.version))")
        case .addresses(let blocks):
            let fitting = blocks.filter { $0.version == rule.version }.map(\.description).sorted()
            guard !fitting.isEmpty else { return nil }
            parts.append("\(field) == {\(fitting.joined(separator: ", "))}")
        }
        return (parts + Translator.protocolParts(rule)).joined(separator: " && ")
    }

    private static func protocolParts(_ rule: SecurityRuleSpec) -> [String] {
        guard let name = rule.ipProtocol?.lowercased(), name != "any" else { return [] }
        if let transport = transports[name] {
            switch (rule.portMin, rule.portMax) {
            case (let low?, let high?) where low == high: return [transport, "\(transport).dst == \(low)"]
            case (let low, let high):
                return [transport] + (low.map { ["\(transport).dst >= \($0)"] } ?? [])
                    + (high.map { ["\(transport).dst <= \($0)"] } ?? [])
            }
        }
        if icmp.contains(name) {
            let word = rule.version == .v4 ? "icmp4" : "icmp6"
            return [word] + (rule.portMin.map { ["\(word).type == \($0)"] } ?? [])
                + (rule.portMax.map { ["\(word).code == \($0)"] } ?? [])
        }
        return ["ip.proto == \(numbers[name] ?? name)"]
    }

    private static let transports = [
        "tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp", "sctp": "sctp", "132": "sctp",
    ]
    private static let icmp: Set<String> = ["icmp", "1", "icmpv6", "ipv6-icmp", "58"]
    /// The names that Neutron takes beside numbers.
    private static let numbers = [
        "ah": "51", "dccp": "33", "egp": "8", "esp": "50", "gre": "47", "hopopt": "0", "igmp": "2", "ipip": "4",
        "ipv6-encap": "41", "ipv6-frag": "44", "ipv6-nonxt": "59", "ipv6-opts": "60", "ipv6-route": "43",
        "ospf": "89", "pgm": "113", "rsvp": "46", "udplite": "136", "vrrp": "112",
    ]
}
