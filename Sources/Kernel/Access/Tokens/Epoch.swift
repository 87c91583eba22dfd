// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// How many changes there were that may make earlier answers wrong. Whoever changes something advances it once the
/// change is durable; whoever remembers an answer keeps it with the epoch read before the question was asked.
package final class Epoch: Sendable {
    private let count = Atomic<UInt64>(1)

    package init() {}
    package var now: UInt64 { count.load(ordering: .acquiring) }
    package func advance() { count.add(1, ordering: .acquiringAndReleasing) }
}

/// A bounded memory of answers that all die together when the epoch moves.
package final class EpochCache<Value: Sendable>: Sendable {
    private struct Shelf: Sendable {
        var epoch: UInt64 = 0
        var values: [String: Value] = [:]
    }

    private let shelf = Mutex(Shelf())
    private let capacity: Int

    package init(capacity: Int) {
        precondition(capacity > 0, "a cache holds something")
        self.capacity = capacity
    }

    package func value(_ key: String, at epoch: UInt64) -> Value? {
        shelf.withLock { $0.epoch == epoch ? $0.values[key] : nil }
    }

    /// Keeps an answer found under an epoch; one of an earlier epoch than the shelf's is too old to be kept.
    package func keep(_ value: Value, as key: String, at epoch: UInt64) {
        shelf.withLock { shelf in
            guard epoch >= shelf.epoch else { return }
            if epoch > shelf.epoch || shelf.values.count >= capacity { shelf.values.removeAll(keepingCapacity: true) }
            shelf.epoch = epoch
            shelf.values[key] = value
        }
    }
}
