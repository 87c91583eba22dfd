// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The ports of a server that moves while it runs: both hosts have them until it has arrived.
struct PortJourney {
    let room: ComputeService
    let site: ComputeSite
    private var requestID: String { site.requestID }

    init(_ site: ComputeSite) { (self.site, room) = (site, site.room) }

    private func ports(of server: String) async throws(Fault) -> [NetworkClient.Port] {
        try await room.network.ports([("device_id", server)], requestID: requestID)
    }

    /// Binds the ports to where the server goes, and does what plugs them there.
    /// - Parameter server: as it is to be over there.
    func prepare(
        _ server: Server, for host: String, _ plug: () async throws(Fault) -> Void
    ) async throws(Fault) {
        let bound = try await ports(of: server.id).filter { $0.host != host }
        var fresh = Set<String>()
        let wiring = ServerWiring(room, requestID: requestID)
        for port in bound {
            // Over there it is another card.
            let profile = try await wiring.profile(port, of: server)
            if try await room.network.bind(port, to: host, profile: profile, requestID: requestID) {
                fresh.insert(port.id)
            }
        }
        // What is told from here on is of that host.
        await room.plugs.forget(fresh, of: server.id)
        try await plug()
    }

    /// Looks whether the ports are plugged there as well.
    func look(at server: String, for host: String, _ patience: Patience) async throws(Fault) -> Wait {
        let plugs = PlugWait(site, patience)
        guard room.options.plugs.holdsMigrations, try await plugs.isTold(of: host) else { return .over }
        let awaited = try await ports(of: server).filter { $0.host != host && plugs.awaits($0) }.map(\.id)
        do throws(Fault) {
            return try await plugs.look(at: server) { told async throws(Fault) in awaited.filter { !told.contains($0) }
            }
        } catch {
            guard error == .plugsFailed else { throw error }
            let events = awaited.map { "('network-vif-plugged', '\($0)')" }.joined(separator: ", ")
            throw Fault(
                500,
                "Migration error: Timed out waiting for events: [\(events)]. If these timeouts are a persistent "
                    + "issue it could mean the networking backend on host \(host) does not support sending these "
                    + "events unless there are port binding host changes which does not happen at this point in the "
                    + "live migration process. You may need to disable the live_migration_wait_for_vif_plug option "
                    + "on host \(host).")
        }
    }

    /// They stay where they are.
    func forget(_ server: String, _ host: String) async throws(Fault) {
        for port in try await ports(of: server) where port.host != host {
            try await room.network.unbind(port, from: host, requestID: requestID)
        }
    }

    /// The server has arrived: the host that it left has them no longer.
    func complete(_ server: Server, at host: String, from source: String) async throws(Fault) {
        for port in try await ports(of: server.id) where port.host != host {
            guard try await room.network.activate(port, on: host, requestID: requestID) else { continue }
            try await room.network.unbind(port, from: source, requestID: requestID)
        }
        // Those that were plugged in meanwhile, or by a network that knows no such bindings.
        let wiring = ServerWiring(room, requestID: requestID)
        try await wiring.bind(server, to: host)
        for port in try await ports(of: server.id) { try await wiring.allocate(port, of: server) }
    }
}
