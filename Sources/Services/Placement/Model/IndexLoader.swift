// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Reads the index from the database: whole, or the trees that changed since a former one.
struct IndexLoader {
    let snapshot: Snapshot

    /// The index as of this moment, made of a former one where that is less work.
    static func load(_ former: ProviderIndex?, _ snapshot: Snapshot) throws(Fault) -> ProviderIndex {
        let loader = IndexLoader(snapshot: snapshot)
        let revision = try loader.revision()
        if let former {
            if former.revision == revision { return former }
            if let index = try loader.renewed(former, at: revision) { return index }
        }
        return try loader.whole(at: revision)
    }

    private func revision() throws(Fault) -> Int { try Revision.present(snapshot.rows(Revision.query)) }

    private func whole(at revision: Int) throws(Fault) -> ProviderIndex {
        var names = ProviderIndex.Names()
        let trees = try trees("", &names)
        var packing = ProviderPacking(
            entries: trees.reduce(0) { $0 + $1.members.count },
            stock: trees.reduce(0) { $0 + $1.members.reduce(0) { $0 + $1.stock.count } }, trees: trees.count)
        for tree in trees { packing.append(tree) }
        return ProviderIndex(revision: revision, packing, names)
    }

    /// Nil when too much has changed since, or nobody remembers what.
    private func renewed(_ former: ProviderIndex, at revision: Int) throws(Fault) -> ProviderIndex? {
        let distance = revision - former.revision
        guard distance > 0, distance <= Revision.remembered, former.names.count <= 1024 + 2 * former.entries.count
        else {
            return nil
        }
        let rows = try snapshot.rows("SELECT root_id FROM placement_changes WHERE revision > \(former.revision)")
        guard rows.count == distance else { return nil }
        let changed = Set(rows.compactMap { $0[0].text })
        guard changed.count <= 500, !changed.contains(Revision.everything) else { return nil }
        var names = former.names
        let list = changed.sorted()
        let fresh = try trees("WHERE p.root_id IN \(list)", &names)
        let byRoot = Dictionary(uniqueKeysWithValues: fresh.map { ($0.root, $0) })
        var packing = ProviderPacking(
            entries: former.entries.count + 16, stock: former.stock.count + 64, trees: former.trees.count + 16)
        var done = 0
        for root in list.compactMap(ProviderIndex.ID.init).sorted() {
            let place = former.place(ofRoot: root)
            packing.append(done..<place, of: former)
            if let tree = byRoot[root] { packing.append(tree) }
            let isThere = place < former.trees.count && former.entries[Int(former.trees[place])].id == root
            done = isThere ? place + 1 : place
        }
        packing.append(done..<former.trees.count, of: former)
        return ProviderIndex(revision: revision, packing, names)
    }

    /// Trees in order of their roots.
    private func trees(
        _ condition: SQL, _ names: inout ProviderIndex.Names
    ) throws(Fault) -> [ProviderPacking.Tree] {
        let from: SQL = "FROM placement_providers p"
        let traits = try sets(
            snapshot.rows(
                """
                SELECT t.provider_id, t.trait \(sql: from) JOIN placement_provider_traits t ON t.provider_id = p.id
                \(sql: condition) ORDER BY t.provider_id, t.trait
                """))
        let aggregates = try sets(
            snapshot.rows(
                """
                SELECT a.provider_id, a.aggregate_id \(sql: from)
                JOIN placement_provider_aggregates a ON a.provider_id = p.id
                \(sql: condition) ORDER BY a.provider_id, a.aggregate_id
                """))
        let stock = try stock(from, condition, &names)
        var trees: [ProviderPacking.Tree] = []
        for row in try snapshot.rows("SELECT p.id, p.parent_id, p.root_id \(sql: from) \(sql: condition)") {
            guard let text = row[0].text, let id = ProviderIndex.ID(text),
                let root = row[2].text.flatMap(ProviderIndex.ID.init)
            else { throw .internalError("A provider's id is no UUID.") }
            let entry = ProviderIndex.Entry(
                id: id, parent: -1, traits: names.number(ofTraits: traits[text] ?? []),
                aggregates: names.number(ofAggregates: aggregates[text] ?? []), stock: 0, tree: 0)
            trees.append(
                ProviderPacking.Tree(
                    root: root,
                    members: [(entry, row[1].text.flatMap(ProviderIndex.ID.init), stock[text] ?? [])]))
        }
        return IndexLoader.joined(trees)
    }

    /// The members of each tree together.
    private static func joined(_ loose: [ProviderPacking.Tree]) -> [ProviderPacking.Tree] {
        var trees: [ProviderPacking.Tree] = []
        trees.reserveCapacity(loose.count)
        for tree in loose.sorted(by: { $0.root < $1.root }) {
            if trees.last?.root == tree.root {
                trees[trees.count - 1].members += tree.members
            } else {
                trees.append(tree)
            }
        }
        return trees
    }

    private func sets(_ rows: [Row]) -> [String: [String]] {
        var sets: [String: [String]] = [:]
        for row in rows { sets[row[0].text ?? "", default: []].append(row[1].text ?? "") }
        return sets
    }

    private func stock(
        _ from: SQL, _ condition: SQL, _ names: inout ProviderIndex.Names
    ) throws(Fault) -> [String: [ProviderIndex.Stock]] {
        let rows = try snapshot.rows(
            """
            SELECT i.provider_id, i.resource_class, i.total, i.reserved, i.min_unit, i.max_unit, i.step_size,
            i.allocation_ratio, i.used \(sql: from) JOIN placement_inventories i ON i.provider_id = p.id
            \(sql: condition)
            """)
        var stock: [String: [ProviderIndex.Stock]] = [:]
        for row in rows {
            let ratio = row[7].real ?? Double(row[7].int ?? 0)
            let capacity = Inventory.units(Double((row[2].int ?? 0) - (row[3].int ?? 0)) * ratio)
            stock[row[0].text ?? "", default: []].append(
                ProviderIndex.Stock(
                    resourceClass: names.number(ofClass: row[1].text ?? ""), minUnit: Int32(row[4].int ?? 1),
                    maxUnit: Int32(row[5].int ?? 1), stepSize: Int32(row[6].int ?? 1), capacity: Int64(capacity),
                    used: Int64(row[8].int ?? 0)))
        }
        return stock
    }
}
