// SPDX-License-Identifier: Apache-2.0
package import Observability

/// The policies of all services of a cloud, with one file of the operator's over them. Each service is given what it
/// knows and what that refers to, so that the names of one are no riddle to another.
package struct PolicyBook: Sendable {
    package struct Chapter: Sendable {
        let service: String
        let rules: [PolicyRule]

        package init(_ service: String, _ rules: [PolicyRule]) {
            self.service = service
            self.rules = rules
        }
    }

    private let policies: [String: Policy]
    /// What is odd in the file and yet works.
    package let warnings: [PolicyMistake]

    package init(
        _ chapters: [Chapter], overrides: String = "", enforceScope: Bool = true, log: Log = .silent
    ) throws(PolicyMistakes) {
        let file = PolicyFile(overrides)
        var found = Findings()
        let references = found.references(file)
        guard found.mistakes.isEmpty else { throw PolicyMistakes(mistakes: found.mistakes) }
        var policies: [String: Policy] = [:]
        var used: Set<String> = ["default"]
        for chapter in chapters {
            let names = PolicyBook.reachable(from: chapter.rules.map(\.name) + ["default"], references)
            used.formUnion(names)
            do {
                let policy = try Policy(
                    chapter.rules, file: file.keeping(names), enforceScope: enforceScope, log: log)
                found.warn(policy.warnings)
                policies[chapter.service] = policy
            } catch { found.add(error.mistakes) }
        }
        let declared = Set(chapters.flatMap { $0.rules.map(\.name) }).sorted()
        for entry in file.entries where !used.contains(entry.name) {
            let near = Spelling.nearest(entry.name, among: declared).map { "; did you mean \"\($0)\"?" } ?? ""
            let message = "no service has this rule, and no other rule uses the name" + near
            found.warn([PolicyMistake(line: entry.line, rule: entry.name, message: message)])
        }
        guard found.mistakes.isEmpty else { throw PolicyMistakes(mistakes: found.mistakes) }
        self.policies = policies
        warnings = found.warnings.sorted { $0.line < $1.line }
        for warning in warnings { log.warning("policy: \(warning)") }
    }

    package subscript(service: String) -> Policy? { policies[service] }

    /// The entries that matter to somebody who begins with those names.
    private static func reachable(from names: [String], _ references: [String: [String]]) -> Set<String> {
        var found: Set<String> = []
        var open = names
        while let name = open.popLast() {
            guard let next = references[name], found.insert(name).inserted else { continue }
            open += next
        }
        return found
    }
}

/// What several services may all find, told once.
private struct Findings {
    private(set) var mistakes: [PolicyMistake] = []
    private(set) var warnings: [PolicyMistake] = []

    mutating func add(_ more: [PolicyMistake]) { mistakes += more.filter { !mistakes.contains($0) } }
    mutating func warn(_ more: [PolicyMistake]) { warnings += more.filter { !warnings.contains($0) } }

    /// Each entry of the file with the rules that its check refers to.
    mutating func references(_ file: PolicyFile) -> [String: [String]] {
        add(file.mistakes)
        var references: [String: [String]] = [:]
        for entry in file.entries {
            do throws(PolicySyntaxError) {
                references[entry.name, default: []] += try entry.check.ruleNames
            } catch {
                add([PolicyMistake(line: entry.line, rule: entry.name, message: error.message)])
            }
        }
        return references
    }
}
