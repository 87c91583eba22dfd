// SPDX-License-Identifier: Apache-2.0
internal import Base
package import Observability
internal import SQL
internal import Synchronization

/// Takes operations from the queue and runs them, so many at once, those of one subject in order.
package final class Worker: Sendable {
    let queue: OperationQueue
    let name: String
    let log: Log
    let kinds: [String: OperationKind]
    let width: Int
    private let isExclusive: Bool
    let lease = Duration.seconds(60)
    /// The operations that have a place, and whether it is one of those for long steps.
    let running = Mutex<[String: Bool]>([:])

    /// - Parameters:
    ///   - name: this process, in the table and the log.
    ///   - isExclusive: whether no other process works on this database, so that what a former one left is taken over
    ///     at once instead of when its lease ends.
    ///   - width: how many operations run at once, and as many again in steps that take long.
    package init(
        _ queue: OperationQueue, name: String, kinds: [OperationKind], log: Log, isExclusive: Bool, width: Int = 64
    ) {
        self.queue = queue
        self.name = name
        self.log = log
        self.kinds = Dictionary(uniqueKeysWithValues: kinds.map { ($0.kind, $0) })
        self.width = width
        self.isExclusive = isExclusive
    }

    /// Runs until cancelled. Operations then stop between steps, as at a crash, and the next run resumes them.
    package func run(_ metrics: Metrics? = nil) async {
        if isExclusive { await takeOver() }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.renewLeases() }
            group.addTask { await self.prune() }
            if let metrics { group.addTask { await self.count(WorkGauges(metrics)) } }
            while !Task.isCancelled {
                let (claimed, nextWake) = await claim()
                for record in claimed {
                    group.addTask {
                        var run = Run(self, record)
                        await run.perform()
                        self.running.withLock { $0[record.id] = nil }
                        self.queue.watch(record.id, nil)
                        self.queue.wake.signal()
                    }
                }
                guard claimed.isEmpty else { continue }
                let pause = nextWake.map { min($0 - queue.clock.now(), .seconds(5)) } ?? .seconds(5)
                if pause > .zero { await queue.wake.wait(atMost: pause, queue.clock) }
            }
        }
    }

    private func takeOver() async {
        await attempt("take over operations") { () async throws(Fault) in
            try await self.queue.database.transaction { transaction throws(Fault) in
                _ = try transaction.update(
                    OperationRecord.self, set: "lease_until = 0", where: "state IN ('running', 'undoing')")
                // What happened while nobody listened is seen by looking.
                _ = try transaction.update(
                    ParkedOperation.self, set: "wake_at = 0", where: "topic <> \(ParkedOperation.place)")
            }
        }
    }

    private func renewLeases() async {
        await queue.clock.every(.seconds(20), waitsFirst: true) {
            // Those whose run ended without a word, because it could not be written, are taken up again.
            let (until, ids) = (queue.clock.now() + lease, Array(running.withLock { $0.keys }))
            await attempt("renew leases") { () async throws(Fault) in
                _ = try await self.queue.database.update(
                    OperationRecord.self, set: "lease_until = \(until)",
                    where: "owner = \(self.name) AND id IN \(ids)")
            }
        }
    }

    /// Forgets operations that ended a quarter ago; until then they tell what was done.
    private func prune() async {
        await queue.clock.every(.seconds(3600), waitsFirst: true) {
            await attempt("prune operations") { () async throws(Fault) in
                try await self.queue.prune(endedBefore: self.queue.clock.now() - .seconds(90 * 86_400))
            }
        }
    }

    // MARK: - Places

    /// Gives a run a place of its next step's pace. False when all those for long ones are taken: then it has to wait
    /// for one and holds none.
    func place(_ id: String, isLong: Bool) -> Bool {
        let (isGiven, isOther) = running.withLock { running in
            guard running[id] != isLong else { return (true, false) }
            guard !isLong || running.values.count(where: { $0 }) < width else { return (false, false) }
            running[id] = isLong
            return (true, true)
        }
        if isOther { queue.wake.signal() }
        return isGiven
    }

    func attempt(_ what: String, _ deed: () async throws(Fault) -> Void) async {
        do { try await deed() } catch { log.error("\(what) failed", ["error": error.description]) }
    }
}
