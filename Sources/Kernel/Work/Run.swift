// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import JSON
internal import Observability
internal import SQL

/// One claim of one operation: goes on where the record says, and writes under its own fencing number only.
struct Run {
    let worker: Worker
    var record: OperationRecord
    private let wake = Wake()
    let log: Log
    /// Whether this claim has not begun a step yet: one that was parked goes on in the middle of a step.
    private var isFresh = true

    /// A pause longer than this is no reason to hold a place.
    private static let patience = Duration.seconds(1)

    /// How a try of a step ended.
    private enum Outcome: Sendable {
        case done
        /// What it waits for is not there; it looks again after so long.
        case waits(Duration)
        case failed(Fault)
        case overBudget
        case cancelled
        /// The worker is being stopped: nothing is recorded, the next owner repeats the step.
        case stopped
    }

    init(_ worker: Worker, _ record: OperationRecord) {
        self.worker = worker
        self.record = record
        log = worker.log.with([
            "operation": record.id, "kind": record.kind, "subject": record.subject, "request_id": record.requestID,
        ])
        worker.queue.watch(record.id, wake)
    }

    mutating func perform() async {
        guard let kind = worker.kinds[record.kind] else { return }
        let operation: OpenOperation
        do throws(Fault) {
            operation = try await kind.open(try payload(), context)
        } catch {
            log.error("operation cannot be opened", ["error": error.description])
            await close(.failed, error)
            return
        }
        if record.state == .running {
            realign(operation)
            await forward(operation)
        } else if record.state == .undoing {
            realignUndoing(operation)
        }
        if record.state == .undoing { await backward(operation) }
    }

    /// A program of before may have had other steps around the one that it is in.
    private mutating func realign(_ operation: OpenOperation) {
        guard !record.stepName.isEmpty, record.step < operation.steps.count,
            operation.steps[record.step].name != record.stepName,
            let at = operation.steps.firstIndex(where: { $0.name == record.stepName })
        else { return }
        record.step = at
    }

    /// The same for one that is being undone. What a step did that is no more cannot be undone any more; the rest is
    /// undone from the step that failed, some of it once more.
    private mutating func realignUndoing(_ operation: OpenOperation) {
        func at(_ name: String) -> Int? { operation.steps.firstIndex { $0.name == name } }
        guard !record.undoing.isEmpty else { return }
        let isThere =
            operation.steps.indices.contains(record.step) && operation.steps[record.step].name == record.undoing
        guard !isThere, let step = at(record.undoing) ?? at(record.stepName) else { return }
        record.step = step
    }

    private func payload() throws(Fault) -> JSON {
        do {
            return try JSON.parse(Array(record.payload.utf8), limits: .trusted)
        } catch {
            throw .internalError("the stored operation cannot be read: \(error.message)")
        }
    }

    private var context: OperationContext {
        let (queue, id, fence) = (worker.queue, record.id, record.fence)
        return OperationContext(id: id, subject: record.subject, requestID: record.requestID) { progress, note in
            _ = try? await queue.database.update(
                OperationRecord.self,
                set: "progress = \(progress), note = \(note), updated_at = \(queue.clock.now())",
                where: "id = \(id) AND fence = \(fence)")
        }
    }

    // MARK: - Forward

    private mutating func forward(_ operation: OpenOperation) async {
        while record.step < operation.steps.count {
            let step = operation.steps[record.step]
            guard await begin(step) else { return }
            if record.cancelRequested {
                await turn(step, .cancelled("The operation was cancelled before its step '\(step.name)'."))
                return
            }
            if let topic = step.topic { worker.queue.listen(to: topic) }
            let outcome = await run(step)
            if case .waits(let pause) = outcome {
                await wait(step, pause)
                return
            }
            if let topic = step.topic { _ = worker.queue.hangUp(topic) }
            switch outcome {
            case .stopped, .waits: return
            case .done:
                record.step += 1
                record.attempt = 0
                record.waitingSince = .never
            case .cancelled:
                await turn(step, .cancelled("The operation was cancelled in its step '\(step.name)'."))
                return
            case .overBudget:
                let fault = Fault.timeout("The step '\(step.name)' took longer than \(step.budget).")
                guard await again(step, fault) else { return }
            case .failed(let fault):
                guard await again(step, fault) else { return }
            }
        }
        do {
            try await operation.succeeded()
            await close(.done, nil)
        } catch {
            log.error("operation could not be concluded", ["error": error.description])
            await close(.failed, error)
        }
    }

    /// Takes a place of the step's pace and records that it begins. False when it has to wait for a place, or lost its
    /// claim.
    private mutating func begin(_ step: OpenStep) async -> Bool {
        let isBack = isFresh && record.isWaiting
        isFresh = false
        // What was cancelled needs no place to turn round.
        if !record.cancelRequested {
            let isLong = await step.isLong?() ?? false
            guard worker.place(record.id, isLong: isLong) else {
                record.stepName = step.name
                await park(on: ParkedOperation.place, for: nil)
                return false
            }
        }
        if isBack { return true }
        record.stepName = step.name
        record.attempt += 1
        return await save("began", step.name)
    }

    /// Waits and lets the step be tried again, or turns the operation round. False when it turned or lost its claim.
    private mutating func again(_ step: OpenStep, _ fault: Fault) async -> Bool {
        let isPassing = [409, 500, 502, 503, 504].contains(fault.status)
        let isLate = worker.queue.clock.now() >= record.deadline
        guard isPassing, !isLate, record.attempt < step.attempts else {
            await turn(step, fault)
            return false
        }
        log.warning(
            "step will be tried again", ["step": step.name, "attempt": record.attempt, "error": fault.description])
        guard await save("retried", fault.message) else { return false }
        let pause = Duration.milliseconds(100 << min(record.attempt, 7))
        if pause > Self.patience, step.topic == nil {
            await park(on: "", for: pause)
            return false
        }
        await wake.wait(atMost: pause, worker.queue.clock)
        return !Task.isCancelled
    }

    mutating func turn(_ step: OpenStep, _ fault: Fault) async {
        log.warning("step failed; undoing", ["step": step.name, "error": fault.description])
        record.state = .undoing
        record.undoing = step.name
        record.attempt = 0
        record.waitingSince = .never
        record.fault = fault.message
        record.faultStatus = fault.status
        record.faultCode = fault.code
        _ = await save("failed", fault.message)
    }

    // MARK: - Backward

    /// Undoes from the step that failed, which may have been half done, to the first.
    private mutating func backward(_ operation: OpenOperation) async {
        let failedStep = record.stepName
        while record.step >= 0 {
            record.step = min(record.step, operation.steps.count - 1)
            let step = operation.steps[record.step]
            if let undo = step.undo, await !settle(step.name, undo) { return }
            record.step -= 1
            record.undoing = record.step < 0 ? "" : operation.steps[record.step].name
            record.attempt = 0
            guard await save("undone", step.name) else { return }
        }
        let fault = Fault(record.faultStatus, code: record.faultCode, record.fault)
        guard await settle("conclude", { () async throws(Fault) in try await operation.failed(fault, failedStep) })
        else { return }
        await close(record.cancelRequested ? .cancelled : .failed, fault)
    }

    /// Tries until it works: what cannot be undone now stays visible and is tried for as long as it takes.
    private mutating func settle(_ name: String, _ deed: @escaping @Sendable () async throws(Fault) -> Void) async
        -> Bool
    {
        while true {
            if Task.isCancelled { return false }
            do {
                try await deed()
                return true
            } catch {
                if Task.isCancelled { return false }
                record.attempt += 1
                record.note = "undoing '\(name)' failed \(record.attempt) times: \(error.message)"
                log.error("undo failed", ["step": name, "attempt": record.attempt, "error": error.description])
                guard await save("failed", record.note) else { return false }
                let pause = Duration.milliseconds(200 << min(record.attempt, 8))
                if pause > Self.patience {
                    await park(on: "", for: pause)
                    return false
                }
                try? await worker.queue.clock.sleep(pause)
            }
        }
    }

    // MARK: - One step

    private func run(_ step: OpenStep) async -> Outcome {
        let (clock, wake, queue, id) = (worker.queue.clock, wake, worker.queue, record.id)
        let patience = record.patience(clock.now())
        return await withTaskGroup(of: Outcome.self) { group in
            group.addTask {
                do throws(Fault) {
                    switch step.work {
                    case .deed(let perform): try await perform()
                    case .wait(_, let look):
                        if case .on(let pause) = try await look(patience) { return .waits(pause) }
                    }
                    return .done
                } catch {
                    return Task.isCancelled ? .stopped : .failed(error)
                }
            }
            group.addTask {
                (try? await clock.sleep(step.budget)) == nil ? .stopped : .overBudget
            }
            group.addTask {
                while true {
                    await wake.wait()
                    if Task.isCancelled { return .stopped }
                    let isAsked = try? await queue.database.first(OperationRecord.self, "id = \(id)")?.cancelRequested
                    if isAsked == true { return .cancelled }
                }
            }
            let first = await group.next() ?? .stopped
            group.cancelAll()
            // A step that finished although it was told to stop has finished.
            if case .stopped = first { return .stopped }
            for await late in group {
                if case .done = late, case .overBudget = first { return .done }
            }
            return Task.isCancelled && !isDone(first) ? .stopped : first
        }
    }

    private func isDone(_ outcome: Outcome) -> Bool {
        if case .done = outcome { true } else { false }
    }

    // MARK: - Records

    /// Writes where the operation is. False when another owner has taken it, and then this run ends.
    private mutating func save(_ what: String, _ message: String) async -> Bool {
        let now = worker.queue.clock.now()
        let old = record
        let event = OperationEvent(
            operationID: old.id, subject: old.subject, at: now, kind: old.kind, step: old.stepName, what: what,
            message: message == old.stepName ? "" : message, requestID: old.requestID)
        do {
            let asked: Bool? = try await worker.queue.database.transaction { transaction throws(Fault) in
                let count = try transaction.update(
                    OperationRecord.self,
                    set: """
                        state = \(old.state), step = \(old.step), step_name = \(old.stepName),
                        undoing = \(old.undoing), attempt = \(old.attempt), waiting_since = \(old.waitingSince),
                        fault = \(old.fault), fault_status = \(old.faultStatus),
                        fault_code = \(old.faultCode), note = \(old.note), updated_at = \(now)
                        """,
                    where: "id = \(old.id) AND fence = \(old.fence)")
                guard count == 1 else { return nil }
                try transaction.insert(event, or: .internalError("an event could not be written"))
                return try transaction.first(OperationRecord.self, "id = \(old.id)")?.cancelRequested ?? false
            }
            guard let asked else {
                log.warning("operation was taken over by another owner", [:])
                return false
            }
            record.cancelRequested = asked
            return true
        } catch {
            log.error("operation could not be recorded", ["error": error.description])
            return false
        }
    }

    private mutating func close(_ state: OperationRecord.State, _ fault: Fault?) async {
        record.state = state
        if state == .done { await context.report(1, "") }
        if let fault {
            record.fault = fault.message
            record.faultStatus = fault.status
            record.faultCode = fault.code
        }
        _ = await save(state == .done ? "done" : state.rawValue, fault?.message ?? "")
    }
}
