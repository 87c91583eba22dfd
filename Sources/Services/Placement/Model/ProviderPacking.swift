// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The arrays of an index being put together: trees one after another, new ones and runs of unchanged ones.
struct ProviderPacking: Sendable {
    private(set) var entries: [ProviderIndex.Entry] = []
    private(set) var stock: [ProviderIndex.Stock] = []
    private(set) var trees: [Int32] = []

    /// A tree as it was read.
    struct Tree: Sendable {
        let root: ProviderIndex.ID
        /// Each with its parent's id and what it has.
        var members: [(entry: ProviderIndex.Entry, parent: ProviderIndex.ID?, stock: [ProviderIndex.Stock])]
    }

    init(entries: Int, stock: Int, trees: Int) {
        self.entries.reserveCapacity(entries)
        self.stock.reserveCapacity(stock)
        self.trees.reserveCapacity(trees)
    }

    mutating func append(_ tree: Tree) {
        let number = Int32(trees.count)
        trees.append(Int32(entries.count))
        let members = tree.members.sorted {
            ($0.entry.id == tree.root ? 0 : 1, $0.entry.id) < ($1.entry.id == tree.root ? 0 : 1, $1.entry.id)
        }
        for member in members {
            var entry = member.entry
            let parent = member.parent.flatMap { id in members.firstIndex { $0.entry.id == id } }
            entry.parent = parent.map(Int32.init) ?? -1
            entry.stock = Int32(stock.count)
            entry.tree = number
            entries.append(entry)
            stock += member.stock.sorted { $0.resourceClass < $1.resourceClass }
        }
    }

    /// A run of trees as they stand in another index.
    mutating func append(_ run: Range<Int>, of index: ProviderIndex) {
        guard !run.isEmpty else { return }
        let members =
            index.range(ofTree: run.lowerBound).lowerBound..<index.range(ofTree: run.upperBound - 1).upperBound
        let goods =
            index.range(ofStock: members.lowerBound)
            .lowerBound..<index.range(ofStock: members.upperBound - 1).upperBound
        let (byEntries, byStock) = (entries.count - members.lowerBound, stock.count - goods.lowerBound)
        let byTrees = trees.count - run.lowerBound
        for tree in run { trees.append(index.trees[tree] + Int32(byEntries)) }
        if byStock == 0, byTrees == 0 {
            entries += index.entries[members]
        } else {
            for at in members {
                var entry = index.entries[at]
                entry.stock += Int32(byStock)
                entry.tree += Int32(byTrees)
                entries.append(entry)
            }
        }
        stock += index.stock[goods]
    }
}
