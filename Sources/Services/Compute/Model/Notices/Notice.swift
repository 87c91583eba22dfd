// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Something that others are to be told, kept until they were: written by the transaction that did it.
struct Notice: OutboxRow {
    static let table = "compute_notices"

    enum Priority: String, Codable, Sendable { case info = "INFO", error = "ERROR" }

    /// In the order it is told.
    let number: Int
    let id: String
    let event: String
    let publisher: String
    let priority: Priority
    /// JSON, as it is sent.
    let payload: String
    let createdAt: Timestamp

    /// The message as oslo.messaging's listeners get it.
    func message() throws(Fault) -> JSON {
        let body: JSON
        do { body = try JSON.parse(Array(payload.utf8), limits: .trusted) } catch {
            throw .internalError("notification \(number) cannot be read: \(error.message)")
        }
        return [
            "message_id": .string(id), "publisher_id": .string(publisher), "event_type": .string(event),
            "priority": .string(priority.rawValue), "payload": body,
            "timestamp": .string(createdAt.iso8601Naive.replacing("T", with: " ")), "context": context(body),
        ]
    }

    /// Who is behind it, as far as it is known.
    private func context(_ body: JSON) -> JSON {
        let about = body["nova_object.data"]
        var context = JSONObject()
        context["request_id"] = about?["request_id"] ?? .null
        context["user_id"] = about?["action_initiator_user"] ?? .null
        context["project_id"] = about?["action_initiator_project"] ?? .null
        return .object(context)
    }
}

extension Notice: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        // The cursor was what notifications were found by before they were kept.
        """
        2026-11-29 compute notification cursor
        CREATE TABLE compute_notification_cursor (
            id INTEGER NOT NULL PRIMARY KEY, told BIGINT NOT NULL, updated_at BIGINT NOT NULL);
        CREATE INDEX compute_actions_updated ON compute_actions (updated_at)
        """,
        """
        2026-11-30 compute notices
        CREATE TABLE compute_notices (
            number BIGINT NOT NULL PRIMARY KEY, id VARCHAR(36) NOT NULL, event VARCHAR(64) NOT NULL,
            publisher VARCHAR(300) NOT NULL, priority VARCHAR(8) NOT NULL, payload TEXT NOT NULL,
            created_at BIGINT NOT NULL)
        """,
    ]
}

/// Writes notices. Nothing is written unless an operator asked for notifications.
struct Notices: Sendable {
    /// Upstream's names of the processes that say something (nova/objects/fields.py, `NotificationSource`).
    enum Source: String, Sendable { case api, compute, conductor, scheduler }

    let options: NotificationOptions
    let clock: any WallClock
    let ids: any Identifiers
    /// The machine that the API answers on.
    let host: String

    /// - Parameters:
    ///   - event: `flavor.create`, `instance.pause.start`.
    ///   - host: where it was done; nil where the API is.
    func tell(
        _ event: String, _ source: Source, on host: String? = nil, as priority: Notice.Priority = .info,
        _ payload: JSON, _ transaction: Transaction
    ) throws(Fault) {
        guard options.isOn else { return }
        try transaction.insert(
            Notice(
                number: try transaction.nextNumber(Notice.self), id: ids.uuid(), event: event,
                publisher: "nova-\(source.rawValue):\(host ?? self.host)", priority: priority, payload: payload.text(),
                createdAt: clock.now()))
    }

    /// What is told of by what the transactions do to these tables.
    func watch(_ database: Database) {
        guard options.isOn else { return }
        let notices = self
        database.watch([
            WatchedTable(Server.self) { "id = \($0.id)" },
            WatchedTable(ServerMigration.self, columns: ["status"]) { "id = \($0.id)" },
            WatchedTable(InstanceAction.self) {
                "request_id = \($0.requestID) AND server_id = \($0.serverID) AND action = \($0.action)"
            },
            WatchedTable(Flavor.self) { "id = \($0.id)" },
            WatchedTable(Aggregate.self) { "id = \($0.id)" },
            WatchedTable(ServerGroup.self, columns: ["name"]) { "id = \($0.id)" },
            WatchedTable(ServerGroup.Member.self) { "server_id = \($0.serverID)" },
            WatchedTable(ComputeHost.self, columns: ["is_disabled", "disabled_reason", "is_forced_down"]) {
                "id = \($0.id)"
            },
        ]) { changes, transaction throws(Fault) in
            try ServerNotices(notices, transaction).tell(changes)
            try notices.flavors(changes, transaction)
            try notices.aggregates(changes, transaction)
            try notices.groups(changes, transaction)
            try notices.services(changes, transaction)
        }
    }
}
