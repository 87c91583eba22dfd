// SPDX-License-Identifier: Apache-2.0
package import Access
internal import Base
internal import JSON

/// Who may do what: every route of a service by every kind of caller, worked out from the routes' own rules.
package struct PolicyMatrix: Sendable {
    /// A kind of caller: its column's name and a caller of the kind. Without a caller, somebody without a token.
    package struct Persona: Sendable {
        package let name: String
        package let caller: Caller?

        package init(_ name: String, _ caller: Caller?) {
            self.name = name
            self.caller = caller
        }
    }

    package struct Line: Sendable {
        /// `GET /v3/users`; for a rule that handlers judge, that it is one.
        package let call: String
        package let rule: String
        /// One for each persona.
        package let verdicts: [String]
    }

    package let personas: [Persona]
    package let lines: [Line]

    /// - Parameter policy: the rules in force; the service's defaults when an operator has changed none.
    package init(_ index: ServiceIndex, under policy: Policy, personas: [Persona]) {
        self.personas = personas
        var lines = index.routes.map { route in
            let path = route.path.hasPrefix("//") ? String(route.path.dropFirst()) : index.base + route.path
            let call = "\(route.method) \(path)" + (route.action.map { " (\($0))" } ?? "")
            guard !route.isOpen else {
                return Line(call: call, rule: "", verdicts: personas.map { _ in "open" })
            }
            let rule = index.ruleName(route.ruleName)
            return Line(call: call, rule: rule, verdicts: personas.map { policy.verdict(rule, $0.caller) })
        }
        for (name, _) in index.memberRules {
            let rule = index.ruleName(name)
            lines.append(
                Line(
                    call: "(judged by a handler)", rule: rule,
                    verdicts: personas.map { policy.verdict(rule, $0.caller) }))
        }
        self.lines = lines
    }

    /// Columns with tabs between them, the names of the columns first.
    package var text: String {
        let head = (["call", "rule"] + personas.map(\.name)).joined(separator: "\t")
        let rows = lines.map { ([$0.call, $0.rule] + $0.verdicts).joined(separator: "\t") }
        return ([head] + rows).joined(separator: "\n")
    }
}

extension Policy {
    /// `yes` on anything, what of a thing must be the caller's own for a yes (`user`, `project`, `domain`, `own` for
    /// all three), `scope` when the token is for the wrong kind of scope, or `-` for never.
    fileprivate func verdict(_ rule: String, _ caller: Caller?) -> String {
        guard let caller else { return "-" }
        switch judge(rule, caller, Owned(caller, [])) {
        case .allowed: return "yes"
        case .wrongScope: return "scope"
        case .refused: break
        }
        let single = Owned.Part.allCases.filter { allows(rule, caller, Owned(caller, [$0])) }
        if !single.isEmpty { return single.map(\.rawValue).joined(separator: "+") }
        return allows(rule, caller, Owned(caller, Set(Owned.Part.allCases))) ? "own" : "-"
    }
}

/// A thing of which some parts are the caller's own, whatever else a rule may ask about it. Its role is one that a
/// domain's people may give.
private struct Owned: PolicyTarget {
    enum Part: String, CaseIterable { case user, project, domain }

    private let caller: Caller
    private let parts: Set<Part>

    init(_ caller: Caller, _ parts: Set<Part>) {
        self.caller = caller
        self.parts = parts
    }

    func policyAttribute(_ name: String) -> JSON? {
        let words = name.split { $0 == "." || $0 == "_" || $0 == ":" }
        guard words.last == "id", words.count > 1 else {
            return name.hasSuffix("role.name") ? "member" : "of somebody else"
        }
        // A role of the whole cloud has no domain.
        if name.hasSuffix("role.domain_id") { return .null }
        switch words[words.count - 2] {
        case "user": return own(.user, caller.userID)
        case "project", "tenant": return own(.project, caller.projectID)
        case "domain": return own(.domain, caller.domainID ?? caller.projectDomainID ?? caller.userDomainID)
        default: return "of somebody else"
        }
    }

    private func own(_ part: Part, _ id: String?) -> JSON {
        .string(parts.contains(part) ? id ?? "of nobody" : "of somebody else")
    }
}
