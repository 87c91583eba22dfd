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
            let cable = cable(port, to: namespace)
            try cable.lay(port: port, mac: mac, mtu: mtu)
            try cable.address(addresses + ["\(Self.address)/32"])
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
            let namespace = namespace(network)
            try cable(port, to: namespace).unplug()
            try namespace.delete()
        }
    }

    private func namespace(_ network: String) -> NetworkNamespace {
        NetworkNamespace("\(paths.prefix)-md-\(network.prefix(8))")
    }

    private func cable(_ port: String, to namespace: NetworkNamespace) -> BridgeCable {
        BridgeCable(
            "md" + port.prefix(11), to: "eth0", in: namespace, chassis: paths.chassisNamespace,
            database: paths.switchDatabase)
    }
}
