// SPDX-License-Identifier: Apache-2.0
import Access
import Base
import Synchronization
import Testing

/// Time that moves when a test says so.
final class HandClock: WallClock {
    private let time = Mutex(Timestamp(seconds: 1000))
    func now() -> Timestamp { time.withLock { $0 } }
    func sleep(_ duration: Duration) async throws(CancellationError) { advance(duration) }
    func advance(_ duration: Duration) { time.withLock { $0 = $0 + duration } }
}

/// Knows every token that begins with "good", and counts how often it is asked.
final class CountingAuthority: Authority {
    let asked = Atomic(0)
    let current = Atomic<UInt64>(1)
    let lifetime: Duration
    let clock: HandClock

    init(_ clock: HandClock, lifetime: Duration = .seconds(60)) {
        self.clock = clock
        self.lifetime = lifetime
    }

    func caller(token: String) async throws(Fault) -> Caller {
        asked.add(1, ordering: .relaxed)
        guard token.hasPrefix("good") else { throw .unauthorized() }
        var caller = Caller(userID: token)
        caller.expiresAt = clock.now() + lifetime
        return caller
    }

    func epoch() -> UInt64 { current.load(ordering: .acquiring) }
    var count: Int { asked.load(ordering: .relaxed) }
}

struct TokenCacheTests {
    let clock = HandClock()

    @Test("A token is asked for once, and again when it has expired")
    func remembers() async throws {
        let authority = CountingAuthority(clock)
        let cache = TokenCache(authority, clock: clock)
        for _ in 0..<5 { #expect(try await cache.caller(token: "good").userID == "good") }
        #expect(authority.count == 1)
        clock.advance(.seconds(61))
        #expect(try await cache.caller(token: "good").userID == "good")
        #expect(authority.count == 2)
    }

    @Test("A refusal is not remembered, nor an answer that has expired already")
    func refusals() async {
        let authority = CountingAuthority(clock, lifetime: .zero)
        let cache = TokenCache(authority, clock: clock)
        for _ in 0..<2 {
            await #expect(throws: Fault.self) { try await cache.caller(token: "bad") }
            _ = try? await cache.caller(token: "good")
        }
        #expect(authority.count == 4 && cache.count == 0)
    }

    @Test("A new epoch forgets everything")
    func epoch() async throws {
        let authority = CountingAuthority(clock)
        let cache = TokenCache(authority, clock: clock)
        _ = try await cache.caller(token: "good")
        authority.current.add(1, ordering: .releasing)
        _ = try await cache.caller(token: "good")
        _ = try await cache.caller(token: "good")
        #expect(authority.count == 2)
        #expect(cache.epoch() == 2)
    }

    @Test("A token that is forgotten is asked for again, the others not")
    func forget() async throws {
        let authority = CountingAuthority(clock)
        let cache = TokenCache(authority, clock: clock)
        _ = try await cache.caller(token: "good1")
        _ = try await cache.caller(token: "good2")
        cache.forget(token: "good1")
        _ = try await cache.caller(token: "good1")
        _ = try await cache.caller(token: "good2")
        #expect(authority.count == 3)
    }

    @Test("It never holds more than it may, and keeps what is used")
    func bounded() async throws {
        let authority = CountingAuthority(clock)
        let cache = TokenCache(authority, clock: clock, capacity: 64, shards: 1)
        for turn in 0..<1000 {
            _ = try await cache.caller(token: "good-\(turn)")
            _ = try await cache.caller(token: "good-always")
            #expect(cache.count <= 64)
        }
        #expect(authority.count == 1001)
    }
}
