// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The agents that run servers, whether they report and may be given work; and after them the control services, of
/// which nothing can be changed.
enum ComputeServices: Resource {
    static let routes: [Route] = [
        .get("/os-services", "List compute services", of: Anything.from, allow: .adminOnly("os-services:list"), index),
        old("enable", "Enable a compute service"),
        old("disable", "Disable a compute service"),
        old("disable-log-reason", "Disable a compute service and say why"),
        old("force-down", "Force a compute service down", since: "2.11"),
        .put(
            "/os-services/{service_id}", "Update a compute service", of: Anything.from,
            allow: .adminOnly("os-services:update"), update, since: "2.53"),
        .delete(
            "/os-services/{service_id}", "Delete a compute service", of: Anything.from,
            allow: .adminOnly("os-services:delete"), delete),
    ]

    static let binary = "nova-compute"

    /// Until 2.53 the verb is in the path, and the service is named by host and binary.
    private static func old(_ verb: String, _ summary: String, since: Microversion? = nil) -> Route {
        .put(
            "/os-services/" + verb, summary, of: Anything.from, allow: .adminOnly("os-services:update"),
            { request, _ async throws(Fault) in try await oldUpdate(request, verb) }, since: since, until: "2.53")
    }
}

// MARK: - Handlers

extension ComputeServices {
    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var filter: SQL = "deleted_at IS NULL"
        let (wantedHost, wantedBinary) = (request.query("host"), request.query("binary"))
        if let wantedHost { filter += " AND name = \(wantedHost)" }
        if let wantedBinary, wantedBinary != binary { filter += " AND 1 = 0" }
        let hosts = try await request.database.all(ComputeHost.self, filter + " ORDER BY number")
        let zones = try await AvailabilityZones.byHost(request.database)
        let (now, limit) = (request.now, request.compute.options.serviceDownTime)
        let control = ControlService.all(on: request.compute.notices.host).filter {
            (wantedHost ?? $0.host) == $0.host && (wantedBinary ?? $0.binary) == $0.binary
        }
        var lines: [(inout View) -> Void] = hosts.map { host in
            { host.service(&$0, zones, isUp: host.isUp(at: now, within: limit)) }
        }
        lines += control.map { service in { service.write(&$0, now: now) } }
        return .list("services", lines)
    }

    private static func oldUpdate(_ request: Request, _ verb: String) async throws(Fault) -> Reply {
        var body = try request.body()
        let host = try body.need("host", .text(1...255))
        let name = try body.need("binary", .text(1...255))
        let reason = verb == "disable-log-reason" ? try body.need("disabled_reason", .text(1...255)) : nil
        let isForced = verb == "force-down" ? try body.need("forced_down", .bool) : nil
        try body.end()
        guard name == binary else {
            throw .onlyCompute(name, "Updating", "updated")
        }
        if isForced == false { try await refuseIfLeft(host, request) }
        let isDisabled = verb != "enable"
        let set: SQL =
            isForced.map { "is_forced_down = \($0)" } ?? "is_disabled = \(isDisabled), disabled_reason = \(reason)"
        let count = try await request.database.update(
            ComputeHost.self, set: set + ", updated_at = \(request.now)", where: "name = \(host) AND deleted_at IS NULL"
        )
        guard count == 1 else { throw .notFound("Could not find binary \(name) on host \(host).") }
        if isForced == nil,
            let changed = try await request.database.first(ComputeHost.self, "name = \(host) AND deleted_at IS NULL")
        {
            await HostReporter(request.compute).publishStatus(changed, requestID: request.id)
        }
        return .object("service") { view in
            view.put("host", host)
            view.put("binary", name)
            if let isForced { return view.put("forced_down", isForced) }
            view.put("status", isDisabled ? "disabled" : "enabled")
            if let reason { view.put("disabled_reason", reason) }
        }
    }

    private static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try ControlService.refuse(request, "Updating", "updated")
        var host = try await find(request)
        var body = try request.body()
        let status = try body.take("status", .oneOf("enabled", "disabled"))
        let reason = try body.take("disabled_reason", .text(1...255))
        let isForced = try body.take("forced_down", .bool)
        try body.end()
        guard status != nil || isForced != nil else {
            throw .badRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
        }
        if status == "enabled", reason != nil {
            throw .badRequest("Specifying 'disabled_reason' with status 'enabled' is invalid.")
        }
        if let status {
            host.isDisabled = status == "disabled"
            host.disabledReason = reason
        }
        if let isForced {
            if !isForced { try await refuseIfLeft(host.name, request) }
            host.isForcedDown = isForced
        }
        host.updatedAt = request.now
        let changed = host
        try await request.database.update(
            ComputeHost.self,
            set: """
                is_disabled = \(changed.isDisabled), disabled_reason = \(changed.disabledReason),
                is_forced_down = \(changed.isForcedDown), updated_at = \(changed.updatedAt)
                """,
            where: "id = \(changed.id)")
        if status != nil { await HostReporter(request.compute).publishStatus(changed, requestID: request.id) }
        let zones = try await AvailabilityZones.byHost(request.database)
        let isUp = changed.isUp(at: request.now, within: request.compute.options.serviceDownTime)
        return .object("service") { changed.service(&$0, zones, isUp: isUp) }
    }

    /// A host that servers were evacuated from may still have their guests: it is up again when they are cleared away.
    private static func refuseIfLeft(_ host: String, _ request: Request) async throws(Fault) {
        let left = try await request.database.count(
            ServerMigration.self, "source = \(host) AND kind = 'evacuation' AND status = 'done'")
        guard left == 0 else {
            throw .badRequest(
                "Unable to force up host \(host) as `done` evacuation migration records remain associated with the "
                    + "host. Ensure the compute service has been restarted, allowing these records to move to "
                    + "`completed` before retrying this request.")
        }
    }

    /// Only a host without servers can be forgotten; its agent registers it again when it still runs.
    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try ControlService.refuse(request, "Deleting", "deleted")
        let host = try await find(request)
        let (room, requestID) = (request.compute, request.id)
        try await request.database.transaction { transaction throws(Fault) in
            let count = try transaction.count(Server.self, "host = \(host.name) AND deleted_at IS NULL")
            guard count == 0 else {
                throw .conflict(
                    "Unable to delete compute service that is hosting instances. Migrate or delete the instances first."
                )
            }
            let closed = ServerMigration.Status.closed.map(\.rawValue) + ["done"]
            let moves = try transaction.count(
                ServerMigration.self,
                "(source = \(host.name) OR dest = \(host.name)) AND status NOT IN \(closed)")
            guard moves == 0 else {
                throw .conflict(
                    "Unable to delete compute service that has in-progress migrations. Complete the migrations or "
                        + "delete the instances first.")
            }
            for var aggregate in try transaction.all(Aggregate.self) where aggregate.hosts.contains(host.name) {
                aggregate.hosts.removeAll { $0 == host.name }
                try transaction.replace(
                    aggregate, where: "id = \(aggregate.id)", or: .internalError("the aggregate went"))
            }
            try transaction.delete(
                ComputeHost.self, "id = \(host.id)", or: .notFound("Service \(host.serviceID) not found."))
        }
        try await room.placement.deleteTree(host.id, requestID: requestID)
        return .empty
    }

    private static func find(_ request: Request) async throws(Fault) -> ComputeHost {
        let id = request["service_id"]
        guard request.version >= "2.53" else {
            guard let number = Int(id) else { throw .badRequest("Invalid input received: id must be an integer") }
            return try await request.database.one(
                ComputeHost.self, "number = \(number) AND deleted_at IS NULL", or: .notFound("Service \(id) not found.")
            )
        }
        guard Hex.isUUID(id) else { throw .badRequest("Invalid uuid \(id)") }
        return try await request.database.one(
            ComputeHost.self, "service_id = \(id) AND deleted_at IS NULL", or: .notFound("Service \(id) not found."))
    }
}

// MARK: - Wire

extension ComputeHost {
    fileprivate func service(_ view: inout View, _ zones: [String: String], isUp: Bool) {
        view.put("binary", ComputeServices.binary)
        view.put("host", name)
        view.put("id", number, until: "2.53")
        view.put("id", serviceID, since: "2.53")
        view.put("zone", zones[name] ?? AvailabilityZones.usual)
        view.put("status", isDisabled ? "disabled" : "enabled")
        view.put("state", isUp ? "up" : "down")
        view.put("updated_at", reportedAt.iso8601Naive)
        view.put("disabled_reason", disabledReason)
        view.put("forced_down", isForcedDown, since: "2.11")
    }
}
