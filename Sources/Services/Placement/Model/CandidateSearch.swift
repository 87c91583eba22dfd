// SPDX-License-Identifier: Apache-2.0
import Kernel

/// One way to serve a request: which provider serves each demand of the plan, as places in the index.
struct Candidate: Sendable, Hashable {
    let picks: [Int32]
}

/// A request put in an index's terms: the single choices that make a candidate, and who may be chosen for each.
struct CandidatePlan: Sendable {
    /// One choice of a provider: for a class of the group without a name, or for all of a named group.
    struct Demand: Sendable {
        let group: Int
        let amounts: [(resourceClass: Int32, amount: Int64)]
        let isNamed: Bool
    }

    /// What a group asks of providers, answered once for each set of traits and of aggregates.
    struct Sieve: Sendable {
        /// By set of traits: free of what is forbidden and, in a named group, with all that is required.
        let traits: [Bool]
        /// By set of aggregates: in all that are asked for; in one of those forbidden.
        let members: [Bool]
        let outcasts: [Bool]
        /// By required choice, then by set of traits: whether the set has one of it.
        let choices: [[Bool]]
        let asksForAggregates: Bool
        /// The tree that resources must come from.
        let tree: Int?
    }

    let demands: [Demand]
    let sieves: [Sieve]
    /// By set of traits: whether a root may have it.
    let roots: [Bool]
    /// The demands held together by each `same_subtree`.
    let subtrees: [[Int]]
    let isIsolated: Bool
    /// Before trees were told of, a candidate took of one provider of a tree.
    let isFlat: Bool
    /// By demand: the last one before it that asks for the same, where it is all the same which provider serves which
    /// of them.
    let twins: [Int?]
    let isDistinct: Bool

    /// Nil when nothing in the index can serve the request.
    init?(_ query: CandidateQuery, at version: Microversion, in index: ProviderIndex) {
        var demands: [Demand] = []
        var sieves: [Sieve] = []
        for (at, group) in query.groups.enumerated() {
            var tree: Int?
            if let id = group.inTree {
                guard let known = ProviderIndex.ID(id).flatMap(index.tree(of:)) else { return nil }
                tree = known
            }
            // Who asks for no resources must ask for something that a provider has.
            if group.resources.isEmpty, group.traits.required.isEmpty, group.aggregates.required.isEmpty { return nil }
            var amounts: [(resourceClass: Int32, amount: Int64)] = []
            for (name, amount) in group.resources.sorted(by: { $0.key < $1.key }) {
                guard let number = index.names.known(class: name) else { return nil }
                amounts.append((number, Int64(amount)))
            }
            if group.isOneProvider {
                demands.append(Demand(group: at, amounts: amounts, isNamed: true))
            } else {
                demands += amounts.map { Demand(group: at, amounts: [$0], isNamed: false) }
            }
            sieves.append(Sieve(group, group.resources.isEmpty ? nil : tree, index.names))
        }
        self.demands = demands
        self.sieves = sieves
        roots = index.names.traitSets.map { query.rootTraits.accepts($0) }
        subtrees = query.sameSubtrees.map { suffixes in
            demands.indices.filter { suffixes.contains(query.groups[demands[$0].group].suffix) }
        }
        twins = demands.indices.map { CandidatePlan.twin(of: $0, demands, query) }
        isDistinct = query.isDistinct
        isIsolated = query.isIsolated
        isFlat = version < "1.29" && index.hasBranches
    }
}

extension CandidatePlan {
    private static func twin(of at: Int, _ demands: [Demand], _ query: CandidateQuery) -> Int? {
        guard query.isDistinct, demands[at].isNamed else { return nil }
        let group = query.groups[demands[at].group]
        return demands.indices[..<at].last { before in
            let other = query.groups[demands[before].group]
            return group.asksAs(other)
                && query.sameSubtrees.allSatisfy { $0.contains(group.suffix) == $0.contains(other.suffix) }
        }
    }
}

extension CandidatePlan.Sieve {
    init(_ group: RequestGroup, _ tree: Int?, _ names: ProviderIndex.Names) {
        let wanted = group.traits
        traits = names.traitSets.map { set in
            group.isOneProvider ? wanted.accepts(set) : wanted.forbidden.isDisjoint(with: set)
        }
        choices = wanted.required.map { choice in names.traitSets.map { !choice.isDisjoint(with: $0) } }
        let aggregates = group.aggregates
        members = names.aggregateSets.map { set in aggregates.required.allSatisfy { !$0.isDisjoint(with: set) } }
        outcasts = names.aggregateSets.map { !aggregates.forbidden.isDisjoint(with: $0) }
        asksForAggregates = !aggregates.required.isEmpty
        self.tree = tree
    }
}

extension ResourceQuery.Traits {
    func accepts(_ set: [String]) -> Bool {
        forbidden.isDisjoint(with: set) && required.allSatisfy { !$0.isDisjoint(with: set) }
    }
}

/// Collects the candidates of a plan, tree after tree in order of their roots, until there are enough.
struct CandidateSearch {
    let index: ProviderIndex
    let plan: CandidatePlan
    /// The lenders of a set of aggregates.
    private var lenders: [Int32: [Int32]] = [:]
    /// Candidates of lenders alone, which every tree that they lend to has.
    private var seen: Set<Candidate> = []

    init(_ plan: CandidatePlan, in index: ProviderIndex) {
        self.plan = plan
        self.index = index
    }

    /// All from one tree before the next.
    mutating func depthFirst(most: Int) -> [Candidate] {
        var found: [Candidate] = []
        for tree in index.trees.indices {
            // Of these as many may be known already as there are known ones.
            let left = most == .max ? Int.max : most - found.count + seen.count
            for candidate in candidates(of: tree, most: left)
            where found.count < most && isNew(candidate) {
                found.append(candidate)
            }
            if found.count >= most { break }
        }
        return found
    }

    /// One from each tree, then a second one from each, and so on.
    mutating func breadthFirst(most: Int) -> [Candidate] {
        var depth = most == .max ? Int.max : 1
        while true {
            seen = []
            let trees = index.trees.indices.map { candidates(of: $0, most: depth) }
            var found: [Candidate] = []
            let longest = trees.reduce(0) { max($0, $1.count) }
            for round in 0..<longest {
                for tree in trees where round < tree.count && found.count < most && isNew(tree[round]) {
                    found.append(tree[round])
                }
            }
            // Deeper only when there may be more to find.
            if found.count >= most || longest < depth { return found }
            depth *= 4
        }
    }

    private mutating func isNew(_ candidate: Candidate) -> Bool {
        if index.lenders.isEmpty { return true }
        let isLent = candidate.picks.allSatisfy { index.isLender($0) }
        return !isLent || seen.insert(candidate).inserted
    }

    private mutating func candidates(of tree: Int, most: Int) -> [Candidate] {
        let members = index.range(ofTree: tree)
        guard plan.roots[Int(index.entries[members.lowerBound].traits)] else { return [] }
        let near = index.lenders.isEmpty ? [] : lenders(of: members)
        var choices: [[Int32]] = []
        choices.reserveCapacity(plan.demands.count)
        for demand in plan.demands {
            let able = able(demand, members, near)
            if able.isEmpty { return [] }
            choices.append(able)
        }
        var solver = TreeSolver(index: index, plan: plan, choices: choices, most: most)
        solver.choose()
        return solver.found
    }

    /// The lenders that share an aggregate with one of these, and are not among them.
    private mutating func lenders(of members: Range<Int>) -> [Int32] {
        var near: [Int32] = []
        for member in members {
            let set = index.entries[member].aggregates
            if lenders[set] == nil { lenders[set] = index.lenders(sharing: set) }
            for lender in lenders[set] ?? [] where !members.contains(Int(lender)) && !near.contains(lender) {
                near.append(lender)
            }
        }
        return near.sorted()
    }

    /// The providers that could be chosen for a demand.
    private func able(_ demand: CandidatePlan.Demand, _ members: Range<Int>, _ near: [Int32]) -> [Int32] {
        let sieve = plan.sieves[demand.group]
        var able: [Int32] = []
        for member in members where isAble(member, demand, sieve, anchor: members.lowerBound) {
            able.append(Int32(member))
        }
        for lender in near where isAble(Int(lender), demand, sieve, anchor: members.lowerBound) { able.append(lender) }
        return able
    }

    private func isAble(
        _ provider: Int, _ demand: CandidatePlan.Demand, _ sieve: CandidatePlan.Sieve, anchor: Int
    ) -> Bool {
        let entry = index.entries[provider]
        for (resourceClass, amount) in demand.amounts {
            guard index.stock(of: provider, resourceClass)?.hasRoom(for: amount) == true else { return false }
        }
        guard sieve.traits[Int(entry.traits)] else { return false }
        let (own, anchors) = (Int(entry.aggregates), Int(index.entries[anchor].aggregates))
        let isOfTree = index.root(of: provider) == anchor
        if demand.isNamed {
            return sieve.members[own] && !sieve.outcasts[own] && (sieve.tree.map { $0 == Int(entry.tree) } ?? true)
        }
        // Nothing is lent to a group that wants one tree's resources. The root's aggregates are the whole tree's.
        if let tree = sieve.tree { guard isOfTree, tree == Int(entry.tree) else { return false } }
        guard !sieve.asksForAggregates || sieve.members[own] || (isOfTree && sieve.members[anchors]) else {
            return false
        }
        return !sieve.outcasts[own] && !sieve.outcasts[anchors]
    }
}

extension ProviderIndex {
    func isLender(_ provider: Int32) -> Bool {
        var low = 0
        var high = lenders.count
        while low < high {
            let middle = (low + high) / 2
            if lenders[middle] < provider { low = middle + 1 } else { high = middle }
        }
        return low < lenders.count && lenders[low] == provider
    }

    /// The lenders that are in one of the aggregates of a set.
    func lenders(sharing set: Int32) -> [Int32] {
        let wanted = Set(names.aggregateSets[Int(set)])
        if wanted.isEmpty { return [] }
        return lenders.filter { !wanted.isDisjoint(with: names.aggregateSets[Int(entries[Int($0)].aggregates)]) }
    }
}
