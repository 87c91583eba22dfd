// SPDX-License-Identifier: Apache-2.0

/// Protocol names that security group rules may use, and their IANA numbers.
enum IPProtocol {
    static let numbers: [String: Int] = [
        "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2, "ip": 0, "ipip": 4,
        "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
        "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136,
        "vrrp": 112,
    ]
    static let withPorts: Set<Int> = [6, 17, 33, 132, 136]
    static let onlyV6: Set<Int> = [41, 43, 44, 58, 59, 60]

    static func number(_ text: String) -> Int? {
        numbers[text] ?? Int(text).flatMap { (0...255).contains($0) ? $0 : nil }
    }

    /// What two spellings of one protocol have in common.
    static func canonical(_ text: String) -> String { number(text).map(String.init) ?? text }
}
