// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Observability
internal import SQL

extension Run {
    /// Nothing waits longer than this, whatever its looks say.
    private static var longest: Duration { .seconds(7 * 86_400) }

    /// Parks an operation whose step looked in vain, unless it was told of what it waits for while it looked: then it
    /// looks again at once.
    mutating func wait(_ step: OpenStep, _ pause: Duration) async {
        let now = worker.queue.clock.now()
        let topic = step.topic ?? ""
        if !record.isWaiting {
            record.waitingSince = now
            log.info("waits, and holds no worker", ["step": step.name, "for": topic])
        }
        guard now - record.waitingSince < Self.longest else {
            _ = worker.queue.hangUp(topic)
            let days = "what it waits for ('\(topic)') has not come in a week"
            await turn(step, .timeout("The step '\(step.name)' was given up: \(days)."))
            return
        }
        // From now on its looks count, not those of an earlier trouble.
        record.attempt = 1
        record.note = "waits for \(topic)"
        await park(on: topic, for: pause)
        if worker.queue.hangUp(topic) { await worker.queue.tell(topic) }
    }

    /// Gives the place back and leaves a row that says what wakes the operation.
    /// - Parameter pause: how long it stands at most; nil is until there is a place.
    mutating func park(on topic: String, for pause: Duration?) async {
        let now = worker.queue.clock.now()
        let old = record
        let wakeAt = pause.map { now + $0 } ?? ParkedOperation.late
        do {
            let isOurs = try await worker.queue.database.transaction { transaction throws(Fault) in
                let current = try transaction.first(
                    OperationRecord.self, "id = \(old.id) AND fence = \(old.fence)")
                guard let current else { return false }
                _ = try transaction.update(
                    OperationRecord.self,
                    set: """
                        state = 'parked', step = \(old.step), step_name = \(old.stepName), attempt = \(old.attempt),
                        waiting_since = \(old.waitingSince), note = \(old.note), owner = '', updated_at = \(now)
                        """,
                    where: "id = \(old.id) AND fence = \(old.fence)")
                let isCancelled = current.cancelRequested && old.state == .running
                try transaction.insert(
                    ParkedOperation(
                        operationID: old.id, kind: old.kind, position: old.position,
                        topic: topic, wakeAt: isCancelled ? Timestamp(microseconds: 0) : wakeAt, resumes: old.state),
                    or: .internalError("the operation \(old.id) is parked already"))
                return true
            }
            if !isOurs { log.warning("operation was taken over by another owner", [:]) }
        } catch {
            // It keeps its lease; when that has ended it goes on where the record says.
            log.error("operation could not be parked", ["error": error.description])
        }
    }
}

extension OperationRecord {
    var isWaiting: Bool { waitingSince > .never }

    func patience(_ now: Timestamp) -> Patience {
        isWaiting ? Patience(waited: now - waitingSince, isFirst: false) : Patience()
    }
}

extension Timestamp {
    /// As a column says that there was no such time.
    static var never: Timestamp { Timestamp(microseconds: 0) }
}
