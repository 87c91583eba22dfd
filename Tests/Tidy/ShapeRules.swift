// SPDX-License-Identifier: Apache-2.0

/// Rules on the outside of a file: lengths, the licence line, names, open ends.
enum ShapeRules {
    static let fileMax = 400
    static let lineMax = 120
    static let functionMax = 60
    static let licence = "// SPDX-License-Identifier: Apache-2.0"

    static func fileLength(_ source: SourceText) -> [Finding] {
        guard source.lineCount > fileMax, Allowed.longFiles[source.path] == nil else { return [] }
        return [
            Finding(
                source, fileMax,
                "\(source.lineCount) lines; \(fileMax) at most. Split it where a reader would look for the second half "
                    + "(Type+Topic.swift), or add it with its reason to Allowed.longFiles.")
        ]
    }

    static func lineLength(_ source: SourceText) -> [Finding] {
        (1...source.lineCount).filter { line in
            source.range(line: line).count > lineMax && source.text(line: line).count > lineMax
        }.map {
            Finding(
                source, $0, "longer than \(lineMax) columns. Run `swift format -i`; wrap texts and comments by hand.")
        }
    }

    static func functionLength(_ source: SourceText) -> [Finding] {
        functions(source).filter { $0.lines > functionMax && Allowed.longFunctions["\(source.path):\($0.name)"] == nil }
            .map {
                Finding(
                    source, $0.line,
                    "'\($0.name)' has \($0.lines) lines; \(functionMax) at most. Give its parts names, or add "
                        + "'\(source.path):\($0.name)' with its reason to Allowed.longFunctions.")
            }
    }

    static func licenceLine(_ source: SourceText) -> [Finding] {
        let first = source.text(line: 1)
        let again = source.places(of: "SPDX-License-Identifier", inCode: false).count
        if first != licence { return [Finding(source, 1, "the first line must be '\(licence)'.")] }
        // Tidy itself speaks of that line.
        guard again > 1, !source.path.hasPrefix("Tests/Tidy/") else { return [] }
        return [Finding(source, 1, "one licence line per file is enough.")]
    }

    static func openEnds(_ source: SourceText) -> [Finding] {
        guard !source.path.hasPrefix("Tests/Tidy/") else { return [] }
        return ["TODO", "FIXME", "XXX"].flatMap { mark in
            source.places(of: mark, inCode: false).compactMap { place in
                let end = place + mark.utf8.count
                let line = source.line(at: place)
                let whole = end >= source.bytes.count || !SourceText.isName(source.bytes[end])
                guard whole, !source.text(line: line).contains(/#[0-9]+/) else { return nil }
                return Finding(
                    source, line, "\(mark) without an issue number. Do it now, or write '\(mark) #123: what'.")
            }
        }
    }

    /// Every function with a body: its name, its line and how many lines it takes.
    static func functions(_ source: SourceText) -> [(name: String, line: Int, lines: Int)] {
        let words = ["func ", "init(", "init?(", "init<", "deinit ", "subscript(", "subscript<"]
        return words.flatMap { word in source.places(of: word).map { (word, $0) } }.compactMap { word, place in
            // `self.init(` and `.init(` are calls.
            guard place == 0 || source.code[place - 1] != UInt8(ascii: ".") else { return nil }
            guard let body = bodyStart(source.code, place), let end = bodyEnd(source.code, body) else { return nil }
            let name = source.name(at: word == "func " ? place + word.utf8.count : place)
            let line = source.line(at: place)
            return (name, line, source.line(at: end) - line + 1)
        }
    }

    /// The opening brace of a declaration; nil when it has none, as in a protocol.
    private static func bodyStart(_ code: [UInt8], _ start: Int) -> Int? {
        var (at, depth) = (start, 0)
        while at < code.count {
            switch code[at] {
            case UInt8(ascii: "("), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"): depth -= 1
            case UInt8(ascii: "{") where depth == 0: return at
            case UInt8(ascii: "}") where depth == 0: return nil
            case UInt8(ascii: "\n") where depth <= 0:
                let rest = code[at...].drop { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: " ") }.prefix(8)
                let next = String(decoding: rest, as: UTF8.self)
                guard ["{", "->", "throws", "async", "where", ")", "rethrows"].contains(where: next.hasPrefix) else {
                    return nil
                }
            default: break
            }
            if depth < 0 { return nil }
            at += 1
        }
        return nil
    }

    private static func bodyEnd(_ code: [UInt8], _ start: Int) -> Int? {
        var depth = 0
        for at in start..<code.count {
            if code[at] == UInt8(ascii: "{") { depth += 1 }
            if code[at] == UInt8(ascii: "}") { depth -= 1 }
            if depth == 0 { return at }
        }
        return nil
    }
}
