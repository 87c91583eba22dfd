// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// A simulated run: a seed, its clock, its ids, and one thread on which everything happens.
package struct Simulated: Sendable {
    package let seed: UInt64
    package let clock = SimulatedClock()
    package let ids: SeededIdentifiers
    private let executor: SeededExecutor

    package init(seed: UInt64) {
        self.seed = seed
        ids = SeededIdentifiers(seed: seed &* 31 &+ 7)
        executor = SeededExecutor(seed: seed)
    }

    /// A private database, for whose answers time waits, however slow the machine is.
    package func database() throws(Fault) -> Database {
        let database = try Database.temporary()
        clock.heed(database)
        return database
    }

    /// What a run came to.
    package enum Outcome: Sendable, Equatable {
        case done
        /// Nothing could happen any more, and the body had not ended.
        case hung
        case threw(String)
    }

    /// Runs a body to its end in simulated time, on a thread of its own: a run may take minutes, and others wait for
    /// the threads that all tasks share.
    package func run(_ body: @escaping @Sendable () async throws -> Void) async -> Outcome {
        let (result, executor, clock) = (Ended(), executor, clock)
        Task.detached(executorPreference: executor) {
            do {
                try await body()
                result.set(.done)
            } catch {
                result.set(.threw("\(error)"))
            }
        }
        let thread = BlockingPool(name: "simulation", threads: 1, queue: 1)
        let ended = try? await thread.run { () throws(Fault) in executor.run(clock) { result.outcome != nil } }
        return ended == true ? (result.outcome ?? .hung) : .hung
    }
}

private final class Ended: Sendable {
    private let value = Mutex<Simulated.Outcome?>(nil)
    func set(_ outcome: Simulated.Outcome) { value.withLock { $0 = outcome } }
    var outcome: Simulated.Outcome? { value.withLock { $0 } }
}
