// SPDX-License-Identifier: Apache-2.0
package import Base

/// Long work on one thing, as steps that are recorded before they run. The value itself is stored, so it holds ids and
/// decisions, never tokens, connections or rows.
package protocol Operation: Codable, Sendable {
    /// What the steps work with: the ports and clients of the room, on the machine concerned.
    associatedtype Site: Sendable

    /// The name it is stored under. Changing it orphans operations in flight.
    static var kind: String { get }
    /// The id of what it works on. Operations on one subject run one after another, in the order they were asked for.
    var subject: String { get }
    /// How long the whole may take before it is undone.
    var deadline: Duration { get }
    var steps: [Step<Site>] { get }

    /// All steps are done. May be called again after a crash.
    func succeeded(_ site: Site) async throws(Fault)
    /// A step failed for good and those done were undone. May be called again after a crash.
    func failed(_ site: Site, _ fault: Fault, step: String) async throws(Fault)
}

extension Operation {
    /// Makes the site for one run.
    package typealias SiteMaker = @Sendable (OperationContext) async throws(Fault) -> Site

    package var deadline: Duration { .seconds(600) }
    package func succeeded(_ site: Site) async throws(Fault) {}
    package func failed(_ site: Site, _ fault: Fault, step: String) async throws(Fault) {}
}

/// One step of an operation. Doing it twice, or undoing what was never done, must change nothing.
package struct Step<Site: Sendable>: Sendable {
    package typealias Deed = @Sendable (Site) async throws(Fault) -> Void

    package let name: String
    package let perform: Deed
    package let undo: Deed?
    /// How often it is tried when the fault may pass (503, 504, 409, 500).
    package let attempts: Int
    /// How long one try may take.
    package let budget: Duration

    package init(
        _ name: String, attempts: Int = 3, budget: Duration = .seconds(120), do perform: @escaping Deed,
        undo: Deed? = nil
    ) {
        self.name = name
        self.perform = perform
        self.undo = undo
        self.attempts = attempts
        self.budget = budget
    }
}

/// What an operation knows of its own run.
package struct OperationContext: Sendable {
    package let id: String
    package let subject: String
    /// The request that started it: one trace from the API to the engine.
    package let requestID: String
    /// Records how far it is, 0 to 1, with a sentence; shown to whoever asks.
    package let report: @Sendable (_ progress: Double, _ note: String) async -> Void
}
