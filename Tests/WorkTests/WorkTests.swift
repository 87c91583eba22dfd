// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

/// What the steps of a test did, in order.
final class Diary: Sendable {
    private let lines = Mutex<[String]>([])
    func write(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
}

struct Build: Operation {
    static let kind = "test.build"
    let subject: String
    var failsAt: String?

    var steps: [Step<Diary>] {
        ["a", "b", "c"].map { name in
            Step(
                name, attempts: 2,
                do: { diary async throws(Fault) in
                    diary.write("do \(name)")
                    if name == failsAt { throw .badRequest("\(name) broke") }
                }, undo: { diary async throws(Fault) in diary.write("undo \(name)") })
        }
    }

    func succeeded(_ diary: Diary) async throws(Fault) { diary.write("succeeded") }
    func failed(_ diary: Diary, _ fault: Fault, step: String) async throws(Fault) {
        diary.write("failed at \(step): \(fault.message)")
    }
}

struct WorkerTests {
    let diary = Diary()

    func queue() async throws -> OperationQueue {
        let database = try Database.temporary()
        try await database.migrate(OperationRecord.migrations)
        return OperationQueue(database: database, clock: MachineClock(), ids: RandomIdentifiers())
    }

    func drain(_ queue: OperationQueue) async throws {
        let worker = Worker(
            queue, name: "w1", kinds: [.of(Build.self) { [diary] _ in diary }], log: .silent, isExclusive: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await worker.run() }
            while try await queue.unfinished() > 0 { try await Task.sleep(for: .milliseconds(2)) }
            group.cancelAll()
        }
    }

    @Test("Steps run in order and the operation is done")
    func done() async throws {
        let queue = try await queue()
        _ = try await queue.database.transaction { tx throws(Fault) in
            try queue.enqueue(Build(subject: "s"), requestID: "req-1", in: tx)
        }
        try await drain(queue)
        #expect(diary.all == ["do a", "do b", "do c", "succeeded"])
        #expect(try await queue.operations(on: "s").map(\.state) == [.done])
        #expect(try await queue.timeline(of: "s").map(\.what) == ["asked", "began", "began", "began", "done"])
    }

    @Test("A step that fails for good is undone with those before it, last first")
    func undone() async throws {
        let queue = try await queue()
        _ = try await queue.database.transaction { tx throws(Fault) in
            try queue.enqueue(Build(subject: "s", failsAt: "b"), requestID: "req-1", in: tx)
        }
        try await drain(queue)
        #expect(diary.all == ["do a", "do b", "undo b", "undo a", "failed at b: b broke"])
        let record = try #require(try await queue.operations(on: "s").first)
        #expect(record.state == .failed)
        #expect(record.fault == "b broke")
    }

    @Test("Operations on one subject run in the order they were asked for")
    func order() async throws {
        let queue = try await queue()
        _ = try await queue.database.transaction { tx throws(Fault) in
            for _ in 0..<3 { try queue.enqueue(Build(subject: "s"), requestID: "req-1", in: tx) }
        }
        try await drain(queue)
        #expect(diary.all == Array(repeating: ["do a", "do b", "do c", "succeeded"], count: 3).flatMap { $0 })
    }

    @Test("Ended operations are forgotten after their time; what waits stays")
    func forgotten() async throws {
        let queue = try await queue()
        _ = try await queue.database.transaction { tx throws(Fault) in
            try queue.enqueue(Build(subject: "s"), requestID: "req-1", in: tx)
        }
        try await drain(queue)
        _ = try await queue.database.transaction { tx throws(Fault) in
            try queue.enqueue(Build(subject: "s"), requestID: "req-2", in: tx)
        }
        try await queue.prune(endedBefore: queue.clock.now() - .seconds(60))
        #expect(try await queue.operations(on: "s").count == 2)
        try await queue.prune(endedBefore: queue.clock.now() + .seconds(1))
        #expect(try await queue.operations(on: "s").map(\.requestID) == ["req-2"])
    }

    @Test("A subject with much to do keeps no other one waiting")
    func fairness() async throws {
        let queue = try await queue()
        _ = try await queue.database.transaction { tx throws(Fault) in
            for _ in 0..<200 { try queue.enqueue(Build(subject: "busy"), requestID: "req-1", in: tx) }
            try queue.enqueue(Build(subject: "other", failsAt: "a"), requestID: "req-2", in: tx)
        }
        try await drain(queue)
        let first = diary.all.firstIndex { $0.hasPrefix("failed") } ?? 0
        #expect(first < 200, "the other one came at line \(first) of \(diary.all.count)")
    }

    @Test("A cancelled operation is undone")
    func cancelled() async throws {
        let queue = try await queue()
        _ = try await queue.database.transaction { tx throws(Fault) in
            try queue.enqueue(Build(subject: "s"), requestID: "req-1", in: tx)
            try queue.cancel(subject: "s", in: tx)
        }
        try await drain(queue)
        #expect(try await queue.operations(on: "s").map(\.state) == [.cancelled])
        #expect(diary.all.contains("undo a"))
    }
}
