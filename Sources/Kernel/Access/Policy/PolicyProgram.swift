// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc
internal import JSON

/// A check bound to the rules around it: names are numbers and enum cases, so judging it neither looks up nor
/// allocates.
indirect enum PolicyProgram: Sendable {
    case always
    case never
    case rule(Int)
    case role(String)
    case roleOf(PolicyTemplate)
    /// The usual case of `caller`: the right side is one attribute of the target.
    case owns(PolicyCredential, String)
    case callerIs(PolicyCredential, String)
    case caller(PolicyCredential, PolicyTemplate)
    case literal(String, PolicyTemplate)
    case field(PolicyField, PolicyPattern?)
    case all([PolicyProgram])
    case either([PolicyProgram])
    case not(PolicyProgram)
}

/// Judges programs against the rules around them. Caller and target are lent to each step: nothing is copied.
struct PolicyJudge {
    let rules: [Policy.Bound]
    let adminRule: Int?
    /// `is_admin` is itself a rule's verdict; inside that rule it is not known yet and reads false, as upstream's does.
    var findsAdmin = false

    func accepts(_ program: PolicyProgram, _ caller: Caller, _ target: some PolicyTarget) -> Bool {
        switch program {
        case .always: return true
        case .never: return false
        case .rule(let index): return accepts(rules[index].program, caller, target)
        case .role(let name): return caller.has(role: name)
        case .roleOf(let template): return template.rendered(target).map(caller.has(role:)) ?? false
        case .owns(let credential, let attribute):
            guard let value = target.policyAttribute(attribute) else { return false }
            return matches(credential, caller, value)
        case .callerIs(let credential, let text): return matches(credential, caller, .string(text))
        case .caller(let credential, let template):
            guard let text = template.rendered(target) else { return false }
            return matches(credential, caller, .string(text))
        case .literal(let text, let template): return template.rendered(target) == text
        case .field(let field, let pattern): return PolicyJudge.accepts(field, pattern, target)
        case .all(let programs): return programs.allSatisfy { accepts($0, caller, target) }
        case .either(let programs): return programs.contains { accepts($0, caller, target) }
        case .not(let inner): return !accepts(inner, caller, target)
        }
    }

    private func matches(_ credential: PolicyCredential, _ caller: Caller, _ value: JSON) -> Bool {
        if credential == .isAdmin { return value.equalsPython(isAdmin(caller) ? "True" : "False") }
        switch credential.value(of: caller) {
        case .missing: return false
        case .none: return value.equalsPython("None")
        case .text(let text): return value.equalsPython(text)
        case .flag(let flag): return value.equalsPython(flag ? "True" : "False")
        case .list(let list): return list.contains { value.equalsPython($0) }
        }
    }

    private func isAdmin(_ caller: Caller) -> Bool {
        guard let adminRule else { return caller.has(role: "admin") }
        guard !findsAdmin else { return false }
        let own = OwnedTarget(projectID: caller.projectID, userID: caller.userID)
        return PolicyJudge(rules: rules, adminRule: adminRule, findsAdmin: true)
            .accepts(rules[adminRule].program, caller, own)
    }

    /// Neutron's field check: the resource's own attribute first, then the one of the resource that is named, which a
    /// port answers for its network (`networks:shared`).
    private static func accepts(_ field: PolicyField, _ pattern: PolicyPattern?, _ target: some PolicyTarget) -> Bool {
        let value = target.policyAttribute(field.field) ?? target.policyAttribute("\(field.resource):\(field.field)")
        guard let value, value != .null else { return false }
        if let pattern {
            guard case .string(let text) = value else { return false }
            return pattern.matches(text)
        }
        if case .bool(let flag) = value {
            switch field.value.lowercased() {
            case "true", "1": return flag
            case "false", "0": return !flag
            default: return false
            }
        }
        return value.equalsPython(field.value)
    }
}

extension PolicyTemplate {
    /// The text with its holes filled; nil when the target lacks an attribute.
    func rendered(_ target: some PolicyTarget) -> String? {
        if parts.count == 1, case .text(let text) = parts[0] { return text }
        var text = ""
        for part in parts {
            switch part {
            case .text(let piece): text += piece
            case .attribute(let name):
                guard let value = target.policyAttribute(name)?.pythonText else { return nil }
                text += value
            }
        }
        return text
    }
}

extension JSON {
    /// Whether Python's `str()` of the value is this text; the language is defined by it.
    func equalsPython(_ text: String) -> Bool {
        switch self {
        case .string(let own): own == text
        case .null: text == "None"
        case .bool(let flag): text == (flag ? "True" : "False")
        default: pythonText == text
        }
    }

    /// Python's `str()` of the value; nil for those whose form no policy relies on.
    var pythonText: String? {
        switch self {
        case .string(let text): text
        case .null: "None"
        case .bool(let flag): flag ? "True" : "False"
        case .integer(let number): String(number)
        case .double(let number): "\(number)"
        case .array, .object: nil
        }
    }
}

/// A POSIX extended regular expression, anchored at the start as Python's `match` is.
final class PolicyPattern: @unchecked Sendable {
    // regexec(3) reads the compiled expression only; glibc documents it as safe to share between threads.
    private let compiled: UnsafeMutablePointer<regex_t>

    init?(_ pattern: String) {
        compiled = .allocate(capacity: 1)
        let anchored = pattern.hasPrefix("^") ? pattern : "^(" + pattern + ")"
        guard regcomp(compiled, anchored, REG_EXTENDED | REG_NOSUB) == 0 else {
            compiled.deallocate()
            return nil
        }
    }

    deinit {
        regfree(compiled)
        compiled.deallocate()
    }

    func matches(_ text: String) -> Bool { regexec(compiled, text, 0, nil, 0) == 0 }
}

extension String {
    /// Compares ASCII letters without regard to case, and without allocating.
    func equalsIgnoringCase(_ other: String) -> Bool {
        if self == other { return true }
        let left = utf8
        let right = other.utf8
        guard left.count == right.count else { return lowercased() == other.lowercased() }
        var isASCII = true
        for (a, b) in zip(left, right) {
            if a | b > 127 { isASCII = false }
            if a != b, !(a ^ b == 32 && (97...122).contains(a | 32)) {
                return isASCII && a | b < 128 ? false : lowercased() == other.lowercased()
            }
        }
        return true
    }
}
