// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What was done to a server, by whom, and how it went; its events are the operations that did it.
struct InstanceAction: Record {
    static let table = "compute_actions"

    let requestID: String
    let serverID: String
    let action: String
    let projectID: String
    let userID: String
    var message: String?
    let startedAt: Timestamp
    var updatedAt: Timestamp
    var finishedAt: Timestamp?
    /// What it is about beside the server: its volume, its image.
    var subject: [String: String]?

    init(
        _ action: String, on server: Server, by user: String, requestID: String, at now: Timestamp,
        about subject: [String: String]? = nil
    ) {
        self.action = action
        self.requestID = requestID
        serverID = server.id
        projectID = server.projectID
        userID = user
        startedAt = now
        self.subject = subject
        updatedAt = now
    }

    /// Whether an action has ended: who concludes it again after a crash must leave alone what was begun since.
    static func isOver(_ server: String, _ requestID: String, _ transaction: Transaction) throws(Fault) -> Bool {
        try transaction.count(
            InstanceAction.self, "server_id = \(server) AND request_id = \(requestID) AND finished_at IS NOT NULL") > 0
    }

    /// Notes the end of an action; `message` is why it failed.
    static func finish(
        _ server: String, _ requestID: String, _ message: String?, _ now: Timestamp, _ transaction: Transaction
    ) throws(Fault) {
        _ = try transaction.update(
            InstanceAction.self, set: "finished_at = \(now), updated_at = \(now), message = \(message)",
            where: "server_id = \(server) AND request_id = \(requestID)")
    }
}

extension InstanceAction: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/os-instance-actions", "List a server's actions", of: owner,
            allow: .reader("os-instance-actions:list"), index),
        .get(
            "/servers/{server_id}/os-instance-actions/{request_id}", "Show a server's action", of: owner,
            allow: .reader("os-instance-actions:show"), show),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 compute actions
        CREATE TABLE compute_actions (
            request_id VARCHAR(64) NOT NULL, server_id VARCHAR(36) NOT NULL, action VARCHAR(64) NOT NULL,
            project_id VARCHAR(64) NOT NULL, user_id VARCHAR(64) NOT NULL, message TEXT, started_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, finished_at BIGINT, PRIMARY KEY (server_id, request_id, action))
        """,
        """
        2026-11-30 compute actions say what they are about
        ALTER TABLE compute_actions ADD COLUMN subject TEXT
        """,
    ]

    /// The server, also a deleted one since 2.21.
    static func owner(_ request: Request) async throws(Fault) -> Server {
        if request.version < "2.21" { return try await Server.visible(request) }
        let id = request["server_id"]
        let scope: SQL =
            request.caller.has(role: "admin") ? "" : " AND project_id = \(request.caller.projectID ?? "")"
        return try await request.database.one(Server.self, "id = \(id)" + scope, or: .serverNotFound(id))
    }

    static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var filter: SQL = "server_id = \(server.id)"
        for (name, sign, since) in [("changes-since", ">=", Microversion("2.58")), ("changes-before", "<=", "2.66")] {
            guard let text = request.query(name, since: since) else { continue }
            guard let moment = Timestamp(text) else { throw .badRequest("\(name): '\(text)' is not a 'date-time'") }
            filter += " AND updated_at \(raw: sign) \(sign == "<=" ? moment.throughSecond : moment)"
        }
        let page = try request.page(
            sortable: [.number("created_at", column: "started_at"), .text("request_id")],
            defaults: ["-created_at", "-request_id"], since: "2.58")
        let actions = try await request.database.all(
            InstanceAction.self, page.condition(filter, table: table, id: "request_id"))
        return .list("instanceActions", actions.map { action in { action.summary(&$0) } })
    }

    static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let id = request["request_id"]
        let action = try await request.database.one(
            InstanceAction.self, "server_id = \(server.id) AND request_id = \(id) ORDER BY started_at DESC",
            or: .notFound("Action for request_id \(id) on instance \(server.id) not found"))
        // Scheduling is one operation for all servers of a request, under the reservation.
        let queue = request.compute.queue
        var events = try await ActionEvent.all(on: server.id, of: id, action: action.action, queue)
        if action.action == "create" {
            events += try await ActionEvent.all(on: server.reservationID, of: id, action: action.action, queue)
        }
        let all = events
        return .object("instanceAction") { view in
            action.summary(&view)
            let mayEvents = view.version >= "2.51" || view.may("os-instance-actions:events", on: server)
            if mayEvents { action.write(all, server, &view) }
        }
    }

    private func summary(_ view: inout View) {
        view.put("instance_uuid", serverID)
        view.put("request_id", requestID)
        view.put("action", action)
        view.put("user_id", userID)
        view.put("project_id", projectID)
        view.put("start_time", startedAt.iso8601Naive)
        view.put("message", message.map { _ in "Error" })
        view.put("updated_at", updatedAt.iso8601Naive, since: "2.58")
    }
}
