// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Stops a guest as its operating system would have it: it is asked, and switched off if it is not down in time. Who
/// waits for it is parked until the hypervisor tells that it is down.
struct ShutdownWait {
    let site: ComputeSite
    let server: String
    let patience: Patience

    /// What whoever waits for a guest is told by.
    static func topic(_ server: String) -> String { "guest " + server }
    /// It is asked again: an operating system that is just starting hears nothing.
    private static let again = Duration.seconds(10)

    /// Nil when the guest is down, or its time is over.
    func look(_ host: any Hypervisor, _ row: Server) async throws(Fault) -> Wait? {
        let grace = row.grace(site.room.options)
        guard patience.waited < grace, let polite = host as? any GuestShutdown,
            try await host.state(of: server) == .running, try await !polite.askToShutDown(server)
        else { return nil }
        return .on(min(Self.again, grace - patience.waited))
    }

    /// Looks, and does in the end what is asked of the guest: one that came down and is to be rebooted is started.
    func stop(or change: PowerChange = .stop) async throws(Fault) -> Wait {
        let row = try await site.server(server)
        let host = try site.hypervisor(of: row)
        if let wait = try await look(host, row) { return wait }
        let state = try await host.state(of: server)
        let isDown = state == .shutdown || state == .crashed
        if case .rebootSoft = change, isDown {
            try await host.power(server, .start)
        } else {
            try await host.power(server, change)
        }
        return .over
    }

    /// The same for a guest that may be in whatever state: one that is down is ready, and one whose memory is on disk
    /// comes back with it.
    func stopIfUp(on host: any Hypervisor) async throws(Fault) -> Wait {
        let state = try await host.state(of: server)
        guard state == .running || state == .paused else { return .over }
        if state == .running, let wait = try await look(host, try await site.server(server)) { return wait }
        try await host.power(server, .stop)
        return .over
    }
}

extension Step where Site == ComputeSite {
    /// Stops a server's guest, if it is up, in its own time.
    static func stopping(_ server: String, undo: Deed? = nil) -> Step {
        .stopping("stop", server, undo: undo) { site, patience async throws(Fault) in
            let host = try site.hypervisor(of: try await site.server(server))
            return try await ShutdownWait(site: site, server: server, patience: patience).stopIfUp(on: host)
        }
    }

    static func stopping(_ name: String, _ server: String, undo: Deed? = nil, _ look: @escaping Look) -> Step {
        .waiting(name, for: ShutdownWait.topic(server), undo: undo, look: look)
    }
}
