// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells others what happened, in the order it happened in. What is to be told was written by the transactions that did
/// it and goes when it was told, so nothing is left out when a process ends, and something may be told twice.
package struct NotificationRelay: Sendable {
    private let room: ComputeService
    private let bus: (any NotificationBus)?
    private static let portion = 200

    package init(_ room: ComputeService, to bus: (any NotificationBus)? = nil) {
        self.room = room
        self.bus = bus
    }

    /// Runs until cancelled; not at all unless an operator asked for notifications.
    package func run() async {
        guard room.options.notifications.isOn else { return }
        var outage = Outage()
        await room.clock.every(.seconds(1)) { await attempt(&outage) }
    }

    /// One pass, unless the bus was away a moment ago.
    package func attempt(_ outage: inout Outage) async {
        guard outage.isOver(room.clock.now()) else { return }
        do throws(Fault) {
            try await pass()
            if outage.end() { room.log.info("notifications are taken again") }
        } catch {
            if outage.goesOn(room.clock.now()) {
                room.log.warning("notifications wait for the bus", ["error": error.description])
            }
            if let most = room.options.notifications.retriesMax, outage.failures > most { await giveUp(error) }
        }
    }

    /// Tells all that happened and was not told yet, oldest first.
    package func pass() async throws(Fault) {
        while true {
            let some = try await room.database.all(Notice.self, "1 = 1 ORDER BY number LIMIT \(Self.portion)")
            var (last, problem): (Int?, Fault?)
            for notice in some {
                do throws(Fault) { try await tell(notice) } catch {
                    problem = error
                    break
                }
                last = notice.number
            }
            if let last { try await room.database.delete(Notice.self, "number <= \(last)") }
            if let problem { throw problem }
            guard some.count == Self.portion else { return }
        }
    }

    /// The log has what the bus has: a line for each, once.
    private func tell(_ notice: Notice) async throws(Fault) {
        let message = try notice.message()
        if let bus {
            for topic in room.options.notifications.topics { try await bus.publish(message, topic: topic) }
        }
        guard room.options.notifications.drivers.isLogged else { return }
        room.log.info("notification", ["event_type": notice.event, "notification": message.text()])
    }

    /// Drops the oldest, which an operator said is not worth more tries.
    private func giveUp(_ reason: Fault) async {
        let oldest = try? await room.database.first(Notice.self, "1 = 1 ORDER BY number")
        guard let oldest else { return }
        room.log.error("a notification is given up", ["event_type": oldest.event, "error": reason.description])
        _ = try? await room.database.delete(Notice.self, "number = \(oldest.number)")
    }
}

/// How long something has not worked, and when to try again: after one second, two, four, up to half a minute.
package struct Outage: Sendable {
    package private(set) var failures = 0
    private var next = Timestamp(microseconds: 0)
    private static let pauseMax = 30

    package init() {}

    package func isOver(_ now: Timestamp) -> Bool { failures == 0 || now >= next }

    /// Whether it has only begun.
    package mutating func goesOn(_ now: Timestamp) -> Bool {
        failures += 1
        next = now + .seconds(min(1 << min(failures - 1, 10), Self.pauseMax))
        return failures == 1
    }

    /// Whether there was one.
    package mutating func end() -> Bool {
        defer { failures = 0 }
        return failures > 0
    }
}
