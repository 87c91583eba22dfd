// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Synchronization

/// Remembers whose token it is, so that a room asks its authority once per token and not once per request. Bounded; an
/// answer dies with its token, and all of them when the authority's epoch moves (a revocation, a role taken away).
package final class TokenCache: Authority {
    private struct Entry {
        var caller: Caller
        var token: String
        var used: UInt64
    }

    /// One lock's share of the cache: callers of different tokens seldom meet.
    private struct Shard: Sendable {
        var entries: [UInt64: Entry] = [:]
        var epoch: UInt64 = 0
        var clock: UInt64 = 0
    }

    private final class Slot: Sendable {
        let shard = Mutex(Shard())
    }

    private let authority: any Authority
    private let clock: any WallClock
    private let slots: [Slot]
    private let capacity: Int

    package init(_ authority: any Authority, clock: any WallClock, capacity: Int = 16_384, shards: Int = 8) {
        precondition(capacity > 0 && shards > 0, "a cache holds something")
        self.authority = authority
        self.clock = clock
        slots = (0..<shards).map { _ in Slot() }
        self.capacity = max(1, capacity / shards)
    }

    package func epoch() -> UInt64 { authority.epoch() }

    /// How many answers are remembered now.
    package var count: Int { slots.reduce(0) { $0 + $1.shard.withLock { $0.entries.count } } }

    package func caller(token: String) async throws(Fault) -> Caller {
        // The standard library seeds its hash per process, so nobody outside can choose tokens that collide; the token
        // itself is compared all the same.
        let key = UInt64(bitPattern: Int64(token.hashValue))
        let slot = slots[Int(key % UInt64(slots.count))]
        let epoch = authority.epoch()
        let now = clock.now()
        if let known = recall(slot, key, token, epoch, now) { return known }
        let caller = try await authority.caller(token: token)
        if caller.expiresAt > now { remember(slot, key, token, caller, epoch) }
        return caller
    }

    /// Forgets one token, as its bearer does who revokes it.
    package func forget(token: String) {
        let key = UInt64(bitPattern: Int64(token.hashValue))
        slots[Int(key % UInt64(slots.count))].shard.withLock { $0.entries[key] = nil }
    }

    private func recall(_ slot: Slot, _ key: UInt64, _ token: String, _ epoch: UInt64, _ now: Timestamp) -> Caller? {
        slot.shard.withLock { shard in
            if shard.epoch != epoch {
                shard.entries.removeAll(keepingCapacity: true)
                shard.epoch = epoch
                return nil
            }
            guard let entry = shard.entries[key], entry.token == token else { return nil }
            guard entry.caller.expiresAt > now else {
                shard.entries[key] = nil
                return nil
            }
            shard.clock += 1
            shard.entries[key]!.used = shard.clock
            return entry.caller
        }
    }

    private func remember(_ slot: Slot, _ key: UInt64, _ token: String, _ caller: Caller, _ epoch: UInt64) {
        slot.shard.withLock { shard in
            // The question was asked under an epoch that has passed: its answer may be the one just revoked.
            guard shard.epoch == epoch else { return }
            if shard.entries.count >= capacity, shard.entries[key] == nil { makeRoom(&shard) }
            shard.clock += 1
            shard.entries[key] = Entry(caller: caller, token: token, used: shard.clock)
        }
    }

    /// Drops the least used eighth at once, so that a full cache does not search on every new token.
    private func makeRoom(_ shard: inout Shard) {
        let uses = shard.entries.values.map(\.used).sorted()
        let line = uses[uses.count / 8]
        shard.entries = shard.entries.filter { $0.value.used > line }
    }
}
