// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The verbs that give a server another size or another host.
enum ServerMoves: Resource {
    static let routes: [Route] = [
        .action(path, "resize", "Resize a server", of: Server.visible, allow: .member("servers:resize"), resize),
        .action(
            path, "confirmResize", "Confirm a server's resize", of: Server.visible,
            allow: .member("servers:confirm_resize"), confirm, status: 204),
        .action(
            path, "revertResize", "Revert a server's resize", of: Server.visible,
            allow: .member("servers:revert_resize"), revert),
        .action(
            path, "migrate", "Migrate a server that is down", of: Server.visible,
            allow: .rule("os-migrate-server:migrate", "rule:project_manager_or_admin"), migrate),
    ]

    private static let path = "/servers/{server_id}/action"
}

// MARK: - Resize and cold migration

extension ServerMoves {
    private static func resize(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("resize")
        let id = try body.need("flavorRef", .flavorRef)
        let diskConfig = try body.take("OS-DCF:diskConfig", .oneOf("AUTO", "MANUAL"))
        try body.end()
        try server.refuseIfLocked(request)
        try server.require([.active, .stopped], "resize")
        try await requireUp(server.host, request)
        let flavor = try await flavor(id, for: server, request)
        guard flavor.id != server.flavor.id || flavor != server.flavor else {
            throw .badRequest("When resizing, instances must change flavor!")
        }
        try DiskEncryption.checkChange(of: server, to: flavor)
        try TrustedModule.checkChange(of: server, to: flavor)
        if let imageID = server.imageID, !server.isVolumeBacked,
            let image = try await request.compute.images.find(imageID, requestID: request.id)
        {
            try image.fit(flavor)
        }
        if server.isVolumeBacked { try await requireRAM(server, flavor, request) }
        var placing = MovePlacing()
        if !request.compute.options.allowsResizeToSameHost, let host = server.host {
            placing.excluded[host] = "the server is there now"
        }
        let quota = try await request.compute.quota(of: server.projectID, requestID: request.id)
        let move = AskedMove(
            action: "resize", kind: .resize, flavor: flavor, diskConfig: diskConfig ?? "MANUAL", placing: placing)
        try await begin(move, of: server, request) { transaction throws(Fault) in
            try quota.admit(from: server, to: flavor, transaction)
        }
        return .empty
    }

    /// A root disk that is a volume asks of a flavor what its image asked.
    private static func requireRAM(
        _ server: Server, _ flavor: FlavorSnapshot, _ request: Request
    ) async throws(Fault) {
        let root = try await BlockDevice.of(server.id, request.database).first { $0.isRoot }
        guard let id = root?.volumeID,
            let volume = try await request.compute.storage.volume(id, requestID: request.id),
            volume.leastRAM > flavor.memoryMiB
        else { return }
        throw .badRequest("Flavor's memory is too small for requested image.")
    }

    private static func flavor(
        _ id: String, for server: Server, _ request: Request
    ) async throws(Fault) -> FlavorSnapshot {
        let flavor: FlavorSnapshot
        do throws(Fault) {
            flavor = try await Flavor.find(id, request).snapshot
        } catch {
            throw error.status == 404 ? .badRequest(error.message) : error
        }
        if flavor.diskGiB == 0, server.flavor.diskGiB != 0, !server.isVolumeBacked {
            throw .badRequest(
                "Server disk was unable to be resized because: Resize to zero disk flavor is not allowed.")
        }
        return flavor
    }

    private static func migrate(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var target: String?
        if request.version >= "2.56", request.json?["migrate"]?.isNull != true {
            var body = try request.body("migrate")
            target = try Self.target(&body, rule: "os-migrate-server:migrate:host", server)
            try body.end()
        }
        try server.refuseIfLocked(request)
        try server.require([.active, .stopped], "migrate")
        try await requireUp(server.host, request)
        if let target {
            guard target != server.host else {
                throw .badRequest("Cannot migrate to the host where the server exists.")
            }
            try await requireKnown(target, request)
        }
        var placing = MovePlacing(target: target)
        if let host = server.host { placing.excluded[host] = "the server is there now" }
        let move = AskedMove(action: "migrate", kind: .migration, flavor: server.flavor, placing: placing)
        try await begin(move, of: server, request) { _ in }
        return .empty
    }

    /// What a server is to become, and where.
    private struct AskedMove {
        let action: String
        let kind: ServerMigration.Kind
        let flavor: FlavorSnapshot
        /// Upstream's for a server that is moved without a word about it.
        var diskConfig = "MANUAL"
        let placing: MovePlacing
    }

    /// Writes the migration and the work, if the judge lets it be.
    private static func begin(
        _ move: AskedMove, of server: Server, _ request: Request,
        _ judge: @escaping @Sendable (Transaction) throws(Fault) -> Void
    ) async throws(Fault) {
        let (id, now, user) = (request.ids.uuid(), request.now, request.caller.userID)
        try await server.begin(move.action, request) { server, transaction throws(Fault) in
            try server.require([.active, .stopped], move.action)
            try judge(transaction)
            let migration = ServerMigration(
                move.kind, of: server, id: id, to: move.flavor, status: .accepted, by: user, at: now)
            try migration.insert(transaction)
            return ActionStart(
                .resizePrep, also: "progress = 0, disk_config = \(move.diskConfig)",
                work: MoveServer(server: server.id, migration: id, placing: move.placing))
        }
    }

    // MARK: - Afterwards

    private static func confirm(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try server.refuseIfLocked(request)
        try server.require([.resized], "confirmResize")
        if let migration = try await request.database.first(
            ServerMigration.self, "server_id = \(server.id) AND status = 'finished' ORDER BY number DESC")
        {
            try await requireUp(migration.source, request)
        }
        try await server.begin("confirmResize", request) { server, transaction throws(Fault) in
            try server.require([.resized], "confirmResize")
            let migration = try ServerMigration.settle(.confirming, server.id, request.now, transaction)
            return ActionStart(work: ConfirmMove(server: server.id, migration: migration.id))
        }
        return .empty
    }

    private static func revert(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let quota = request.compute.options.quota
        try await server.begin("revertResize", request) { server, transaction throws(Fault) in
            try server.require([.resized], "revertResize")
            let migration = try ServerMigration.settle(.reverting, server.id, request.now, transaction)
            try quota.admit(from: server.flavor, to: migration.oldFlavor, of: server.projectID, transaction)
            return ActionStart(.resizeReverting, work: RevertMove(server: server.id, migration: migration.id))
        }
        return .empty
    }
}

extension ServerMoves {
    /// The host that is asked for by name, which not everybody may; null names none.
    static func target(_ body: inout Body, rule: String, _ server: Server) throws(Fault) -> String? {
        guard body.peek("host")?.isNull != true else {
            body.ignore("host")
            return nil
        }
        return try body.take("host", .host, rule: rule, on: server)
    }

    /// The server's host must be able to take part.
    static func requireUp(_ host: String?, _ request: Request) async throws(Fault) {
        let known = try await request.database.first(ComputeHost.self, "name = \(host ?? "") AND deleted_at IS NULL")
        guard known?.isUp(at: request.now, within: request.compute.options.serviceDownTime) == true else {
            throw .conflict("Service is unavailable at this time.")
        }
    }

    static func requireKnown(_ host: String, _ request: Request) async throws(Fault) {
        _ = try await request.database.one(
            ComputeHost.self, "name = \(host) AND deleted_at IS NULL", or: .computeHostNotFound(host))
    }
}

extension ServerMigration {
    /// Takes the finished move of a server to its end, one way or the other.
    static func settle(
        _ status: Status, _ server: String, _ now: Timestamp, _ transaction: Transaction
    ) throws(Fault) -> ServerMigration {
        let fault = Fault.badRequest("Instance has not been resized.")
        let migration = try transaction.one(
            ServerMigration.self, "server_id = \(server) AND status = 'finished' ORDER BY number DESC", or: fault)
        guard try enter(status, migration.id, from: [.finished], now, transaction) else { throw fault }
        return migration
    }
}

extension QuotaLimits {
    /// Refuses a size that takes the project over its limits; a smaller one is always admitted.
    func admit(
        from old: FlavorSnapshot, to new: FlavorSnapshot, of project: String, _ transaction: Transaction
    ) throws(Fault) {
        let used = try QuotaUsage.of(project, transaction)
        for (resource, usage, more) in [
            ("cores", used.cores, new.vcpus - old.vcpus), ("ram", used.ram, new.memoryMiB - old.memoryMiB),
        ] where more > 0 {
            let limit = try limit(resource, project, transaction)
            guard limit >= 0, usage + more > limit else { continue }
            throw .forbidden(
                "Quota exceeded for \(resource): Requested \(more), but already used \(usage) of \(limit) \(resource)")
        }
    }
}

// MARK: - Wire

extension Format where Value == String {
    /// A machine's name.
    static var host: Format {
        text(1...255).map { text throws(Misfit) in
            guard text.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-._".contains($0)) }) else {
                throw Misfit("'\(text)' does not match '^[a-zA-Z0-9-._]*$'")
            }
            return text
        }
    }

    /// A flavor's id, as text or as a number.
    static var flavorRef: Format {
        Format { value, lenient throws(Misfit) in
            if let number = value.integer { return String(number) }
            return try Format<String>.text(1...255).read(value, lenient)
        }
    }
}
