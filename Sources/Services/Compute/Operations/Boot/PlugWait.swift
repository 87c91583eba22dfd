// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Waits until Network says that a server's ports carry traffic. What it said while nobody listened counts as well: the
/// ports' own status is looked at, now and again.
struct PlugWait {
    let room: ComputeService
    let requestID: String
    /// The longest time between two looks.
    private static let patience = Duration.seconds(5)

    init(_ site: ComputeSite) { (room, requestID) = (site.room, site.requestID) }

    /// `remote-managed` is told of before the guest is there, and of functions of cards nobody tells.
    private static let silent: Set<String> = [
        "remote-managed", "direct", "macvtap", "direct-physical", "accelerator-direct", "accelerator-direct-physical",
    ]

    /// Waits for the ports that are to be up and are not.
    /// - Parameter kinds: the vnic types that are waited for; nil is all that are told of.
    func wait(for server: String, on host: String?, kinds: Set<String>? = nil) async throws(Fault) {
        guard let host, try await isTold(of: host) else { return }
        let (network, requestID) = (room.network, requestID)
        try await wait(server) { _ async throws(Fault) in
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
    func wait(
        _ server: String, _ missing: @Sendable (_ told: Set<String>) async throws(Fault) -> [String]
    ) async throws(Fault) {
        let watch = await room.plugs.open(server)
        do throws(Fault) {
            try await wait(server, watch, missing)
        } catch {
            await room.plugs.close(server)
            throw error
        }
        await room.plugs.close(server)
    }

    private func wait(
        _ server: String, _ watch: PlugBoard.Watch,
        _ missing: @Sendable (_ told: Set<String>) async throws(Fault) -> [String]
    ) async throws(Fault) {
        let (options, clock) = (room.options.plugs, room.clock)
        let until = clock.now() + options.timeout
        var pause: Duration = .milliseconds(50)
        while true {
            let left = try await look(await room.plugs.plugged(server), missing)
            if left?.isEmpty ?? false { return }
            let failed = await room.plugs.failed(server).intersection(left ?? [])
            let now = clock.now()
            guard failed.isEmpty, now < until else {
                let names = (left ?? []).sorted().joined(separator: ", ")
                room.log.warning(
                    "ports do not come up", ["server": server, "ports": names, "has_failed": !failed.isEmpty])
                if options.isFatal { throw .plugsFailed }
                return
            }
            await watch.wait(atMost: min(pause, until - now), clock)
            if Task.isCancelled { throw .unavailable("Waiting for the ports of \(server) was cancelled.") }
            pause = min(pause * 2, PlugWait.patience)
        }
    }

    /// Nil while Network does not answer.
    private func look(
        _ told: Set<String>, _ missing: (_ told: Set<String>) async throws(Fault) -> [String]
    ) async throws(Fault) -> [String]? {
        do throws(Fault) { return try await missing(told) } catch {
            guard error.status >= 500 else { throw error }
            return nil
        }
    }
}

extension Step where Site == ComputeSite {
    /// Waits as long as the options say, however long that is; tried once, for it has waited enough by then.
    static func plugging(_ wait: @escaping Deed) -> Step {
        Step("plugging", attempts: 1, budget: .seconds(604_800), do: wait)
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
