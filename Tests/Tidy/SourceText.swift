// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A Swift file as Tidy sees it: as it stands, and once more with comments and texts blanked out, byte for byte.
struct SourceText {
    /// From the repository's root: `Sources/Kernel/JSON/JSON.swift`.
    let path: String
    let bytes: [UInt8]
    /// Without what is not code: comments and the insides of texts are spaces. Interpolations are code.
    let code: [UInt8]
    /// Where each line starts.
    let starts: [Int]

    init(path: String, text: String) {
        let all = Array(text.utf8)
        self.path = path
        bytes = all
        code = SourceText.scrubbed(all)
        starts = [0] + all.indices.dropLast().filter { all[$0] == UInt8(ascii: "\n") }.map { $0 + 1 }
    }

    var folders: [String] { path.split(separator: "/").dropLast().map(String.init) }
    var fileName: String { path.split(separator: "/").last.map(String.init) ?? path }
    var lineCount: Int { starts.count }

    /// The number, from 1, of the line that holds a byte.
    func line(at offset: Int) -> Int {
        var (low, high) = (0, starts.count)
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= offset { low = middle } else { high = middle }
        }
        return low + 1
    }

    func text(line: Int) -> String { String(decoding: bytes[range(line: line)], as: UTF8.self) }
    func code(line: Int) -> String { String(decoding: code[range(line: line)], as: UTF8.self) }

    /// Where a line's bytes are, without what ends it.
    func range(line: Int) -> Range<Int> {
        let start = starts[line - 1]
        let next = line < starts.count ? starts[line] : bytes.count
        return start..<(next > start && bytes[next - 1] == UInt8(ascii: "\n") ? next - 1 : next)
    }

    /// Every place of a word in the code, or in all of the file; what merely ends like it is not meant.
    func places(of word: String, inCode: Bool = true) -> [Int] {
        let needle = Array(word.utf8)
        let hay = inCode ? code : bytes
        var found: [Int] = []
        hay.withUnsafeBytes { all in
            var at = 0
            while at + needle.count <= all.count,
                let hit = memchr(all.baseAddress! + at, Int32(needle[0]), all.count - at - needle.count + 1)
            {
                let place = UnsafeRawPointer(hit) - UnsafeRawPointer(all.baseAddress!)
                at = place + 1
                guard memcmp(hit, needle, needle.count) == 0 else { continue }
                if !SourceText.isName(needle[0]) || place == 0 || !SourceText.isName(all[place - 1]) {
                    found.append(place)
                }
            }
        }
        return found
    }

    /// The name that starts at a byte of the code; empty when none does.
    func name(at offset: Int) -> String {
        var end = offset
        while end < code.count, SourceText.isName(code[end]) { end += 1 }
        return String(decoding: code[offset..<end], as: UTF8.self)
    }

    static func isName(_ byte: UInt8) -> Bool {
        (97...122).contains(byte | 0x20) || (48...57).contains(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
    }
}

// MARK: - Blanking

extension SourceText {
    private enum Mode {
        /// Code, and how many parentheses are open since an interpolation began.
        case code(depth: Int)
        case text(hashes: Int, many: Bool)
    }

    static func scrubbed(_ bytes: [UInt8]) -> [UInt8] {
        var out = bytes
        var modes: [Mode] = [.code(depth: 0)]
        var at = 0
        bytes.withUnsafeBufferPointer { source in
            out.withUnsafeMutableBufferPointer { target in
                while at < source.count, let mode = modes.last {
                    switch mode {
                    case .code(let depth): at = code(source, target, at, depth, &modes)
                    case .text(let hashes, let many): at = text(source, target, at, hashes, many, &modes)
                    }
                }
            }
        }
        return out
    }

    private static func code(
        _ source: UnsafeBufferPointer<UInt8>, _ target: UnsafeMutableBufferPointer<UInt8>, _ at: Int, _ depth: Int,
        _ modes: inout [Mode]
    ) -> Int {
        let byte = source[at]
        let next = at + 1 < source.count ? source[at + 1] : 0
        switch byte {
        case UInt8(ascii: "/") where next == UInt8(ascii: "/"):
            var end = at
            while end < source.count, source[end] != UInt8(ascii: "\n") { end += 1 }
            blank(target, at..<end)
            return end
        case UInt8(ascii: "/") where next == UInt8(ascii: "*"):
            let end = commentEnd(source, at)
            blank(target, at..<end)
            return end
        case UInt8(ascii: "\""), UInt8(ascii: "#"):
            var quote = at
            while quote < source.count, source[quote] == UInt8(ascii: "#") { quote += 1 }
            guard quote < source.count, source[quote] == UInt8(ascii: "\"") else { return quote }
            let many = quotes(source, quote) >= 3
            modes.append(.text(hashes: quote - at, many: many))
            return quote + (many ? 3 : 1)
        case UInt8(ascii: "(") where modes.count > 1:
            modes[modes.count - 1] = .code(depth: depth + 1)
        case UInt8(ascii: ")") where modes.count > 1:
            if depth == 1 { modes.removeLast() } else { modes[modes.count - 1] = .code(depth: depth - 1) }
        default: break
        }
        return at + 1
    }

    private static func text(
        _ source: UnsafeBufferPointer<UInt8>, _ target: UnsafeMutableBufferPointer<UInt8>, _ at: Int, _ hashes: Int,
        _ many: Bool, _ modes: inout [Mode]
    ) -> Int {
        func hashed(_ place: Int) -> Bool {
            place + hashes <= source.count && (place..<place + hashes).allSatisfy { source[$0] == UInt8(ascii: "#") }
        }
        let byte = source[at]
        if byte == UInt8(ascii: "\""), !many || quotes(source, at) >= 3, hashed(at + (many ? 3 : 1)) {
            modes.removeLast()
            return at + (many ? 3 : 1) + hashes
        }
        if byte == UInt8(ascii: "\n"), !many {
            modes.removeLast()  // an unterminated text ends with its line
            return at
        }
        if byte == UInt8(ascii: "\\"), hashed(at + 1) {
            let after = at + 1 + hashes
            blank(target, at..<min(after + 1, source.count))
            if after < source.count, source[after] == UInt8(ascii: "(") { modes.append(.code(depth: 1)) }
            return after + 1
        }
        blank(target, at..<at + 1)
        return at + 1
    }

    private static func quotes(_ source: UnsafeBufferPointer<UInt8>, _ at: Int) -> Int {
        var end = at
        while end < source.count, source[end] == UInt8(ascii: "\"") { end += 1 }
        return end - at
    }

    private static func commentEnd(_ source: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var (at, depth) = (start, 0)
        while at + 1 < source.count {
            switch (source[at], source[at + 1]) {
            case (UInt8(ascii: "/"), UInt8(ascii: "*")): (at, depth) = (at + 2, depth + 1)
            case (UInt8(ascii: "*"), UInt8(ascii: "/")): (at, depth) = (at + 2, depth - 1)
            default: at += 1
            }
            if depth == 0 { return at }
        }
        return source.count
    }

    private static func blank(_ target: UnsafeMutableBufferPointer<UInt8>, _ range: Range<Int>) {
        for place in range where target[place] != UInt8(ascii: "\n") { target[place] = UInt8(ascii: " ") }
    }
}
