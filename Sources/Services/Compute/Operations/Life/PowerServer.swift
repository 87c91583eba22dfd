// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Changes a server's power state on its host.
struct PowerServer: Operation {
    static let kind = "compute.power"

    let server: String
    let action: PowerAction

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        switch action {
        case .stop, .rebootSoft: [.stopping(action.name, server, stop)]
        case .rebootHard: [Step(action.name, budget: .seconds(300), do: change), .plugging(server, awaitPorts)]
        default: [Step(action.name, budget: .seconds(300), do: change)]
        }
    }

    private func change(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        let host = try site.hypervisor(of: server)
        // A card in the guest's hands does not sleep with it.
        if action == .suspend {
            for nic in server.cardsInHand { try await host.unplug(port: nic.portID, from: server.id) }
        }
        try await host.power(server.id, action.change)
        if action == .resume { try await handCardsBack(to: server, on: host) }
    }

    private func stop(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        try await ShutdownWait(site: site, server: server, patience: patience).stop(or: action.change)
    }

    private func handCardsBack(to server: Server, on host: any Hypervisor) async throws(Fault) {
        for nic in server.cardsInHand { try await host.plug(nic, into: server.id) }
    }

    /// A hard reboot takes cards away and puts them back. Whether that is told depends on the network, so nobody waits
    /// unless the operator knows.
    private func awaitPorts(_ site: ComputeSite, _ patience: Patience) async throws(Fault) -> Wait {
        let kinds = site.room.options.plugs.rebootKinds
        guard !kinds.isEmpty else { return .over }
        return try await PlugWait(site, patience).look(
            at: server, on: try await site.server(server).host, kinds: kinds)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        let (now, id, request, result) = (site.clock.now(), server, site.requestID, action.result)
        let power = result.power.rawValue
        try await site.database.transaction { transaction throws(Fault) in
            guard try !InstanceAction.isOver(id, request, transaction) else { return }
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = \(result.vm), power_state = \(power), updated_at = \(now), fault = NULL,
                    generation = generation + 1,
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """,
                where: "id = \(id) AND deleted_at IS NULL")
            try InstanceAction.finish(id, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let (now, id, request) = (site.clock.now(), server, site.requestID)
        if action == .rebootHard || action == .rebootSoft {
            return try await site.fail(id, fault, step: step)
        }
        if action == .suspend, let row = try? await site.server(id), let host = try? site.hypervisor(of: row),
            (try? await host.state(of: id)) == .running
        {
            try? await handCardsBack(to: row, on: host)
        }
        // The guest is as it was, or what it was to become: only the action failed.
        try await site.database.transaction { transaction throws(Fault) in
            guard try !InstanceAction.isOver(id, request, transaction) else { return }
            _ = try transaction.update(
                Server.self,
                set: """
                    updated_at = \(now), generation = generation + 1,
                    task_state = CASE WHEN task_state = 'deleting' THEN 'deleting' ELSE NULL END
                    """,
                where: "id = \(id) AND deleted_at IS NULL")
            try InstanceAction.finish(id, request, fault.message, now, transaction)
        }
        await GuestWatch(site.room).look(at: id)
    }
}
