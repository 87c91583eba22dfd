// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// That traffic which security groups accept or drop is written to the hosts' logs.
package struct NetworkLog: Noun {
    package static let table = "network_logs"
    package static let noun = "log"
    package static let plural = "logs"
    package static let collection = "log/logs"

    package let id: String, projectID: String
    var name: String
    package var description: String
    let resourceType: String
    /// A security group; nil is all of them.
    let resourceID: String?
    /// A port whose groups are meant.
    let targetID: String?
    /// `ACCEPT`, `DROP` or `ALL`.
    let event: String
    var enabled: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package typealias Extra = Nothing
    static let loggable = ["security_group"]
}

extension NetworkLog: Resource {
    package static let routes: [Route] = [
        .get("/log/logs", "List logs", of: OwnScope.from, allow: .anyone("list_logs"), index),
        .post(
            "/log/logs", "Create logs", of: drafts, allow: .rule("create_log", NetworkRules.adminOrManager), create),
        .get("/log/logs/{id}", "Show log", of: visible, allow: .rule("get_log", NetworkRules.adminOrManager), show),
        .put(
            "/log/logs/{id}", "Update log", of: visible, allow: .rule("update_log", NetworkRules.adminOrManager),
            update),
        .delete(
            "/log/logs/{id}", "Delete log", of: visible, allow: .rule("delete_log", NetworkRules.adminOrManager),
            delete),
        .get(
            "/log/loggable-resources", "List what can be logged", of: OwnScope.from,
            allow: .rule("get_loggable_resource", NetworkRules.adminOrManager), listLoggable),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network logs
        CREATE TABLE network_logs (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, resource_type VARCHAR(36) NOT NULL, resource_id VARCHAR(36),
            target_id VARCHAR(36), event VARCHAR(8) NOT NULL, enabled INTEGER NOT NULL, tags TEXT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL)
        """
    ]

    package static let filters = Filter.standard([
        .text("name"), .text("resource_type"), .text("resource_id"), .text("target_id"), .text("event"),
        .truth("enabled"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "LogResourceNotFound", "Log resource \(id) could not be found.")
    }
}

// MARK: - Handlers

extension NetworkLog {
    private static func listLoggable(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        .list("loggable_resources", loggable.map { type in { $0.put("type", type) } })
    }

    private static func drafts(_ request: Request) async throws(Fault) -> Drafts<NetworkLog> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in
            let log = NetworkLog(
                id: request.ids.uuid(), projectID: try body.takeProject(request),
                name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string()) ?? "",
                resourceType: try body.need("resource_type", .string()),
                resourceID: try body.option("resource_id", .id), targetID: try body.option("target_id", .id),
                event: try body.take("event", .among("ACCEPT", "DROP", "ALL")) ?? "ALL",
                enabled: try body.take("enabled", .truth) ?? true, tags: [], createdAt: request.now,
                updatedAt: request.now, revisionNumber: 0)
            try await log.check(request)
            return log
        }
    }

    private func check(_ request: Request) async throws(Fault) {
        guard NetworkLog.loggable.contains(resourceType) else {
            throw .invalidInput("Invalid log resource_type: \(resourceType).", type: "InvalidLogResourceType")
        }
        if let resourceID {
            _ = try await request.database.one(
                SecurityGroup.self, "id = \(resourceID) AND (\(sql: request.scope(SecurityGroup.self)))",
                or: .neutron(404, "ResourceNotFound", "Resource \(resourceID) could not be found."))
        }
        guard let targetID else { return }
        let port = try await request.database.one(
            Port.self, "id = \(targetID) AND (\(sql: request.scope(Port.self)))",
            or: .neutron(404, "TargetResourceNotFound", "Target resource \(targetID) could not be found."))
        if let resourceID, !port.securityGroupIDs.contains(resourceID) {
            throw .invalidInput(
                "Invalid resource constraint between resource (security_group \(resourceID)) and target resource "
                    + "(port \(targetID)).", type: "InvalidResourceConstraint")
        }
    }

    private static func create(_ request: Request, _ drafts: Drafts<NetworkLog>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for log in drafts.items {
                try transaction.insert(log)
                try transaction.touch(.log, log.id, request)
            }
        }
        return try await reply(request, made: drafts.items)
    }

    private static func update(_ request: Request, _ found: NetworkLog) async throws(Fault) -> Reply {
        let log = try await change(request, found.id) { transaction, log throws(Fault) in
            var body = try request.body("log")
            for name in ["resource_type", "resource_id", "target_id", "event", "project_id", "id"] where body.has(name)
            {
                throw .httpBadRequest("Cannot update read-only attribute \(name)")
            }
            log.name = try body.take("name", .string()) ?? log.name
            log.description = try body.take("description", .string()) ?? log.description
            log.enabled = try body.take("enabled", .truth) ?? log.enabled
            try body.end()
            try transaction.touch(.log, log.id, request)
        }
        return try await log.reply(request)
    }

    private static func delete(_ request: Request, _ found: NetworkLog) async throws(Fault) -> Reply {
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let log = try transaction.one(NetworkLog.self, "id = \(found.id)", or: notFound(found.id))
            try log.checkConstraint(expected)
            try transaction.delete(NetworkLog.self, "id = \(log.id)", or: notFound(log.id))
            try transaction.touch(.log, log.id, request)
        }
        return .empty
    }

    /// Deletes the logs of a security group or of a port that goes.
    static func forget(_ transaction: Transaction, of id: String, _ request: Request) throws(Fault) {
        for log in try transaction.all(NetworkLog.self, "resource_id = \(id) OR target_id = \(id)") {
            try transaction.delete(NetworkLog.self, "id = \(log.id)")
            try transaction.touch(.log, log.id, request)
        }
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("resource_type", resourceType)
        view.put("resource_id", resourceID)
        view.put("target_id", targetID)
        view.put("event", event)
        view.put("enabled", enabled)
        view.put("description", description)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("revision_number", revisionNumber)
    }
}

// MARK: - Made real

extension TopologyKind {
    static let log = LogSpec.kind
}

extension LogSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [LogSpec] {
        let logs = try await reader.rows(NetworkLog.self, ids).filter(\.enabled)
        let ports = Dictionary(
            try await reader.database.all(Port.self, "id", in: logs.compactMap(\.targetID)).map {
                ($0.id, $0.securityGroupIDs)
            }
        ) { first, _ in first }
        return logs.map { log in
            LogSpec(
                id: log.id, generation: log.revisionNumber,
                groups: log.resourceID.map { [$0] } ?? log.targetID.map { ports[$0] ?? [] },
                accepted: log.event != "DROP", dropped: log.event != "ACCEPT")
        }
    }
}
