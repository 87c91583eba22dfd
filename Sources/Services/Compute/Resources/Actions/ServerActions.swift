// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The verbs of `POST /servers/{id}/action` that change a server's power, lock or state.
enum ServerActions: Resource {
    static let routes: [Route] = [
        power("os-start", "Start a server", "servers:start", .start),
        power("os-stop", "Stop a server", "servers:stop", .stop),
        power("pause", "Pause a server", "os-pause-server:pause", .pause),
        power("unpause", "Unpause a server", "os-pause-server:unpause", .unpause),
        power("suspend", "Suspend a server", "os-suspend-server:suspend", .suspend),
        power("resume", "Resume a suspended server", "os-suspend-server:resume", .resume),
        .action(path, "reboot", "Reboot a server", of: Server.visible, allow: .member("servers:reboot"), reboot),
        .action(path, "lock", "Lock a server", of: Server.visible, allow: .member("os-lock-server:lock"), lock),
        .action(path, "unlock", "Unlock a server", of: Server.visible, allow: .member("os-lock-server:unlock"), unlock),
        .action(
            path, "os-resetState", "Reset a server's state", of: Server.visible,
            allow: .adminOnly("os-admin-actions:reset_state"), resetState),
        .action(
            path, "trigger_crash_dump", "Trigger a crash dump in a server", of: Server.visible,
            allow: .member("servers:trigger_crash_dump"), crashDump, since: "2.17"),
    ]

    static let path = "/servers/{server_id}/action"

    private static func power(_ name: String, _ summary: String, _ rule: String, _ action: PowerAction) -> Route {
        .action(path, name, summary, of: Server.visible, allow: .member(rule)) { request, server async throws(Fault) in
            try await PowerServer.start(action, server, request)
            return .empty
        }
    }
}

// MARK: - Handlers

extension ServerActions {
    private static func reboot(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("reboot")
        let type = try body.need("type", .oneOf("SOFT", "Soft", "soft", "HARD", "Hard", "hard"))
        try body.end()
        try await PowerServer.start(type.lowercased() == "hard" ? .rebootHard : .rebootSoft, server, request)
        return .empty
    }

    private static func lock(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var reason: String?
        if request.version >= "2.73", request.json?["lock"]?.isNull != true {
            var body = try request.body("lock")
            reason = try body.take("locked_reason", .text(1...255))
            try body.end()
        }
        let (given, isOwner) = (reason, server.projectID == request.caller.projectID)
        try await change(
            server, "lock", request,
            set: "locked = 1, locked_by = \(isOwner ? "owner" : "admin"), locked_reason = \(given)")
        return .empty
    }

    private static func unlock(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let rule = "os-lock-server:unlock:unlock_override"
        if server.lockedBy == "admin", !request.may(rule, on: server) {
            throw request.index.envelope.refusal(request.index.ruleName(rule))
        }
        try await change(
            server, "unlock", request, set: "locked = 0, locked_by = NULL, locked_reason = NULL")
        return .empty
    }

    private static func resetState(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("os-resetState")
        let state = try body.need("state", .oneOf("active", "error"))
        try body.end()
        try await change(
            server, "resetState", request,
            set: "vm_state = \(state), task_state = NULL, generation = generation + 1")
        return .empty
    }

    private static func crashDump(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try await server.begin(.crashDump, request) { row, _ in ActionStart(work: CrashDump(server: row.id)) }
        return .empty
    }

    /// A change of the row alone, with its line in the actions log.
    private static func change(
        _ server: Server, _ action: String, _ request: Request, set changes: SQL
    ) async throws(Fault) {
        let (now, user, requestID) = (request.now, request.caller.userID, request.id)
        try await request.database.transaction { transaction throws(Fault) in
            let count = try transaction.update(
                Server.self, set: changes + ", updated_at = \(now)",
                where: "id = \(server.id) AND deleted_at IS NULL")
            guard count == 1 else { throw .serverNotFound(server.id) }
            try transaction.insert(InstanceAction(action, on: server, by: user, requestID: requestID, at: now))
            try InstanceAction.finish(server.id, requestID, nil, now, transaction)
        }
    }
}

extension PowerServer {
    static func start(_ action: PowerAction, _ server: Server, _ request: Request) async throws(Fault) {
        try await server.begin(action.name, request) { server, _ throws(Fault) in
            try server.admit(action)
            return ActionStart(action.task, work: PowerServer(server: server.id, action: action))
        }
    }
}

extension Server {
    /// Refuses a power action that the server's state does not allow, in upstream's words and order.
    func admit(_ action: PowerAction) throws(Fault) {
        try require(action.allowed, action.name, tasks: action == .rebootHard ? PowerAction.interruptible : [])
    }

    /// - Parameter tasks: what may be going on meanwhile.
    func require(_ states: [VMState], _ action: String, tasks: [TaskState] = []) throws(Fault) {
        guard states.contains(vmState) else { throw .serverState(id, "vm_state", vmState.rawValue, action) }
        if let taskState, !tasks.contains(taskState) {
            throw .serverState(id, "task_state", taskState.rawValue, action)
        }
        // A server that failed before it ever ran has nothing to be started.
        guard host != nil else { throw .conflict("Instance \(id) is not ready") }
    }
}

extension PowerAction {
    /// What a hard reboot may cut short (nova/compute/task_states.py, `ALLOW_REBOOT`).
    static let interruptible: [TaskState] = [
        .rebooting, .rebootPending, .rebootStarted, .rebootingHard, .resuming, .unpausing, .pausing, .suspending,
    ]
}
