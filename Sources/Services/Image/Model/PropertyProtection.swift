// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Who may make, see, change and remove free properties, by the first pattern that is found in their name. A property
/// that no pattern is found in is nobody's.
package struct PropertyProtection: Sendable {
    package enum Action: String, Sendable, CaseIterable { case create, read, update, delete }
    package enum Format: String, Sendable, CaseIterable { case roles, policies }

    struct Rule: Sendable {
        let pattern: String
        let allowed: [Action: [String]]
    }

    let rules: [Rule]
    let format: Format

    /// What is wrong with a file is told to `refuse`.
    package init(_ text: String, format: Format, refuse: (String) -> Void) {
        self.format = format
        let file = INI(text)
        for mistake in file.mistakes { refuse("line \(mistake.line): \(mistake.reason)") }
        rules = file.sections.map(\.name).filter { $0 != INI.defaultSection && !$0.hasPrefix("os_glance") }.map {
            name in
            if (try? Regex(name)) == nil { refuse("[\(name)] is no regular expression") }
            var allowed: [Action: [String]] = [:]
            for action in Action.allCases {
                guard let entry = file.entries.last(where: { $0.section == name && $0.name == action.rawValue }) else {
                    refuse("[\(name)] does not say who may \(action.rawValue)")
                    continue
                }
                let words = entry.value.split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }
                if format == .policies, words.count > 1 {
                    refuse("[\(name)] \(action.rawValue) names several policies")
                }
                if words.contains("@"), words.contains("!") {
                    refuse("[\(name)] \(action.rawValue): '@' and '!' exclude one another")
                }
                allowed[action] = words
            }
            return Rule(pattern: name, allowed: allowed)
        }
    }

    func allows(_ action: Action, _ name: String, _ request: Request) -> Bool {
        // The service's own marks are no business of the file's.
        if name.hasPrefix(ImportMarks.prefix) { return true }
        guard let rule = rules.first(where: { Self.finds($0.pattern, in: name) }) else { return false }
        let words = rule.allowed[action] ?? []
        switch format {
        case .policies: return words.first.map { request.may($0, on: Anything()) } ?? false
        case .roles:
            if words.contains("!") { return false }
            return words.contains("@") || request.caller.roles.contains { words.contains($0) }
        }
    }

    private static func finds(_ pattern: String, in name: String) -> Bool {
        guard let expression = try? Regex(pattern) else { return false }
        return name.firstMatch(of: expression) != nil
    }
}

extension Request {
    /// Whether the caller may do that to a free property, where an operator protects them.
    func may(_ action: PropertyProtection.Action, property name: String) -> Bool {
        image.options.protection?.allows(action, name, self) ?? true
    }
}
