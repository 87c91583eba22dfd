// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The hint `query`: `["and", [">=", "$free_ram_mb", 1024], ["=", "$host", "one"]]`, as text or as it is.
struct HostQuery: Sendable {
    private let query: JSON

    init(_ hint: JSON) {
        query = hint.string.flatMap { try? JSON.parse(Array($0.utf8)) } ?? hint
    }

    /// What cannot be understood holds of nobody; a query that says nothing holds of all.
    func holds(of state: HostState) -> Bool {
        guard let items = query.array else { return query.object?.isEmpty ?? false }
        if items.isEmpty { return true }
        return HostQuery.isTrue(HostQuery.value(items, state))
    }

    private static func isTrue(_ value: JSON?) -> Bool {
        switch value {
        case nil, .some(.null): false
        case .some(.bool(let truth)): truth
        case .some(.integer(let number)): number != 0
        case .some(.double(let number)): number != 0
        case .some(.string(let text)): !text.isEmpty
        case .some(.array(let items)): items.contains { isTrue($0) }
        case .some(.object(let object)): !object.isEmpty
        }
    }

    private static func value(_ items: [JSON], _ state: HostState) -> JSON? {
        guard let sign = items.first?.string else { return nil }
        let terms = items.dropFirst().compactMap { term($0, state) }
        switch sign {
        case "not": return .array(terms.map { .bool(!isTrue($0)) })
        case "and": return .bool(terms.allSatisfy { isTrue($0) })
        case "or": return .bool(terms.contains { isTrue($0) })
        default: return .bool(compares(sign, terms))
        }
    }

    private static func term(_ item: JSON, _ state: HostState) -> JSON? {
        switch item {
        case .array(let items): return items.isEmpty ? .bool(true) : value(items, state)
        case .string(let text) where text.hasPrefix("$"):
            let path = text.dropFirst().split(separator: ".").map(String.init)
            return path.first.flatMap { state.attribute($0) }?.member(path.dropFirst())
        case .null: return nil
        default: return item
        }
    }

    /// The first term against each of the others.
    private static func compares(_ sign: String, _ terms: [JSON]) -> Bool {
        guard let first = terms.first, terms.count > 1 else { return false }
        let others = terms.dropFirst()
        switch sign {
        case "in": return others.contains { order(first, $0) == 0 }
        case "=": return others.allSatisfy { order(first, $0) == 0 }
        case "<": return others.allSatisfy { order(first, $0).map { $0 < 0 } ?? false }
        case ">": return others.allSatisfy { order(first, $0).map { $0 > 0 } ?? false }
        case "<=": return others.allSatisfy { order(first, $0).map { $0 <= 0 } ?? false }
        case ">=": return others.allSatisfy { order(first, $0).map { $0 >= 0 } ?? false }
        default: return false
        }
    }

    /// Below, at or above 0; nil for what cannot be compared.
    private static func order(_ left: JSON, _ right: JSON) -> Int? {
        if let left = left.double ?? left.integer.map({ Double($0) }),
            let right = right.double ?? right.integer.map({ Double($0) })
        {
            return left < right ? -1 : left > right ? 1 : 0
        }
        if let left = left.string, let right = right.string { return left < right ? -1 : left > right ? 1 : 0 }
        return left == right ? 0 : nil
    }
}
