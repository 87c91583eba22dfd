// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Synchronization
import Testing

@testable import Engines

@Suite("Engine supervisor", .timeLimit(.minutes(10)))
struct EngineSupervisorTests {
    private let pool = BlockingPool(name: "supervisor", threads: 4, queue: 32)

    private func supervisor(
        _ engines: [FakeEngine], _ clock: any WallClock = MachineClock(),
        report: @Sendable @escaping (EngineEvent) -> Void = { _ in }
    ) -> EngineSupervisor {
        EngineSupervisor(engines: engines, pool: pool, clock: clock, report: report)
    }

    @Test("Each engine starts after its needs and stops before them")
    func order() async throws {
        let diary = Diary()
        let engines = [
            FakeEngine("roof", needs: ["walls"], diary), FakeEngine("ground", needs: [], diary),
            FakeEngine("walls", needs: ["ground"], diary), FakeEngine("garden", needs: ["ground"], diary),
        ]
        let supervisor = supervisor(engines)
        try await supervisor.start()
        await supervisor.stop()
        let lines = diary.lines
        func at(_ line: String) throws -> Int { try #require(lines.firstIndex(of: line)) }
        #expect(lines.count == 8)
        #expect(try at("start ground") < at("start walls"))
        #expect(try at("start walls") < at("start roof"))
        #expect(try at("start ground") < at("start garden"))
        #expect(try at("stop roof") < at("stop walls"))
        #expect(try at("stop walls") < at("stop ground"))
        #expect(try at("stop garden") < at("stop ground"))
    }

    @Test("When one does not start, those that came up are stopped and its name is in the fault")
    func failure() async throws {
        let diary = Diary()
        let bad = FakeEngine("walls", needs: ["ground"], diary)
        bad.failures.withLock { $0 = 1 }
        let engines = [FakeEngine("ground", needs: [], diary), bad, FakeEngine("roof", needs: ["walls"], diary)]
        let supervisor = supervisor(engines)
        let fault = await #expect(throws: Fault.self) { try await supervisor.start() }
        #expect(fault?.message.hasPrefix("walls: ") == true)
        #expect(diary.lines.contains("stop ground"))
        #expect(!diary.lines.contains("start roof"))
    }

    @Test("A dead engine is started again, at once first and then with growing waits")
    func backOff() async throws {
        let diary = Diary()
        let engine = FakeEngine("roof", needs: [], diary, process: true)
        let clock = RecordingClock()
        let (events, yield) = AsyncStream.makeStream(of: EngineEvent.self)
        let supervisor = supervisor([engine], clock) { yield.yield($0) }
        try await supervisor.start()
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await supervisor.watchOver() }
            engine.failures.withLock { $0 = 3 }
            engine.kill()
            for await event in events {
                if case .healed = event { break }
            }
            group.cancelAll()
        }
        await supervisor.stop()
        #expect(clock.slept == [.milliseconds(200), .seconds(1), .seconds(2)])
        #expect(diary.lines.filter { $0 == "start roof" }.count == 5)
    }

    @Test("An engine that died before anybody watched is brought back too")
    func diedEarly() async throws {
        let engine = FakeEngine("roof", needs: [], Diary(), process: true)
        let (events, yield) = AsyncStream.makeStream(of: EngineEvent.self)
        let supervisor = supervisor([engine]) { yield.yield($0) }
        try await supervisor.start()
        engine.kill()
        while engine.pid != nil { await Task.yield() }
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await supervisor.watchOver() }
            for await event in events {
                if case .healed = event { break }
            }
            group.cancelAll()
        }
        #expect(engine.pid != nil)
        await supervisor.stop()
    }
}

/// What fake engines did, in order.
private final class Diary: Sendable {
    private let kept = Mutex<[String]>([])
    var lines: [String] { kept.withLock(\.self) }
    func write(_ line: String) { kept.withLock { $0.append(line) } }
}

/// An engine that notes what it is told, with or without a real process.
private final class FakeEngine: Engine {
    let name: String
    let needs: [String]
    let failures = Mutex(0)
    private let diary: Diary
    private let hasProcess: Bool
    private let child = Mutex<ChildProcess?>(nil)

    init(_ name: String, needs: [String], _ diary: Diary, process: Bool = false) {
        self.name = name
        self.needs = needs
        self.diary = diary
        hasProcess = process
    }

    var pid: Int32? { child.withLock { $0.flatMap { $0.isRunning ? $0.pid : nil } } }
    func isHealthy() -> Bool { true }
    func kill() { child.withLock { $0?.signal(SIGKILL) } }

    func start() throws(Fault) -> EngineStart {
        diary.write("start \(name)")
        let fails = failures.withLock { left in
            left -= 1
            return left >= 0
        }
        if fails { throw .unavailable("not today") }
        if hasProcess {
            let made = try Subprocess.spawn(["sleep", "600"])
            child.withLock { $0 = made }
        }
        return .started
    }

    func stop() throws(Fault) {
        diary.write("stop \(name)")
        kill()
    }
}

/// A clock whose sleeps are over at once and written down.
private final class RecordingClock: WallClock {
    private let kept = Mutex<[Duration]>([])
    var slept: [Duration] { kept.withLock(\.self) }
    func now() -> Timestamp { Timestamp(seconds: 0) }
    func sleep(_ duration: Duration) async throws(CancellationError) { kept.withLock { $0.append(duration) } }
}
