// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Synchronization
import Testing

struct BlockingPoolTests {
    @Test("Work runs away from the caller and brings back its value or its fault")
    func values() async throws {
        let pool = BlockingPool(name: "test", threads: 2, queue: 10)
        let caller = UInt(pthread_self())
        #expect(try await pool.run { () throws(Fault) in UInt(pthread_self()) } != caller)
        await #expect(throws: Fault.notFound("x")) {
            try await pool.run { () throws(Fault) -> Int in throw .notFound("x") }
        }
    }

    @Test("A full queue answers 503 at once and says when to come again")
    func full() async throws {
        let pool = BlockingPool(name: "test", threads: 1, queue: 1)
        let held = Atomic<Bool>(false)
        let release = Atomic<Bool>(false)
        async let first: Void = pool.run { () throws(Fault) in
            held.store(true, ordering: .releasing)
            while !release.load(ordering: .acquiring) { usleep(1000) }
        }
        while !held.load(ordering: .acquiring) { await Task.yield() }
        // The thread is taken: of two more calls one waits and one is refused.
        let refused = await withTaskGroup(of: Fault?.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    do throws(Fault) {
                        try await pool.run { () throws(Fault) in }
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var faults: [Fault] = []
            while let outcome = await group.next() {
                if let outcome { faults.append(outcome) }
                release.store(true, ordering: .releasing)
            }
            return faults
        }
        try await first
        #expect(refused.map(\.status) == [503])
        #expect(refused.first?.headers["Retry-After"] == "1")
    }

    @Test("Tasks that prefer the pool run on its threads, and are never refused")
    func executor() async {
        let pool = BlockingPool(name: "test", threads: 2, queue: 1)
        let sum = await withTaskGroup(of: Int.self) { group in
            for number in 0..<100 { group.addTask(executorPreference: pool) { number } }
            return await group.reduce(0, +)
        }
        #expect(sum == 4950)
    }
}
