// SPDX-License-Identifier: Apache-2.0

/// "Did you mean": the known word that takes the fewest changes.
enum Suggestion {
    /// How a sentence about an unknown word ends: "; did you mean 'connection'?", or a full stop when no word is near.
    static func end(_ word: String, among known: some Sequence<String>) -> String {
        guard let near = nearest(word, among: known) else { return "." }
        return "; did you mean '\(near)'?"
    }

    static func nearest(_ word: String, among known: some Sequence<String>) -> String? {
        let wanted = Array(word.lowercased().utf8)
        let bound = max(1, wanted.count / 3)
        var best: (word: String, distance: Int)?
        for candidate in known {
            let distance = distance(wanted, Array(candidate.lowercased().utf8))
            if distance <= bound, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.word
    }

    /// Optimal string alignment: insertions, deletions, changes and swaps of neighbours count one each.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var older: [Int] = []
        var above = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                var cost = min(
                    above[column + 1] + 1, current[column] + 1, above[column] + (left[row] == right[column] ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, older[column - 1] + 1)
                }
                current.append(cost)
            }
            (older, above) = (above, current)
        }
        return above[right.count]
    }
}
