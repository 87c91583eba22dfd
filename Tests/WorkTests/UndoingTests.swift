// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

/// Fails at its last step, and cannot be undone while the weather is bad.
private struct Journey: Operation {
    static let kind = "test.journey"
    let subject: String

    var steps: [Step<Weather>] { Journey.steps(["train", "ferry", "inn", "climb"]) }

    static func steps(_ names: [String]) -> [Step<Weather>] {
        names.map { name in
            Step(
                name,
                do: { _ throws(Fault) in if name == "climb" { throw .badRequest("It rains.") } },
                undo: { weather throws(Fault) in
                    guard name != "ferry" || weather.look("undo") else { throw .unavailable("No ferry goes.") }
                    weather.write(name)
                })
        }
    }

    func failed(_ weather: Weather, _ fault: Fault, step: String) async throws(Fault) {
        weather.write("failed at \(step)")
    }
}

/// The same in a program of later, which has other steps.
private struct LaterJourney: Operation {
    static let kind = Journey.kind
    let subject: String
    var steps: [Step<Weather>] { Journey.steps(["bus", "train", "queue", "ferry", "inn", "climb"]) }
}

/// One whose step that is being undone is no more.
private struct DryJourney: Operation {
    static let kind = Journey.kind
    let subject: String
    var steps: [Step<Weather>] { Journey.steps(["train", "inn", "climb"]) }
}

private final class Kept: Sendable {
    let records = Mutex<[OperationRecord]>([])
}

/// What is parked while it is undone.
struct UndoingTests {
    private let weather = Weather()

    /// A first process comes as far as it can, something happens, and a second one ends it.
    private func play(
        then kind: @escaping @Sendable (Weather) -> OperationKind,
        _ happens: @escaping @Sendable (OperationQueue, Weather) async throws -> Void
    ) async throws -> [OperationRecord] {
        let (simulated, weather, found) = (Simulated(seed: 5), weather, Kept())
        let outcome = await simulated.run {
            let database = try simulated.database()
            try await database.migrate(OperationRecord.migrations)
            let queue = OperationQueue(database: database, clock: simulated.clock, ids: simulated.ids)
            try await database.transaction { transaction throws(Fault) in
                _ = try queue.enqueue(Journey(subject: "s"), requestID: "req-1", in: transaction)
            }
            try await Self.process(.of(Journey.self) { _ in weather }, queue, simulated) {
                try await queue.parked() == 1
            }
            #expect(weather.done == ["climb", "inn"])
            try await happens(queue, weather)
            try await Self.process(kind(weather), queue, simulated) { try await queue.unfinished() == 0 }
            let records = try await queue.operations(on: "s")
            found.records.withLock { $0 = records }
            await database.close()
        }
        #expect(outcome == .done)
        return found.records.withLock { $0 }
    }

    /// One process that works until something is true.
    static func process(
        _ kind: OperationKind, _ queue: OperationQueue, _ simulated: Simulated,
        until isDone: @escaping @Sendable () async throws -> Bool
    ) async throws {
        let worker = Worker(queue, name: "w", kinds: [kind], log: .silent, isExclusive: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await worker.run() }
            group.addTask {
                while try await !isDone() { try await simulated.clock.sleep(.milliseconds(100)) }
            }
            try await group.next()
            group.cancelAll()
        }
    }

    @Test("What is cancelled while it is undone has failed already, and is undone at once")
    func cancelled() async throws {
        let records = try await play(then: { weather in .of(Journey.self) { _ in weather } }) { queue, weather in
            weather.isFine = true
            try await queue.database.transaction { tx throws(Fault) in try queue.cancel(subject: "s", in: tx) }
        }
        #expect(records.map(\.state) == [.failed])
        #expect(records.map(\.fault) == ["It rains."])
        #expect(weather.done == ["climb", "inn", "ferry", "train", "failed at climb"])
    }

    @Test("A program of later undoes the step that was being undone, wherever it stands now, and those before it")
    func later() async throws {
        let records = try await play(then: { weather in .of(LaterJourney.self) { _ in weather } }) { _, weather in
            weather.isFine = true
        }
        #expect(records.map(\.state) == [.failed])
        #expect(weather.done == ["climb", "inn", "ferry", "queue", "train", "bus"])
    }

    @Test("Where the step that was being undone is no more, what is left is undone from the step that failed")
    func gone() async throws {
        let records = try await play(then: { weather in .of(DryJourney.self) { _ in weather } }) { _, _ in }
        #expect(records.map(\.state) == [.failed])
        #expect(weather.done == ["climb", "inn", "climb", "inn", "train"])
    }
}
