// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// Keeps a set of engines up: starts them side by side as their needs allow, starts again what dies, stops them in
/// reverse.
package final class EngineSupervisor: Sendable {
    /// Waits before the first, second... attempt to bring a dead engine back.
    static let backOff: [Duration] = [
        .zero, .milliseconds(200), .seconds(1), .seconds(2), .seconds(5), .seconds(10),
    ]
    /// An engine that lived so long starts again without a wait.
    static let settled: Duration = .seconds(30)

    package let engines: [any Engine]
    private let pool: BlockingPool
    private let clock: any WallClock
    private let report: @Sendable (EngineEvent) -> Void
    /// How often in a row an engine died young, and when it last came up.
    private let record = Mutex<[String: (deaths: Int, up: Stopwatch)]>([:])
    /// The process that each engine was last seen with.
    private let pids = Mutex<[String: Int32]>([:])

    package init(
        engines: [any Engine], pool: BlockingPool, clock: any WallClock = MachineClock(),
        report: @Sendable @escaping (EngineEvent) -> Void
    ) {
        self.engines = engines
        self.pool = pool
        self.clock = clock
        self.report = report
    }

    /// Starts, watches until the task is cancelled, stops.
    package func run(ready: @Sendable () async -> Void = {}) async throws(Fault) {
        try await start()
        await ready()
        do throws(Fault) { try await watchOver() } catch {
            await stop()
            throw error
        }
        await stop()
    }

    /// Starts everything; when one engine fails, stops what came up and throws that failure.
    package func start() async throws(Fault) {
        let failure = await walk(engines, after: \.needs) { engine in
            let watch = Stopwatch()
            do throws(Fault) {
                let how = try await self.pool.run { () throws(Fault) in try engine.start() }
                self.record.withLock { $0[engine.name] = (0, Stopwatch()) }
                if let pid = engine.pid { self.pids.withLock { $0[engine.name] = pid } }
                self.report(.up(name: engine.name, how, watch.elapsed))
                return nil
            } catch {
                var fault = error
                fault.message = "\(engine.name): \(error.message)"
                return fault
            }
        }
        guard let failure else { return }
        await stop()
        throw failure
    }

    package func stop() async {
        var dependents: [String: [String]] = [:]
        for engine in engines {
            for need in engine.needs { dependents[need, default: []].append(engine.name) }
        }
        let after = dependents
        _ = await walk(engines.reversed(), after: { after[$0.name] ?? [] }) { engine in
            let watch = Stopwatch()
            do throws(Fault) {
                try await self.pool.run { () throws(Fault) in try engine.stop() }
                self.report(.stopped(name: engine.name, watch.elapsed))
            } catch {
                self.report(.stopFailed(name: engine.name, error))
            }
            return nil
        }
    }

    /// Brings dead engines back until the task is cancelled.
    package func watchOver() async throws(Fault) {
        let watch = try ProcessWatch()
        defer { watch.close() }
        await withDiscardingTaskGroup { group in
            // One that died since it came up has nothing to follow any more.
            let known = pids.withLock(\.self)
            for engine in engines where known[engine.name] != nil && !follow(engine, with: watch) {
                group.addTask { await self.heal(engine, watch) }
            }
            for await name in watch.exits {
                guard let engine = engines.first(where: { $0.name == name }) else { continue }
                group.addTask { await self.heal(engine, watch) }
            }
            group.cancelAll()
        }
    }

    /// False when it has no process now.
    private func follow(_ engine: any Engine, with watch: ProcessWatch) -> Bool {
        guard let pid = engine.pid, let process = ProcessHandle(pid) else { return false }
        pids.withLock { $0[engine.name] = pid }
        watch.watch(engine.name, process)
        return true
    }

    private func heal(_ engine: any Engine, _ watch: ProcessWatch) async {
        let down = Stopwatch()
        report(.died(name: engine.name, pid: pids.withLock { $0[engine.name] } ?? 0))
        var attempt = record.withLock { record in
            let last = record[engine.name]
            let deaths = last.map { $0.up.elapsed < Self.settled ? $0.deaths + 1 : 0 } ?? 0
            record[engine.name] = (deaths, Stopwatch())
            return max(0, deaths - 1)
        }
        while !Task.isCancelled {
            let wait = Self.backOff[min(attempt, Self.backOff.count - 1)]
            if wait > .zero {
                do throws(CancellationError) { try await clock.sleep(wait) } catch { return }
            }
            do throws(Fault) {
                _ = try await pool.run { () throws(Fault) in try engine.start() }
                guard follow(engine, with: watch) else {
                    throw .unavailable("\(engine.name) ended as soon as it had started.")
                }
                report(.healed(name: engine.name, after: down.elapsed))
                return
            } catch {
                attempt += 1
                let next = Self.backOff[min(attempt, Self.backOff.count - 1)]
                report(.restartFailed(name: engine.name, error, next: next))
            }
        }
    }

    /// Visits every engine once, side by side, each when those it comes after are done; a fault ends the walk when what
    /// runs has finished.
    private func walk(
        _ engines: [any Engine], after: @Sendable (any Engine) -> [String],
        _ visit: @Sendable @escaping (any Engine) async -> Fault?
    ) async -> Fault? {
        await withTaskGroup(of: (String, Fault?).self) { group in
            var waiting = engines
            var open = Set(engines.map(\.name))
            var failure: Fault?
            func launch() {
                let ready = waiting.filter { open.isDisjoint(with: after($0)) }
                waiting.removeAll { engine in ready.contains { $0.name == engine.name } }
                for engine in ready { group.addTask { (engine.name, await visit(engine)) } }
            }
            launch()
            while let (name, fault) = await group.next() {
                open.remove(name)
                failure = failure ?? fault
                if failure == nil { launch() }
            }
            return failure
        }
    }
}
