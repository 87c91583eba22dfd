// SPDX-License-Identifier: Apache-2.0
internal import Glibc
package import Kernel
internal import Synchronization

/// A small generator whose sequence is its seed's (SplitMix64, Steele et al. 2014).
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

/// Ids that are the same in every run of one seed.
package final class SeededIdentifiers: Identifiers {
    private let generator: Mutex<SeededGenerator>

    package init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

    package func bytes(_ count: Int) -> [UInt8] {
        generator.withLock { generator in
            (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next() >> 24) }
        }
    }
}

/// Time that stands still while anybody works and jumps to the next sleeper when nobody does. Database writers have
/// threads of their own: who makes a database says so, and time waits for it as long as that takes.
package final class SimulatedClock: WallClock {
    private struct Sleeper {
        let until: Timestamp
        let ticket: UInt64
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var now: Timestamp
        var ticket: UInt64 = 0
        var sleepers: [Sleeper] = []
        var outside: [@Sendable () -> Bool] = []
    }

    private let state: Mutex<State>

    package init(startingAt start: Timestamp = Timestamp(seconds: 1_800_000_000)) {
        state = Mutex(State(now: start))
    }

    package func now() -> Timestamp { state.withLock { $0.now } }

    package func sleep(_ duration: Duration) async throws(CancellationError) {
        let ticket = state.withLock { state in
            state.ticket += 1
            return state.ticket
        }
        let slept = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
                let isCancelled = state.withLock { state in
                    if Task.isCancelled { return true }
                    state.sleepers.append(
                        Sleeper(until: state.now + duration, ticket: ticket, continuation: continuation))
                    return false
                }
                if isCancelled { continuation.resume(returning: false) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                state.sleepers.firstIndex { $0.ticket == ticket }.map { state.sleepers.remove(at: $0) }
            }
            sleeper?.continuation.resume(returning: false)
        }
        if !slept { throw CancellationError() }
    }

    /// Time stands still while a database writes.
    package func heed(_ database: Database) {
        state.withLock { $0.outside.append { [weak database] in database?.isWriting ?? false } }
    }

    /// Whether something is done outside that jobs wait for.
    var isHeld: Bool { state.withLock { $0.outside }.contains { $0() } }

    /// Moves to the earliest sleeper's moment and wakes it. False when nobody sleeps.
    package func advance() -> Bool {
        let sleeper = state.withLock { state in
            guard
                let at = state.sleepers.indices.min(by: {
                    (state.sleepers[$0].until, state.sleepers[$0].ticket)
                        < (state.sleepers[$1].until, state.sleepers[$1].ticket)
                })
            else { return nil as Sleeper? }
            let sleeper = state.sleepers.remove(at: at)
            state.now = max(state.now, sleeper.until)
            return sleeper
        }
        sleeper?.continuation.resume(returning: true)
        return sleeper != nil
    }
}

/// Runs all tasks of a simulation on one thread, the next one chosen by the seed: one seed, one interleaving.
/// For what else has threads of its own a simulation waits a moment before it moves time.
package final class SeededExecutor: TaskExecutor {
    private struct State {
        var jobs: [UnownedJob] = []
        var generator: SeededGenerator
    }

    private let state: Mutex<State>

    package init(seed: UInt64) { state = Mutex(State(generator: SeededGenerator(seed: seed))) }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        state.withLock { $0.jobs.append(job) }
    }

    /// Runs jobs until `isDone`, moving the clock whenever nothing else can happen. False when it hung: nobody can run
    /// and nobody sleeps.
    package func run(_ clock: SimulatedClock, until isDone: () -> Bool) -> Bool {
        var idle = 0
        while !isDone() {
            if step() {
                idle = 0
                continue
            }
            if clock.isHeld {
                idle = 0
                usleep(50)
                continue
            }
            // A job may be on its way back from a thread of a pool: give it a moment before time moves.
            idle += 1
            usleep(200)
            if idle < 10 { continue }
            idle = 0
            if !clock.advance(), !waitForJobs() { return false }
        }
        return true
    }

    private func step() -> Bool {
        let job = state.withLock { state in
            guard !state.jobs.isEmpty else { return nil as UnownedJob? }
            let at = Int(state.generator.next() % UInt64(state.jobs.count))
            return state.jobs.remove(at: at)
        }
        guard let job else { return false }
        job.runSynchronously(on: asUnownedTaskExecutor())
        return true
    }

    private func waitForJobs() -> Bool {
        for _ in 0..<2000 {
            if state.withLock({ !$0.jobs.isEmpty }) { return true }
            usleep(1000)
        }
        return false
    }
}
