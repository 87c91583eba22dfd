// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer

/// How the kernel spreads the datagrams of one balancer in its namespace, as nftables reads it: the first packet of a
/// flow chooses a member, the flow's mark says which, and what follows goes the same way. Members see the balancer's
/// address on their network. Kept apart from what runs, for it is computed from the balancer alone.
struct DatagramRules {
    static let table = "inet balancer"

    /// Chains and rules; empty when no listener takes datagrams.
    private(set) var text = ""
    /// The marks of the flows of members that flows go to, by member.
    private(set) var marks: [String: UInt32] = [:]
    /// The listeners that are counted: what came in, what went out, and how many flows began.
    private(set) var listeners: [String] = []
    private let spec: BalancerSpec
    private let down: Set<String>

    init(_ spec: BalancerSpec, down: Set<String>) {
        self.spec = spec
        self.down = down
        let shown = spec.enabled ? spec.listeners.filter { $0.enabled && $0.protocol.transport != .tcp } : []
        guard !shown.isEmpty else { return }
        listeners = shown.map(\.id)
        let turned = shown.flatMap { arriving($0) }
        text = """
            table \(Self.table) {
            \(listeners.flatMap(Self.counters).map { "    counter \($0) { }\n" }.joined())\
                chain arriving {
                    type nat hook prerouting priority dstnat; policy accept;
            \(turned.map { "        \($0)\n" }.joined())\
                }
                chain leaving {
                    type nat hook postrouting priority srcnat; policy accept;
                    ct status dnat masquerade
                }
                chain passing {
                    type filter hook forward priority filter; policy drop;
            \(shown.flatMap { passing($0) }.map { "        \($0)\n" }.joined())\
                    ct status dnat accept
                }
            }

            """
    }

    /// What a listener's counters are called.
    static func counters(_ listener: String) -> [String] { ["in-\(listener)", "out-\(listener)", "new-\(listener)"] }

    private func isSix(_ address: String) -> Bool { address.contains(":") }

    private mutating func arriving(_ listener: ListenerSpec) -> [String] {
        let transport = listener.protocol.transport.rawValue.lowercased()
        return spec.addresses.flatMap { item -> [String] in
            let six = isSix(item.address)
            let family = six ? "ip6" : "ip"
            let place = "\(family) daddr \(item.address) \(transport) dport \(listener.port)"
            var lines: [String] = []
            if !listener.allowedBlocks.isEmpty {
                let blocks = Self.distinct(listener.allowedBlocks.filter { isSix($0) == six })
                if blocks.isEmpty { return ["\(place) drop"] }
                lines.append("\(place) \(family) saddr != { \(blocks.joined(separator: ", ")) } drop")
            }
            guard let pool = spec.pool(listener.defaultPoolID), pool.enabled else { return lines + ["\(place) drop"] }
            let members = serving(pool).filter { isSix($0.address) == six }
            guard !members.isEmpty else { return lines + ["\(place) drop"] }
            for member in members { marks[member.id] = mark(member) }
            let targets = members.map { member in
                "\(Self.mark(member.id)) : \(member.address) . \(member.port)"
            }
            lines.append(
                "\(place) counter name \"new-\(listener.id)\" ct mark set \(choice(pool, members, family, transport)) "
                    + "dnat \(family) to ct mark map { \(targets.joined(separator: ", ")) }")
            return lines
        }
    }

    /// Without those that are in another: the elements of a set do not overlap.
    private static func distinct(_ blocks: [String]) -> [String] {
        Set(blocks).filter { block in
            let (address, length) = parts(block)
            return !blocks.contains { parts($0).length < length && AddressText.isInside(address, $0) }
        }.sorted()
    }
    private static func parts(_ block: String) -> (address: String, length: Int) {
        let parts = block.split(separator: "/").map(String.init)
        return (parts[0], parts.count > 1 ? Int(parts[1]) ?? 0 : block.contains(":") ? 128 : 32)
    }

    private func passing(_ listener: ListenerSpec) -> [String] {
        let transport = listener.protocol.transport.rawValue.lowercased()
        return spec.addresses.flatMap { item in
            let place =
                "meta l4proto \(transport) ct original \(isSix(item.address) ? "ip6" : "ip") daddr \(item.address) "
                + "ct original proto-dst \(listener.port)"
            return [
                "\(place) ct direction original counter name \"in-\(listener.id)\"",
                "\(place) ct direction reply counter name \"out-\(listener.id)\"",
            ]
        }
    }

    /// Who gets new flows: those that are up; the backups when nobody else is.
    private func serving(_ pool: PoolSpec) -> [MemberSpec] {
        let able = pool.members.filter { $0.enabled && $0.weight > 0 && !down.contains($0.id) }
        let first = able.filter { !$0.isBackup }
        return first.isEmpty ? able : first
    }

    /// A number below the sum of the weights, and the mark of the member that has it.
    private func choice(_ pool: PoolSpec, _ members: [MemberSpec], _ family: String, _ transport: String) -> String {
        let shared = members.reduce(0) { Self.divisor($0, $1.weight) }
        var (next, ranges): (Int, [String]) = (0, [])
        for member in members {
            let last = next + member.weight / shared - 1
            ranges.append("\(next == last ? "\(next)" : "\(next)-\(last)") : \(Self.mark(member.id))")
            next = last + 1
        }
        let number =
            if pool.algorithm == .sourceIP || pool.persistence != nil {
                "jhash \(family) saddr mod \(next) seed \(Self.seed)"
            } else if pool.algorithm == .sourceIPPort {
                "jhash \(family) saddr . \(transport) sport mod \(next) seed \(Self.seed)"
            } else {
                "numgen inc mod \(next)"
            }
        return "\(number) map { \(ranges.joined(separator: ", ")) }"
    }

    /// The same for ever: clients stay where they are when rules are written anew.
    private static let seed = "0x41505553"

    private static func divisor(_ one: Int, _ other: Int) -> Int { other == 0 ? one : divisor(other, one % other) }

    /// FNV-1a of the id: the same in every version of the rules, so that flows under way keep theirs.
    private static func mark(_ member: String) -> UInt32 {
        member.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    }
    private func mark(_ member: MemberSpec) -> UInt32 { Self.mark(member.id) }
}
