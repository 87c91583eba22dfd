// SPDX-License-Identifier: Apache-2.0
package import Base

/// A network's door to the metadata service: a namespace of its own with the network's metadata port in it, so that two
/// networks may use the same addresses. The listening socket is opened inside and served by the cloud's own process.
package struct MetadataDoor: Sendable {
    /// What guests ask (RFC 3927 range; the address every cloud image knows).
    private static let address = "169.254.169.254"

    private let paths: EnginePaths
    private let pool: BlockingPool

    package init(_ paths: EnginePaths, pool: BlockingPool) {
        self.paths = paths
        self.pool = pool
    }

    /// Opens the door and answers the listening socket; what is there already is made right.
    /// - Parameter addresses: the port's own, with their prefix lengths: `10.0.0.2/24`.
    package func open(
        network: String, port: String, mac: String, addresses: [String], mtu: Int
    ) async throws(Fault) -> Int32 {
        try await pool.run { () throws(Fault) in
            let namespace = self.namespace(network)
            try namespace.create()
            let tap = "md" + port.prefix(11)
            let chassis = paths.chassisNamespace.name
            // A cable of an earlier run may hang elsewhere; both ends go with one.
            _ = try Subprocess.runBlocking(["ip", "-n", chassis, "link", "delete", tap], timeout: .seconds(10))
            try Subprocess.check([
                "ip", "link", "add", tap, "netns", chassis, "type", "veth", "peer", "name", "eth0", "netns",
                namespace.name,
            ])
            var batch = "link set lo up\nlink set eth0 address \(mac) mtu \(mtu)\nlink set eth0 up\n"
            for address in addresses + ["\(Self.address)/32"] { batch += "addr replace \(address) dev eth0\n" }
            try Subprocess.check(["ip", "-n", namespace.name, "-batch", "-"], input: Array(batch.utf8))
            try Subprocess.check(["ip", "-n", chassis, "link", "set", tap, "up"])
            // Packet sockets do not fill in the checksums that a veth leaves to hardware.
            try Subprocess.check(["ethtool", "-K", "eth0", "tx", "off"], in: Surroundings(network: namespace))
            try Subprocess.check(
                ["ethtool", "-K", tap, "tx", "off"], in: Surroundings(network: paths.chassisNamespace))
            try Subprocess.check(
                vsctl(
                    "--may-exist", "add-port", "br-int", tap, "--", "set", "Interface", tap,
                    "external_ids:iface-id=\"\(port)\""))
            return try namespace.openSocket(host: Self.address, port: 80)
        }
    }

    /// Sockets that hear questions for names at the port's own addresses; the door must be open.
    package func openNames(network: String, addresses: [String]) async throws(Fault) -> [Int32] {
        try await pool.run { () throws(Fault) in
            let namespace = self.namespace(network)
            var sockets: [Int32] = []
            for address in addresses {
                let host = String(address.prefix { $0 != "/" })
                // An IPv6 address that is still being checked for a double cannot be bound; IPv4 is what guests ask.
                guard !host.contains(":") else { continue }
                sockets.append(try namespace.openDatagrams(host: host, port: 53))
            }
            return sockets
        }
    }

    /// Closes the door; nothing of it is left.
    package func close(network: String, port: String) async throws(Fault) {
        try await pool.run { () throws(Fault) in
            try Subprocess.check(vsctl("--if-exists", "del-port", "br-int", "md" + port.prefix(11)))
            try namespace(network).delete()
        }
    }

    private func namespace(_ network: String) -> NetworkNamespace {
        NetworkNamespace("\(paths.prefix)-md-\(network.prefix(8))")
    }

    private func vsctl(_ words: String...) -> [String] {
        ["ovs-vsctl", "--db=\(paths.switchDatabase)", "--no-syslog", "--no-wait", "--timeout=10", "--"] + words
    }
}
