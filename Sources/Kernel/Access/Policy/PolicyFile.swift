// SPDX-License-Identifier: Apache-2.0

/// A policy file as text: `name: check` pairs in the part of YAML that operators write (plain and quoted scalars,
/// comments, folded and continued lines, lists of lists), or the JSON that older deployments have.
struct PolicyFile {
    enum Value: Equatable {
        case text(String)
        case list([[String]])
    }
    struct Entry: Equatable {
        var name: String
        var value: Value
        var line: Int

        var check: PolicyCheck {
            get throws(PolicySyntaxError) {
                switch value {
                case .text(let text): try PolicyParser.parse(text)
                case .list(let list): try PolicyParser.parse(list: list)
                }
            }
        }
    }

    private(set) var entries: [Entry] = []
    private(set) var mistakes: [PolicyMistake] = []

    private struct Line {
        var number: Int
        var indent: Int
        var text: Substring
    }
    private var lines: [Line] = []
    private var at = 0

    init(_ text: String) {
        let mark: Character = "\u{FEFF}"
        let source = text.first == mark ? text.dropFirst() : text[...]
        var number = 0
        for raw in source.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let content = raw.drop { $0 == " " }
            lines.append(Line(number: number, indent: raw.count - content.count, text: content))
        }
        read()
    }

    /// The same without the entries of other names.
    func keeping(_ names: Set<String>) -> PolicyFile {
        var file = self
        file.entries = entries.filter { names.contains($0.name) }
        return file
    }

    // MARK: - Lines

    private mutating func read() {
        skipBlank()
        if at < lines.count, lines[at].text.first == "{" { return readFlow() }
        while at < lines.count {
            readEntry()
            skipBlank()
        }
    }

    private mutating func skipBlank() {
        while at < lines.count, PolicyFile.isBlank(lines[at].text) || lines[at].text == "---" { at += 1 }
    }

    private static func isBlank(_ text: Substring) -> Bool {
        guard let first = text.first(where: { !$0.isWhitespace }) else { return true }
        return first == "#"
    }

    private mutating func mistake(_ line: Int, _ rule: String, _ message: String) {
        mistakes.append(PolicyMistake(line: line, rule: rule, message: message))
    }

    /// Moves past the lines that belong to an entry which could not be read.
    private mutating func skipEntry() {
        at += 1
        while at < lines.count, lines[at].indent > 0 || PolicyFile.isBlank(lines[at].text) { at += 1 }
    }

    private mutating func readEntry() {
        let line = lines[at]
        guard line.indent == 0 else {
            mistake(line.number, "", "indented, but no rule above it goes on")
            return skipEntry()
        }
        guard let (name, rest) = PolicyFile.key(line.text) else {
            mistake(line.number, "", "expected \"name\": \"check\", found \"\(line.text.prefix(60))\"")
            return skipEntry()
        }
        at += 1
        if let value = value(name, rest, line.number) {
            entries.append(Entry(name: name, value: value, line: line.number))
        }
    }

    /// The key of a line and what follows its colon.
    private static func key(_ text: Substring) -> (String, Substring)? {
        if let quote = text.first, quote == "\"" || quote == "'" {
            guard let (name, rest) = PolicyScalar.quoted(text), !name.isEmpty else { return nil }
            let after = rest.drop { $0 == " " }
            guard after.first == ":" else { return nil }
            return (name, after.dropFirst())
        }
        var from = text.startIndex
        while let colon = text[from...].firstIndex(of: ":") {
            let next = text.index(after: colon)
            if next == text.endIndex || text[next].isWhitespace {
                let name = text[..<colon].trimmingSpace
                return name.isEmpty || name.first == "-" ? nil : (String(name), text[next...])
            }
            from = next
        }
        return nil
    }

    // MARK: - Values

    private mutating func value(_ name: String, _ rest: Substring, _ number: Int) -> Value? {
        let text = rest.trimmingSpace
        switch text.first {
        case nil, "#": return nested(name, number)
        case "\"", "'": return quoted(name, text, number)
        case ">", "|": return block(name, text, number)
        case "[": return flowList(name, text, number)
        case "!", "@", "%", "&", "*", "`":
            mistake(number, name, "YAML gives \"\(text.first!)\" a meaning of its own: put the check in quotes")
            return nil
        default: return plain(name, text, number)
        }
    }

    /// Indented lines that go on with a scalar; blank lines and comments end nothing.
    private mutating func continuation() -> [Substring] {
        var more: [Substring] = []
        while at < lines.count {
            let line = lines[at]
            if line.text.isEmpty {
                at += 1
                continue
            }
            guard line.indent > 0, line.text.first != "#" else { break }
            more.append(line.text)
            at += 1
        }
        return more
    }

    private mutating func plain(_ name: String, _ first: Substring, _ number: Int) -> Value? {
        let parts = ([first] + continuation()).map { PolicyScalar.withoutComment($0).trimmingSpace }
        let text = parts.filter { !$0.isEmpty }.joined(separator: " ")
        if text == "~" || text == "null" { return empty(name, number) }
        if text.hasSuffix(":") || text.contains(": ") {
            mistake(number, name, "a \": \" inside the check: put the check in quotes")
            return nil
        }
        return .text(text)
    }

    private mutating func empty(_ name: String, _ number: Int) -> Value? {
        mistake(number, name, "no check; write \"\" to let anybody, \"!\" to let nobody")
        return nil
    }

    private mutating func quoted(_ name: String, _ first: Substring, _ number: Int) -> Value? {
        var text = String(first)
        while PolicyScalar.quoted(text[...]) == nil, at < lines.count,
            lines[at].indent > 0 || lines[at].text.isEmpty
        {
            if !lines[at].text.isEmpty { text = String(text[...].trimmingSpace) + " " + lines[at].text }
            at += 1
        }
        guard let (value, rest) = PolicyScalar.quoted(text[...]) else {
            mistake(number, name, "the quotation mark is never closed")
            return nil
        }
        guard PolicyFile.isBlank(rest) else {
            mistake(number, name, "\"\(rest.trimmingSpace)\" follows the closing quotation mark")
            return nil
        }
        return .text(value)
    }

    /// `>`, `>-`, `|`, `|-`: the indented lines below. White space means nothing in a check, so both kinds read alike.
    private mutating func block(_ name: String, _ mark: Substring, _ number: Int) -> Value? {
        let style = PolicyScalar.withoutComment(mark).trimmingSpace.dropFirst()
        guard style.allSatisfy({ "+-123456789".contains($0) }) else {
            mistake(number, name, "\"\(mark)\" is not a way to begin a folded text")
            return nil
        }
        var parts: [Substring] = []
        while at < lines.count, lines[at].indent > 0 || lines[at].text.isEmpty {
            if !lines[at].text.isEmpty { parts.append(lines[at].text.trimmingSpace) }
            at += 1
        }
        return .text(parts.joined(separator: " "))
    }

    /// Nothing after the colon: a scalar or a `- ` list below.
    private mutating func nested(_ name: String, _ number: Int) -> Value? {
        skipBlank()
        guard at < lines.count else { return empty(name, number) }
        let line = lines[at]
        if line.text.first == "-" { return blockList(name) }
        guard line.indent > 0 else { return empty(name, number) }
        at += 1
        return value(name, line.text, line.number)
    }

    private mutating func blockList(_ name: String) -> Value? {
        var list: [[String]] = []
        let indent = lines[at].indent
        while at < lines.count, lines[at].text.first == "-" || PolicyFile.isBlank(lines[at].text) {
            let line = lines[at]
            at += 1
            guard line.text.first == "-" else { continue }
            let item = line.text.dropFirst().trimmingSpace
            let isInner = line.indent > indent
            let isOuterOfInner = item.first == "-"
            guard let texts = items(isOuterOfInner ? item.dropFirst().trimmingSpace : item) else {
                mistake(line.number, name, "\"\(item)\" is not a check or a list of checks")
                return nil
            }
            if isInner, !list.isEmpty { list[list.count - 1] += texts } else { list.append(texts) }
        }
        return .list(list)
    }

    private func items(_ text: Substring) -> [String]? {
        if text.first == "[" {
            var scan = PolicyFlow(text)
            guard let list = scan.strings(), scan.atEnd else { return nil }
            return list
        }
        if let quote = text.first, quote == "\"" || quote == "'" {
            guard let (value, rest) = PolicyScalar.quoted(text), PolicyFile.isBlank(rest) else { return nil }
            return [value]
        }
        let plain = PolicyScalar.withoutComment(text).trimmingSpace
        return plain.isEmpty ? nil : [String(plain)]
    }

    private mutating func flowList(_ name: String, _ first: Substring, _ number: Int) -> Value? {
        let text = ([first] + continuation()).map { PolicyScalar.withoutComment($0) }.joined(separator: " ")
        var scan = PolicyFlow(text[...])
        guard let list = scan.lists(), scan.atEnd else {
            mistake(number, name, "not a list of lists of checks")
            return nil
        }
        return .list(list)
    }

    /// A whole file in braces: JSON, which is YAML as well.
    private mutating func readFlow() {
        let number = lines[at].number
        let text = lines[at...].map(\.text).filter { !PolicyFile.isBlank($0) }.joined(separator: "\n")
        var scan = PolicyFlow(text[...])
        guard let pairs = scan.mapping(), scan.atEnd else {
            return mistake(number + scan.newlines, "", "expected \"name\": \"check\" pairs inside braces")
        }
        entries = pairs.map { Entry(name: $0.0, value: $0.1, line: number + $0.2) }
        at = lines.count
    }
}

extension Substring {
    var trimmingSpace: Substring {
        var text = drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
