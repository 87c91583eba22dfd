// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Testing

/// Our rules against upstream's, which stand in Tests/Conformance/identity-policies.tsv: name, check, scopes. What
/// differs is explained in Docs/decisions, and nothing else may.
struct PolicyDefaultsTests {
    /// Rules of upstream's that no call here asks.
    static let absent: Set = [
        // Their checks stand in `list_trusts`.
        "identity:list_trusts_for_trustor", "identity:list_trusts_for_trustee",
        // Upstream declares these and asks them nowhere.
        "identity:list_projects_for_user", "identity:list_domains_for_user", "identity:revocation_list",
        // Their calls are not served.
        "identity:s3tokens_validate", "identity:ec2tokens_validate",
    ]
    /// Rules whose checks let in somebody else than upstream's.
    static let different = ["identity:list_trusts"]
    /// Rules that handlers judge, whose scopes are the service's.
    static let otherScopes: Set = [
        "identity:get_domain_role", "identity:list_domain_roles", "identity:create_domain_role",
        "identity:update_domain_role", "identity:delete_domain_role",
    ]

    struct Upstream {
        let check: String
        let scopes: Set<String>
    }

    static let upstream: [String: Upstream] = {
        let root = #filePath.split(separator: "/").dropLast(3).reduce(into: "") { $0 += "/\($1)" }
        let text = FileSystem.text(root + "/Tests/Conformance/identity-policies.tsv") ?? ""
        var rules: [String: Upstream] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3 else { continue }
            rules[parts[0]] = Upstream(check: parts[1], scopes: Set(parts[2].split(separator: ",").map(String.init)))
        }
        return rules
    }()

    static let ours = Dictionary(uniqueKeysWithValues: IdentityService.index.rules.map { ($0.name, $0) })

    @Test("Every rule of upstream's is asked here, and no other, but for those that are explained")
    func names() {
        #expect(Self.upstream.count == 203)
        let missing = Set(Self.upstream.keys).subtracting(Self.ours.keys)
        #expect(missing.subtracting(Self.absent).isEmpty, "not asked here: \(missing.sorted())")
        let made = Set(Self.ours.keys).subtracting(Self.upstream.keys)
        #expect(made.isEmpty, "rules that upstream does not have: \(made.sorted())")
    }

    @Test("Each rule lets in whom upstream's lets in, whatever is true of caller and target")
    func checks() throws {
        let theirs = try Policy(Self.upstream.map { PolicyRule($0.key, $0.value.check) })
        let mine = try Policy(Array(Self.ours.values))
        var different: [String] = []
        for name in Self.upstream.keys.sorted() where Self.ours[name] != nil {
            if Truth(mine, name).differs(from: Truth(theirs, name)) { different.append(name) }
        }
        #expect(different == Self.different)
    }

    @Test("Each rule takes tokens of the scopes that upstream's takes")
    func scopes() {
        for (name, theirs) in Self.upstream where !Self.otherScopes.contains(name) {
            guard let mine = Self.ours[name] else { continue }
            // Saying nothing and naming all three are the same.
            let all: Set = ["system", "domain", "project"]
            let own = mine.scopes.isEmpty ? all : Set(mine.scopes.names)
            #expect(own == (theirs.scopes.isEmpty ? all : theirs.scopes), "\(name)")
        }
    }
}

/// A rule as a formula over its single comparisons.
private struct Truth {
    private indirect enum Formula {
        case constant(Bool), atom(String), all([Formula]), either([Formula]), not(Formula)

        var atoms: Set<String> {
            switch self {
            case .constant: []
            case .atom(let text): [text]
            case .all(let parts), .either(let parts): parts.reduce(into: []) { $0.formUnion($1.atoms) }
            case .not(let part): part.atoms
            }
        }

        func holds(_ true: Set<String>) -> Bool {
            switch self {
            case .constant(let value): value
            case .atom(let text): `true`.contains(text)
            case .all(let parts): parts.allSatisfy { $0.holds(`true`) }
            case .either(let parts): parts.contains { $0.holds(`true`) }
            case .not(let part): !part.holds(`true`)
            }
        }
    }

    private let formula: Formula

    init(_ policy: Policy, _ rule: String) { formula = Self.formula(policy.check(rule) ?? .never, policy) }

    private static func formula(_ check: PolicyCheck, _ policy: Policy) -> Formula {
        switch check {
        case .always: .constant(true)
        case .never: .constant(false)
        case .rule(let name): formula(policy.check(name) ?? .never, policy)
        case .all(let parts): .all(parts.map { formula($0, policy) })
        case .either(let parts): .either(parts.map { formula($0, policy) })
        case .not(let part): .not(formula(part, policy))
        default: .atom(check.description)
        }
    }

    /// All cases where there are few comparisons, else many of them by chance.
    func differs(from other: Truth) -> Bool {
        let atoms = formula.atoms.union(other.formula.atoms).sorted()
        let chance = RandomIdentifiers()
        let isWhole = atoms.count <= 12
        for number in 0..<(isWhole ? 1 << atoms.count : 20_000) {
            let bits = isWhole ? number : chance.number(below: 1 << min(atoms.count, 40))
            let holding = Set(atoms.indices.filter { bits & 1 << $0 != 0 }.map { atoms[$0] })
            if formula.holds(holding) != other.formula.holds(holding) { return true }
        }
        return false
    }
}
