// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The verbs by which administrators take servers off a host: while they run, or after the host has died.
enum ServerEvacuations: Resource {
    static let routes: [Route] = [
        .action(
            path, "os-migrateLive", "Migrate a running server", of: Server.visible,
            allow: .rule("os-migrate-server:migrate_live", "rule:project_manager_or_admin"), migrateLive),
        .action(
            path, "evacuate", "Evacuate a server from a dead host", of: Server.visible,
            allow: .adminOnly("os-evacuate"), evacuate, status: 200),
    ]

    private static let path = "/servers/{server_id}/action"
}

// MARK: - Live migration

extension ServerEvacuations {
    private static func migrateLive(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("os-migrateLive")
        guard body.has("host") else { throw request.index.wording.missing("host") }
        let target = try ServerMoves.target(&body, rule: "os-migrate-server:migrate_live:host", server)
        if request.version >= "2.25" {
            _ = try body.need("block_migration", .boolOrAuto)
        } else {
            _ = try body.need("block_migration", .bool)
            _ = try body.need("disk_over_commit", .bool)
        }
        let isForced = try body.take("force", .bool, since: "2.30", until: "2.68")
        try body.end()
        if isForced == true, target == nil { throw .badRequest("Can't force to a non-provided destination") }
        try server.refuseIfModuleStays()
        try server.refuseIfLocked(request)
        try server.require([.active, .paused], "os-migrateLive")
        if let target { try await ServerMoves.requireKnown(target, request) }
        // Until 2.30 whoever names a host means it.
        let skipsScheduler = target != nil && (request.version < "2.30" || isForced == true)
        var placing = MovePlacing(target: target, isForced: skipsScheduler)
        if let host = server.host, !skipsScheduler { placing.excluded[host] = "the server is there now" }
        let (id, now, user) = (request.ids.uuid(), request.now, request.caller.userID)
        let migration = ServerMigration(.live, of: server, id: id, status: .accepted, by: user, at: now)
        if let refusal = try await refusal(server, migration, placing, request) {
            // Until 2.34 the caller waits for what can be known beforehand; since then it is in the actions log.
            if request.version < "2.34" { throw refusal }
        }
        let plan = placing
        try await server.begin("live-migration", request) { server, transaction throws(Fault) in
            try server.require([.active, .paused], "os-migrateLive")
            let migration = ServerMigration(.live, of: server, id: id, status: .accepted, by: user, at: now)
            try migration.insert(transaction)
            return ActionStart(
                .migrating, work: LiveMigrateServer(server: server.id, migration: id, placing: plan))
        }
        return .empty
    }

    /// What stands against a live migration, as far as that is known before anything is done (upstream's
    /// `LiveMigrationTask`); nothing is claimed.
    private static func refusal(
        _ server: Server, _ migration: ServerMigration, _ placing: MovePlacing, _ request: Request
    ) async throws(Fault) -> Fault? {
        guard request.version < "2.34" else { return nil }
        if let refusal = try LiveChecks.refusal(server, request.compute.options.pci) { return refusal }
        let source = server.host ?? ""
        guard try await isUp(source, request) else {
            return .badRequest("Compute service of \(source) is unavailable at this time.")
        }
        guard placing.isForced, let target = placing.target else {
            let task = placing.task(server, migration)
            let decision = try await Scheduler(request.compute, requestID: request.id).choose(task)
            return decision.missing.isEmpty ? nil : decision.fault
        }
        return try await LiveChecks(request.compute).refusal(server, to: target)
    }

    static func isUp(_ host: String, _ request: Request) async throws(Fault) -> Bool {
        let known = try await request.database.first(ComputeHost.self, "name = \(host) AND deleted_at IS NULL")
        return known?.isUp(at: request.now, within: request.compute.options.serviceDownTime) ?? false
    }
}

/// Upstream's checks of a destination that no filter has looked at.
struct LiveChecks {
    private let room: ComputeService

    init(_ room: ComputeService) { self.room = room }

    /// Devices that a flavor asks for go along when it says that they can. Cards of ports are let go of, others taken.
    static func refusal(_ server: Server, _ options: PCIOptions) throws(Fault) -> Fault? {
        let requests = try PCIRequest.all(server.flavor.extraSpecs, options).filter { !$0.isMediated }
        guard requests.contains(where: { $0.specs.contains { $0.isLiveMigratable != true } }) else { return nil }
        return .badRequest(
            "Migration pre-check error: This request does not explicitly request live-migratable devices.")
    }

    func refusal(_ server: Server, to target: String) async throws(Fault) -> Fault? {
        if target == server.host {
            return .badRequest("Unable to migrate instance (\(server.id)) to current host (\(target)).")
        }
        guard let host = try await room.database.first(ComputeHost.self, "name = \(target) AND deleted_at IS NULL")
        else { return .computeHostNotFound(target) }
        guard host.isUp(at: room.clock.now(), within: room.options.serviceDownTime) else {
            return .badRequest("Compute service of \(target) is unavailable at this time.")
        }
        let source = try await room.database.first(ComputeHost.self, "name = \(server.host ?? "")")
        if let source, source.resources.hypervisorType != host.resources.hypervisorType {
            return .badRequest("The supplied hypervisor type of is invalid.")
        }
        if let source, source.resources.hypervisorVersion > host.resources.hypervisorVersion {
            return .badRequest("The instance requires a newer hypervisor version than has been provided.")
        }
        return nil
    }
}

// MARK: - Evacuation

extension ServerEvacuations {
    private static func evacuate(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("evacuate")
        let target = try body.take("host", .host)
        let isShared = request.version < "2.14" ? try body.need("onSharedStorage", .bool) : false
        let given = try body.take("adminPass", .text(0...255))
        let isForced = try body.take("force", .bool, since: "2.29", until: "2.68")
        try body.end()
        if isForced == true, target == nil { throw .badRequest("Can't force to a non-provided destination") }
        if isShared, given != nil { throw .badRequest("admin password can't be changed on existing disk") }
        if let target {
            _ = try await request.database.one(
                ComputeHost.self, "name = \(target) AND deleted_at IS NULL",
                or: .notFound("Compute host \(target) not found."))
            guard target != server.host else { throw .badRequest("The target host can't be the same one.") }
        }
        try server.refuseIfTrusted("evacuate")
        try server.require([.active, .stopped, .error], "evacuate", tasks: TaskState.allCases)
        if let host = server.host, try await isUp(host, request) {
            throw .badRequest("Compute service of \(host) is still in use.")
        }
        let password = isShared ? nil : given ?? ServerDraft.password(request.ids)
        // Until 2.29 whoever names a host means it.
        let skipsScheduler = target != nil && (request.version < "2.29" || isForced == true)
        var placing = MovePlacing(target: target, isForced: skipsScheduler)
        if let host = server.host { placing.excluded[host] = "the server is being evacuated from there" }
        try await begin(server, placing, password, staysStopped: request.version >= "2.95", request)
        guard request.version < "2.14" else { return .empty }
        return .bare { if let password { $0.put("adminPass", password) } }
    }

    private static func begin(
        _ server: Server, _ placing: MovePlacing, _ password: String?, staysStopped: Bool, _ request: Request
    ) async throws(Fault) {
        let (id, now, user) = (request.ids.uuid(), request.now, request.caller.userID)
        let queue = request.compute.queue
        try await server.begin("evacuate", request) { server, transaction throws(Fault) in
            try server.require([.active, .stopped, .error], "evacuate", tasks: TaskState.allCases)
            guard server.taskState != .deleting else {
                throw .serverState(server.id, "task_state", "deleting", "evacuate")
            }
            // Whatever was being done on the dead host is over.
            try queue.cancel(subject: server.id, in: transaction)
            var migration = ServerMigration(.evacuation, of: server, id: id, status: .accepted, by: user, at: now)
            if staysStopped || server.vmState == .stopped { migration.newState = .stopped }
            try migration.insert(transaction)
            return ActionStart(
                .rebuilding, also: "progress = 0, admin_password = COALESCE(\(password), admin_password)",
                work: EvacuateServer(server: server.id, migration: id, placing: placing))
        }
    }
}

// MARK: - Wire

extension Format where Value == String {
    /// Yes, no, or `auto`: as text.
    static var boolOrAuto: Format {
        Format { value, lenient throws(Misfit) in
            if value.string == "auto" { return "auto" }
            return try Format<Bool>.bool.read(value, lenient) ? "true" : "false"
        }
    }
}
