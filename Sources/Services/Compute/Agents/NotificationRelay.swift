// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells others what was done to servers. The log of actions, written in the transactions that change servers, is what
/// it reads; how far it has come is a row, so nothing is left out when a process ends, and some things are told twice.
package struct NotificationRelay: Sendable {
    private let room: ComputeService
    private let bus: (any NotificationBus)?
    /// What is younger may still be in a transaction that others do not see.
    private static let ripening = Duration.seconds(2)

    package init(_ room: ComputeService, to bus: (any NotificationBus)? = nil) {
        self.room = room
        self.bus = bus
    }

    /// Runs until cancelled; not at all unless an operator asked for notifications.
    package func run() async {
        guard room.options.notifications.isOn else { return }
        while !Task.isCancelled {
            do throws(Fault) { try await pass(upTo: room.clock.now() - Self.ripening) } catch {
                room.log.warning("notifications wait", ["error": error.description])
            }
            guard (try? await room.clock.sleep(.seconds(1))) != nil else { return }
        }
    }

    /// Tells all that happened up to a moment and was not told yet, oldest first.
    package func pass(upTo moment: Timestamp) async throws(Fault) {
        let known = try await room.database.first(NotificationCursor.self, "id = 1")
        // Nobody is told of what was done before notifications were asked for.
        var told = known?.told ?? moment
        if known == nil { try await keep(told, isNew: true) }
        while true {
            let some = try await room.database.all(
                InstanceAction.self,
                "updated_at > \(told) AND updated_at <= \(moment) ORDER BY updated_at LIMIT 500")
            guard let last = some.last else { break }
            for action in some { try await tell(action, since: told) }
            told = last.updatedAt
            try await keep(told)
            // Of those of one moment some may have been cut off.
            if some.count < 500 { break }
        }
        if moment > told { try await keep(moment) }
    }

    private func tell(_ action: InstanceAction, since told: Timestamp) async throws(Fault) {
        guard ServerNotification.event(action.action) != nil,
            let server = try await room.database.first(Server.self, "id = \(action.serverID)")
        else { return }
        let zones = try await AvailabilityZones.byHost(room.database)
        let zone = server.host.map { zones[$0] ?? AvailabilityZones.usual } ?? server.zone ?? ""
        var phases: [ServerNotification.Phase] = action.startedAt > told ? [.start] : []
        if let finished = action.finishedAt, finished > told { phases.append(action.message == nil ? .end : .error) }
        for phase in phases {
            let notification = ServerNotification(action: action, phase: phase, server: server, zone: zone)
            guard let message = notification.message else { continue }
            room.log.info(
                "notification",
                ["event_type": message["event_type"]?.string ?? "", "server": server.id, "message": message.text()])
            for topic in room.options.notifications.topics { try await bus?.publish(message, topic: topic) }
        }
    }

    private func keep(_ moment: Timestamp, isNew: Bool = false) async throws(Fault) {
        let now = room.clock.now()
        try await room.database.transaction { transaction throws(Fault) in
            if isNew { return try transaction.insert(NotificationCursor(id: 1, told: moment, updatedAt: now)) }
            _ = try transaction.update(
                NotificationCursor.self, set: "told = \(moment), updated_at = \(now)", where: "id = 1")
        }
    }
}

/// How far others have been told.
struct NotificationCursor: Record {
    static let table = "compute_notification_cursor"

    let id: Int
    let told: Timestamp
    let updatedAt: Timestamp
}

extension NotificationCursor: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-29 compute notification cursor
        CREATE TABLE compute_notification_cursor (
            id INTEGER NOT NULL PRIMARY KEY, told BIGINT NOT NULL, updated_at BIGINT NOT NULL);
        CREATE INDEX compute_actions_updated ON compute_actions (updated_at)
        """
    ]
}
