// SPDX-License-Identifier: Apache-2.0
import Kernel
import Synchronization

/// The machine's clock, put forward by hand: what is due in an hour is due at once.
final class AdvancedClock: WallClock {
    private let offset = Mutex(Duration.zero)

    func now() -> Timestamp { MachineClock().now() + offset.withLock { $0 } }
    func sleep(_ duration: Duration) async throws(CancellationError) { try await MachineClock().sleep(duration) }
    func advance(by duration: Duration) { offset.withLock { $0 += duration } }
}
