// SPDX-License-Identifier: Apache-2.0
import Base
import Kernel
import Simulation
import Synchronization
import Testing

/// The outside world of a simulated operation: what exists, whatever process made it.
final class MadeThings: Sendable {
    private let things = Mutex<Set<String>>([])
    private let calls = Mutex<Int>(0)
    private let looks = Mutex<Int>(0)
    /// The call at which the process dies, counted over all runs.
    let dies: Int

    init(dies: Int) { self.dies = dies }

    var all: Set<String> { things.withLock { $0 } }
    var count: Int { calls.withLock { $0 } }

    /// Whether the process dies in this call.
    private func isLast() -> Bool {
        calls.withLock { calls in
            calls += 1
            return calls == dies
        }
    }

    /// Whether what is waited for is there: not at the first look.
    func look(_ crash: Wake) async throws(Fault) -> Bool {
        let dies = isLast()
        let isThere = looks.withLock { looks in
            looks += 1
            return looks > 1
        }
        if dies {
            crash.signal()
            while !Task.isCancelled { await Task.yield() }
            throw .unavailable("the process died")
        }
        return isThere
    }

    func make(_ thing: String, _ crash: Wake) async throws(Fault) {
        let dies = isLast()
        things.withLock { _ = $0.insert(thing) }
        if dies {
            crash.signal()
            // The process is gone: whatever would have followed never happens.
            while !Task.isCancelled { await Task.yield() }
            throw .unavailable("the process died")
        }
    }

    func remove(_ thing: String, _ crash: Wake) async throws(Fault) {
        let dies = isLast()
        things.withLock { _ = $0.remove(thing) }
        if dies {
            crash.signal()
            while !Task.isCancelled { await Task.yield() }
            throw .unavailable("the process died")
        }
    }
}

struct SimulatedBuild: Operation {
    static let kind = "simulated.build"
    struct Site: Sendable { let world: MadeThings, crash: Wake }

    let subject: String
    let fails: Bool

    var steps: [Step<Site>] {
        let made = ["port", "disk", "guest"].map { name -> Step<Site> in
            Step(
                name, attempts: 1,
                do: { site async throws(Fault) in
                    try await site.world.make(name, site.crash)
                    if fails, name == "guest" { throw .badRequest("the guest does not start") }
                }, undo: { site async throws(Fault) in try await site.world.remove(name, site.crash) })
        }
        let wait = Step<Site>.waiting("carried", for: "network") { site, _ async throws(Fault) in
            guard try await site.world.look(site.crash) else { return .on(.seconds(1)) }
            return .over
        }
        return Array(made.prefix(2)) + [wait] + made.suffix(1)
    }
}

/// Crashes the process at every step of an operation, and in every step of its undoing, under several interleavings.
@Suite(.serialized)
struct CrashSimulation {
    static let seeds: [UInt64] = Environment.variable("APUS_SEED").flatMap { UInt64($0) }.map { [$0] } ?? [1, 2, 3, 42]

    @Test(
        "A crash at any step, one that waits included, leaves nothing stuck and nothing half made", arguments: seeds,
        [false, true])
    func crash(seed: UInt64, fails: Bool) async throws {
        for dies in 0...10 {
            let simulated = Simulated(seed: seed)
            let world = MadeThings(dies: dies)
            let outcome = await simulated.run { try await Self.play(simulated, world, fails: fails) }
            #expect(outcome == .done, "seed \(seed), crash at call \(dies)")
            #expect(world.all == (fails ? [] : ["port", "disk", "guest"]), "seed \(seed), crash at call \(dies)")
        }
    }

    /// One life of the system: a process works until it dies, and another one takes over.
    private static func play(_ simulated: Simulated, _ world: MadeThings, fails: Bool) async throws {
        let database = try simulated.database()
        try await database.migrate(OperationRecord.migrations)
        let queue = OperationQueue(database: database, clock: simulated.clock, ids: simulated.ids)
        _ = try await database.transaction { transaction throws(Fault) in
            try queue.enqueue(SimulatedBuild(subject: "s", fails: fails), requestID: "req-1", in: transaction)
        }
        var lives = 0
        let seed = simulated.seed
        while try await queue.unfinished() > 0, lives < 4 {
            lives += 1
            let life = lives
            let crash = Wake()
            let worker = Worker(
                queue, name: "process-\(lives)",
                kinds: [.of(SimulatedBuild.self) { _ in SimulatedBuild.Site(world: world, crash: crash) }],
                log: .silent,
                isExclusive: true)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await worker.run() }
                group.addTask { await crash.wait() }
                // Something is told while it looks, before, after, or never in this life.
                group.addTask {
                    let pause = Duration.milliseconds(Int(simulated.seed % 5) * 20)
                    guard (try? await simulated.clock.sleep(pause)) != nil else { return }
                    await queue.tell("network")
                    // The process ends otherwise.
                    await Wake().wait()
                }
                group.addTask {
                    while (try? await queue.unfinished()) ?? 1 > 0 {
                        // Some processes end while it is parked.
                        if life == 1, seed.isMultiple(of: 2), (try? await queue.parked()) ?? 0 > 0 { return }
                        guard (try? await simulated.clock.sleep(.milliseconds(50))) != nil else { return }
                    }
                }
                await group.next()
                group.cancelAll()
            }
        }
        #expect(try await queue.parked() == 0)
        await database.close()
    }
}
