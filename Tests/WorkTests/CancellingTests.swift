// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

/// Cannot be undone while the weather is bad, and tells in the end why it failed.
private struct Voyage: Operation {
    static let kind = "test.voyage"
    let subject: String
    var fault = ""

    var steps: [Step<Weather>] {
        [
            Step(
                "sail", attempts: 1, do: { _ throws(Fault) in if !fault.isEmpty { throw .conflict(fault) } },
                undo: { weather throws(Fault) in
                    guard weather.look("undo") else { throw .unavailable("The wind is against us.") }
                }),
            .waiting("becalmed", for: "wind") { _, _ in .on(.seconds(3600)) },
        ]
    }

    func failed(_ weather: Weather, _ fault: Fault, step: String) async throws(Fault) {
        weather.write("\(fault.isCancellation ? "cancelled" : "failed") at \(step): \(fault.message)")
    }
}

/// Whether an operation failed or was cancelled is a fact of its own, whatever the words, and whoever goes on with it.
struct CancellingTests {
    private let weather = Weather()
    private static let words = "The operation was cancelled in its step 'becalmed'."

    private func queue(_ simulated: Simulated, _ migrations: [Migration]) async throws -> OperationQueue {
        let database = try simulated.database()
        try await database.migrate(migrations)
        return OperationQueue(database: database, clock: simulated.clock, ids: simulated.ids)
    }

    private static func work(
        _ queue: OperationQueue, _ simulated: Simulated, _ weather: Weather,
        until isDone: @escaping @Sendable () async throws -> Bool
    ) async throws {
        try await UndoingTests.process(.of(Voyage.self) { _ in weather }, queue, simulated, until: isDone)
    }

    /// A first process comes as far as to undo it, which does not work; a second one does.
    private func play(_ voyage: Voyage, isCancelled: Bool) async throws {
        let (simulated, weather) = (Simulated(seed: 3), weather)
        let outcome = await simulated.run {
            let queue = try await queue(simulated, OperationRecord.migrations)
            try await queue.database.transaction { tx throws(Fault) in
                _ = try queue.enqueue(voyage, requestID: "req-1", in: tx)
            }
            if isCancelled {
                try await Self.work(queue, simulated, weather) { try await queue.parked() == 1 }
                try await queue.database.transaction { tx throws(Fault) in try queue.cancel(subject: "s", in: tx) }
            }
            try await Self.work(queue, simulated, weather) {
                let isParked = try await queue.parked() == 1
                return isParked && weather.looks("undo") > 2
            }
            #expect(weather.done.isEmpty)
            weather.isFine = true
            try await Self.work(queue, simulated, weather) { try await queue.unfinished() == 0 }
            await queue.database.close()
        }
        #expect(outcome == .done)
    }

    @Test("What was cancelled is so for the process that ends it, too")
    func cancelled() async throws {
        try await play(Voyage(subject: "s"), isCancelled: true)
        #expect(weather.done == ["cancelled at becalmed: The operation was cancelled before its step 'becalmed'."])
    }

    @Test("A step that fails with words about cancelling has failed")
    func words() async throws {
        try await play(Voyage(subject: "s", fault: Self.words), isCancelled: false)
        #expect(weather.done == ["failed at sail: \(Self.words)"])
    }

    @Test("What a program of before cancelled and did not end is known to be cancelled", arguments: [true, false])
    func before(isCancelled: Bool) async throws {
        let (simulated, weather) = (Simulated(seed: 3), weather)
        weather.isFine = true
        let outcome = await simulated.run {
            let old = OperationRecord.migrations.filter { !$0.text.contains("fault_code") }
            #expect(old.count < OperationRecord.migrations.count)
            let queue = try await queue(simulated, old)
            let asked = isCancelled ? 1 : 0
            _ = try await queue.database.transaction { tx throws(Fault) in
                try tx.execute(
                    """
                    INSERT INTO work_operations (id, position, kind, subject, payload, state, step, step_name, undoing,
                        attempt, progress, note, fault, fault_status, cancel_requested, owner, fence, lease_until,
                        deadline, request_id, created_at, updated_at)
                    VALUES ('o', 1, 'test.voyage', 's', '{"subject":"s","fault":""}', 'undoing', 0, 'becalmed', 'sail',
                        0, 0, '', \(Self.words), 409, \(asked), 'w', 1, 0, 0, 'req-1', 0, 0)
                    """)
            }
            try await queue.database.migrate(OperationRecord.migrations)
            try await Self.work(queue, simulated, weather) { try await queue.unfinished() == 0 }
            await queue.database.close()
        }
        #expect(outcome == .done)
        #expect(weather.done == ["\(isCancelled ? "cancelled" : "failed") at becalmed: \(Self.words)"])
    }
}
