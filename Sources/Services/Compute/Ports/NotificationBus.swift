// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where Compute's notifications go: a message bus that others listen to. A message may come twice.
package protocol NotificationBus: Sendable {
    func publish(_ notification: JSON, topic: String) async throws(Fault)
}

/// A bus that holds other services' messages as well: Compute's are in the exchange of its name.
package struct SharedNotificationBus: NotificationBus {
    private let bus: any MessageBus

    package init(_ bus: any MessageBus) { self.bus = bus }

    package func publish(_ notification: JSON, topic: String) async throws(Fault) {
        try await bus.notify(notification, exchange: "nova", topic: topic)
    }
}

/// A bus that only remembers.
package actor FakeNotificationBus: NotificationBus {
    package private(set) var messages: [(topic: String, notification: JSON)] = []
    private var failures = 0

    package init() {}

    package func publish(_ notification: JSON, topic: String) throws(Fault) {
        if failures > 0 {
            failures -= 1
            throw .unavailable("The bus is down (fake).")
        }
        messages.append((topic, notification))
    }

    /// The next so many messages are not taken.
    package func fail(_ count: Int) { failures = count }
}
