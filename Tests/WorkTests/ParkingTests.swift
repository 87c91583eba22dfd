// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Synchronization
import Testing

/// What a test's operations wait for, and how they looked.
final class Weather: Sendable {
    private struct State {
        var isFine = false
        var looks: [String: Int] = [:]
        var done: [String] = []
        var meanwhile: (@Sendable () async -> Void)?
    }
    private let state = Mutex(State())
    var isFine: Bool {
        get { state.withLock { $0.isFine } }
        set { state.withLock { $0.isFine = newValue } }
    }
    func look(_ subject: String) -> Bool {
        state.withLock { state in
            state.looks[subject, default: 0] += 1
            return state.isFine
        }
    }
    func looks(_ subject: String) -> Int { state.withLock { $0.looks[subject] ?? 0 } }
    /// What happens once, while one looks.
    func meanwhile(_ deed: @escaping @Sendable () async -> Void) { state.withLock { $0.meanwhile = deed } }
    func goOn() async {
        let deed = state.withLock { state in
            defer { state.meanwhile = nil }
            return state.meanwhile
        }
        await deed?()
    }
    func write(_ line: String) { state.withLock { $0.done.append(line) } }
    var done: [String] { state.withLock { $0.done } }
}

/// Waits for fine weather, at most for a while.
struct Picnic: Operation {
    static let kind = "test.picnic"
    let subject: String
    var limit = 3600
    var pause = 600

    var steps: [Step<Weather>] {
        [
            Step("pack", do: { [subject] weather in weather.write("pack \(subject)") }) { [subject] weather in
                weather.write("unpack \(subject)")
            },
            .waiting("wait", for: "weather") { weather, patience async throws(Fault) in
                if weather.look(subject) { return .over }
                await weather.goOn()
                guard patience.waited < .seconds(limit) else { throw .badRequest("It rains.") }
                return .on(min(.seconds(pause), .seconds(limit) - patience.waited))
            },
            Step("eat", do: { [subject] weather in weather.write("eat \(subject)") }),
        ]
    }
}

/// Takes a long time: until the weather is fine.
struct Hike: Operation {
    static let kind = "test.hike"
    let subject: String

    var steps: [Step<Weather>] {
        [
            Step("walk", attempts: 1, pace: .long) { [subject] weather async throws(Fault) in
                weather.write("set out \(subject)")
                while !weather.isFine {
                    if Task.isCancelled { throw .unavailable("The walk is cut short.") }
                    await Task.yield()
                }
            }
        ]
    }
}

/// Fails again and again, and then not.
struct Stubborn: Operation {
    static let kind = "test.stubborn"
    let subject: String
    let failures: Int

    var steps: [Step<Weather>] {
        [
            Step("try", attempts: 30) { [subject, failures] weather async throws(Fault) in
                _ = weather.look(subject)
                guard weather.looks(subject) > failures else { throw .unavailable("not yet") }
            }
        ]
    }
}

struct ParkingTests {
    let weather = Weather()
    let database: Database
    let queue: OperationQueue

    init() async throws {
        database = try Database.temporary()
        try await database.migrate(OperationRecord.migrations)
        queue = OperationQueue(database: database, clock: MachineClock(), ids: RandomIdentifiers())
    }

    private func ask(_ works: [any Operation]) async throws {
        let queue = queue
        try await database.transaction { transaction throws(Fault) in
            for work in works { try queue.enqueue(work, requestID: "req-1", in: transaction) }
        }
    }

    /// A process works until something is true.
    private func work(width: Int = 2, until isDone: () async throws -> Bool) async throws {
        let worker = Worker(
            queue, name: "w",
            kinds: [
                .of(Picnic.self) { [weather] _ in weather }, .of(Hike.self) { [weather] _ in weather },
                .of(Stubborn.self) { [weather] _ in weather },
            ], log: .silent, isExclusive: true, width: width)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await worker.run() }
            let watch = Stopwatch()
            while try await !isDone() {
                guard watch.elapsed < .seconds(600) else {
                    throw Fault.internalError("it does not come: \(weather.done), \(try await queue.parked()) parked")
                }
                await Task.yield()
            }
            group.cancelAll()
        }
    }

    @Test("However many wait, others go on; a word wakes all of them")
    func crowd() async throws {
        try await ask((0..<200).map { Picnic(subject: "p\($0)") })
        try await work { try await queue.parked() == 200 }
        // Nobody has a place of those two: another one goes through, whose own waiting is over at once.
        weather.isFine = true
        try await ask([Picnic(subject: "other")])
        try await work { weather.done.contains("eat other") }
        try await work { try await queue.unfinished() == 0 }
        #expect(weather.done.filter { $0.hasPrefix("eat") }.count == 201)
        #expect(try await queue.parked() == 0)
    }

    @Test("A word wakes who waits, without a look in between")
    func word() async throws {
        try await ask([Picnic(subject: "p")])
        try await work {
            guard try await queue.parked() == 1 else { return weather.done.contains("eat p") }
            weather.isFine = true
            await queue.tell("weather")
            return false
        }
        #expect(weather.looks("p") == 2)
    }

    /// Has a process work off what is asked, in simulated time.
    private static func simulate(
        seed: UInt64, _ works: [any Operation], width: Int = 64, _ weather: Weather = Weather(),
        metrics: Metrics? = nil, lookingEvery pause: Duration = .seconds(1),
        _ check: @escaping @Sendable (Simulated, OperationQueue, Weather) async throws -> Void,
        meanwhile deed: @escaping @Sendable (Simulated, OperationQueue, Weather) async -> Void = { _, _, _ in }
    ) async throws {
        let simulated = Simulated(seed: seed)
        let outcome = await simulated.run {
            let database = try simulated.database()
            try await database.migrate(OperationRecord.migrations)
            let queue = OperationQueue(database: database, clock: simulated.clock, ids: simulated.ids)
            try await database.transaction { transaction throws(Fault) in
                for work in works { try queue.enqueue(work, requestID: "req-1", in: transaction) }
            }
            let worker = Worker(
                queue, name: "w", kinds: [.of(Picnic.self) { _ in weather }, .of(Stubborn.self) { _ in weather }],
                log: .silent, isExclusive: true, width: width)
            await deed(simulated, queue, weather)
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await worker.run(metrics) }
                group.addTask {
                    while (try? await queue.unfinished()) ?? 1 > 0 {
                        guard (try? await simulated.clock.sleep(pause)) != nil else { return }
                        await deed(simulated, queue, weather)
                    }
                }
                await group.next()
                group.cancelAll()
            }
            try await check(simulated, queue, weather)
            await database.close()
        }
        #expect(outcome == .done)
    }

    @Test("A word that comes while a step looks is not lost", arguments: [7, 8, 9] as [UInt64])
    func early(seed: UInt64) async throws {
        let weather = Weather()
        try await Self.simulate(seed: seed, [Picnic(subject: "p", limit: 86_400, pause: 600)], weather) {
            simulated, queue, weather in
            #expect(weather.done == ["pack p", "eat p"])
            #expect(weather.looks("p") == 2)
            let record = try #require(try await queue.operations(on: "p").first)
            #expect(record.updatedAt - record.createdAt < .seconds(600), "nobody told it, the time was over")
        } meanwhile: { _, queue, weather in
            guard weather.looks("p") == 0 else { return }
            // Nobody says it again.
            weather.meanwhile {
                weather.isFine = true
                await queue.tell("weather")
            }
        }
    }

    @Test("The clock wakes who is told nothing, and a wait ends in the words of its look")
    func clock() async throws {
        try await Self.simulate(seed: 7, [Picnic(subject: "p")], lookingEvery: .seconds(60)) { _, queue, weather in
            #expect(weather.looks("p") == 7)
            #expect(weather.done == ["pack p", "unpack p"])
            let record = try #require(try await queue.operations(on: "p").first)
            #expect(record.state == .failed && record.fault == "It rains.")
        }
    }

    @Test("Who waits keeps the order of the operations on its subject")
    func order() async throws {
        try await ask([Picnic(subject: "s"), Picnic(subject: "s")])
        try await work { try await queue.parked() == 1 }
        #expect(weather.done == ["pack s"])
        weather.isFine = true
        try await work { try await queue.unfinished() == 0 }
        #expect(weather.done == ["pack s", "eat s", "pack s", "eat s"])
    }

    @Test("What waits can be cancelled, and is undone at once")
    func cancelled() async throws {
        try await ask([Picnic(subject: "s")])
        try await work {
            if try await queue.parked() == 1 {
                let queue = queue
                try await database.transaction { tx throws(Fault) in try queue.cancel(subject: "s", in: tx) }
            }
            return try await queue.unfinished() == 0
        }
        #expect(weather.done == ["pack s", "unpack s"])
        #expect(try await queue.operations(on: "s").map(\.state) == [.cancelled])
        #expect(try await queue.parked() == 0)
    }

    @Test("A process that starts looks at what others left waiting, and how long it has waited is known")
    func restart() async throws {
        try await ask([Picnic(subject: "s")])
        for look in 1...3 {
            try await work {
                let parked = try await queue.parked()
                return parked == 1 && weather.looks("s") == look
            }
        }
        let record = try #require(try await queue.operations(on: "s").first)
        #expect(record.state == .parked && record.stepName == "wait" && record.attempt == 1)
        // Looking again is no new beginning.
        #expect(try await queue.timeline(of: "s").map(\.what) == ["asked", "began", "began"])
    }

    @Test("Long steps have places of their own; who finds none waits for one in a row, the oldest first")
    func long() async throws {
        try await ask((0..<6).map { Hike(subject: "h\($0)") })
        try await work {
            let parked = try await queue.parked()
            return parked == 4 && weather.done.count == 2
        }
        try await ask([Picnic(subject: "p")])
        try await work { try await queue.parked() == 5 }
        weather.isFine = true
        try await work { try await queue.unfinished() == 0 }
        #expect(Set(weather.done.filter { $0.hasPrefix("set out") }).count == 6)
    }

    private static func text(_ metrics: Metrics) -> String { String(decoding: metrics.exposition(), as: UTF8.self) }

    @Test("How many wait is told to whoever watches the cloud")
    func metrics() async throws {
        let metrics = Metrics()
        try await Self.simulate(seed: 3, (0..<3).map { Picnic(subject: "p\($0)") }, metrics: metrics) { _, _, weather in
            #expect(weather.done.contains("3 wait"))
            #expect(Self.text(metrics).contains("apus_operations{state=\"queued\"} 0\n"))
        } meanwhile: { _, _, weather in
            guard Self.text(metrics).contains("apus_operations{state=\"parked\"} 3\n"), !weather.isFine else {
                return
            }
            weather.write("3 wait")
            weather.isFine = true
        }
    }

    @Test("Who tries again after a long pause holds no place meanwhile")
    func retries() async throws {
        let (weather, works) = (Weather(), ["a", "b"].map { Stubborn(subject: $0, failures: 12) })
        weather.isFine = true
        try await Self.simulate(seed: 11, works + [Picnic(subject: "p")], width: 1, weather) {
            simulated, queue, weather in
            let eaten = try #require(weather.done.last.flatMap { Int($0) })
            let record = try #require(try await queue.operations(on: "a").first)
            #expect(record.state == .done)
            #expect(eaten < 10 && record.updatedAt - record.createdAt > .seconds(60), "after \(eaten) s")
        } meanwhile: { simulated, queue, weather in
            guard weather.done.last == "eat p" else { return }
            let asked = try? await queue.operations(on: "p").first?.createdAt
            weather.write("\((simulated.clock.now() - (asked ?? simulated.clock.now())).components.seconds)")
        }
    }
}
