// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// A policy has no rows of its own: what it says stands with the ports that are under it.
extension QoSPolicySpec: Translated {
    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] { [] }
}

extension Use {
    /// That rows are computed from a QoS policy, if there is one.
    static func qos(_ policies: String?...) -> [Use] {
        policies.compactMap(\.self).map { Use(reference: TopologyReference(QoSPolicySpec.kind, $0)) }
    }
}

extension Translator {
    private static let portPriority = 2002
    private static let floatingPriority = 2003

    func policy(_ id: String?) -> QoSPolicySpec? { id.flatMap { topology.table(QoSPolicySpec.self)[$0] } }

    /// The policy that a port's traffic is under: its own, else its network's.
    private func policy(of port: PortSpec, _ network: SwitchSpec) -> QoSPolicySpec? {
        port.deviceOwner.hasPrefix("network:") ? nil : policy(port.qosPolicyID ?? network.qosPolicyID)
    }

    /// Limits and marks on what a port sends and receives.
    func qosRows(_ port: PortSpec, _ network: SwitchSpec) -> [NBRow] {
        guard let policy = policy(of: port, network) else { return [] }
        return [TrafficDirection.ingress, .egress].compactMap { direction in
            var terms = policy[direction]
            if isShaped(terms, direction, network) { terms.limit = nil }
            let side = direction == .egress ? "inport" : "outport"
            return qosRow(
                "\(port.id) \(direction.rawValue)", direction, terms, Translator.portPriority,
                "\(side) == \"\(port.id)\"", network, ids: ["neutron:port_id": port.id])
        }
    }

    /// A guarantee is kept where packets leave for a physical network: there the limit is the same queue's.
    private func isShaped(_ terms: QoSTerms, _ direction: TrafficDirection, _ network: SwitchSpec) -> Bool {
        direction == .egress && terms.minimum != nil && network.provider.physicalNetwork != nil
    }

    /// What the port's own row says of a guarantee, in bits.
    func qosOptions(_ port: PortSpec, _ network: SwitchSpec) -> [String: String] {
        guard let terms = policy(of: port, network)?.egress, isShaped(terms, .egress, network) else { return [:] }
        var options = ["qos_min_rate": "\((terms.minimum ?? 0) * 1000)"]
        if let limit = terms.limit {
            options["qos_max_rate"] = "\(limit.kilobits * 1000)"
            if limit.burst > 0 { options["qos_burst"] = "\(limit.burst * 1000)" }
        }
        return options
    }

    /// Limits on what goes through a router's gateway: of everything, and of single floating addresses.
    func gatewayQoSRows(_ router: RouterSpec, _ port: PortSpec, _ network: SwitchSpec) -> [NBRow] {
        var rows: [NBRow] = []
        if let policy = policy(router.gateway?.qosPolicyID) {
            rows += [TrafficDirection.ingress, .egress].compactMap { direction in
                qosRow(
                    "\(router.id) \(direction.rawValue)", direction, policy[direction], Translator.portPriority,
                    "\(direction == .egress ? "inport" : "outport") == \"\(port.id)\"", network,
                    ids: ["neutron:router_id": router.id])
            }
        }
        let resident = "cr-\(OVNNames.routerPort(port.id))"
        for floating in router.floatingIPs {
            guard let policy = policy(floating.qosPolicyID ?? network.qosPolicyID) else { continue }
            rows += [TrafficDirection.ingress, .egress].compactMap { direction in
                let (side, end) = direction == .egress ? ("inport", "src") : ("outport", "dst")
                return qosRow(
                    "\(floating.id) \(direction.rawValue)", direction, policy[direction],
                    Translator.floatingPriority,
                    "\(side) == \"\(port.id)\" && ip4.\(end) == \(floating.address) && "
                        + "is_chassis_resident(\"\(resident)\")", network, ids: ["neutron:fip_id": floating.id])
            }
        }
        return rows
    }

    private func qosRow(
        _ id: String, _ direction: TrafficDirection, _ terms: QoSTerms, _ priority: Int, _ match: String,
        _ network: SwitchSpec, ids: [String: String]
    ) -> NBRow? {
        var bandwidth: [OVSDBAtom: OVSDBAtom] = [:]
        if let limit = terms.limit, limit.kilobits > 0 {
            bandwidth["rate"] = .integer(Int64(limit.kilobits))
            if limit.burst > 0 { bandwidth["burst"] = .integer(Int64(limit.burst)) }
        }
        let action: [OVSDBAtom: OVSDBAtom] = terms.mark.map { ["dscp": .integer(Int64($0))] } ?? [:]
        guard !bandwidth.isEmpty || !action.isEmpty else { return nil }
        return NBRow(
            "QoS", id,
            [
                "direction": direction == .egress ? "from-lport" : "to-lport", "priority": .integer(priority),
                "match": .string(match), "bandwidth": .map(bandwidth), "action": .map(action),
            ], ids: ids, in: [(OVNNames.switch(network.id), "qos_rules")])
    }
}
