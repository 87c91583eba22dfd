// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Looks whether Network says that a server's ports carry traffic. Who looks in vain is parked until Network says
/// something of the server. What it said while nobody listened counts as well: the ports' own status is looked at.
struct PlugWait {
    let room: ComputeService
    let requestID: String
    private let patience: Patience

    init(_ site: ComputeSite, _ patience: Patience) {
        (room, requestID, self.patience) = (site.room, site.requestID, patience)
    }

    /// What whoever waits for a server's ports is told by.
    static func topic(_ server: String) -> String { "ports of " + server }

    /// `remote-managed` is told of before the guest is there, and of functions of cards nobody tells.
    private static let silent: Set<String> = [
        "remote-managed", "direct", "macvtap", "direct-physical", "accelerator-direct", "accelerator-direct-physical",
    ]

    /// Looks at the ports that are to be up.
    /// - Parameter kinds: the vnic types that are waited for; nil is all that are told of.
    func look(at server: String, on host: String?, kinds: Set<String>? = nil) async throws(Fault) -> Wait {
        guard let host, try await isTold(of: host) else { return .over }
        let (network, requestID) = (room.network, requestID)
        return try await look(at: server) { _ async throws(Fault) in
            let ports = try await network.ports([("device_id", server)], requestID: requestID)
            return ports.filter { port in
                awaits(port, kinds) && port.status != "ACTIVE"
            }.map(\.id)
        }
    }

    func awaits(_ port: NetworkClient.Port, _ kinds: Set<String>? = nil) -> Bool {
        port.isAdminUp && kinds.map { $0.contains(port.vnicType) } ?? !PlugWait.silent.contains(port.vnicType)
    }

    func isTold(of host: String) async throws(Fault) -> Bool {
        guard room.options.plugs.timeout > .zero else { return false }
        let reporter = try room.hosts.find(host) as? any PlugReporting
        return await reporter?.reportsPlugs() ?? false
    }

    /// - Parameter missing: the ports that are waited for still, given those that Network has told of meanwhile.
    func look(
        at server: String, _ missing: @Sendable (_ told: Set<String>) async throws(Fault) -> [String]
    ) async throws(Fault) -> Wait {
        if patience.isFirst { await room.plugs.open(server) }
        let options = room.options.plugs
        let left = try await left(await room.plugs.plugged(server), missing)
        let failed = await room.plugs.failed(server).intersection(left ?? [])
        if left?.isEmpty ?? false { return await over(server) }
        guard !failed.isEmpty || patience.waited >= options.timeout else {
            return patience.next(within: options.timeout)
        }
        room.log.warning(
            "ports do not come up: look at the host's network agent and at Network's log",
            ["server": server, "ports": (left ?? []).sorted().joined(separator: ", "), "has_failed": !failed.isEmpty])
        _ = await over(server)
        if options.isFatal { throw .plugsFailed }
        return .over
    }

    private func over(_ server: String) async -> Wait {
        await room.plugs.close(server)
        return .over
    }

    /// Nil while Network does not answer.
    private func left(
        _ told: Set<String>, _ missing: (_ told: Set<String>) async throws(Fault) -> [String]
    ) async throws(Fault) -> [String]? {
        do throws(Fault) { return try await missing(told) } catch {
            guard error.status >= 500 else { throw error }
            return nil
        }
    }
}

extension Step where Site == ComputeSite {
    /// Waits for a server's ports, as long as the options say; in vain it is not tried again.
    static func plugging(_ server: String, _ look: @escaping Look) -> Step {
        .waiting(
            "plugging", for: PlugWait.topic(server), attempts: 1,
            undo: { site async throws(Fault) in await site.room.plugs.close(server) }, look: look)
    }
}

extension Fault {
    /// VirtualInterfaceCreateException
    static let plugsFailed = Fault(500, "Virtual Interface creation failed")

    /// What a build ends with whose network cannot be had, wherever it is tried.
    static func buildAborted(_ server: String) -> Fault {
        Fault(
            500, "Build of instance \(server) aborted: Failed to allocate the network(s), not rescheduling.")
    }
}
