// SPDX-License-Identifier: Apache-2.0
package import Base

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
