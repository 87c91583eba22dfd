// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is in Placement's tables, and who could serve a request, worked out the plain way: every choice is tried and
/// judged by itself. It shares no code with the room; usage is summed up from the allocations.
struct World {
    struct Shelf {
        var minUnit = 0, maxUnit = 0, stepSize = 0
        var capacity = 0.0
        var used = 0
    }
    struct Holder {
        var parent: String?
        var root = ""
        var shelves: [String: Shelf] = [:]
        var traits: Set<String> = []
        var aggregates: Set<String> = []
    }

    var holders: [String: Holder] = [:]

    init(_ database: Database) async throws(Fault) {
        for row in try await database.rows("SELECT id, parent_id, root_id FROM placement_providers") {
            holders[row[0].text ?? ""] = Holder(parent: row[1].text, root: row[2].text ?? "")
        }
        let inventories = try await database.rows(
            """
            SELECT provider_id, resource_class, total, reserved, min_unit, max_unit, step_size, allocation_ratio
            FROM placement_inventories
            """)
        for row in inventories {
            let capacity = Double((row[2].int ?? 0) - (row[3].int ?? 0)) * (row[7].real ?? Double(row[7].int ?? 0))
            holders[row[0].text ?? ""]?.shelves[row[1].text ?? ""] = Shelf(
                minUnit: row[4].int ?? 0, maxUnit: row[5].int ?? 0, stepSize: row[6].int ?? 1, capacity: capacity)
        }
        for row in try await database.rows("SELECT provider_id, resource_class, used FROM placement_allocations") {
            holders[row[0].text ?? ""]?.shelves[row[1].text ?? ""]?.used += row[2].int ?? 0
        }
        for row in try await database.rows("SELECT provider_id, trait FROM placement_provider_traits") {
            holders[row[0].text ?? ""]?.traits.insert(row[1].text ?? "")
        }
        for row in try await database.rows("SELECT provider_id, aggregate_id FROM placement_provider_aggregates") {
            holders[row[0].text ?? ""]?.aggregates.insert(row[1].text ?? "")
        }
    }
}

/// A request for candidates, as a client would put it together.
struct Wish {
    struct Group {
        var suffix = ""
        var resources: [String: Int] = [:]
        var required: [Set<String>] = []
        var forbidden: Set<String> = []
        var memberOf: [Set<String>] = []
        var notMemberOf: Set<String> = []
        var inTree: String?

        var isNothing: Bool {
            resources.isEmpty && required.isEmpty && forbidden.isEmpty && memberOf.isEmpty && notMemberOf.isEmpty
                && inTree == nil
        }
    }
    var groups: [Group] = []
    var isIsolated = false
    var rootRequired: Set<String> = []
    var rootForbidden: Set<String> = []
    var subtree: Set<String> = []
    var limit: Int?

    var query: String {
        var parts: [String] = []
        for group in groups {
            let suffix = group.suffix
            if !group.resources.isEmpty {
                let amounts = group.resources.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
                parts.append("resources\(suffix)=\(amounts.joined(separator: ","))")
            }
            for choice in group.required {
                let names = choice.sorted().joined(separator: ",")
                parts.append("required\(suffix)=\(choice.count > 1 ? "in:" : "")\(names)")
            }
            for name in group.forbidden.sorted() { parts.append("required\(suffix)=!\(name)") }
            for set in group.memberOf {
                parts.append("member_of\(suffix)=in:\(set.sorted().joined(separator: ","))")
            }
            if !group.notMemberOf.isEmpty {
                parts.append("member_of\(suffix)=!in:\(group.notMemberOf.sorted().joined(separator: ","))")
            }
            if let tree = group.inTree { parts.append("in_tree\(suffix)=\(tree)") }
        }
        parts.append("group_policy=\(isIsolated ? "isolate" : "none")")
        let roots = rootRequired.sorted() + rootForbidden.sorted().map { "!" + $0 }
        if !roots.isEmpty { parts.append("root_required=\(roots.joined(separator: ","))") }
        if !subtree.isEmpty { parts.append("same_subtree=\(subtree.sorted().joined(separator: ","))") }
        if let limit { parts.append("limit=\(limit)") }
        return parts.joined(separator: "&")
    }
}

/// A way to serve a wish, in a form that can be compared: what is taken of whom, and who serves which group.
struct Way: Hashable {
    var takes: [String: [String: Int]] = [:]
    var mappings: [String: Set<String>] = [:]
}

extension World {
    /// Every way to serve a wish, at the newest version.
    func ways(_ wish: Wish) -> Set<Way> {
        var ways: Set<Way> = []
        for group in wish.groups {
            // Nobody can be in a tree that is not there, and a group that asks for nothing is served by nobody.
            if let tree = group.inTree, holders[tree] == nil { return [] }
            if group.resources.isEmpty, group.required.isEmpty, group.memberOf.isEmpty { return [] }
        }
        for (anchor, root) in holders where root.parent == nil {
            guard wish.rootRequired.isSubset(of: root.traits), wish.rootForbidden.isDisjoint(with: root.traits) else {
                continue
            }
            var sofar = [Way()]
            for group in wish.groups {
                let options = group.suffix.isEmpty ? spread(group, anchor) : single(group, anchor)
                sofar = sofar.flatMap { way in options.map { joined(way, $0) } }
            }
            for way in sofar where isAllowed(way, wish) { ways.insert(way) }
        }
        return ways
    }

    private func pool(_ anchor: String) -> [String] {
        let tree = holders.filter { $0.value.root == anchor }
        let near = tree.values.reduce(into: Set<String>()) { $0.formUnion($1.aggregates) }
        let lent = holders.filter {
            $0.value.traits.contains("MISC_SHARES_VIA_AGGREGATE") && !$0.value.aggregates.isDisjoint(with: near)
        }
        return Set(tree.keys).union(lent.keys).sorted()
    }

    private func hasRoom(_ id: String, _ name: String, _ amount: Int) -> Bool {
        guard let shelf = holders[id]?.shelves[name] else { return false }
        return amount >= shelf.minUnit && amount <= shelf.maxUnit && amount % shelf.stepSize == 0
            && Double(shelf.used + amount) <= shelf.capacity
    }

    private func isIn(_ id: String, _ sets: [Set<String>]) -> Bool {
        sets.allSatisfy { !$0.isDisjoint(with: holders[id]?.aggregates ?? []) }
    }

    private func has(_ choices: [Set<String>], _ traits: Set<String>) -> Bool {
        choices.allSatisfy { !$0.isDisjoint(with: traits) }
    }

    /// One provider for all that a group asks for.
    private func single(_ group: Wish.Group, _ anchor: String) -> [Way] {
        pool(anchor).compactMap { id in
            guard let holder = holders[id], group.resources.allSatisfy({ hasRoom(id, $0.key, $0.value) }),
                has(group.required, holder.traits), group.forbidden.isDisjoint(with: holder.traits),
                isIn(id, group.memberOf), group.notMemberOf.isDisjoint(with: holder.aggregates)
            else { return nil }
            if let tree = group.inTree, !group.resources.isEmpty, holders[tree]?.root != holder.root { return nil }
            return Way(
                takes: group.resources.isEmpty ? [:] : [id: group.resources], mappings: [group.suffix: [id]])
        }
    }

    /// A provider for each class.
    private func spread(_ group: Wish.Group, _ anchor: String) -> [Way] {
        var ways = [Way()]
        for (name, amount) in group.resources {
            let givers = pool(anchor).filter { id in
                guard let holder = holders[id], hasRoom(id, name, amount),
                    group.forbidden.isDisjoint(with: holder.traits),
                    group.notMemberOf.isDisjoint(with: holder.aggregates),
                    group.notMemberOf.isDisjoint(with: holders[anchor]?.aggregates ?? [])
                else { return false }
                let isOfTree = holder.root == anchor
                if let tree = group.inTree, !isOfTree || holders[tree]?.root != anchor { return false }
                return isIn(id, group.memberOf) || (isOfTree && isIn(anchor, group.memberOf))
            }
            ways = ways.flatMap { way in
                givers.map { joined(way, Way(takes: [$0: [name: amount]], mappings: [group.suffix: [$0]])) }
            }
        }
        return ways.filter { way in
            let traits = (way.mappings[group.suffix] ?? []).reduce(into: Set<String>()) {
                $0.formUnion(holders[$1]?.traits ?? [])
            }
            return has(group.required, traits)
        }
    }

    private func joined(_ first: Way, _ second: Way) -> Way {
        var way = first
        for (id, amounts) in second.takes { way.takes[id, default: [:]].merge(amounts) { $0 + $1 } }
        way.mappings.merge(second.mappings) { $0.union($1) }
        return way
    }

    private func isAllowed(_ way: Way, _ wish: Wish) -> Bool {
        for (id, amounts) in way.takes {
            for (name, amount) in amounts {
                guard let shelf = holders[id]?.shelves[name], amount <= shelf.maxUnit,
                    Double(shelf.used + amount) <= shelf.capacity
                else { return false }
            }
        }
        let named = way.mappings.filter { !$0.key.isEmpty }
        if wish.isIsolated, Set(named.values.flatMap { $0 }).count != named.count { return false }
        let held = wish.subtree.reduce(into: Set<String>()) { $0.formUnion(way.mappings[$1] ?? []) }
        return held.isEmpty || held.contains { top in held.allSatisfy { above($0).contains(top) } }
    }

    private func above(_ id: String) -> [String] {
        var path = [id]
        while let parent = holders[path[path.count - 1]]?.parent { path.append(parent) }
        return path
    }
}
