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
    package typealias Look = @Sendable (Site, Patience) async throws(Fault) -> Wait

    /// What it is: a deed, or looking now and again whether what others do is done.
    enum Work: Sendable {
        case deed(Deed)
        case wait(topic: String, Look)
    }

    package let name: String
    let work: Work
    package let undo: Deed?
    /// How often it is tried when the fault may pass (503, 504, 409, 500).
    package let attempts: Int
    /// How long one try, or one look, may take.
    package let budget: Duration
    let pace: Pace

    package init(
        _ name: String, attempts: Int = 3, budget: Duration = .seconds(120), pace: Pace = .short,
        do perform: @escaping Deed, undo: Deed? = nil
    ) {
        self.init(name, attempts, budget, pace, .deed(perform), undo)
    }

    /// A step that waits for others and holds nobody up meanwhile: it looks, and while what it waits for is not there
    /// the operation is parked, as a row. It looks again when the queue is told of the topic, when the time that the
    /// look gave is over, when the operation is cancelled, and when a process starts.
    ///
    ///     .waiting("plugging", for: "ports of \(server)") { site, patience async throws(Fault) in
    ///         guard patience.waited < limit else { throw .timeout("...") }
    ///         return try await site.arePlugged(server) ? .over : .on(.seconds(30))
    ///     }
    ///
    /// Every wait ends: the look says when, and after a week so does the worker.
    package static func waiting(
        _ name: String, for topic: String, attempts: Int = 3, undo: Deed? = nil, look: @escaping Look
    ) -> Step {
        Step(name, attempts, .seconds(120), .short, .wait(topic: topic, look), undo)
    }

    private init(
        _ name: String, _ attempts: Int, _ budget: Duration, _ pace: Pace, _ work: Work, _ undo: Deed?
    ) {
        self.name = name
        self.attempts = attempts
        self.budget = budget
        self.pace = pace
        self.work = work
        self.undo = undo
    }

    /// Whether a step takes so long (copies, uploads, journeys) that it has a place among its like only: however many
    /// of them there are, short ones go on.
    package struct Pace: Sendable {
        /// Nil is short.
        let isLong: (@Sendable (Site) async -> Bool)?

        package static var short: Pace { Pace(isLong: nil) }
        package static var long: Pace { Pace { _ in true } }
        /// Long in some cases, which are told apart before it begins.
        package static func long(when isLong: @escaping @Sendable (Site) async -> Bool) -> Pace {
            Pace(isLong: isLong)
        }
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
