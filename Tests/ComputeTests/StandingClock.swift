// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A clock that stands still, so that nothing is ever due however slow the machine is: who waits is woken by a word
/// alone. Pauses between tries end all the same.
struct StandingClock: WallClock {
    private let moment = MachineClock().now()

    func now() -> Timestamp { moment }
    func sleep(_ duration: Duration) async throws(CancellationError) { try await MachineClock().sleep(duration) }
}
