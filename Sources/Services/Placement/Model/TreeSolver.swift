// SPDX-License-Identifier: Apache-2.0

/// A provider with all that decides whether it can serve.
struct Supply: Sendable {
    let provider: Provider
    var stock: [String: Inventory] = [:]
    var traits: Set<String> = []
    var aggregates: Set<String> = []

    var id: String { provider.id }
    /// Lends what it has to every tree that it shares an aggregate with.
    var isShared: Bool { traits.contains("MISC_SHARES_VIA_AGGREGATE") }
}

/// One way to serve a request: who gives what, and which group each of them serves.
struct Candidate: Sendable, Hashable {
    struct Take: Sendable, Hashable {
        let provider: String
        let resourceClass: String
        var amount: Int
    }
    var takes: [Take] = []
    var mappings: [String: [String]] = [:]

    var providers: Set<String> { Set(takes.map(\.provider)).union(mappings.values.joined()) }
}

/// Finds the ways to serve a request from one tree and the providers shared with it.
struct TreeSolver {
    let query: CandidateQuery
    /// For groups with `in_tree`: the root of that tree, by suffix; a tree that does not exist is an empty text.
    let inTree: [String: String]
    let tree: [Supply]
    let lenders: [Supply]
    let most: Int
    private let byID: [String: Supply]
    private var found: [Candidate] = []

    init(_ query: CandidateQuery, inTree: [String: String], tree: [Supply], lenders: [Supply], most: Int) {
        self.query = query
        self.inTree = inTree
        self.tree = tree
        self.lenders = lenders
        self.most = most
        byID = Dictionary((tree + lenders).map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// At most `most` of them.
    static func solve(
        _ query: CandidateQuery, inTree: [String: String], tree: [Supply], lenders: [Supply], most: Int
    ) -> [Candidate] {
        var solver = TreeSolver(query, inTree: inTree, tree: tree, lenders: lenders, most: most)
        guard let root = tree.first(where: { $0.provider.parentID == nil }) ?? tree.first,
            TreeSolver.has(query.rootTraits, root.traits)
        else { return [] }
        let options = query.groups.map(solver.options)
        guard options.allSatisfy({ !$0.isEmpty }) else { return [] }
        solver.combine(options[...], Candidate(), [:])
        return solver.found
    }

    private static func has(_ wanted: ResourceQuery.Traits, _ traits: Set<String>) -> Bool {
        wanted.forbidden.isDisjoint(with: traits)
            && wanted.required.allSatisfy { !$0.isDisjoint(with: traits) }
    }

    // MARK: One group

    /// The ways to serve one group, each as takes.
    private func options(_ group: RequestGroup) -> [Candidate] {
        let root = inTree[group.suffix]
        let eligible = (tree + (root == nil && !group.resources.isEmpty ? lenders : [])).filter {
            (root == nil || $0.provider.rootID == root) && isMember($0, group)
        }
        return group.isOneProvider ? single(group, eligible) : spread(group, eligible)
    }

    /// An aggregate of the root counts for the whole tree in the group without a name.
    private func isMember(_ supply: Supply, _ group: RequestGroup) -> Bool {
        if group.aggregates.isEmpty { return true }
        var own = supply.aggregates
        if !group.isOneProvider, let root = byID[supply.provider.rootID] { own.formUnion(root.aggregates) }
        return group.aggregates.accepts(own)
    }

    private func single(_ group: RequestGroup, _ eligible: [Supply]) -> [Candidate] {
        let wanted = group.resources.sorted { $0.key < $1.key }
        return eligible.compactMap { supply in
            guard TreeSolver.has(group.traits, supply.traits),
                wanted.allSatisfy({ supply.stock[$0.key]?.hasRoom(for: $0.value) == true })
            else { return nil }
            return Candidate(
                takes: wanted.map { .init(provider: supply.id, resourceClass: $0.key, amount: $0.value) },
                mappings: [group.suffix: [supply.id]])
        }
    }

    /// Each class of any provider that has room for it; the traits must be found among them all.
    private func spread(_ group: RequestGroup, _ eligible: [Supply]) -> [Candidate] {
        var ways = [Candidate()]
        for (name, amount) in group.resources.sorted(by: { $0.key < $1.key }) {
            let givers = eligible.filter {
                $0.stock[name]?.hasRoom(for: amount) == true && group.traits.forbidden.isDisjoint(with: $0.traits)
            }
            if givers.isEmpty { return [] }
            ways = ways.flatMap { way in
                givers.map { giver in
                    var longer = way
                    longer.takes.append(.init(provider: giver.id, resourceClass: name, amount: amount))
                    return longer
                }
            }
            if ways.count > TreeSolver.waysMax { ways.removeLast(ways.count - TreeSolver.waysMax) }
        }
        return ways.compactMap { way in
            var way = way
            let providers = Set(way.takes.map(\.provider)).sorted()
            let traits = providers.reduce(into: Set<String>()) { $0.formUnion(byID[$1]?.traits ?? []) }
            guard TreeSolver.has(group.traits, traits) else { return nil }
            way.mappings = [group.suffix: providers]
            return way
        }
    }

    /// A bound on combinations, which grow with the power of the classes.
    static let waysMax = 10_000

    // MARK: All groups

    private mutating func combine(
        _ rest: ArraySlice<[Candidate]>, _ sofar: Candidate, _ sums: [Candidate.Take: Int]
    ) {
        guard found.count < most else { return }
        guard let options = rest.first else {
            if query.sameSubtrees.allSatisfy({ isOneSubtree($0, sofar) }) { found.append(sofar) }
            return
        }
        for option in options {
            var next = sofar
            var sums = sums
            guard !query.isIsolated || isApart(option, sofar), add(option, to: &next, &sums) else { continue }
            combine(rest.dropFirst(), next, sums)
            if found.count >= most { return }
        }
    }

    /// Whether a named group's provider serves no other named group.
    private func isApart(_ option: Candidate, _ sofar: Candidate) -> Bool {
        guard let (suffix, providers) = option.mappings.first, !suffix.isEmpty, !option.takes.isEmpty else {
            return true
        }
        return sofar.mappings.allSatisfy { other, taken in
            other.isEmpty || !sofar.takes.contains { taken.contains($0.provider) }
                || providers.allSatisfy { !taken.contains($0) }
        }
    }

    /// Adds a group's takes; false when two groups together ask too much of a provider.
    private func add(_ option: Candidate, to candidate: inout Candidate, _ sums: inout [Candidate.Take: Int]) -> Bool {
        for take in option.takes {
            let key = Candidate.Take(provider: take.provider, resourceClass: take.resourceClass, amount: 0)
            let sum = (sums[key] ?? 0) + take.amount
            if sum > take.amount {
                guard let row = byID[take.provider]?.stock[take.resourceClass], sum <= row.maxUnit,
                    Double(row.used + sum) <= row.capacity,
                    let at = candidate.takes.firstIndex(where: {
                        $0.provider == take.provider && $0.resourceClass == take.resourceClass
                    })
                else { return false }
                candidate.takes[at].amount = sum
            } else {
                candidate.takes.append(take)
            }
            sums[key] = sum
        }
        candidate.mappings.merge(option.mappings) { first, _ in first }
        return true
    }

    /// Whether one of the groups' providers is above all the others, or is them.
    private func isOneSubtree(_ suffixes: Set<String>, _ candidate: Candidate) -> Bool {
        let ids = Set(suffixes.flatMap { candidate.mappings[$0] ?? [] })
        return ids.contains { top in ids.allSatisfy { isAbove(top, $0) } }
    }

    private func isAbove(_ top: String, _ id: String) -> Bool {
        var at: String? = id
        while let here = at {
            if here == top { return true }
            at = byID[here]?.provider.parentID
        }
        return false
    }
}
