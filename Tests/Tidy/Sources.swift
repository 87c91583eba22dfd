// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A text file of the repository.
struct Source: Sendable {
    let path: String
    let lines: [String]

    /// Functions with the line they begin on and their length; the formatter's indentation tells where they end.
    var functions: [(line: Int, length: Int)] {
        var found: [(line: Int, length: Int)] = []
        var open: [(line: Int, indent: Int)] = []
        for (index, line) in lines.enumerated() where !line.trimmed.isEmpty {
            let indent = line.prefix { $0 == " " }.count
            if let last = open.last, line.trimmed == "}", indent == last.indent {
                found.append((last.line, index + 2 - last.line))
                open.removeLast()
            } else if let last = open.last, indent == last.indent, line.trimmed.hasPrefix(")"), !line.hasSuffix("{") {
                open.removeLast()  // a protocol asks for it: no body
            } else if line.beginsFunction, ["{", "(", ","].contains(where: line.trimmed.hasSuffix) {
                open.append((index + 1, indent))
            }
        }
        return found
    }
}

/// Reads the repository: what people wrote, nothing that was built.
enum Sources {
    static func read() -> [Source] {
        let top = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        var found: [Source] = []
        for root in ["Sources", "Tests", "Docs", "Examples", "Benchmarks"] {
            let inside = FileManager.default.enumerator(atPath: "\(top)/\(root)")
            while let name = inside?.nextObject() as? String {
                if let source = file("\(root)/\(name)", in: top) { found.append(source) }
            }
        }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: top)) ?? [] {
            if let source = file(name, in: top) { found.append(source) }
        }
        return found.sorted { $0.path < $1.path }
    }

    private static func file(_ path: String, in top: String) -> Source? {
        guard [".swift", ".md", ".sh"].contains(where: path.hasSuffix),
            let text = try? String(contentsOfFile: "\(top)/\(path)", encoding: .utf8)
        else { return nil }
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        return Source(path: path, lines: lines)
    }
}

extension String {
    var trimmed: String { trimmingCharacters(in: .whitespaces) }

    /// The module a line imports, if it is an import.
    var importedModule: String? {
        let words = split(separator: " ").map(String.init)
        guard let at = words.firstIndex(of: "import"), at + 1 < words.count,
            words[..<at].allSatisfy({ ["package", "internal", "private", "@testable", "public"].contains($0) })
        else { return nil }
        return words[at + 1]
    }

    var beginsFunction: Bool {
        let words = trimmed.split(separator: " ").prefix(6)
        guard !trimmed.hasPrefix("//") else { return false }
        return words.contains("func") || words.contains { $0.hasPrefix("init(") || $0.hasPrefix("init?(") }
    }
}
