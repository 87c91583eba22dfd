// SPDX-License-Identifier: Apache-2.0

/// Reads policy expressions. Upstream turns what it cannot read into "nobody"; here it is an error that says what is
/// wrong, so that a typing mistake is met when the policy is loaded and not when somebody is refused.
struct PolicyParser {
    private enum Token: Equatable {
        case open, close, and, or, not
        case check(String)

        var text: String {
            switch self {
            case .open: "("
            case .close: ")"
            case .and: "and"
            case .or: "or"
            case .not: "not"
            case .check(let text): text
            }
        }
    }

    private static let depthLimit = 64
    private var tokens: [Token] = []
    private var at = 0
    private var depth = 0

    static func parse(_ text: String) throws(PolicySyntaxError) -> PolicyCheck {
        if text.isEmpty { return .always }
        var parser = PolicyParser()
        parser.tokenize(text)
        guard !parser.tokens.isEmpty else {
            throw PolicySyntaxError("only white space; write \"\" to let anybody, \"!\" to let nobody")
        }
        let check = try parser.either()
        guard parser.at == parser.tokens.count else {
            throw PolicySyntaxError(
                parser.tokens[parser.at] == .close
                    ? "a \")\" without its \"(\""
                    : "\"and\" or \"or\" is missing before \"\(parser.tokens[parser.at].text)\"")
        }
        return check
    }

    /// The older notation: the outer list is joined by "or", the inner ones by "and".
    static func parse(list: [[String]]) throws(PolicySyntaxError) -> PolicyCheck {
        if list.isEmpty { return .always }
        var either: [PolicyCheck] = []
        for inner in list where !inner.isEmpty {
            var all: [PolicyCheck] = []
            for text in inner { all.append(try check(text)) }
            either.append(all.count == 1 ? all[0] : .all(all))
        }
        switch either.count {
        case 0: return .never
        case 1: return either[0]
        default: return .either(either)
        }
    }

    // MARK: - Tokens

    /// White space separates; parentheses count only at the ends of a word, since `%(name)s` has some inside.
    private mutating func tokenize(_ text: String) {
        for word in text.split(whereSeparator: \.isWhitespace) {
            let rest = word.drop { $0 == "(" }
            tokens += Array(repeating: .open, count: word.count - rest.count)
            let closing = rest.reversed().prefix { $0 == ")" }.count
            let clean = rest.dropLast(closing)
            switch clean.lowercased() {
            case "": break
            case "and": tokens.append(.and)
            case "or": tokens.append(.or)
            case "not": tokens.append(.not)
            default: tokens.append(.check(String(clean)))
            }
            tokens += Array(repeating: .close, count: closing)
        }
    }

    // MARK: - Grammar: or < and < not

    private mutating func either() throws(PolicySyntaxError) -> PolicyCheck {
        var checks = [try all()]
        while take(.or) { checks.append(try all()) }
        return checks.count == 1 ? checks[0] : .either(checks)
    }

    private mutating func all() throws(PolicySyntaxError) -> PolicyCheck {
        var checks = [try unary()]
        while take(.and) { checks.append(try unary()) }
        return checks.count == 1 ? checks[0] : .all(checks)
    }

    private mutating func unary() throws(PolicySyntaxError) -> PolicyCheck {
        depth += 1
        defer { depth -= 1 }
        guard depth <= PolicyParser.depthLimit else {
            throw PolicySyntaxError("nested more than \(PolicyParser.depthLimit) deep")
        }
        if take(.not) { return .not(try unary()) }
        if take(.open) {
            let check = try either()
            guard take(.close) else { throw PolicySyntaxError("a \"(\" without its \")\"") }
            return check
        }
        guard at < tokens.count else { throw PolicySyntaxError("ends where a check is expected") }
        guard case .check(let text) = tokens[at] else {
            throw PolicySyntaxError("\"\(tokens[at].text)\" stands where a check is expected")
        }
        at += 1
        return try PolicyParser.check(text)
    }

    private mutating func take(_ token: Token) -> Bool {
        guard at < tokens.count, tokens[at] == token else { return false }
        at += 1
        return true
    }

    // MARK: - One check

    private static func check(_ text: String) throws(PolicySyntaxError) -> PolicyCheck {
        if text == "@" { return .always }
        if text == "!" { return .never }
        guard let colon = text.firstIndex(of: ":") else {
            throw PolicySyntaxError(
                "\"\(text)\" is no check; a check is \"kind:value\", as in \"role:admin\" or \"rule:\(text)\"")
        }
        let kind = String(text[..<colon])
        let match = String(text[text.index(after: colon)...])
        switch kind {
        case "":
            throw PolicySyntaxError("\"\(text)\" has nothing before its colon")
        case "rule":
            guard !match.isEmpty else { throw PolicySyntaxError("\"rule:\" names no rule") }
            return .rule(match)
        case "role": return .role(try template(match))
        case "field": return .field(try field(match))
        case "http", "https":
            throw PolicySyntaxError(
                "\"\(kind):\" asks another server for each decision, which is not supported; state the rule here "
                    + "instead"
            )
        default:
            let right = try template(match)
            if let constant = constant(kind) { return .literal(constant, right) }
            return .caller(kind, right)
        }
    }

    /// `%(name)s` is a hole, `%%` a percent sign; anything else after a percent sign is refused.
    static func template(_ text: String) throws(PolicySyntaxError) -> PolicyTemplate {
        var parts: [PolicyTemplate.Part] = []
        var literal = ""
        var rest = text[...]
        while let percent = rest.firstIndex(of: "%") {
            literal += rest[..<percent]
            rest = rest[rest.index(after: percent)...]
            if rest.first == "%" {
                literal += "%"
                rest = rest.dropFirst()
                continue
            }
            guard rest.first == "(", let close = rest.firstIndex(of: ")"),
                rest[rest.index(after: close)...].first == "s"
            else { throw PolicySyntaxError("\"\(text)\" has a \"%\" that does not begin \"%(attribute)s\"") }
            let name = rest[rest.index(after: rest.startIndex)..<close]
            guard !name.isEmpty else { throw PolicySyntaxError("\"\(text)\" names no attribute in \"%()s\"") }
            if !literal.isEmpty { parts.append(.text(literal)) }
            literal = ""
            parts.append(.attribute(String(name)))
            rest = rest[rest.index(close, offsetBy: 2)...]
        }
        literal += rest
        if !literal.isEmpty || parts.isEmpty { parts.append(.text(literal)) }
        return PolicyTemplate(parts)
    }

    private static func field(_ text: String) throws(PolicySyntaxError) -> PolicyField {
        guard let colon = text.firstIndex(of: ":"),
            let equals = text[colon...].firstIndex(of: "="), text.index(after: colon) < equals
        else { throw PolicySyntaxError("\"field:\(text)\" is not of the form \"field:resources:name=value\"") }
        let value = text[text.index(after: equals)...]
        return PolicyField(
            resource: String(text[..<colon]), field: String(text[text.index(after: colon)..<equals]),
            value: String(value.first == "~" ? value.dropFirst() : value), isPattern: value.first == "~")
    }

    /// The left sides that upstream reads as a Python constant, as the text that Python would print for it.
    private static func constant(_ text: String) -> String? {
        switch text {
        case "None", "True", "False": return text
        default: break
        }
        if let quote = text.first, quote == "'" || quote == "\"", text.count >= 2, text.last == quote {
            return String(text.dropFirst().dropLast())
        }
        if let number = Int(text), text.first != "+" { return String(number) }
        let isDecimal = text.contains(".") && text.utf8.allSatisfy { (45...46).contains($0) || (48...57).contains($0) }
        if isDecimal, let number = Double(text) { return "\(number)" }
        return nil
    }
}
