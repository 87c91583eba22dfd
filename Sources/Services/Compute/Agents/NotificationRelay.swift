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
        await room.clock.every(.seconds(1)) {
            do throws(Fault) { try await pass() } catch {
                room.log.warning("notifications wait", ["error": error.description])
            }
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

    private func tell(_ notice: Notice) async throws(Fault) {
        let message = try notice.message()
        room.log.info("notification", ["event_type": notice.event, "notification": message.text()])
        for topic in room.options.notifications.topics { try await bus?.publish(message, topic: topic) }
    }
}
