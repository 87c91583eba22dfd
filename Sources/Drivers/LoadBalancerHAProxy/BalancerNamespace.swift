// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer

/// The namespace a balancer lives in, with its ports plugged into the integration bridge. Everything may be repeated;
/// what is right already is left alone, for connections go through it.
struct BalancerNamespace: Sendable {
    let settings: HAProxySettings
    let namespace: NetworkNamespace

    init(_ settings: HAProxySettings, _ id: String) {
        self.settings = settings
        namespace = NetworkNamespace("\(settings.prefix)-lb-\(id.prefix(13))")
    }

    func plug(_ spec: BalancerSpec) throws(Fault) {
        if try namespace.create() { try ip("link set lo up") }
        let own = BalancerSpec.Leg(portID: spec.portID, mac: spec.mac, mtu: spec.mtu, addresses: spec.addresses)
        try plug(own, "eth0")
        for address in spec.addresses {
            guard let gateway = address.gateway else { continue }
            try ip("\(gateway.contains(":") ? "-6 " : "")route replace default via \(gateway) dev eth0")
        }
        try setUp()
        let legs = spec.legs.map { ($0, BalancerNamespace.device($0.portID)) }
        for (leg, device) in legs { try plug(leg, device) }
        let wanted = Set(legs.map(\.1))
        for device in try devices() where device.hasPrefix("leg") && !wanted.contains(device) {
            try ip("link delete \(device)")
        }
    }

    private func setUp() throws(Fault) {
        try Subprocess.check(
            [
                "sysctl", "-q", "-w", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0",
                // Checks ping as nobody does, without privileges.
                "net.ipv4.ping_group_range=0 2147483647",
            ], in: Surroundings(network: namespace))
        // Until OVN's part in datagrams ended, its packets were turned back by a table of their own.
        for family in ["-4", "-6"] {
            let known = try Subprocess.check(["ip", "-n", namespace.name, family, "rule", "list"])
            for line in known.split(separator: "\n") where line.hasPrefix("10:") || line.hasPrefix("11:") {
                try ip("\(family) rule del pref \(line.prefix(2))")
            }
        }
    }

    private static func device(_ port: String) -> String { "leg" + port.prefix(8) }
    /// The chassis' end of a cable.
    private static func tap(_ port: String) -> String { "lb" + port.prefix(11) }

    private func plug(_ leg: BalancerSpec.Leg, _ device: String) throws(Fault) {
        let cable = BridgeCable(
            BalancerNamespace.tap(leg.portID), to: device, in: namespace, chassis: settings.chassis,
            database: settings.switchDatabase)
        try cable.lay(port: leg.portID, mac: leg.mac, mtu: leg.mtu, marks: ["balancer=\(namespace.name)"])
        try cable.address(
            leg.addresses.map { address in
                "\(address.address)/\(address.cidr.split(separator: "/").last.map(String.init) ?? "32")"
            })
    }

    private func ip(_ words: String) throws(Fault) {
        try Subprocess.check(["ip", "-n", namespace.name] + words.split(separator: " ").map(String.init))
    }

    private func devices() throws(Fault) -> [String] {
        let text = try Subprocess.check(["ip", "-n", namespace.name, "-o", "link", "show"])
        return text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            return fields.count > 1 ? String(fields[1].prefix { $0 != "@" && $0 != ":" }) : nil
        }
    }

    /// Takes the namespace away, and what of it is plugged in.
    func unplug() throws(Fault) {
        let plugged = try Subprocess.check(
            vsctl("--columns=name", "find", "Interface", "external_ids:balancer=\(namespace.name)"))
        for tap in plugged.split(whereSeparator: \.isNewline) where !tap.isEmpty {
            try Subprocess.check(vsctl("--if-exists", "del-port", "br-int", String(tap)))
        }
        try namespace.delete()
    }

    private func vsctl(_ words: String...) -> [String] {
        ["ovs-vsctl", "--db=\(settings.switchDatabase)", "--no-syslog", "--no-wait", "--timeout=10", "--bare", "--"]
            + words
    }
}
