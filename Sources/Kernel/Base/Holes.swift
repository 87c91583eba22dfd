// SPDX-License-Identifier: Apache-2.0
internal import Glibc

extension UnsafeRawBufferPointer {
    /// What must be written where zeros may stay holes: stretches of blocks that are not all zero, neighbours joined.
    package func stretches(ofBlocks block: Int) -> [Range<Int>] {
        guard let base = baseAddress else { return [] }
        var stretches: [Range<Int>] = []
        for start in stride(from: 0, to: count, by: block) {
            let end = Swift.min(start + block, count)
            // All the same as the one before, and the first is zero.
            let first = base + start
            if self[start] == 0, end - start == 1 || memcmp(first, first + 1, end - start - 1) == 0 { continue }
            if let last = stretches.last, last.upperBound == start {
                stretches[stretches.count - 1] = last.lowerBound..<end
            } else {
                stretches.append(start..<end)
            }
        }
        return stretches
    }
}
