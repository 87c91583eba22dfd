// SPDX-License-Identifier: Apache-2.0

/// Finds the ways to serve a plan from one tree and what is lent to it: one provider for each demand, such that all of
/// them go together.
struct TreeSolver {
    let index: ProviderIndex
    let plan: CandidatePlan
    /// By demand, the providers that could be chosen for it.
    let choices: [[Int32]]
    let most: Int
    private(set) var found: [Candidate] = []
    private var picks: [Int32] = []
    /// Where in its choices each pick stands.
    private var places: [Int] = []
    /// By demand that has a twin: how often its choices from each place on could serve it, at most. Empty for others.
    private let supplies: [[Int]]
    /// By demand: how many that ask for the same are still to be served, itself included.
    private let remaining: [Int]

    init(index: ProviderIndex, plan: CandidatePlan, choices: [[Int32]], most: Int) {
        self.index = index
        self.plan = plan
        self.choices = choices
        self.most = most
        let hasTwins = plan.twins.contains { $0 != nil }
        let isTwin = Set(plan.twins.compactMap(\.self))
        supplies = plan.demands.indices.map { level in
            guard hasTwins, plan.twins[level] != nil || isTwin.contains(level) else { return [] }
            return TreeSolver.supplies(index, plan, level, choices[level])
        }
        var remaining = [Int](repeating: 1, count: plan.demands.count)
        for level in plan.demands.indices.reversed() {
            if let twin = plan.twins[level] { remaining[twin] = remaining[level] + 1 }
        }
        self.remaining = remaining
    }

    private static func supplies(
        _ index: ProviderIndex, _ plan: CandidatePlan, _ level: Int, _ choices: [Int32]
    ) -> [Int] {
        var (sums, sum) = ([Int](repeating: 0, count: choices.count), 0)
        for at in choices.indices.reversed() {
            let most = plan.demands[level].amounts.map { resourceClass, amount in
                let stock = index.stock(of: Int(choices[at]), resourceClass)
                return min(Int64(stock?.maxUnit ?? 0), (stock?.capacity ?? 0) - (stock?.used ?? 0)) / max(1, amount)
            }
            // What asks for no resources takes nothing away.
            sum += plan.isIsolated ? 1 : Int(min(most.min() ?? Int64(Int32.max), Int64(Int32.max)))
            sums[at] = sum
        }
        return sums
    }

    /// Goes on from the choices made so far.
    mutating func choose() {
        guard found.count < most else { return }
        let level = picks.count
        guard level < choices.count else {
            if isAllowed() { found.append(Candidate(picks: picks)) }
            return
        }
        // Those that ask for the same are served in the order of their choices: each set of providers is found once.
        for at in (plan.twins[level].map { places[$0] } ?? 0)..<choices[level].count {
            if !supplies[level].isEmpty, supplies[level][at] < remaining[level] { return }
            let provider = choices[level][at]
            guard fits(provider, level) else { continue }
            picks.append(provider)
            places.append(at)
            if hasTraits(level) { choose() }
            picks.removeLast()
            places.removeLast()
            if found.count >= most { return }
        }
    }

    /// Whether the provider can bear this demand on top of what it was chosen for already, and may.
    private func fits(_ provider: Int32, _ level: Int) -> Bool {
        let demand = plan.demands[level]
        for before in 0..<level where picks[before] == provider {
            if plan.isIsolated, demand.isNamed, plan.demands[before].isNamed { return false }
            for (resourceClass, _) in demand.amounts {
                let sum = sum(resourceClass, of: provider, upTo: level)
                guard index.stock(of: Int(provider), resourceClass)?.carries(sum) == true else { return false }
            }
        }
        return true
    }

    /// What a provider would give of a class, the demand at this level included.
    private func sum(_ resourceClass: Int32, of provider: Int32, upTo level: Int) -> Int64 {
        var sum: Int64 = 0
        for at in 0...level where at == level || picks[at] == provider {
            for amount in plan.demands[at].amounts where amount.resourceClass == resourceClass { sum += amount.amount }
        }
        return sum
    }

    /// Once the group without a name is served: whether its providers have the traits between them.
    private func hasTraits(_ level: Int) -> Bool {
        let demand = plan.demands[level]
        guard !demand.isNamed else { return true }
        let next = level + 1
        if next < plan.demands.count, plan.demands[next].group == demand.group { return true }
        let first = plan.demands.firstIndex { $0.group == demand.group } ?? level
        return plan.sieves[demand.group].choices.allSatisfy { choice in
            picks[first...level].contains { choice[Int(index.entries[Int($0)].traits)] }
        }
    }

    private func isAllowed() -> Bool {
        if plan.isFlat, !isOnePerTree() { return false }
        return plan.subtrees.allSatisfy(isOneSubtree)
    }

    private func isOnePerTree() -> Bool {
        for (at, provider) in picks.enumerated() {
            let tree = index.entries[Int(provider)].tree
            for other in picks[..<at] where other != provider && index.entries[Int(other)].tree == tree {
                return false
            }
        }
        return true
    }

    /// Whether one of the providers is above all the others, or is them.
    private func isOneSubtree(_ demands: [Int]) -> Bool {
        demands.isEmpty
            || demands.contains { top in demands.allSatisfy { isAbove(Int(picks[top]), Int(picks[$0])) } }
    }

    private func isAbove(_ top: Int, _ provider: Int) -> Bool {
        var at: Int? = provider
        while let here = at {
            if here == top { return true }
            at = index.parent(of: here)
        }
        return false
    }
}
