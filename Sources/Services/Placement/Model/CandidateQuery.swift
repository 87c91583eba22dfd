// SPDX-License-Identifier: Apache-2.0
import Kernel

/// One group of a request for candidates: what it takes, and what its providers must be like.
struct RequestGroup: Sendable {
    /// Empty for the group without a name, whose resources may come from several providers of a tree.
    let suffix: String
    var resources: [String: Int] = [:]
    var traits = ResourceQuery.Traits()
    var aggregates = ResourceQuery.Aggregates()
    /// A provider of the tree that the group must be served by.
    var inTree: String?

    var isOneProvider: Bool { !suffix.isEmpty }

    /// Whether another asks for the same, whatever it is called.
    func asksAs(_ other: RequestGroup) -> Bool {
        isOneProvider && other.isOneProvider && resources == other.resources && traits == other.traits
            && aggregates == other.aggregates && inTree == other.inTree
    }
}

/// `GET /allocation_candidates` as asked for.
struct CandidateQuery: Sendable {
    var groups: [RequestGroup] = []
    var limit: Int?
    /// Whether named groups must be served by different providers.
    var isIsolated = false
    var rootTraits = ResourceQuery.Traits()
    var sameSubtrees: [Set<String>] = []
    /// Whether it is all the same which of several groups that ask for the same is served by which provider. Compute
    /// asks so, because a server has all of its groups; it is no part of the API.
    var isDistinct = false

    private static let prefixes = ["resources", "required", "member_of", "in_tree"]

    init() {}

    init(_ request: Request) throws(Fault) {
        let version = request.version
        let pairs = QueryString.parse(request.http.query) ?? []
        var suffixes: [String] = []
        var policy: String?
        for (name, value) in pairs {
            if let (_, suffix) = try CandidateQuery.split(name, version) {
                if !suffixes.contains(suffix) { suffixes.append(suffix) }
            } else if name == "limit", version >= "1.16" {
                guard let number = Int(value), number >= 1, value.utf8.first != 48, value.utf8.first != 43 else {
                    throw .badQuery("limit", value, "does not match '^[1-9][0-9]*$'")
                }
                if limit == nil { limit = number }
            } else if name == "group_policy", version >= "1.25" {
                guard value == "none" || value == "isolate" else {
                    throw .badQuery("group_policy", value, "is not one of ['none', 'isolate']")
                }
                policy = policy ?? value
            } else if name == "root_required", version >= "1.35" {
                // Read below, all values at once.
            } else if name == "same_subtree", version >= "1.36" {
                let names = value.split(separator: ",", omittingEmptySubsequences: false).map(CandidateQuery.trimmed)
                guard !names.contains("") else {
                    throw .badRequest(
                        "Empty string (unsuffixed group) can not be specified in `same_subtree` ", code: Code.badValue)
                }
                sameSubtrees.append(Set(names))
            } else {
                guard version >= "1.25" else { throw .unknownParameter(name) }
                throw .badQuery(
                    "'\(name)' does not match any of the regexes: \(CandidateQuery.patterns(version))\n\n"
                        + "Failed validating 'additionalProperties' in schema")
            }
        }
        if version < "1.25", !suffixes.contains("") || !pairs.contains(where: { $0.0 == "resources" }) {
            throw .badQuery(Complaint.missing("resources"))
        }
        isIsolated = policy == "isolate"
        isDistinct = CandidateQuery.prefersDistinct(request.header("Prefer") ?? "")
        try readRoot(pairs.filter { $0.0 == "root_required" }.map(\.1))
        for suffix in suffixes { groups.append(try CandidateQuery.group(suffix, pairs, version)) }
        try check(version)
        if policy == nil, groups.filter(\.isOneProvider).count > 1 {
            throw .badRequest(
                "The \"group_policy\" parameter is required when specifying more than one \"resources{N}\" parameter.")
        }
    }

    /// What a caller may prefer is said as RFC 7240 has it: a Placement that does not know of it answers as ever.
    private static func prefersDistinct(_ header: String) -> Bool {
        header.split(separator: ",").contains { trimmed($0).lowercased() == "allocations=distinct" }
    }

    /// `required_NET` to `required` and `_NET`; nil for a parameter that belongs to no group in this version.
    private static func split(_ name: String, _ version: Microversion) throws(Fault) -> (String, String)? {
        guard let prefix = prefixes.first(where: { name.hasPrefix($0) }) else { return nil }
        let suffix = String(name.dropFirst(prefix.utf8.count))
        let since: Microversion =
            switch prefix {
            case "resources": "1.10"
            case "required": "1.17"
            case "member_of": "1.21"
            default: "1.31"
            }
        guard version >= since else { return nil }
        if suffix.isEmpty { return (prefix, suffix) }
        guard version >= "1.25" else { return nil }
        if version < "1.33" {
            guard suffix.utf8.first != 48, suffix.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        } else {
            let isWord = suffix.utf8.allSatisfy {
                (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 95 || $0 == 45
            }
            guard suffix.utf8.count <= 64, isWord else { return nil }
        }
        return (prefix, suffix)
    }

    /// The names that groups' parameters may have, as the schema lists them.
    private static func patterns(_ version: Microversion) -> String {
        let suffix = version < "1.33" ? "[1-9][0-9]*" : "[a-zA-Z0-9_-]{1,64}"
        return prefixes.sorted().map { "'^\($0)(\(suffix))?$'" }.joined(separator: ", ")
    }

    private static func trimmed(_ text: some StringProtocol) -> String {
        String(text.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }

    private static func group(
        _ suffix: String, _ pairs: [(String, String)], _ version: Microversion
    ) throws(Fault) -> RequestGroup {
        func all(_ prefix: String) -> [String] { pairs.filter { $0.0 == prefix + suffix }.map(\.1) }
        var group = RequestGroup(suffix: suffix)
        if let text = all("resources").last { group.resources = try ResourceQuery.resources(text) }
        group.traits = try ResourceQuery.traits(all("required"), at: version)
        group.aggregates = try ResourceQuery.aggregates(all("member_of"), suffix: suffix, at: version)
        if let text = all("in_tree").last {
            let id = trimmed(text)
            guard Hex.isUUID(id) else {
                throw .badQuery("Expected 'in_tree' parameter to be a format of uuid. Got: \(text)")
            }
            group.inTree = Symbol.uuid(id)
        }
        return group
    }

    private mutating func readRoot(_ values: [String]) throws(Fault) {
        guard let value = values.first else { return }
        guard values.count == 1 else {
            throw .badRequest(
                "Query parameter 'root_required' may be specified only once.", code: Code.duplicateKey)
        }
        try ResourceQuery.add(value, to: &rootTraits, mayForbid: true, mayChoose: false)
        let clash = rootTraits.required.flatMap { $0 }.filter(rootTraits.forbidden.contains)
        guard clash.isEmpty else {
            throw .badRequest(
                "Conflicting required and forbidden traits found in root_required: "
                    + clash.sorted().joined(separator: ", "), code: Code.badValue)
        }
    }

    private func check(_ version: Microversion) throws(Fault) {
        let bare = groups.filter(\.resources.isEmpty)
        if version >= "1.36" {
            try checkSubtrees(bare)
        } else {
            let traits = bare.filter { !$0.traits.required.isEmpty }.map { "required\($0.suffix)" }
            guard traits.isEmpty else {
                throw .badRequest(
                    "All traits parameters must be associated with resources.  Found the following orphaned traits "
                        + "keys: \(traits.joined(separator: ", "))")
            }
            let members = bare.filter { !$0.aggregates.isEmpty }.map { "member_of\($0.suffix)" }
            guard members.isEmpty else {
                throw .badRequest(
                    "All member_of parameters must be associated with resources. Found the following orphaned "
                        + "member_of keys: \(members.joined(separator: ", "))")
            }
            guard bare.isEmpty else { throw .badRequest("All request groups must specify resources.") }
            guard !groups.isEmpty else {
                throw .badRequest("At least one request group (`resources` or `resources{$S}`) is required.")
            }
        }
        let clashes = groups.flatMap { group in
            group.traits.required.filter { $0.isSubset(of: group.traits.forbidden) }.map {
                "required\(group.suffix): (\($0.sorted().joined(separator: ", ")))"
            }
        }
        guard clashes.isEmpty else {
            throw .badRequest(
                "Conflicting required and forbidden traits found in the following traits keys: "
                    + clashes.sorted().joined(separator: ", "))
        }
    }

    /// Since 1.36 a group may ask for traits only, when it is held to others in a subtree.
    private func checkSubtrees(_ bare: [RequestGroup]) throws(Fault) {
        guard bare.count < groups.count else {
            throw .badRequest(
                "There must be at least one resources or resources[$S] parameter.", code: Code.missingValue)
        }
        let held = sameSubtrees.reduce(into: Set<String>()) { $0.formUnion($1) }
        let loose = bare.map(\.suffix).filter { !held.contains($0) }
        guard loose.isEmpty else {
            throw .badRequest(
                "Resourceless suffixed group request should be specified in `same_subtree` query param: "
                    + "bad group(s) - \(CandidateQuery.listed(loose)).", code: Code.badValue)
        }
        let strange = held.subtracting(groups.map(\.suffix)).sorted()
        guard strange.isEmpty else {
            throw .badRequest(
                "Real suffixes should be specified in `same_subtree`: \(CandidateQuery.listed(strange)) not found in "
                    + "\(CandidateQuery.listed(groups.map(\.suffix))).", code: Code.badValue)
        }
    }

    private static func listed(_ names: [String]) -> String {
        "[" + names.map { "'\($0)'" }.joined(separator: ", ") + "]"
    }
}
