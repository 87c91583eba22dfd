// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import JSON
package import Observability
internal import SQL
internal import Synchronization

/// A kind of operation a worker can run, with its type erased: the stored payload in, the site made for each run.
package struct OperationKind: Sendable {
    let kind: String
    let open: @Sendable (_ payload: JSON, OperationContext) async throws(Fault) -> OpenOperation

    package static func of<Work: Operation>(
        _ type: Work.Type, site: @escaping Work.SiteMaker
    ) -> OperationKind {
        OperationKind(kind: Work.kind) { payload, context async throws(Fault) in
            let operation: Work
            do {
                operation = try JSON.decode(Work.self, from: payload)
            } catch {
                throw .internalError("the stored operation \(Work.kind) cannot be read: \(error)")
            }
            let site = try await site(context)
            return OpenOperation(
                steps: operation.steps.map { OpenStep($0, at: site) },
                succeeded: { () async throws(Fault) in try await operation.succeeded(site) },
                failed: { fault, step async throws(Fault) in try await operation.failed(site, fault, step: step) })
        }
    }
}

struct OpenOperation: Sendable {
    let steps: [OpenStep]
    let succeeded: @Sendable () async throws(Fault) -> Void
    let failed: @Sendable (Fault, String) async throws(Fault) -> Void
}

struct OpenStep: Sendable {
    let name: String
    let attempts: Int
    let budget: Duration
    let perform: @Sendable () async throws(Fault) -> Void
    let undo: (@Sendable () async throws(Fault) -> Void)?

    init<Site>(_ step: Step<Site>, at site: Site) {
        name = step.name
        attempts = step.attempts
        budget = step.budget
        perform = { () async throws(Fault) in try await step.perform(site) }
        if let undo = step.undo {
            self.undo = { () async throws(Fault) in try await undo(site) }
        } else {
            undo = nil
        }
    }
}

/// Takes operations from the queue and runs them, so many at once, those of one subject in order.
package final class Worker: Sendable {
    let queue: OperationQueue
    let name: String
    let log: Log
    let kinds: [String: OperationKind]
    private let width: Int
    private let isExclusive: Bool
    private let lease = Duration.seconds(60)
    private let running = Mutex<[String: String]>([:])

    /// - Parameters:
    ///   - name: this process, in the table and the log.
    ///   - isExclusive: whether no other process works on this database, so that what a former one left is taken over
    ///     at once instead of when its lease ends.
    ///   - width: how many operations run at once.
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
    package func run() async {
        if isExclusive { await takeOver() }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.renewLeases() }
            group.addTask { await self.prune() }
            while !Task.isCancelled {
                let claimed = await claim()
                for record in claimed {
                    group.addTask {
                        var run = Run(self, record)
                        await run.perform()
                        self.running.withLock { $0[record.id] = nil }
                        self.queue.watch(record.id, nil)
                        self.queue.wake.signal()
                    }
                }
                if claimed.isEmpty { await queue.wake.wait(atMost: .seconds(5), queue.clock) }
            }
        }
    }

    private func takeOver() async {
        await attempt("take over operations") { () async throws(Fault) in
            _ = try await self.queue.database.update(
                OperationRecord.self, set: "lease_until = 0",
                where: "state IN ('running', 'undoing')")
        }
    }

    private func renewLeases() async {
        await queue.clock.every(.seconds(20), waitsFirst: true) {
            let until = queue.clock.now() + lease
            await attempt("renew leases") { () async throws(Fault) in
                _ = try await self.queue.database.update(
                    OperationRecord.self, set: "lease_until = \(until)",
                    where: "owner = \(self.name) AND state IN ('running', 'undoing')")
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

    /// Takes what may run: the first unfinished operation of each subject that nobody holds.
    private func claim() async -> [OperationRecord] {
        let busy = running.withLock { $0 }
        let room = width - busy.count
        guard room > 0 else { return [] }
        let now = queue.clock.now()
        let (name, until, names) = (name, now + lease, kinds.keys.sorted())
        do {
            let claimed = try await queue.database.transaction { transaction throws(Fault) in
                var claimed: [OperationRecord] = []
                for var record in try Self.ready(room, names, now, transaction) where busy[record.id] == nil {
                    let fence = record.fence + 1
                    let taken = try transaction.update(
                        OperationRecord.self,
                        set: """
                            owner = \(name), fence = \(fence), lease_until = \(until),
                            state = \(record.state == .queued ? .running : record.state)
                            """,
                        where: "id = \(record.id) AND fence = \(record.fence)")
                    guard taken == 1 else { continue }
                    record.owner = name
                    record.fence = fence
                    if record.state == .queued { record.state = .running }
                    claimed.append(record)
                }
                return claimed
            }
            running.withLock { running in
                for record in claimed { running[record.id] = record.subject }
            }
            return claimed
        } catch {
            log.error("operations could not be claimed", ["error": error.description])
            try? await queue.clock.sleep(.seconds(1))
            return []
        }
    }

    /// What may run: abandoned operations, then of each subject the first that is queued, unless another one of it is
    /// under way. However many wait, only as many are read as there is room for.
    private static func ready(
        _ room: Int, _ kinds: [String], _ now: Timestamp, _ transaction: Transaction
    ) throws(Fault) -> [OperationRecord] {
        let abandoned = try transaction.all(
            OperationRecord.self,
            """
            state IN ('running', 'undoing') AND lease_until <= \(now) AND kind IN \(kinds)
            ORDER BY position LIMIT \(room)
            """)
        guard abandoned.count < room else { return abandoned }
        let queued = try transaction.all(
            OperationRecord.self,
            """
            state = 'queued' AND kind IN \(kinds) AND NOT EXISTS (
                SELECT 1 FROM work_operations earlier
                WHERE earlier.subject = work_operations.subject AND earlier.position < work_operations.position
                AND earlier.state IN ('queued', 'running', 'undoing'))
            ORDER BY position LIMIT \(room - abandoned.count)
            """)
        return abandoned + queued
    }

    func attempt(_ what: String, _ deed: () async throws(Fault) -> Void) async {
        do { try await deed() } catch { log.error("\(what) failed", ["error": error.description]) }
    }
}
