// SPDX-License-Identifier: Apache-2.0
import Kernel

/// `/servers/{id}/migrations`: live migrations under way, to be watched, hurried and given up.
enum LiveMigrations: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/migrations", "List a server's migrations", of: Server.visible,
            allow: .rule("servers:migrations:index", "rule:project_manager_or_admin"), index, since: "2.23"),
        .get(
            path, "Show a migration of a server", of: Server.visible,
            allow: .rule("servers:migrations:show", "rule:context_is_admin"), show, since: "2.23"),
        .delete(
            path, "Give up a live migration", of: Server.visible,
            allow: .rule("servers:migrations:delete", "rule:project_manager_or_admin"), giveUp, status: 202,
            since: "2.24"),
        .action(
            path + "/action", "force_complete", "Force a live migration to complete", of: Server.visible,
            allow: .rule("servers:migrations:force_complete", "rule:project_manager_or_admin"), forceComplete,
            since: "2.22"),
    ]

    private static let path = "/servers/{server_id}/migrations/{migration_id}"
}

// MARK: - Handlers

extension LiveMigrations {
    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let statuses = ServerMigration.Status.underWay.map(\.rawValue)
        let showsHosts = request.may("servers:migrations:index:host", on: server)
        let all = try await request.database.all(
            ServerMigration.self,
            "server_id = \(server.id) AND kind = 'live-migration' AND status IN \(statuses) ORDER BY number")
        return .list("migrations", all.map { migration in { migration.journey(&$0, showsHosts) } })
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let id = request["migration_id"]
        let migration = try await find(
            request, server, or: .notFound("In-progress live migration \(id) is not found for server \(server.id)."))
        guard migration.kind == .live else {
            throw .notFound("Migration \(id) for server \(server.id) is not live-migration.")
        }
        guard ServerMigration.Status.underWay.contains(migration.status) else {
            throw .notFound("Live migration \(id) for server \(server.id) is not in progress.")
        }
        return .object("migration") { migration.journey(&$0, true) }
    }

    private static func find(
        _ request: Request, _ server: Server, or fault: Fault
    ) async throws(Fault) -> ServerMigration {
        guard let number = Int(request["migration_id"]) else { throw fault }
        return try await request.database.one(
            ServerMigration.self, "number = \(number) AND server_id = \(server.id)", or: fault)
    }

    private static func giveUp(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        if let task = server.taskState, task != .migrating {
            throw .serverState(server.id, "task_state", task.rawValue, "abort live migration")
        }
        let migration = try await find(
            request, server, or: .migrationNotFound(request["migration_id"], server.id))
        let queued: [ServerMigration.Status] = request.version >= "2.65" ? [.queued, .preparing] : []
        try await change(
            migration, server, givingUp, "abort live migration", [.running] + queued, request)
        return .empty
    }

    private static func forceComplete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        guard request.json?["force_complete"]?.isNull == true else {
            throw request.index.wording.invalid(
                "force_complete", request.json?["force_complete"], "only null is allowed")
        }
        try server.refuseIfLocked(request)
        guard server.vmState == .active else {
            throw .serverState(server.id, "vm_state", server.vmState.rawValue, "force_complete")
        }
        guard server.taskState == .migrating else {
            throw .serverState(server.id, "task_state", server.taskState?.rawValue ?? "None", "force_complete")
        }
        let id = request["migration_id"]
        let migration = try await find(
            request, server, or: .badRequest("Migration \(id) not found for instance \(server.id)"))
        try await change(migration, server, "live_migration_force_complete", "force complete", [.running], request)
        return .empty
    }

    private static let givingUp = "live_migration_cancel"

    /// Whether somebody was told that a migration is given up.
    static func isGivenUp(_ migration: ServerMigration, _ database: Database) async throws(Fault) -> Bool {
        try await database.count(
            InstanceAction.self,
            """
            server_id = \(migration.serverID) AND action = \(givingUp) AND started_at >= \(migration.createdAt)
            """) > 0
    }

    /// Notes what is asked of a migration under way, and leaves the doing to work of its own: the migration's own
    /// operation is busy with waiting.
    private static func change(
        _ migration: ServerMigration, _ server: Server, _ action: String, _ method: String,
        _ statuses: [ServerMigration.Status], _ request: Request
    ) async throws(Fault) {
        let (queue, requestID, now, user) = (request.compute.queue, request.id, request.now, request.caller.userID)
        try await request.database.transaction { transaction throws(Fault) in
            let migration = try transaction.one(
                ServerMigration.self, "id = \(migration.id)", or: .serverNotFound(server.id))
            guard statuses.contains(migration.status) else {
                throw .badRequest(
                    "Migration \(migration.number) state of instance \(server.id) is \(migration.status.rawValue). "
                        + "Cannot \(method) while the migration is in this state.")
            }
            try transaction.insert(InstanceAction(action, on: server, by: user, requestID: requestID, at: now))
            if action == givingUp {
                try queue.cancel(subject: server.id, kind: LiveMigrateServer.kind, in: transaction)
                try InstanceAction.finish(server.id, requestID, nil, now, transaction)
            } else {
                try queue.enqueue(
                    HastenMigration(server: server.id, migration: migration.id), requestID: requestID, in: transaction)
            }
        }
    }
}

// MARK: - Wire

extension ServerMigration {
    fileprivate func journey(_ view: inout View, _ showsHosts: Bool) {
        view.put("id", number)
        view.put("uuid", id, since: "2.59")
        view.put("server_uuid", serverID)
        hosts(&view, showsHosts)
        view.put("status", status.rawValue)
        let progress = progress
        view.put("memory_total_bytes", progress?.memoryTotal)
        view.put("memory_processed_bytes", progress?.memoryProcessed)
        view.put("memory_remaining_bytes", progress?.memoryRemaining)
        view.put("disk_total_bytes", progress?.diskTotal)
        view.put("disk_processed_bytes", progress?.diskProcessed)
        view.put("disk_remaining_bytes", progress?.diskRemaining)
        view.put("user_id", userID, since: "2.80")
        view.put("project_id", projectID, since: "2.80")
        times(&view)
    }
}

extension Fault {
    static func migrationNotFound(_ id: String, _ server: String) -> Fault {
        .notFound("Migration \(id) not found for instance \(server)")
    }
}
