// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// Where notifications go: a file, a bus. A message has oslo.messaging's members; sending must not fail the call that
/// it is about.
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

/// Notifications on a bus. A call does not wait for the bus: messages stand in line for it, in memory, and those of a
/// long outage are left out.
package actor SentNotifications: Notifications {
    private let bus: any MessageBus
    private let topics: [String]
    private let log: Log
    private var waiting: [JSON] = []
    private var lost = 0
    private var isDown = false
    private static let bound = 10_000

    package init(_ bus: any MessageBus, topics: [String], log: Log) {
        self.bus = bus
        self.topics = topics
        self.log = log
    }

    package func send(_ message: JSON) {
        guard waiting.count < Self.bound else {
            lost += 1
            return
        }
        waiting.append(message)
    }

    /// Runs until cancelled.
    package func run(_ clock: any WallClock) async {
        await clock.every(.seconds(1)) { await pass() }
    }

    /// Sends what stands in line, oldest first, as far as the bus takes it.
    package func pass() async {
        while let message = waiting.first {
            do throws(Fault) {
                let priority = (message["priority"]?.string ?? "info").lowercased()
                for topic in topics { try await bus.send(message, exchange: "keystone", topic: topic + "." + priority) }
            } catch {
                if !isDown { log.warning("notifications of Identity wait for the bus", ["error": error.description]) }
                isDown = true
                return
            }
            waiting.removeFirst()
        }
        if isDown { log.info("notifications of Identity are taken again", ["lost": lost]) }
        (isDown, lost) = (false, 0)
    }
}

/// Notifications for several at once.
package struct ManyNotifications: Notifications {
    private let all: [any Notifications]

    package init(_ all: [any Notifications]) { self.all = all }
    package func send(_ message: JSON) async { for one in all { await one.send(message) } }
}

/// Notifications kept for a test to look at.
package final class CollectedNotifications: Notifications {
    private let collected = Mutex<[JSON]>([])

    package init() {}
    package var messages: [JSON] { collected.withLock { $0 } }
    package func send(_ message: JSON) async { collected.withLock { $0.append(message) } }
}
