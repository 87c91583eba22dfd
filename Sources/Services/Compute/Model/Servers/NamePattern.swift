// SPDX-License-Identifier: Apache-2.0

/// A regular expression as list filters take it: alternatives, groups, classes, `.`, `^`, `$`, `*`, `+` and `?`; other
/// characters stand for themselves, whatever their case. It is run as a set of places at once (Thompson 1968), so no
/// pattern takes longer than its length times the text's.
struct NamePattern: Sendable {
    private indirect enum Node: Sendable {
        case empty, start, end, any
        case one(Unicode.Scalar)
        case oneOf([ClosedRange<Unicode.Scalar>], isNegated: Bool)
        case sequence(Node, Node)
        case choice(Node, Node)
        /// Any number of times, from so many on (0 or 1).
        case many(Node, least: Int)
    }

    private enum Instruction: Sendable {
        case match
        case start, end
        case take(@Sendable (Unicode.Scalar) -> Bool)
        case split(Int, Int)
        case jump(Int)
    }

    private var program: [Instruction] = []

    /// Nil when it is no expression.
    init?(_ text: String) {
        guard text.unicodeScalars.count <= 255 else { return nil }
        var reader = Reader(Array(text.lowercased().unicodeScalars))
        guard let node = reader.choice(depth: 0), reader.isAtEnd else { return nil }
        emit(node)
        program.append(.match)
    }

    /// The text a simple expression looks for anywhere, for a database to look for; nil when it is not simple.
    static func plain(_ text: String) -> String? {
        text.unicodeScalars.contains { "\\^$.|?*+()[]{}%".unicodeScalars.contains($0) } ? nil : text
    }

    /// Whether it is found anywhere in a text.
    func matches(_ text: String) -> Bool {
        let scalars = Array(text.lowercased().unicodeScalars)
        var places = Set<Int>()
        for at in 0...scalars.count {
            add(0, at, scalars.count, &places)
            if places.contains(program.count - 1) { return true }
            guard at < scalars.count else { return false }
            var next = Set<Int>()
            for place in places {
                if case .take(let fits) = program[place], fits(scalars[at]) {
                    add(place + 1, at + 1, scalars.count, &next)
                }
            }
            places = next
        }
        return false
    }

    private func add(_ place: Int, _ at: Int, _ count: Int, _ places: inout Set<Int>) {
        guard places.insert(place).inserted else { return }
        switch program[place] {
        case .jump(let to): add(to, at, count, &places)
        case .split(let one, let other):
            add(one, at, count, &places)
            add(other, at, count, &places)
        case .start: if at == 0 { add(place + 1, at, count, &places) }
        case .end: if at == count { add(place + 1, at, count, &places) }
        case .match, .take: break
        }
    }

    private mutating func emit(_ node: Node) {
        switch node {
        case .empty: break
        case .start: program.append(.start)
        case .end: program.append(.end)
        case .any: program.append(.take { _ in true })
        case .one(let scalar): program.append(.take { $0 == scalar })
        case .oneOf(let ranges, let isNegated):
            program.append(.take { scalar in ranges.contains { $0.contains(scalar) } != isNegated })
        case .sequence(let first, let second):
            emit(first)
            emit(second)
        case .choice(let one, let other):
            let split = program.count
            program.append(.match)
            emit(one)
            let jump = program.count
            program.append(.match)
            program[split] = .split(split + 1, program.count)
            emit(other)
            program[jump] = .jump(program.count)
        case .many(let body, let least):
            let start = program.count
            if least == 0 { program.append(.match) }
            emit(body)
            let split = program.count
            if least == 0 {
                program.append(.jump(start))
                program[start] = .split(start + 1, split + 1)
            } else {
                program.append(.split(start, split + 1))
            }
        }
    }
}

// MARK: - Reading

extension NamePattern {
    private struct Reader {
        private let text: [Unicode.Scalar]
        private var at = 0

        init(_ text: [Unicode.Scalar]) { self.text = text }

        var isAtEnd: Bool { at == text.count }
        private var next: Unicode.Scalar? { at < text.count ? text[at] : nil }

        private mutating func skip(_ scalar: Unicode.Scalar) -> Bool {
            guard next == scalar else { return false }
            at += 1
            return true
        }

        mutating func choice(depth: Int) -> Node? {
            guard depth < 16, var node = sequence(depth: depth) else { return nil }
            while skip("|") {
                guard let other = sequence(depth: depth) else { return nil }
                node = .choice(node, other)
            }
            return node
        }

        private mutating func sequence(depth: Int) -> Node? {
            var node = Node.empty
            while let scalar = next, scalar != "|", scalar != ")" {
                guard var atom = atom(depth: depth) else { return nil }
                if skip("*") {
                    atom = .many(atom, least: 0)
                } else if skip("+") {
                    atom = .many(atom, least: 1)
                } else if skip("?") {
                    atom = .choice(atom, .empty)
                }
                node = .sequence(node, atom)
            }
            return node
        }

        private mutating func atom(depth: Int) -> Node? {
            guard let scalar = next else { return nil }
            at += 1
            switch scalar {
            case "^": return .start
            case "$": return .end
            case ".": return .any
            case "*", "+", "?": return nil
            case "[": return set()
            case "(":
                guard let inner = choice(depth: depth + 1), skip(")") else { return nil }
                return inner
            case "\\":
                guard let escaped = next else { return nil }
                at += 1
                return Reader.escape(escaped)
            default: return .one(scalar)
            }
        }

        private static func escape(_ scalar: Unicode.Scalar) -> Node {
            switch scalar {
            case "d": .oneOf(["0"..."9"], isNegated: false)
            case "w": .oneOf(["0"..."9", "a"..."z", "_"..."_"], isNegated: false)
            case "s": .oneOf([" "..." ", "\t"..."\r"], isNegated: false)
            default: .one(scalar)
            }
        }

        private mutating func set() -> Node? {
            let isNegated = skip("^")
            var ranges: [ClosedRange<Unicode.Scalar>] = []
            while let low = next, low != "]" || ranges.isEmpty {
                at += 1
                var first = low
                if low == "\\", let escaped = next {
                    at += 1
                    if case .oneOf(let known, _) = Reader.escape(escaped) {
                        ranges += known
                        continue
                    }
                    first = escaped
                }
                if next == "-", at + 1 < text.count, text[at + 1] != "]" {
                    let last = text[at + 1]
                    guard first <= last else { return nil }
                    at += 2
                    ranges.append(first...last)
                } else {
                    ranges.append(first...first)
                }
            }
            return skip("]") ? .oneOf(ranges, isNegated: isNegated) : nil
        }
    }
}
