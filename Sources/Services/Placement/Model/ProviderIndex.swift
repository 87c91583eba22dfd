// SPDX-License-Identifier: Apache-2.0
import Kernel

/// All that decides who can serve a request, of every provider, as of one revision: packed into a few arrays that are
/// never changed. Trees stand in order of their root's id; within a tree the root stands first.
final class ProviderIndex: Sendable {
    /// A UUID as a number: ordered like its text.
    struct ID: Hashable, Comparable, Sendable {
        let high: UInt64
        let low: UInt64

        static func < (left: ID, right: ID) -> Bool { (left.high, left.low) < (right.high, right.low) }
    }

    struct Entry: Sendable {
        let id: ID
        /// Where in the tree the parent stands; -1 for the root.
        var parent: Int32
        /// Which of the sets of traits and of aggregates is the provider's.
        var traits: Int32
        var aggregates: Int32
        /// Where the provider's stock begins; it ends where the next one's begins.
        var stock: Int32
        var tree: Int32
    }

    /// What a provider has of one class.
    struct Stock: Sendable, Equatable {
        let resourceClass: Int32
        let minUnit: Int32
        let maxUnit: Int32
        let stepSize: Int32
        let capacity: Int64
        let used: Int64

        func hasRoom(for amount: Int64) -> Bool {
            amount >= Int64(minUnit) && amount <= Int64(maxUnit) && amount % Int64(stepSize) == 0
                && amount <= capacity - used
        }

        /// Whether so much can be taken in all, whatever the units that single groups had to be in.
        func carries(_ amount: Int64) -> Bool { amount <= Int64(maxUnit) && amount <= capacity - used }
    }

    let revision: Int
    let entries: [Entry]
    let stock: [Stock]
    /// Where each tree begins in `entries`.
    let trees: [Int32]
    let names: Names
    /// The providers that lend what they have to trees they share an aggregate with.
    let lenders: [Int32]

    init(revision: Int, _ packing: ProviderPacking, _ names: Names) {
        self.revision = revision
        self.names = names
        let entries = packing.entries
        let lending = names.sets(withTrait: "MISC_SHARES_VIA_AGGREGATE")
        self.entries = entries
        stock = packing.stock
        trees = packing.trees
        lenders =
            lending.contains(true)
            ? entries.indices.filter { lending[Int(entries[$0].traits)] }.map(Int32.init) : []
    }

    /// What it takes in memory, without the names that providers have in common.
    var bytes: Int {
        entries.capacity * MemoryLayout<Entry>.stride + stock.capacity * MemoryLayout<Stock>.stride
            + (trees.capacity + lenders.capacity) * MemoryLayout<Int32>.stride
    }

    /// Whether any provider is below another.
    var hasBranches: Bool { trees.count < entries.count }

    func range(ofTree tree: Int) -> Range<Int> {
        Int(trees[tree])..<(tree + 1 < trees.count ? Int(trees[tree + 1]) : entries.count)
    }

    func range(ofStock entry: Int) -> Range<Int> {
        Int(entries[entry].stock)..<(entry + 1 < entries.count ? Int(entries[entry + 1].stock) : stock.count)
    }

    func stock(of entry: Int, _ resourceClass: Int32) -> Stock? {
        for at in range(ofStock: entry) where stock[at].resourceClass == resourceClass { return stock[at] }
        return nil
    }

    func root(of entry: Int) -> Int { Int(trees[Int(entries[entry].tree)]) }

    /// Where the parent of an entry stands.
    func parent(of entry: Int) -> Int? {
        let parent = entries[entry].parent
        return parent < 0 ? nil : root(of: entry) + Int(parent)
    }

    func tree(of id: ID) -> Int? { entries.first { $0.id == id }.map { Int($0.tree) } }

    /// The first tree whose root is not before this id.
    func place(ofRoot id: ID) -> Int {
        var low = 0
        var high = trees.count
        while low < high {
            let middle = (low + high) / 2
            if entries[Int(trees[middle])].id < id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension ProviderIndex.ID {
    /// Nil for what is no UUID.
    init?(_ text: String) {
        var words: (UInt64, UInt64) = (0, 0)
        var digits = 0
        for byte in text.utf8 where byte != UInt8(ascii: "-") {
            let value: UInt8
            switch byte {
            case 48...57: value = byte - 48
            case 97...102: value = byte - 87
            case 65...70: value = byte - 55
            default: return nil
            }
            if digits < 16 { words.0 = words.0 << 4 | UInt64(value) } else { words.1 = words.1 << 4 | UInt64(value) }
            digits += 1
        }
        guard digits == 32 else { return nil }
        (high, low) = words
    }

    /// The 36-character form.
    var text: String {
        String(unsafeUninitializedCapacity: 36) { out in
            var at = 0
            for digit in 0..<32 {
                if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
                    out[at] = UInt8(ascii: "-")
                    at += 1
                }
                let word = digit < 16 ? high : low
                let value = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (digit & 15))) & 15
                out[at] = value < 10 ? 48 + value : 87 + value
                at += 1
            }
            return at
        }
    }
}

extension ProviderIndex {
    /// The classes, and the sets of traits and of aggregates, that providers of an index have: each kept once, known by
    /// its number. Thousands of hosts have a handful of sets between them.
    struct Names: Sendable {
        private(set) var classes: [String] = []
        private var classPlaces: [String: Int32] = [:]
        private(set) var traitSets: [[String]] = []
        private var traitPlaces: [[String]: Int32] = [:]
        private(set) var aggregateSets: [[String]] = []
        private var aggregatePlaces: [[String]: Int32] = [:]

        /// How many sets there are; those that nobody has any more are counted too.
        var count: Int { traitSets.count + aggregateSets.count }

        mutating func number(ofClass name: String) -> Int32 {
            Names.number(of: name, in: &classes, &classPlaces)
        }
        mutating func number(ofTraits set: [String]) -> Int32 { Names.number(of: set, in: &traitSets, &traitPlaces) }
        mutating func number(ofAggregates set: [String]) -> Int32 {
            Names.number(of: set, in: &aggregateSets, &aggregatePlaces)
        }

        /// Nil for a class of which nobody has anything.
        func known(class name: String) -> Int32? { classPlaces[name] }

        func sets(withTrait name: String) -> [Bool] { traitSets.map { $0.contains(name) } }

        private static func number<Key: Hashable>(
            of key: Key, in list: inout [Key], _ places: inout [Key: Int32]
        ) -> Int32 {
            if let place = places[key] { return place }
            let place = Int32(list.count)
            list.append(key)
            places[key] = place
            return place
        }
    }
}
