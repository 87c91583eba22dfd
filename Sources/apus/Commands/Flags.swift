// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The words after a command: `--name value` or `--name=value`.
struct Flags {
    private var values: [String: String] = [:]

    /// - Parameter switches: flags that take no value; they are there or not.
    init(_ words: [String], known: [String], switches: [String] = []) throws(Fault) {
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else { throw .badRequest("apus: '\(word)' is not a flag; flags begin with --") }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
            let name = parts.first ?? ""
            if switches.contains(name), parts.count == 1 {
                values[name] = "true"
                continue
            }
            guard known.contains(name) else {
                let flags = (known + switches).map { "--" + $0 }.joined(separator: ", ")
                throw .badRequest("apus: there is no flag --\(name); known are \(flags)")
            }
            guard let value = parts.count > 1 ? parts[1] : rest.popFirst() else {
                throw .badRequest("apus: --\(name) needs a value")
            }
            values[name] = value
        }
    }

    subscript(_ name: String) -> String? { values[name] }

    func integer(_ name: String, in range: ClosedRange<Int>, default fallback: Int) throws(Fault) -> Int {
        guard let text = values[name] else { return fallback }
        guard let value = Int(text), range.contains(value) else {
            throw .badRequest(
                "apus: --\(name) is a number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return value
    }

    func choice(_ name: String, _ words: [String]) throws(Fault) -> String {
        let value = values[name] ?? words[0]
        guard words.contains(value) else {
            throw .badRequest("apus: --\(name) is one of \(words.joined(separator: ", ")), not '\(value)'")
        }
        return value
    }
}
