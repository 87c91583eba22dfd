// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Hands servers out over the hosts that will do, one after another, each to the host that weighs most by then. A host
/// is looked at again when it was given something, all of them only when the stretch of a weigher changes: ten thousand
/// servers over ten thousand hosts take seconds.
struct SchedulingRound {
    private(set) var hosts: [HostState]
    private(set) var context: SchedulingContext
    private let filters: [HostFilter]
    private let weighers: [HostWeigher]
    /// By weigher and host.
    private var raw: [[Double]] = []
    private var multipliers: [[Double]] = []
    private var bounds: [(low: Double, high: Double)] = []
    private var totals: [Double] = []
    /// Equally good hosts are taken in this order.
    private var order: [UInt64]
    private var generator: RoundGenerator

    /// A host that was given a server.
    struct Pick {
        let host: HostState
        let way: PlacementClient.Way
        let weight: Double
    }

    /// - Parameters:
    ///   - hosts: those that passed every filter.
    ///   - filters: those that were asked, to be asked again.
    ///   - seed: what draws are made from.
    init(_ hosts: [HostState], _ context: SchedulingContext, _ filters: [HostFilter], seed: UInt64) {
        self.hosts = hosts
        self.context = context
        self.filters = filters.filter { $0.watches != .request }
        generator = RoundGenerator(seed: seed)
        let options = context.options
        weighers = options.weighers.filter { weigher in
            options.multiplier(weigher) != 0 || hosts.contains { $0.metadata[weigher.option] != nil }
        }
        order = hosts.indices.map { UInt64($0) }
        if options.shufflesBest { order = hosts.map { _ in generator.next() } }
        for weigher in weighers {
            raw.append(hosts.map { SchedulingRound.value(weigher, $0, context) })
            let usual = options.multiplier(weigher)
            multipliers.append(hosts.map { ($0.least(weigher.option) ?? usual) * weigher.sign })
        }
        totals = [Double](repeating: 0, count: hosts.count)
        bounds = weighers.map { _ in (0, 0) }
        for at in hosts.indices where hosts[at].way == nil { totals[at] = -.infinity }
        for at in weighers.indices { bounds[at] = stretch(at) }
        weighAll()
    }

    private static func value(_ weigher: HostWeigher, _ host: HostState, _ context: SchedulingContext) -> Double {
        let value = weigher.weigh(host, context)
        return weigher.floor.map { max($0, value) } ?? value
    }

    // MARK: - Picking

    /// Gives one more server to the best host; nil when none is left.
    mutating func pick() -> Pick? {
        guard let at = best(), let way = hosts[at].way else { return nil }
        let weight = totals[at]
        hosts[at].take(way)
        let pick = Pick(host: hosts[at], way: way, weight: weight)
        context.group?.take(hosts[at].name)
        recheck(at)
        reweigh(at)
        return pick
    }

    /// The best host, or one drawn from the best few.
    private mutating func best() -> Int? {
        let few = ranked(context.options.hostSubsetSize)
        guard few.count > 1 else { return few.first }
        return few[Int(generator.next() % UInt64(few.count))]
    }

    /// The best hosts still open, at most so many, the best first.
    func ranked(_ count: Int) -> [Int] {
        var few: [Int] = []
        for at in totals.indices where totals[at] > -.infinity {
            if few.count == count, let last = few.last, !isBefore(at, last) { continue }
            let place = few.firstIndex { isBefore(at, $0) } ?? few.count
            few.insert(at, at: place)
            if few.count > count { few.removeLast() }
        }
        return few
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        totals[left] != totals[right] ? totals[left] > totals[right] : order[left] < order[right]
    }

    /// Closes the host that took something if it will not do any more, and all whom that concerns.
    private mutating func recheck(_ at: Int) {
        if hosts[at].way == nil { totals[at] = -.infinity }
        for filter in filters {
            if filter.watches == .group {
                guard context.group?.counts.values.reduce(0, +) == 1 else { continue }
                for other in hosts.indices where filter.judge(hosts[other], context) != nil {
                    totals[other] = -.infinity
                }
            } else if filter.judge(hosts[at], context) != nil {
                totals[at] = -.infinity
            }
        }
    }

    // MARK: - Weighing

    /// What each weigher said of a host: its value and what that added.
    func opinions(_ at: Int) -> [(weigher: String, value: Double, score: Double)] {
        weighers.indices.map { (weighers[$0].name, raw[$0][at], score($0, at)) }
    }

    func weight(_ at: Int) -> Double { totals[at] }

    private func score(_ weigher: Int, _ at: Int) -> Double {
        let (low, high) = bounds[weigher]
        return high > low ? multipliers[weigher][at] * (raw[weigher][at] - low) / (high - low) : 0
    }

    private mutating func weighAll() {
        let active = bounds.indices.filter { bounds[$0].high > bounds[$0].low }
        for at in totals.indices where totals[at] > -.infinity {
            totals[at] = active.reduce(0) { $0 + score($1, at) }
        }
    }

    private func stretch(_ weigher: Int) -> (low: Double, high: Double) {
        var (low, high) = (Double.infinity, -Double.infinity)
        let values = raw[weigher]
        for at in totals.indices where totals[at] > -.infinity {
            low = min(low, values[at])
            high = max(high, values[at])
        }
        guard low <= high else { return (0, 0) }
        return (weighers[weigher].floor ?? low, high)
    }

    private mutating func reweigh(_ at: Int) {
        let isClosed = totals[at] == -.infinity
        var isStretched = false
        for weigher in weighers.indices {
            let old = raw[weigher][at]
            let new = SchedulingRound.value(weighers[weigher], hosts[at], context)
            raw[weigher][at] = new
            let (low, high) = bounds[weigher]
            let wasEdge = (isClosed || new != old) && (old <= low || old >= high)
            guard wasEdge || (!isClosed && (new < low || new > high)) else { continue }
            let fresh = stretch(weigher)
            if fresh != bounds[weigher] {
                bounds[weigher] = fresh
                isStretched = true
            }
        }
        if isStretched {
            weighAll()
        } else if !isClosed {
            totals[at] = bounds.indices.reduce(0) { $0 + score($1, at) }
        }
    }
}

/// Draws that are the same for the same seed (SplitMix64, Steele, Lea, Flood 2014).
struct RoundGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
