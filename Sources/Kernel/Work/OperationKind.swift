// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import JSON

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
    let work: Work
    let isLong: (@Sendable () async -> Bool)?
    let undo: (@Sendable () async throws(Fault) -> Void)?

    /// What it waits for; nil of one that does something.
    var topic: String? {
        if case .wait(let topic, _) = work { topic } else { nil }
    }

    enum Work: Sendable {
        case deed(@Sendable () async throws(Fault) -> Void)
        case wait(topic: String, @Sendable (Patience) async throws(Fault) -> Wait)
    }

    init<Site>(_ step: Step<Site>, at site: Site) {
        name = step.name
        attempts = step.attempts
        budget = step.budget
        switch step.work {
        case .deed(let perform): work = .deed { () async throws(Fault) in try await perform(site) }
        case .wait(let topic, let look):
            work = .wait(topic: topic) { patience async throws(Fault) in try await look(site, patience) }
        }
        if let isLong = step.pace.isLong {
            self.isLong = { await isLong(site) }
        } else {
            isLong = nil
        }
        if let undo = step.undo {
            self.undo = { () async throws(Fault) in try await undo(site) }
        } else {
            undo = nil
        }
    }
}
