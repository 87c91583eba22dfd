// SPDX-License-Identifier: Apache-2.0
import Engines
import Kernel
import Network

/// Opens a door to the metadata service in each network that has one to open, and closes those whose network is gone.
struct MetadataDoors: Sendable {
    /// What stands before the network's id in a listener's tag.
    static let tag = "metadata:"
    /// The tag of the listener that signed requests come through.
    static let proxyTag = "metadata-proxy"

    private let network: NetworkService
    private let door: MetadataDoor
    private let server: HTTPServer
    private let names: DatagramHub?
    private let clock: any WallClock
    private let log: Log

    init(
        _ network: NetworkService, _ engines: Engines, server: HTTPServer, pool: BlockingPool, clock: any WallClock,
        log: Log
    ) {
        self.network = network
        door = MetadataDoor(engines.paths, pool: pool)
        self.server = server
        names = try? DatagramHub()
        self.clock = clock
        self.log = log
    }

    private struct Open {
        let port: MetadataPort
        let listener: ListenerID
    }

    /// Keeps the doors, and answers questions for names that come through them.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await keep() }
            if let names { group.addTask { await answer(names) } }
        }
    }

    private func answer(_ names: DatagramHub) async {
        for await question in names.datagrams {
            guard let answer = await network.answer(names: question.bytes, network: question.tag) else { continue }
            names.answer(question, answer)
        }
    }

    private func keep() async {
        var open: [String: Open] = [:]
        while !Task.isCancelled {
            do throws(Fault) {
                try await adjust(&open)
            } catch {
                log.error("metadata doors", ["error": error.description])
            }
            guard (try? await clock.sleep(.milliseconds(500))) != nil else { break }
        }
        for (id, door) in open {
            server.close(listener: door.listener)
            names?.remove(tag: id)
        }
    }

    private func adjust(_ open: inout [String: Open]) async throws(Fault) {
        let wanted = try await network.metadataPorts()
        for port in wanted where open[port.networkID]?.port != port {
            if let old = open.removeValue(forKey: port.networkID) { server.close(listener: old.listener) }
            names?.remove(tag: port.networkID)
            let socket = try await door.open(
                network: port.networkID, port: port.portID, mac: port.mac, addresses: port.addresses, mtu: port.mtu)
            let listener = try server.listen(socket: socket, tag: Self.tag + port.networkID)
            open[port.networkID] = Open(port: port, listener: listener)
            if let names {
                for socket in try await door.openNames(network: port.networkID, addresses: port.addresses) {
                    names.add(socket, tag: port.networkID)
                }
            }
            log.info("metadata door opened", ["network": port.networkID])
        }
        let known = Set(wanted.map(\.networkID))
        for (network, old) in open where !known.contains(network) {
            server.close(listener: old.listener)
            names?.remove(tag: network)
            try await door.close(network: network, port: old.port.portID)
            open[network] = nil
            log.info("metadata door closed", ["network": network])
        }
    }
}
