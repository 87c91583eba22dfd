// SPDX-License-Identifier: Apache-2.0

/// The members of an object in the order they came. Small ones are searched from the front, which beats hashing; beyond
/// 32 members an index is kept. Two objects are equal whatever their order, as JSON has it.
package struct JSONObject: Sendable {
    static let linearMax = 32

    private(set) var entries: [(key: String, value: JSON)]
    /// Position by key, once there are more than `linearMax` members.
    private var positions: [String: Int]?

    package init() {
        entries = []
    }

    /// Of a key that comes twice the last value counts.
    package init(_ members: [(String, JSON)]) {
        entries = []
        entries.reserveCapacity(members.count)
        for (key, value) in members { self[key] = value }
    }

    /// Members whose keys are known to differ.
    init(distinct members: [(key: String, value: JSON)]) {
        entries = members
        if members.count > JSONObject.linearMax { reindex() }
    }

    package var count: Int { entries.count }
    package var isEmpty: Bool { entries.isEmpty }
    package var keys: [String] { entries.map(\.key) }

    package subscript(key: String) -> JSON? {
        get { position(of: key).map { entries[$0].value } }
        set {
            guard let newValue else {
                removeValue(forKey: key)
                return
            }
            if let position = position(of: key) {
                entries[position].value = newValue
            } else {
                append(key, newValue)
            }
        }
    }

    @discardableResult
    package mutating func removeValue(forKey key: String) -> JSON? {
        guard let position = position(of: key) else { return nil }
        let removed = entries.remove(at: position).value
        if positions != nil { reindex() }
        return removed
    }

    private func position(of key: String) -> Int? {
        if let positions { return positions[key] }
        for position in entries.indices where entries[position].key == key { return position }
        return nil
    }

    /// Adds a member whose key is known to be new.
    private mutating func append(_ key: String, _ value: JSON) {
        entries.append((key, value))
        if positions != nil {
            positions![key] = entries.count - 1
        } else if entries.count > JSONObject.linearMax {
            reindex()
        }
    }

    private mutating func reindex() {
        guard entries.count > JSONObject.linearMax else {
            positions = nil
            return
        }
        var built: [String: Int] = [:]
        built.reserveCapacity(entries.count * 2)
        for (position, entry) in entries.enumerated() { built[entry.key] = position }
        positions = built
    }
}

extension JSONObject: Sequence {
    package func makeIterator() -> IndexingIterator<[(key: String, value: JSON)]> { entries.makeIterator() }
    package var underestimatedCount: Int { entries.count }
}

extension JSONObject: Hashable {
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.entries.allSatisfy { right[$0.key] == $0.value }
    }

    package func hash(into hasher: inout Hasher) {
        var sum = 0
        for (key, value) in entries {
            var member = Hasher()
            member.combine(key)
            member.combine(value)
            sum &+= member.finalize()
        }
        hasher.combine(sum)
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}
