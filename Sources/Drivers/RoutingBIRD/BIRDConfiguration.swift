// SPDX-License-Identifier: Apache-2.0
package import Network

/// What BIRD 2 is to do, in its own language. The same speakers give the same text, so that a reload that changes
/// nothing is none, and sessions whose lines stay as they were stay up.
package struct BIRDConfiguration: Sendable {
    let speakers: [SpeakerSpec]
    let routerID: String?
    let log: String

    package init(_ speakers: [SpeakerSpec], routerID: String?, log: String) {
        self.speakers = speakers
        self.routerID = routerID
        self.log = log
    }

    package var text: String {
        var lines = ["log \"\(log)\" { info, warning, error, fatal, bug, auth };"]
        // Left out, BIRD takes the lowest IPv4 address it finds.
        if let routerID { lines.append("router id \(routerID);") }
        lines += ["protocol device {}", ""]
        for (number, speaker) in speakers.enumerated() { lines += section(speaker, "s\(number + 1)") }
        return lines.joined(separator: "\n") + "\n"
    }

    private func section(_ speaker: SpeakerSpec, _ name: String) -> [String] {
        let family = speaker.version == .v6 ? "ipv6" : "ipv4"
        var lines = ["# speaker \(speaker.id)", "\(family) table \(name);", "protocol static \(name)_routes {"]
        lines.append("  \(family) { table \(name); };")
        // The next hop is a router in the cloud that this host need not reach itself.
        for route in speaker.routes {
            lines.append("  route \(route.destination) blackhole { bgp_next_hop = \(route.nextHop); };")
        }
        lines += ["}", ""]
        for peer in speaker.peers {
            lines += [
                "protocol bgp \(BIRDConfiguration.protocolName(name, peer.id)) {", "  local as \(speaker.localAS);",
                // Multihop, because a peer may be anywhere.
                "  neighbor \(peer.address) as \(peer.remoteAS);", "  multihop;", "  connect delay time 1;",
                "  connect retry time 5;", "  error wait time 1, 30;",
            ]
            if let password = peer.password { lines.append("  password \"\(password)\";") }
            lines += [
                "  \(family) { table \(name); import none; export all; next hop keep; };", "}", "",
            ]
        }
        return lines
    }

    private static func protocolName(_ speaker: String, _ peer: String) -> String {
        "\(speaker)_" + peer.filter { $0 != "-" }
    }
}
