// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// Where notifications go at once: a file. What a bus is told are rows (`IdentityNotice`). A message has the members
/// that oslo.messaging gives it; sending must not fail the call that it is about.
package protocol Notifications: Sendable {
    func send(_ message: JSON) async
}

/// Notifications as lines of a log of their own.
package struct LoggedNotifications: Notifications {
    private let log: Log

    package init(_ log: Log) { self.log = log }

    package func send(_ message: JSON) async {
        log.info(message["event_type"]?.string ?? "", ["notification": message])
    }
}

/// Notifications of a cloud that logs none.
package struct NoNotifications: Notifications {
    package init() {}
    package func send(_ message: JSON) async {}
}

/// Notifications kept for a test to look at.
package final class CollectedNotifications: Notifications {
    private let collected = Mutex<[JSON]>([])

    package init() {}
    package var messages: [JSON] { collected.withLock { $0 } }
    package func send(_ message: JSON) async { collected.withLock { $0.append(message) } }
}
