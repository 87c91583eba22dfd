// SPDX-License-Identifier: Apache-2.0
package import Observability

/// The rules of one service and what the operator made of them. Immutable: a changed file makes a new one.
package final class Policy: Sendable {
    /// A rule bound for judging.
    struct Bound: Sendable {
        var name: String
        var check: PolicyCheck
        var scopes: TokenScopes
        var program: PolicyProgram
    }

    /// A rule's place in this policy, for callers that judge it again and again.
    package struct Handle: Sendable, Hashable {
        let index: Int
    }

    private let rules: [Bound]
    private let index: [String: Int]
    private let defaultRule: Int?
    private let adminRule: Int?
    private let enforceScope: Bool
    private let log: Log
    /// What is odd in the operator's file and yet works: names that nothing uses, attributes that no caller has.
    package let warnings: [PolicyMistake]

    /// Binds the service's rules and the operator's file over them. `adminRule` names the rule that `is_admin` stands
    /// for; a service without it means the role `admin`.
    package convenience init(
        _ defaults: [PolicyRule], overrides: String = "", adminRule: String = "context_is_admin",
        enforceScope: Bool = true, log: Log = .silent
    ) throws(PolicyMistakes) {
        try self.init(
            defaults, file: PolicyFile(overrides), adminRule: adminRule, enforceScope: enforceScope, log: log)
        for warning in warnings { log.warning("policy: \(warning)") }
    }

    init(
        _ defaults: [PolicyRule], file: PolicyFile, adminRule: String = "context_is_admin", enforceScope: Bool,
        log: Log
    ) throws(PolicyMistakes) {
        var binder = PolicyBinder()
        binder.take(defaults)
        binder.take(file)
        binder.bind()
        guard binder.mistakes.isEmpty else { throw PolicyMistakes(mistakes: binder.mistakes) }
        rules = binder.bound
        index = binder.index
        warnings = binder.warnings
        defaultRule = binder.index["default"]
        self.adminRule = binder.index[adminRule]
        self.enforceScope = enforceScope
        self.log = log
    }

    package convenience init(
        rules: [String: String], overrides: String = "", log: Log = .silent
    ) throws(PolicyMistakes) {
        try self.init(
            rules.sorted { $0.key < $1.key }.map { PolicyRule($0.key, $0.value) }, overrides: overrides, log: log)
    }

    // MARK: - Judging

    package func handle(_ rule: String) -> Handle? { index[rule].map(Handle.init) }

    package func allows(_ rule: String, _ caller: Caller, _ target: some PolicyTarget = NoTarget()) -> Bool {
        judge(rule, caller, target) == .allowed
    }

    package func allows(_ rule: Handle, _ caller: Caller, _ target: some PolicyTarget = NoTarget()) -> Bool {
        judge(rule, caller, target) == .allowed
    }

    /// A rule that nobody declared is judged as `default` when the service has one, and lets nobody in otherwise.
    package func judge(_ rule: String, _ caller: Caller, _ target: some PolicyTarget = NoTarget()) -> PolicyVerdict {
        guard let found = index[rule] ?? defaultRule else {
            log.warning("policy: no rule is named \"\(rule)\"; refused")
            return .refused
        }
        return judge(Handle(index: found), caller, target)
    }

    package func judge(_ rule: Handle, _ caller: Caller, _ target: some PolicyTarget = NoTarget()) -> PolicyVerdict {
        let scopes = rules[rule.index].scopes
        if enforceScope, !scopes.accepts(caller.scope) {
            return .wrongScope(accepted: scopes.names, given: caller.scope.names[0])
        }
        let judge = PolicyJudge(rules: rules, adminRule: adminRule)
        return judge.accepts(rules[rule.index].program, caller, target) ? .allowed : .refused
    }

    // MARK: - Reading

    package var names: [String] { rules.map(\.name) }

    /// The check in force, as the language writes it.
    package func check(_ rule: String) -> PolicyCheck? { index[rule].map { rules[$0].check } }

    /// A file with every default in it, commented out, for operators to begin from.
    package static func sample(_ rules: [PolicyRule]) -> String {
        var text = ""
        for rule in rules {
            if !rule.description.isEmpty { text += "# \(rule.description)\n" }
            for operation in rule.operations { text += "# \(operation)\n" }
            if !rule.scopes.isEmpty { text += "# Intended scope(s): \(rule.scopes.names.joined(separator: ", "))\n" }
            text += "#\"\(rule.name)\": \"\(rule.check)\"\n\n"
        }
        return text
    }
}
