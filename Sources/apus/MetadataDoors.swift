// SPDX-License-Identifier: Apache-2.0
import Engines
import Kernel
import Network

/// Opens a door to the metadata service in each network that has one to open, and closes those whose network is gone.
struct MetadataDoors: Sendable {
    /// What stands before the network's id in a listener's tag.
    static let tag = "metadata:"

    private let network: NetworkService
    private let door: MetadataDoor
    private let server: HTTPServer
    private let clock: any WallClock
    private let log: Log

    init(
        _ network: NetworkService, _ engines: Engines, server: HTTPServer, pool: BlockingPool, clock: any WallClock,
        log: Log
    ) {
        self.network = network
        door = MetadataDoor(engines.paths, pool: pool)
        self.server = server
        self.clock = clock
        self.log = log
    }

    private struct Open {
        let port: MetadataPort
        let listener: ListenerID
    }

    func run() async {
        var open: [String: Open] = [:]
        while !Task.isCancelled {
            do throws(Fault) {
                try await adjust(&open)
            } catch {
                log.error("metadata doors", ["error": error.description])
            }
            guard (try? await clock.sleep(.milliseconds(500))) != nil else { break }
        }
        for (_, door) in open { server.close(listener: door.listener) }
    }

    private func adjust(_ open: inout [String: Open]) async throws(Fault) {
        let wanted = try await network.metadataPorts()
        for port in wanted where open[port.networkID]?.port != port {
            if let old = open.removeValue(forKey: port.networkID) { server.close(listener: old.listener) }
            let socket = try await door.open(
                network: port.networkID, port: port.portID, mac: port.mac, addresses: port.addresses, mtu: port.mtu)
            let listener = try server.listen(socket: socket, tag: Self.tag + port.networkID)
            open[port.networkID] = Open(port: port, listener: listener)
            log.info("metadata door opened", ["network": port.networkID])
        }
        let known = Set(wanted.map(\.networkID))
        for (network, old) in open where !known.contains(network) {
            server.close(listener: old.listener)
            try await door.close(network: network, port: old.port.portID)
            open[network] = nil
            log.info("metadata door closed", ["network": network])
        }
    }
}
