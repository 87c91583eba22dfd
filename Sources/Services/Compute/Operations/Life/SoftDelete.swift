// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Switches a server off that is to be deleted later, and can be had back until then.
struct SoftDeleteServer: Operation {
    static let kind = "compute.soft-delete"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("soft_delete", attempts: 5, do: stop)] }

    private func stop(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        let host = try site.hypervisor(of: row)
        guard let state = try await host.state(of: server), state == .running || state == .paused else { return }
        try await host.power(server, .stop)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        let (id, request, now) = (server, site.requestID, site.clock.now())
        try await site.database.transaction { transaction throws(Fault) in
            _ = try transaction.update(
                Server.self,
                set: """
                    vm_state = 'soft-delete', task_state = NULL, power_state = 4, soft_deleted_at = \(now),
                    updated_at = \(now), generation = generation + 1
                    """,
                where: "id = \(id) AND deleted_at IS NULL AND task_state = 'soft-deleting'")
            try InstanceAction.finish(id, request, nil, now, transaction)
        }
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        let (id, request, now) = (server, site.requestID, site.clock.now())
        try await site.database.transaction { transaction throws(Fault) in
            _ = try transaction.update(
                Server.self, set: "task_state = NULL, updated_at = \(now), generation = generation + 1",
                where: "id = \(id) AND deleted_at IS NULL AND task_state = 'soft-deleting'")
            try InstanceAction.finish(id, request, fault.message, now, transaction)
        }
        await GuestWatch(site.room).look(at: id)
    }
}

/// Gives a server back that was to be deleted later.
struct RestoreServer: Operation {
    static let kind = "compute.restore"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        [Step("restore", attempts: 3, do: start), Step("image", attempts: 8, do: forgetImage)]
    }

    private func start(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        try await site.hypervisor(of: row).power(server, .start)
    }

    /// It may have been shelved when it was deleted: it comes back running, and its image serves no purpose.
    private func forgetImage(_ site: ComputeSite) async throws(Fault) {
        guard let image = try await site.server(server).shelvedImage else { return }
        try await site.room.deleteImage(image, requestID: site.requestID)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) {
        try await site.settle(
            server,
            set: """
                vm_state = 'active', power_state = 1, soft_deleted_at = NULL, fault = NULL, shelved_image = NULL,
                shelved_at = NULL
                """)
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.settle(server, message: fault.message)
    }
}

/// Sends a guest the interrupt on which its kernel writes a dump.
struct CrashDump: Operation {
    static let kind = "compute.crash-dump"

    let server: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("trigger_crash_dump", attempts: 1, do: trigger)] }

    private func trigger(_ site: ComputeSite) async throws(Fault) {
        let row = try await site.server(server)
        try await site.ability((any GuestCrashDump).self, of: row, to: "trigger a crash dump of")
            .triggerCrashDump(server)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}
