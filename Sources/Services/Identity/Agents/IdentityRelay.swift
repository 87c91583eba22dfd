// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells the bus what happened in Identity.
package struct IdentityRelay: Sendable {
    private let options: NotificationOptions
    private let outbox: Outbox<IdentityNotice>

    package init(_ identity: IdentityService, to bus: any MessageBus) {
        let (options, log) = (identity.options.notifications, identity.log)
        self.options = options
        outbox = Outbox(
            identity.database, identity.clock, log, of: "notifications of Identity",
            retriesMax: options.drivers.retriesMax
        ) { notice throws(Fault) in
            guard let message = notice.json else {
                return log.error(
                    "a notification of Identity cannot be read, and is left out", ["number": notice.number])
            }
            for topic in options.topics { try await bus.notify(message, exchange: "keystone", topic: topic) }
        }
    }

    /// Runs until cancelled; not at all unless an operator asked for the bus.
    package func run() async {
        if options.drivers.isSent { await outbox.run() }
    }

    /// One pass, unless the bus was away a moment ago.
    package func attempt(_ outage: inout Outage) async { await outbox.attempt(&outage) }
}
