// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Synchronization

/// A number that grows, without a lock.
package final class Counter: Sendable {
    private let cell = Atomic<UInt64>(0)

    package init() {}
    package var value: UInt64 { cell.load(ordering: .relaxed) }
    package func add(_ amount: Int = 1) {
        precondition(amount >= 0, "a counter never shrinks")
        cell.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }
}

/// A number that is set, without a lock.
package final class Gauge: Sendable {
    private let cell = FloatingCell()

    package init() {}
    package var value: Double { cell.value }
    package func set(_ value: Double) { cell.value = value }
    package func add(_ amount: Double = 1) { cell.add(amount) }
    package func subtract(_ amount: Double = 1) { cell.add(-amount) }
}

/// How many observations fell into each bucket, and their sum.
package final class Histogram: Sendable {
    /// Upper bounds, each included in its bucket; one more bucket takes what is above all.
    package let bounds: [Double]
    private let cells: [Counter]
    private let total = FloatingCell()

    /// For durations of requests: half a millisecond to ten seconds.
    package static let seconds: [Double] = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]

    package init(bounds: [Double]) {
        precondition(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 }, "the bounds must rise")
        self.bounds = bounds
        cells = (0...bounds.count).map { _ in Counter() }
    }

    package func observe(_ value: Double) {
        var at = 0
        while at < bounds.count, value > bounds[at] { at += 1 }
        cells[at].add()
        total.add(value)
    }

    package func observe(_ duration: Duration) { observe(duration.asSeconds) }

    package var counts: [UInt64] { cells.map(\.value) }
    package var count: UInt64 { counts.reduce(0, +) }
    package var sum: Double { total.value }
}

/// A floating-point number in an atomic word.
private final class FloatingCell: Sendable {
    private let bits = Atomic<UInt64>(0)

    var value: Double {
        get { Double(bitPattern: bits.load(ordering: .relaxed)) }
        set { bits.store(newValue.bitPattern, ordering: .relaxed) }
    }

    func add(_ amount: Double) {
        var seen = bits.load(ordering: .relaxed)
        while true {
            let wanted = (Double(bitPattern: seen) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: seen, desired: wanted, ordering: .relaxed)
            if exchanged { return }
            seen = original
        }
    }
}
