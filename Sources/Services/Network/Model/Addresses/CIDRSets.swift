// SPDX-License-Identifier: Apache-2.0

/// Blocks as a set of addresses.
extension CIDR {
    /// The fewest blocks that hold the same addresses, sorted.
    static func joined(_ blocks: [CIDR]) -> [CIDR] {
        var found: [CIDR] = []
        for block in Set(blocks).sorted() {
            if let last = found.last, last.contains(block) { continue }
            found.append(block)
            while found.count > 1, let whole = found[found.count - 2].joined(with: found[found.count - 1]) {
                found.removeLast(2)
                found.append(whole)
            }
        }
        return found
    }

    /// The block that this one and its neighbour are the halves of.
    private func joined(with next: CIDR) -> CIDR? {
        guard prefix == next.prefix, prefix > 0, let whole = CIDR(network, prefix: prefix - 1),
            whole.network == network,
            whole.contains(next), self != next
        else { return nil }
        return whole
    }

    /// What is left of this block without another.
    func subtracting(_ other: CIDR) -> [CIDR] {
        guard overlaps(other) else { return [self] }
        guard !other.contains(self) else { return [] }
        return subnets(prefix: prefix + 1).flatMap { $0.subtracting(other) }
    }
}
