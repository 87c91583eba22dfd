// SPDX-License-Identifier: Apache-2.0

/// A pair of links between a network namespace and the integration bridge of Open vSwitch, through which a port of the
/// network is served. Everything may be repeated: what is right is left alone, for traffic goes through it. Its methods
/// block.
package struct BridgeCable: Sendable {
    /// The bridge's end, and the one in the namespace.
    private let tap: String
    private let device: String
    private let namespace: NetworkNamespace
    private let chassis: NetworkNamespace
    private let database: String

    /// - Parameters:
    ///   - chassis: where the switch is.
    ///   - database: the switch's, as `ovs-vsctl --db` takes it.
    package init(
        _ tap: String, to device: String, in namespace: NetworkNamespace, chassis: NetworkNamespace, database: String
    ) {
        self.tap = tap
        self.device = device
        self.namespace = namespace
        self.chassis = chassis
        self.database = database
    }

    /// Lays the cable and plugs it in as a port of the network's.
    /// - Parameter marks: what else the switch notes of it: `balancer=NAME`.
    package func lay(port: String, mac: String, mtu: Int, marks: [String] = []) throws(Fault) {
        if try !isWhole() { try renew() }
        if try Link(device, in: namespace)?.mac != mac { try ip(namespace, "link", "set", device, "address", mac) }
        try ip(namespace, "link", "set", device, "mtu", "\(mtu)", "up")
        try ip(chassis, "link", "set", tap, "up")
        let notes = (["iface-id=\"\(port)\""] + marks).map { "external_ids:" + $0 }
        try Subprocess.check(
            vsctl(["--no-wait"], ["--may-exist", "add-port", "br-int", tap, "--", "set", "Interface", tap] + notes))
    }

    /// Gives the namespace's end these addresses (`10.0.0.2/24`), and takes others away.
    package func address(_ wanted: [String]) throws(Fault) {
        let text = try Subprocess.check(
            ["ip", "-n", namespace.name, "-o", "addr", "show", "dev", device, "scope", "global"])
        let known = text.split(separator: "\n").compactMap {
            $0.split(separator: " ").dropFirst(3).first.map(String.init)
        }
        for stale in known where !wanted.contains(stale) { try ip(namespace, "addr", "delete", stale, "dev", device) }
        for address in wanted {
            try ip(namespace, ["addr", "replace", address, "dev", device] + (address.contains(":") ? ["nodad"] : []))
        }
    }

    /// Unplugs it; the links go with the namespace.
    package func unplug() throws(Fault) {
        try Subprocess.check(vsctl(["--no-wait"], ["--if-exists", "del-port", "br-int", tap]))
    }

    /// Both ends are there, and are those of one cable.
    private func isWhole() throws(Fault) -> Bool {
        guard let near = try Link(tap, in: chassis), let far = try Link(device, in: namespace) else { return false }
        return near.peer == far.index && far.peer == near.index
    }

    private func renew() throws(Fault) {
        // A switch that sees a link go and another of its name come at once keeps listening to the one that is gone: it
        // lets go of the old one first, which is waited for as far as a switch runs.
        _ = try Subprocess.runBlocking(vsctl([], ["--if-exists", "del-port", "br-int", tap]), timeout: .seconds(15))
        // Of cables that are broken an end may be left.
        for (place, end) in [(chassis, tap), (namespace, device)] {
            _ = try Subprocess.runBlocking(["ip", "-n", place.name, "link", "delete", end], timeout: .seconds(10))
        }
        try Subprocess.check([
            "ip", "link", "add", tap, "netns", chassis.name, "type", "veth", "peer", "name", device, "netns",
            namespace.name,
        ])
        // Packet sockets do not fill in the checksums that a veth leaves to hardware.
        for (place, end) in [(namespace, device), (chassis, tap)] {
            try Subprocess.check(["ethtool", "-K", end, "tx", "off"], in: Surroundings(network: place))
        }
    }

    private func ip(_ place: NetworkNamespace, _ words: String...) throws(Fault) { try ip(place, words) }
    private func ip(_ place: NetworkNamespace, _ words: [String]) throws(Fault) {
        try Subprocess.check(["ip", "-n", place.name] + words)
    }

    private func vsctl(_ options: [String], _ words: [String]) -> [String] {
        ["ovs-vsctl", "--db=\(database)", "--no-syslog", "--timeout=10"] + options + ["--"] + words
    }
}

/// One end of a pair of links, as `ip` shows it: `20: md746e233e-49@if11: <...> ... link/ether 9a:6a:... brd ...`.
private struct Link {
    let index: Int
    let peer: Int
    let mac: String

    /// Nil when it is not there, or is no end of a pair.
    init?(_ name: String, in namespace: NetworkNamespace) throws(Fault) {
        let output = try Subprocess.runBlocking(
            ["ip", "-n", namespace.name, "-o", "link", "show", "dev", name], timeout: .seconds(10))
        let words = output.text.split(separator: " ")
        guard output.status == 0, words.count > 2, let index = Int(words[0].dropLast()),
            let mark = words[1].firstRange(of: "@if"), let peer = Int(words[1][mark.upperBound...].dropLast()),
            let place = words.firstIndex(of: "link/ether"), words.indices.contains(place + 1)
        else { return nil }
        (self.index, self.peer, mac) = (index, peer, String(words[place + 1]))
    }
}
