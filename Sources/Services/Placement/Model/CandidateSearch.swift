// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Walks the trees in order of their roots and collects candidates until there are enough.
struct CandidateSearch: Sendable {
    let query: CandidateQuery
    let version: Microversion
    let database: Database
    private var inTree: [String: String] = [:]
    private var lenders: [Supply] = []

    /// Candidates and every provider that the answer tells about.
    struct Result: Sendable {
        var candidates: [Candidate] = []
        var supplies: [Supply] = []
    }

    init(_ query: CandidateQuery, at version: Microversion, in database: Database) {
        self.query = query
        self.version = version
        self.database = database
    }

    mutating func run() async throws(Fault) -> Result {
        for group in query.groups {
            guard let id = group.inTree else { continue }
            inTree[group.suffix] = try await database.first(Provider.self, "id = \(id)")?.rootID ?? ""
        }
        lenders = try await loadLenders()
        var result = Result()
        var seen: Set<Candidate> = []
        var shown: Set<String> = []
        var last = ""
        let portion = query.limit.map { min(max($0, 50), 1000) } ?? 1000
        let sieve = sieve()
        while true {
            let roots = try await database.rows(
                """
                SELECT p.root_id FROM placement_providers p CROSS JOIN placement_inventories i
                WHERE i.provider_id = p.id AND p.root_id > \(last) \(sql: sieve) ORDER BY p.root_id LIMIT \(portion)
                """
            ).compactMap { $0[0].text }
            for tree in try await load(roots) {
                let left = query.limit.map { $0 - result.candidates.count } ?? Int.max
                var candidates = solve(tree, most: lenders.isEmpty ? left : Int.max)
                // What lenders give alone is found in every tree that they lend to.
                if !lenders.isEmpty {
                    candidates = candidates.filter { seen.insert($0).inserted }.prefix(left).map { $0 }
                }
                guard !candidates.isEmpty else { continue }
                result.candidates += candidates
                show(candidates, tree, &shown, &result)
                if result.candidates.count >= query.limit ?? Int.max { return result }
            }
            guard roots.count == portion, let end = roots.last else { return result }
            last = end
        }
    }

    /// What a tree must have for a look at it to be worthwhile, in the database's terms: room for each class, unless a
    /// lender may give it, and the traits and aggregates that are asked for.
    private func sieve() -> SQL {
        var amounts: [String: Int] = [:]
        for (name, amount) in query.groups.flatMap(\.resources) { amounts[name] = min(amounts[name] ?? amount, amount) }
        let lent = Set(lenders.flatMap { $0.stock.keys })
        let needed = amounts.filter { !lent.contains($0.key) }.sorted { $0.key < $1.key }
        var sql: SQL = ""
        if lenders.isEmpty {
            for root in Set(inTree.values) { sql += "AND p.root_id = \(root) " }
            for group in query.groups {
                for choice in group.traits.required { sql += somewhere("traits", "trait", choice) }
                for choice in group.aggregates.required { sql += somewhere("aggregates", "aggregate_id", choice) }
            }
        }
        guard !needed.isEmpty else { return sql + "GROUP BY p.root_id" }
        let rooms = needed.map { name, amount -> SQL in "(\(sql: Inventory.room("i", name, amount)))" }
        return sql + """
            AND (\(sql: rooms.joined(" OR "))) GROUP BY p.root_id
            HAVING COUNT(DISTINCT i.resource_class) = \(needed.count)
            """
    }

    /// That some provider of the tree has one of the traits, or is in one of the aggregates.
    private func somewhere(_ kind: String, _ column: String, _ choice: Set<String>) -> SQL {
        """
        AND EXISTS (SELECT 1 FROM placement_providers q JOIN placement_provider_\(raw: kind) x
        ON x.provider_id = q.id WHERE q.root_id = p.root_id AND x.\(raw: column) IN \(choice.sorted()))
        """ + " "
    }

    private func solve(_ tree: [Supply], most: Int) -> [Candidate] {
        let own = Set(tree.map(\.id))
        let aggregates = tree.reduce(into: Set<String>()) { $0.formUnion($1.aggregates) }
        let near = lenders.filter { !own.contains($0.id) && !$0.aggregates.isDisjoint(with: aggregates) }
        let candidates = TreeSolver.solve(query, inTree: inTree, tree: tree, lenders: near, most: most)
        guard version < "1.29" else { return candidates }
        // Before trees were told of, a candidate took of one provider of a tree.
        return candidates.filter { $0.providers.intersection(own).count <= 1 }
    }

    /// Since 1.29 the summaries tell of whole trees, before of those that give.
    private func show(_ candidates: [Candidate], _ tree: [Supply], _ shown: inout Set<String>, _ result: inout Result) {
        let used = candidates.reduce(into: Set<String>()) { $0.formUnion($1.providers) }
        for supply in tree where (version >= "1.29" || used.contains(supply.id)) && shown.insert(supply.id).inserted {
            result.supplies.append(supply)
        }
        for supply in lenders where used.contains(supply.id) && shown.insert(supply.id).inserted {
            result.supplies.append(supply)
        }
    }

    // MARK: Loading

    private func loadLenders() async throws(Fault) -> [Supply] {
        let rows = try await database.all(ProviderTrait.self, "trait = 'MISC_SHARES_VIA_AGGREGATE'")
        if rows.isEmpty { return [] }
        let providers = try await database.all(Provider.self, "id", in: rows.map(\.providerID))
        return try await supplies(providers)
    }

    /// Whole trees, in order of their roots.
    private func load(_ roots: [String]) async throws(Fault) -> [[Supply]] {
        if roots.isEmpty { return [] }
        let providers = try await database.all(Provider.self, "root_id", in: roots)
        let trees = Dictionary(grouping: try await supplies(providers), by: \.provider.rootID)
        return roots.compactMap { root in trees[root]?.sorted { $0.id < $1.id } }
    }

    private func supplies(_ providers: [Provider]) async throws(Fault) -> [Supply] {
        let ids = providers.map(\.id)
        var places: [String: Int] = [:]
        var supplies: [Supply] = []
        for provider in providers {
            places[provider.id] = supplies.count
            supplies.append(Supply(provider: provider))
        }
        for row in try await database.all(Inventory.self, "provider_id", in: ids) {
            if let place = places[row.providerID] { supplies[place].stock[row.resourceClass] = row }
        }
        for row in try await database.all(ProviderTrait.self, "provider_id", in: ids) {
            if let place = places[row.providerID] { supplies[place].traits.insert(row.trait) }
        }
        for row in try await database.all(ProviderAggregate.self, "provider_id", in: ids) {
            if let place = places[row.providerID] { supplies[place].aggregates.insert(row.aggregateID) }
        }
        return supplies
    }
}
