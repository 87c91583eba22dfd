// SPDX-License-Identifier: Apache-2.0
package import Base
internal import JSON
package import SQL
internal import Synchronization

/// The queue of durable work: a table. Handlers put operations in it in the transaction that writes the row they are
/// about; a `Worker` takes them out.
package final class OperationQueue: Sendable {
    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    let wake = Wake()
    private let last = Mutex<Int64>(0)
    private let cancellations = Mutex<[String: Wake]>([:])
    /// What steps are looking for right now, and whether it was told of meanwhile.
    private let listening = Mutex<[String: (lookers: Int, isTold: Bool)]>([:])

    package init(database: Database, clock: any WallClock, ids: any Identifiers) {
        self.database = database
        self.clock = clock
        self.ids = ids
    }

    /// Queues an operation in the caller's transaction; it starts when that is on disk.
    @discardableResult
    package func enqueue<Work: Operation>(
        _ operation: Work, requestID: String, in transaction: Transaction
    ) throws(Fault) -> String {
        let now = clock.now()
        let payload: String
        do {
            payload = try JSON.encode(operation).text()
        } catch {
            throw .internalError("the operation \(Work.kind) cannot be stored: \(error)")
        }
        let record = OperationRecord(
            id: ids.uuid(), position: position(now), kind: Work.kind, subject: operation.subject, payload: payload,
            state: .queued, step: 0, stepName: "", undoing: "", attempt: 0, progress: 0, note: "", fault: "",
            faultStatus: 0, faultCode: "",
            cancelRequested: false, owner: "", fence: 0, leaseUntil: Timestamp(microseconds: 0),
            deadline: now + operation.deadline, waitingSince: .never, requestID: requestID, createdAt: now,
            updatedAt: now)
        try transaction.insert(record, or: .internalError("an operation's id was taken"))
        try transaction.insert(
            OperationEvent(
                operationID: record.id, subject: record.subject, at: now, kind: record.kind, step: "", what: "asked",
                message: "", requestID: requestID),
            or: .internalError("an operation's event could not be written"))
        transaction.afterCommit { [wake] in wake.signal() }
        return record.id
    }

    /// Asks the unfinished operations on a subject to stop: the step that runs is cancelled, those done are undone.
    package func cancel(subject: String, in transaction: Transaction) throws(Fault) {
        try cancel("subject = \(subject) AND state IN ('queued', 'running', 'parked')", transaction)
    }

    /// The same for those of one kind only.
    package func cancel(subject: String, kind: String, in transaction: Transaction) throws(Fault) {
        try cancel(
            "subject = \(subject) AND kind = \(kind) AND state IN ('queued', 'running', 'parked')", transaction)
    }

    private func cancel(_ which: SQL, _ transaction: Transaction) throws(Fault) {
        let unfinished = try transaction.all(OperationRecord.self, which)
        guard !unfinished.isEmpty else { return }
        // One that is parked while it is undone has failed already, and stays so; it only need not wait any longer.
        _ = try transaction.update(
            OperationRecord.self, set: "cancel_requested = 1",
            where: which + " AND id NOT IN (SELECT operation_id FROM work_parked WHERE resumes = 'undoing')")
        for record in unfinished where record.state == .parked {
            _ = try transaction.update(ParkedOperation.self, set: "wake_at = 0", where: "operation_id = \(record.id)")
        }
        transaction.afterCommit { [weak self] in
            self?.wake.signal()
            self?.cancellations.withLock { wakes in
                for record in unfinished { wakes[record.id]?.signal() }
            }
        }
    }

    /// The operations on a subject, newest first.
    package func operations(on subject: String) async throws(Fault) -> [OperationRecord] {
        try await database.all(OperationRecord.self, "subject = \(subject) ORDER BY position DESC")
    }

    /// What happened to a subject, oldest first.
    package func timeline(of subject: String) async throws(Fault) -> [OperationEvent] {
        try await database.all(OperationEvent.self, "subject = \(subject) ORDER BY at, operation_id")
    }

    /// Forgets operations that ended before a moment, and what was told of any before that.
    package func prune(endedBefore moment: Timestamp) async throws(Fault) {
        while true {
            let ids = try await database.rows(
                """
                SELECT id FROM work_operations WHERE state IN ('done', 'failed', 'cancelled')
                AND position < \(moment.microseconds) AND updated_at < \(moment) LIMIT 500
                """
            ).compactMap { $0.text("id") }
            guard !ids.isEmpty else { break }
            _ = try await database.delete(OperationRecord.self, "id IN \(ids)")
        }
        _ = try await database.delete(OperationEvent.self, "at < \(moment)")
    }

    /// Operations neither done nor failed.
    package func unfinished() async throws(Fault) -> Int {
        try await database.count(OperationRecord.self, OperationRecord.unfinished)
    }

    // MARK: - Those that wait

    /// Wakes the operations that wait for something: it happened, or something of the kind did. It only saves time, for
    /// who is woken looks; what is told while a step looks makes it look once more.
    package func tell(_ topic: String) async {
        listening.withLock { if $0[topic] != nil { $0[topic]?.isTold = true } }
        let waiting = try? await database.count(ParkedOperation.self, "topic = \(topic)")
        guard waiting != 0 else { return }
        _ = try? await database.update(ParkedOperation.self, set: "wake_at = 0", where: "topic = \(topic)")
        wake.signal()
    }

    /// Operations that wait, and hold no worker.
    package func parked() async throws(Fault) -> Int { try await database.count(ParkedOperation.self) }

    func listen(to topic: String) {
        listening.withLock { $0[topic, default: (0, false)].lookers += 1 }
    }

    /// - Returns: whether the topic was told of since.
    func hangUp(_ topic: String) -> Bool {
        listening.withLock { listening in
            guard var entry = listening[topic] else { return false }
            entry.lookers -= 1
            listening[topic] = entry.lookers == 0 ? nil : entry
            return entry.isTold
        }
    }

    func watch(_ id: String, _ wake: Wake?) { cancellations.withLock { $0[id] = wake } }

    private func position(_ now: Timestamp) -> Int64 {
        last.withLock { last in
            last = max(last + 1, now.microseconds)
            return last
        }
    }
}
