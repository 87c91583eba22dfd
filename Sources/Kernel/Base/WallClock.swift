// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// Time, passed in: the machine's, or a simulation's that moves only when everybody waits.
package protocol WallClock: Sendable {
    func now() -> Timestamp
    func sleep(_ duration: Duration) async throws(CancellationError)
}

/// The machine's own clock.
package struct MachineClock: WallClock {
    package init() {}

    package func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    package func sleep(_ duration: Duration) async throws(CancellationError) {
        do { try await Task.sleep(for: duration) } catch { throw CancellationError() }
    }
}

/// A stopwatch on the monotonic clock, for measuring; never stored.
package struct Stopwatch: Sendable {
    private let start: UInt64

    package init() { start = Stopwatch.nanoseconds() }
    package var elapsed: Duration { .nanoseconds(Int64(Stopwatch.nanoseconds() - start)) }

    package static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
