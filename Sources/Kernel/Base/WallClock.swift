// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// Time, passed in: the machine's, or a simulation's that moves only when everybody waits.
package protocol WallClock: Sendable {
    func now() -> Timestamp
    func sleep(_ duration: Duration) async throws(CancellationError)
}

extension WallClock {
    /// Does something again and again, with a pause after each time, until the task is cancelled.
    /// - Parameter waitsFirst: whether there is a pause before the first time as well.
    package func every(_ pause: Duration, waitsFirst: Bool = false, _ deed: () async -> Void) async {
        var isWaiting = waitsFirst
        while !Task.isCancelled {
            if isWaiting, (try? await sleep(pause)) == nil { return }
            isWaiting = true
            await deed()
        }
    }
}

/// The machine's own clock.
package struct MachineClock: WallClock {
    package init() {}

    package func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// A sleep that is cancelled leaves its timer behind until the time is over, half a kilobyte each. Patience with a
    /// step or a call is minutes long and nearly always cancelled, so a long sleep is a row of short ones.
    package func sleep(_ duration: Duration) async throws(CancellationError) {
        let clock = ContinuousClock()
        let end = clock.now + duration
        do {
            repeat {
                try await Task.sleep(until: min(end, clock.now + MachineClock.nap), clock: clock)
            } while clock.now < end
        } catch { throw CancellationError() }
    }

    private static let nap: Duration = .seconds(2)
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
