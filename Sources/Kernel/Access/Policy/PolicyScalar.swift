// SPDX-License-Identifier: Apache-2.0

/// YAML's quoted scalars and end-of-line comments.
enum PolicyScalar {
    /// The value of the quoted scalar that the text begins with, and what follows it; nil when it is not closed.
    static func quoted(_ text: Substring) -> (String, Substring)? {
        guard let quote = text.first else { return nil }
        var rest = text.dropFirst()
        var value = ""
        while let mark = rest.popFirst() {
            if mark == quote {
                guard quote == "'", rest.first == "'" else { return (value, rest) }
                value.append(mark)
                rest.removeFirst()
            } else if mark == "\\", quote == "\"" {
                guard let escaped = escape(&rest) else { return nil }
                value.append(escaped)
            } else {
                value.append(mark)
            }
        }
        return nil
    }

    private static func escape(_ rest: inout Substring) -> Character? {
        guard let mark = rest.popFirst() else { return nil }
        switch mark {
        case "\"", "\\", "/", " ": return mark
        case "n": return "\n"
        case "t": return "\t"
        case "r": return "\r"
        case "0": return "\0"
        case "u", "x":
            let digits = rest.prefix(mark == "u" ? 4 : 2)
            guard digits.count == (mark == "u" ? 4 : 2), let number = UInt32(digits, radix: 16),
                let scalar = Unicode.Scalar(number)
            else { return nil }
            rest = rest.dropFirst(digits.count)
            return Character(scalar)
        default: return nil
        }
    }

    /// A `#` begins a comment at the start and after white space, outside quotes.
    static func withoutComment(_ text: Substring) -> Substring {
        var quote: Character?
        var before: Character = " "
        for index in text.indices {
            let mark = text[index]
            if let open = quote {
                if mark == open { quote = nil }
            } else if mark == "#", before.isWhitespace {
                return text[..<index]
            } else if mark == "\"" || mark == "'" {
                quote = mark
            }
            before = mark
        }
        return text
    }
}

/// Reads YAML's flow notation as far as policies use it: `{"name": "check"}`, `[["role:admin"], ["a:b", "c:d"]]`.
struct PolicyFlow {
    private var rest: Substring
    private(set) var newlines = 0

    init(_ text: Substring) { rest = text }

    var atEnd: Bool {
        mutating get {
            skip()
            return rest.isEmpty
        }
    }

    private mutating func skip() {
        while let mark = rest.first, mark.isWhitespace {
            if mark.isNewline { newlines += 1 }
            rest.removeFirst()
        }
    }

    private mutating func take(_ mark: Character) -> Bool {
        skip()
        guard rest.first == mark else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func scalar() -> String? {
        skip()
        if let quote = rest.first, quote == "\"" || quote == "'" {
            guard let (value, after) = PolicyScalar.quoted(rest) else { return nil }
            rest = after
            return value
        }
        let word = rest.prefix { !",[]{}\"'".contains($0) && !$0.isNewline }
        guard !word.trimmingSpace.isEmpty else { return nil }
        rest = rest[word.endIndex...]
        return String(word.trimmingSpace)
    }

    /// `["a", "b"]`.
    mutating func strings() -> [String]? {
        guard take("[") else { return nil }
        var list: [String] = []
        while !take("]") {
            guard list.isEmpty || take(",") else { return nil }
            if take("]") { break }
            guard let value = scalar() else { return nil }
            list.append(value)
        }
        return list
    }

    /// `[["a", "b"], "c"]`: a bare string is a list of itself.
    mutating func lists() -> [[String]]? {
        guard take("[") else { return nil }
        var list: [[String]] = []
        while !take("]") {
            guard list.isEmpty || take(",") else { return nil }
            if take("]") { break }
            skip()
            if rest.first == "[" {
                guard let inner = strings() else { return nil }
                list.append(inner)
            } else {
                guard let value = scalar() else { return nil }
                list.append([value])
            }
        }
        return list
    }

    mutating func mapping() -> [(String, PolicyFile.Value, Int)]? {
        guard take("{") else { return nil }
        var pairs: [(String, PolicyFile.Value, Int)] = []
        while !take("}") {
            guard pairs.isEmpty || take(",") else { return nil }
            if take("}") { break }
            skip()
            let line = newlines
            guard let quote = rest.first, quote == "\"" || quote == "'", let name = scalar(), take(":") else {
                return nil
            }
            skip()
            if rest.first == "[" {
                guard let list = lists() else { return nil }
                pairs.append((name, .list(list), line))
            } else {
                guard let value = scalar() else { return nil }
                pairs.append((name, .text(value), line))
            }
        }
        return pairs
    }
}
