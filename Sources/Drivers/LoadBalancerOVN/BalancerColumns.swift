// SPDX-License-Identifier: Apache-2.0
import LoadBalancer
import OVSDB

/// The columns of one Load_Balancer row: the listeners of one transport.
struct BalancerColumns {
    private let spec: BalancerSpec
    private let listeners: [ListenerSpec]
    private let area: BalancerArea
    private let rows: BalancerRows

    init(_ spec: BalancerSpec, _ listeners: [ListenerSpec], _ area: BalancerArea, _ rows: BalancerRows) {
        self.spec = spec
        self.listeners = listeners
        self.area = area
        self.rows = rows
    }

    private func serving(_ pool: PoolSpec?) -> [MemberSpec] {
        guard let pool, pool.enabled else { return [] }
        return pool.members.filter { $0.enabled && $0.weight > 0 }
    }

    /// OVN knows no weights, but takes a member several times: exactly as often as its weight says while that is at
    /// most ten times, else about.
    private func weighted(_ members: [MemberSpec]) -> [MemberSpec] {
        guard let first = members.first?.weight, members.contains(where: { $0.weight != first }) else { return members }
        let (most, shared) = (members.map(\.weight).max() ?? 1, members.reduce(0) { divisor($0, $1.weight) })
        return members.flatMap { member in
            let about = max(1, (member.weight * 10 + most / 2) / most)
            return Array(repeating: member, count: most / shared <= 10 ? member.weight / shared : about)
        }
    }

    private func divisor(_ one: Int, _ other: Int) -> Int {
        other == 0 ? one : divisor(other, one % other)
    }

    /// Where a member is looked for, or why it is not.
    private func note(_ member: MemberSpec) -> String {
        if !member.enabled { return "disabled" }
        return member.weight == 0 ? "draining" : BalancerRows.join(member.address, member.port)
    }

    /// Where a listener is heard: at the balancer's addresses, and at the floating ones that stand for them.
    private func places(_ listener: ListenerSpec) -> [(address: String, place: String)] {
        guard spec.enabled, listener.enabled else { return [] }
        return (spec.addresses.map(\.address) + area.floating).map { ($0, BalancerRows.join($0, listener.port)) }
    }

    func columns(_ transport: String) -> [String: OVSDBValue] {
        var vips: [String: String] = [:]
        var ids = area.notes
        ids[BalancerRows.mark] = spec.id
        var sources: [String: String] = [:]
        var bySource = false
        for listener in listeners {
            ids["listener:\(listener.id)"] = "\(listener.port)"
            let pool = spec.pool(listener.defaultPoolID)
            bySource = bySource || pool?.algorithm == .sourceIP || pool?.persistence != nil
            for member in pool?.members ?? [] {
                ids["member:\(member.id)"] = note(member)
                if pool?.monitor != nil, let source = member.monitorSource, let port = rows.port(member) {
                    sources[member.address] = "\(port):\(source)"
                }
            }
            for (address, place) in places(listener) {
                let targets = serving(pool).filter { $0.address.contains(":") == address.contains(":") }
                vips[place] = weighted(targets).map { BalancerRows.join($0.address, $0.port) }.joined(separator: ",")
            }
        }
        // Whoever is kept by its source is so by what it is spread by: `affinity_timeout` would lose the first packet
        // of every client (decision 54).
        let fields = bySource ? ["ip_dst", "ip_src"] : ["ip_dst", "ip_src", "tp_dst", "tp_src"]
        return [
            "name": .string(spec.id), "protocol": .string(transport), "vips": .strings(vips),
            "external_ids": .strings(ids), "selection_fields": .strings(fields),
            "options": .strings(area.isRouted ? [:] : ["neighbor_responder": "none"]),
            "ip_port_mappings": .strings(sources),
        ]
    }

    /// What is looked at, and how: options by address and port of the balancer.
    var checks: [String: [String: String]] {
        var checks: [String: [String: String]] = [:]
        for listener in listeners {
            guard let monitor = spec.pool(listener.defaultPoolID)?.monitor else { continue }
            for (_, place) in places(listener) {
                checks[place] = [
                    "interval": "\(max(monitor.delay, 1))", "timeout": "\(max(monitor.timeout, 1))",
                    "success_count": "\(monitor.rise)", "failure_count": "\(monitor.fall)",
                ]
            }
        }
        return checks
    }
}

extension BalancerRows {
    /// The logical port that has a member's address.
    fileprivate func port(_ member: MemberSpec) -> String? {
        guard let network = member.networkID, let here = replica.indexed("Logical_Switch", network) else { return nil }
        for uuid in here["ports"].uuids {
            guard let port = replica.row("Logical_Switch_Port", uuid) else { continue }
            for text in port["addresses"].strings where text.split(separator: " ").contains(Substring(member.address)) {
                return port["name"].string
            }
        }
        return nil
    }
}
