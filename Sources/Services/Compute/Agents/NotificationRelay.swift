// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells others what happened: the log and the bus.
package struct NotificationRelay: Sendable {
    private let options: NotificationOptions
    private let outbox: Outbox<Notice>

    package init(_ room: ComputeService, to bus: (any NotificationBus)? = nil) {
        let (options, log) = (room.options.notifications, room.log)
        self.options = options
        // The log has what the bus has: a line for each, once.
        outbox = Outbox(
            room.database, room.clock, log, of: "notifications", retriesMax: options.drivers.retriesMax
        ) { notice throws(Fault) in
            let message = try notice.message()
            if let bus {
                for topic in options.topics { try await bus.publish(message, topic: topic) }
            }
            guard options.drivers.isLogged else { return }
            log.info("notification", ["event_type": notice.event, "notification": message.text()])
        }
    }

    /// Runs until cancelled; not at all unless an operator asked for notifications.
    package func run() async {
        if options.isOn { await outbox.run() }
    }

    /// One pass, unless the bus was away a moment ago.
    package func attempt(_ outage: inout Outage) async { await outbox.attempt(&outage) }

    /// Tells all that happened and was not told yet, oldest first.
    package func pass() async throws(Fault) { try await outbox.pass() }
}
