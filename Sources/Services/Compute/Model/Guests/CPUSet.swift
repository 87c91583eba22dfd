// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Processors by number, as operators and flavors write them: `0-3,^2,8`.
package enum CPUSet {
    /// The numbers that a text names, lowest first. What follows `^` is taken away wherever it stands.
    package static func parse(_ text: String) throws(Fault) -> [Int] {
        var (named, excluded): (Set<Int>, Set<Int>) = ([], [])
        for part in text.split(separator: ",") {
            let rule = part.trimmed
            guard !rule.isEmpty else { continue }
            let isExclusion = rule.hasPrefix("^")
            let body = isExclusion ? rule.dropFirst() : rule[...]
            let ends = body.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            if ends.count == 2 {
                guard let start = Int(ends[0].trimmed), let end = Int(ends[1].trimmed), start <= end,
                    start >= 0, end < limit
                else { throw .badRequest("Invalid range expression '\(rule)'") }
                if isExclusion { excluded.formUnion(start...end) } else { named.formUnion(start...end) }
            } else if let number = Int(body.trimmed), (0..<limit).contains(number) {
                if isExclusion { excluded.insert(number) } else { named.insert(number) }
            } else {
                throw .badRequest("Invalid \(isExclusion ? "exclusion" : "inclusion") expression '\(rule)'")
            }
        }
        return named.subtracting(excluded).sorted()
    }

    /// The shortest text for these numbers.
    package static func text(_ numbers: [Int]) -> String {
        var parts: [String] = []
        var run: (first: Int, last: Int)?
        func close(_ run: (first: Int, last: Int)) -> String {
            run.first == run.last ? "\(run.first)" : "\(run.first)-\(run.last)"
        }
        for number in Set(numbers).sorted() {
            if let open = run, open.last + 1 == number {
                run = (open.first, number)
            } else {
                if let open = run { parts.append(close(open)) }
                run = (number, number)
            }
        }
        if let run { parts.append(close(run)) }
        return parts.joined(separator: ",")
    }

    /// A range that a typing mistake made long must not take memory.
    private static let limit = 65_536
}

extension StringProtocol {
    fileprivate var trimmed: String {
        String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
}
