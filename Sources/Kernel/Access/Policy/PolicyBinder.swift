// SPDX-License-Identifier: Apache-2.0

/// Puts a service's rules and an operator's file together, binds the names in them and collects what is wrong.
struct PolicyBinder {
    private struct Draft {
        var name: String
        var check: PolicyCheck
        var scopes: TokenScopes
        var line = 0
        var isAlias = false
    }

    private var drafts: [Draft] = []
    private(set) var index: [String: Int] = [:]
    private(set) var bound: [Policy.Bound] = []
    private(set) var mistakes: [PolicyMistake] = []
    private(set) var warnings: [PolicyMistake] = []

    mutating func take(_ defaults: [PolicyRule]) {
        for rule in defaults {
            guard index[rule.name] == nil else {
                mistakes.append(PolicyMistake(line: 0, rule: rule.name, message: "declared twice"))
                continue
            }
            guard let check = parse(.text(rule.check), rule.name, 0) else { continue }
            index[rule.name] = drafts.count
            drafts.append(Draft(name: rule.name, check: check, scopes: rule.scopes))
        }
    }

    mutating func take(_ file: PolicyFile) {
        mistakes += file.mistakes
        var seen: [String: Int] = [:]
        for entry in file.entries {
            if let line = seen[entry.name] {
                warn(entry.line, entry.name, "stands on line \(line) as well; this one holds")
            }
            seen[entry.name] = entry.line
            guard let check = parse(entry.value, entry.name, entry.line) else { continue }
            if let at = index[entry.name] {
                drafts[at].check = check
                drafts[at].line = entry.line
            } else {
                index[entry.name] = drafts.count
                drafts.append(Draft(name: entry.name, check: check, scopes: .any, line: entry.line, isAlias: true))
            }
        }
    }

    mutating func bind() {
        reportUndefined()
        guard mistakes.isEmpty else { return }
        reportCycles()
        reportUnused()
        guard mistakes.isEmpty else { return }
        for draft in drafts {
            let program = bind(draft.check, draft)
            bound.append(
                Policy.Bound(name: draft.name, check: draft.check, scopes: draft.scopes, program: program))
        }
    }

    private mutating func parse(_ value: PolicyFile.Value, _ name: String, _ line: Int) -> PolicyCheck? {
        do throws(PolicySyntaxError) {
            switch value {
            case .text(let text): return try PolicyParser.parse(text)
            case .list(let list): return try PolicyParser.parse(list: list)
            }
        } catch {
            mistakes.append(PolicyMistake(line: line, rule: name, message: error.message))
            return nil
        }
    }

    private mutating func warn(_ line: Int, _ rule: String, _ message: String) {
        warnings.append(PolicyMistake(line: line, rule: rule, message: message))
    }

    // MARK: - Names

    private mutating func reportUndefined() {
        for draft in drafts {
            for name in draft.check.ruleNames where index[name] == nil {
                var message = "refers to rule \"\(name)\", which does not exist"
                if let near = Spelling.nearest(name, among: index.keys) { message += "; did you mean \"\(near)\"?" }
                mistakes.append(PolicyMistake(line: draft.line, rule: draft.name, message: message))
            }
        }
    }

    /// A name of the operator's own is fine when another rule uses it; otherwise it is probably misspelt.
    private mutating func reportUnused() {
        let used = Set(drafts.flatMap { $0.check.ruleNames })
        let declared = drafts.filter { !$0.isAlias }.map(\.name)
        for draft in drafts where draft.isAlias && !used.contains(draft.name) && draft.name != "default" {
            var message = "no such rule, and no other rule uses the name"
            if let near = Spelling.nearest(draft.name, among: declared) { message += "; did you mean \"\(near)\"?" }
            warn(draft.line, draft.name, message)
        }
    }

    private mutating func reportCycles() {
        enum Mark { case fresh, open, done }
        var marks = Array(repeating: Mark.fresh, count: drafts.count)
        var path: [Int] = []
        func visit(_ at: Int, _ found: inout [[Int]]) {
            if marks[at] == .done { return }
            if marks[at] == .open {
                if let start = path.firstIndex(of: at) { found.append(Array(path[start...])) }
                return
            }
            marks[at] = .open
            path.append(at)
            for name in drafts[at].check.ruleNames { visit(index[name]!, &found) }
            path.removeLast()
            marks[at] = .done
        }
        var found: [[Int]] = []
        for at in drafts.indices { visit(at, &found) }
        for cycle in found {
            let names = (cycle + [cycle[0]]).map { "\"\(drafts[$0].name)\"" }.joined(separator: " -> ")
            let at = cycle.first { drafts[$0].line > 0 } ?? cycle[0]
            mistakes.append(
                PolicyMistake(line: drafts[at].line, rule: drafts[at].name, message: "refers to itself: \(names)"))
        }
    }

    // MARK: - Programs

    private mutating func bind(_ check: PolicyCheck, _ draft: Draft) -> PolicyProgram {
        switch check {
        case .always: return .always
        case .never: return .never
        case .rule(let name): return .rule(index[name]!)
        case .role(let template):
            if template.parts.count == 1, case .text(let name) = template.parts[0] { return .role(name) }
            return .roleOf(template)
        case .caller(let name, let template): return bind(name, template, draft)
        case .literal(let text, let template): return .literal(text, template)
        case .field(let field): return bind(field, draft)
        case .all(let checks): return .all(checks.map { bind($0, draft) })
        case .either(let checks): return .either(checks.map { bind($0, draft) })
        case .not(let inner): return .not(bind(inner, draft))
        }
    }

    private mutating func bind(_ name: String, _ template: PolicyTemplate, _ draft: Draft) -> PolicyProgram {
        let credential = PolicyCredential(name)
        if credential == .unknown {
            var message = "no caller has an attribute \"\(name)\", so the check never holds"
            if let near = Spelling.nearest(name, among: PolicyCredential.byName.keys) {
                message += "; did you mean \"\(near)\"?"
            }
            warn(draft.line, draft.name, message)
        }
        guard template.parts.count == 1 else { return .caller(credential, template) }
        switch template.parts[0] {
        case .text(let text): return .callerIs(credential, text)
        case .attribute(let attribute): return .owns(credential, attribute)
        }
    }

    private mutating func bind(_ field: PolicyField, _ draft: Draft) -> PolicyProgram {
        guard field.isPattern else { return .field(field, nil) }
        guard let pattern = PolicyPattern(field.value) else {
            mistakes.append(
                PolicyMistake(
                    line: draft.line, rule: draft.name, message: "\"\(field.value)\" is not a regular expression"))
            return .never
        }
        return .field(field, pattern)
    }
}

extension PolicyCheck {
    /// The rules that the check refers to.
    var ruleNames: [String] {
        switch self {
        case .rule(let name): [name]
        case .all(let checks), .either(let checks): checks.flatMap(\.ruleNames)
        case .not(let check): check.ruleNames
        default: []
        }
    }
}

/// The name that somebody probably meant.
enum Spelling {
    static func nearest(_ word: String, among names: some Sequence<String>) -> String? {
        let limit = max(1, min(3, word.count / 3))
        var best: (distance: Int, name: String)?
        for name in names where abs(name.count - word.count) <= limit {
            let found = distance(Array(word.utf8), Array(name.utf8))
            guard found <= limit else { continue }
            if let known = best, (known.distance, known.name) <= (found, name) { continue }
            best = (found, name)
        }
        return best?.name
    }

    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(diagonal + (a == b ? 0 : 1), above + 1, row[j] + 1)
                diagonal = above
            }
        }
        return row[right.count]
    }
}
