// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells the bus of what happened in Identity, in the order it happened in. What it is to tell are rows, which go when
/// they were told: nothing is left out when a process ends, and something may be told twice.
package struct IdentityRelay: Sendable {
    private let identity: IdentityService
    private let bus: any MessageBus
    private static let portion = 200

    package init(_ identity: IdentityService, to bus: any MessageBus) {
        self.identity = identity
        self.bus = bus
    }

    /// Runs until cancelled.
    package func run() async {
        guard identity.options.notifications.drivers.isSent else { return }
        var failures = 0
        await identity.clock.every(.seconds(1)) {
            await attempt(&failures)
            // After an outage of some length it is asked less often: after two seconds, four, up to half a minute.
            guard failures > 1 else { return }
            try? await identity.clock.sleep(.seconds(min(1 << min(failures - 1, 5), 30) - 1))
        }
    }

    /// One pass.
    /// - Parameter failures: how many in a row have failed.
    package func attempt(_ failures: inout Int) async {
        do throws(Fault) {
            try await pass()
            if failures > 0 { identity.log.info("notifications of Identity are taken again") }
            failures = 0
        } catch {
            if failures == 0 {
                identity.log.warning("notifications of Identity wait for the bus", ["error": error.description])
            }
            failures += 1
        }
    }

    /// Tells all that was not told yet, oldest first.
    package func pass() async throws(Fault) {
        while true {
            let some = try await identity.database.all(
                IdentityNotice.self, "1 = 1 ORDER BY number LIMIT \(Self.portion)")
            var (last, problem): (Int?, Fault?)
            for notice in some {
                do throws(Fault) { try await tell(notice) } catch {
                    problem = error
                    break
                }
                last = notice.number
            }
            if let last { try await identity.database.delete(IdentityNotice.self, "number <= \(last)") }
            if let problem { throw problem }
            guard some.count == Self.portion else { return }
        }
    }

    private func tell(_ notice: IdentityNotice) async throws(Fault) {
        let message: JSON
        do { message = try JSON.parse(Array(notice.message.utf8), limits: .trusted) } catch {
            return identity.log.error(
                "a notification of Identity cannot be read, and is left out",
                ["number": notice.number, "error": error.message])
        }
        let priority = (message["priority"]?.string ?? "info").lowercased()
        for topic in identity.options.notifications.topics {
            try await bus.send(message, exchange: "keystone", topic: topic + "." + priority)
        }
    }
}
