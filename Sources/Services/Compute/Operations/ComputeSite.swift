// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What the steps of Compute's operations work with.
package struct ComputeSite: Sendable {
    let room: ComputeService
    let context: OperationContext

    var database: Database { room.database }
    var clock: any WallClock { room.clock }
    var requestID: String { context.requestID }

    func server(_ id: String) async throws(Fault) -> Server {
        try await database.one(Server.self, "id = \(id)", or: .serverNotFound(id))
    }

    func hypervisor(of server: Server) throws(Fault) -> any Hypervisor {
        guard let host = server.host else { throw .conflict("Instance \(server.id) has no host.") }
        return try room.hosts.find(host)
    }

    /// Tells that the scheduler is asked, and that it has answered.
    func tellScheduling(_ phase: String, _ servers: [Server]) async throws(Fault) {
        let notices = room.notices
        guard notices.options.isOn, let first = servers.first else { return }
        try await database.transaction { transaction throws(Fault) in
            try notices.tell(
                "scheduler.select_destinations." + phase, .scheduler, first.requestSpec(count: servers.count),
                transaction)
        }
    }

    /// Puts a server into ERROR with the reason, unless it is being deleted, and ends the action that did it.
    func fail(_ id: String, _ fault: Fault, step: String, clearHost: Bool = false, details: String = "")
        async throws(Fault)
    {
        let now = clock.now()
        let record = ServerFault(
            code: fault.status, message: fault.message,
            details: "step \(step), request \(requestID)" + (details.isEmpty ? "" : "\n" + details), at: now)
        let text = try ServerFault.text(record)
        let request = requestID
        try await database.transaction { transaction throws(Fault) in
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = 'error', power_state = 0, fault = \(text), generation = generation + 1,
                    updated_at = \(now)
                    """ + ", " + Self.taskDone,
                where: "id = \(id) AND deleted_at IS NULL")
            if clearHost {
                _ = try transaction.update(
                    Server.self, set: "host = NULL, node = NULL, numa = NULL, host_devices = '[]'", where: "id = \(id)")
            }
            try InstanceAction.finish(id, request, fault.message, now, transaction)
        }
    }
}

extension ServerFault {
    /// As the column holds it.
    static func text(_ fault: ServerFault) throws(Fault) -> String {
        do {
            return try JSON.encode(fault).text()
        } catch {
            throw .internalError("a fault could not be stored: \(error)")
        }
    }
}
