// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What ports with a guaranteed bandwidth need of Placement: groups of resources and traits, which a scheduler adds to
/// its own.
enum ResourceRequests {
    /// The requests of ports, by port; ports that need nothing have none.
    static func all(
        _ database: Database, _ ports: [Port], _ policies: [String: String]
    ) async throws(Fault) -> [String: JSON] {
        let named = Dictionary(
            ports.compactMap { port in (policies[port.id] ?? policies[port.networkID]).map { (port.id, $0) } }
        ) { first, _ in first }
        guard !named.isEmpty else { return [:] }
        let kinds: [QoSRule.Kind] = [.minimumBandwidth, .minimumPacketRate]
        let rules = Dictionary(
            grouping: try await database.all(
                QoSRule.self, "policy_id", in: Array(Set(named.values)), and: "type IN \(kinds.map(\.rawValue))"),
            by: \.policyID)
        guard !rules.isEmpty else { return [:] }
        let networks = Dictionary(
            try await database.all(Network.self, "id", in: Array(Set(ports.map(\.networkID)))).map { ($0.id, $0) }
        ) { first, _ in first }
        var requests: [String: JSON] = [:]
        for port in ports {
            guard let policy = named[port.id], let network = networks[port.networkID] else { continue }
            requests[port.id] = request(port, network, rules[policy] ?? [])
        }
        return requests
    }

    private static func request(_ port: Port, _ network: Network, _ rules: [QoSRule]) -> JSON? {
        let vnic = custom("VNIC_TYPE_\(port.vnicType)")
        let place = network.physicalNetwork.map { custom("PHYSNET_\($0)") } ?? ResourceRequests.tunnelTrait
        let groups = [
            group(port, rules.filter { $0.type == .minimumBandwidth }, [place, vnic]),
            group(port, rules.filter { $0.type == .minimumPacketRate }, [vnic]),
        ].compactMap(\.self)
        guard !groups.isEmpty else { return nil }
        return .object(
            JSONObject([
                ("request_groups", .array(groups)), ("same_subtree", .array(groups.map { $0["id"] ?? .null })),
            ]))
    }

    private static func group(_ port: Port, _ rules: [QoSRule], _ traits: [String]) -> JSON? {
        guard !rules.isEmpty else { return nil }
        var resources = JSONObject()
        for rule in rules { resources[resourceClass(rule)] = .integer(Int64(rule.amount)) }
        let id = stableUUID(in: port.id, rules.map(\.id).sorted().joined(separator: ":"))
        return .object(
            JSONObject([
                ("id", .string(id)), ("required", .array(traits.map { .string($0) })),
                ("resources", .object(resources)),
            ]))
    }

    private static func resourceClass(_ rule: QoSRule) -> String {
        switch (rule.type, rule.direction) {
        case (.minimumBandwidth, "ingress"): "NET_BW_IGR_KILOBIT_PER_SEC"
        case (.minimumBandwidth, _): "NET_BW_EGR_KILOBIT_PER_SEC"
        case (_, "ingress"): "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC"
        case (_, "egress"): "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC"
        default: "NET_PACKET_RATE_KILOPACKET_PER_SEC"
        }
    }

    /// Of what carries tunnelled networks.
    static let tunnelTrait = "CUSTOM_NETWORK_TUNNEL_PROVIDER"

    /// A trait of one's own: only capitals, digits and underscores.
    static func custom(_ name: String) -> String {
        let allowed = name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        return "CUSTOM_" + String(allowed)
    }

    /// The same id for the same name for ever (RFC 9562, version 5).
    static func stableUUID(in space: String, _ name: String) -> String {
        let digest = Digest(.sha1)
        digest.update((Hex.decode(space.filter { $0 != "-" }) ?? []) + Array(name.utf8))
        var bytes = Array(digest.finish().prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x50
        bytes[8] = bytes[8] & 0x3F | 0x80
        return Hex.uuid(bytes)
    }
}
