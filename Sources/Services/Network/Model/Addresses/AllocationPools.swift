// SPDX-License-Identifier: Apache-2.0

/// A run of addresses that a subnet hands out, both ends included.
package struct AllocationPool: Sendable, Hashable, Codable {
    package let start: IPAddress
    package let end: IPAddress

    /// Nil when the ends are of two families or in the wrong order.
    package init?(start: IPAddress, end: IPAddress) {
        guard start.version == end.version, start <= end else { return nil }
        self.start = start
        self.end = end
    }

    package func contains(_ address: IPAddress) -> Bool { start <= address && address <= end }
    package func overlaps(_ other: AllocationPool) -> Bool { start <= other.end && other.start <= end }

    /// How many addresses, saturating.
    package var size: UInt128 {
        let span = end.number - start.number
        return span == .max ? .max : span + 1
    }
}

/// The runs of one subnet, in order. Finding a free address walks only what is taken, never the whole run.
package struct AllocationPools: Sendable, Hashable {
    package let pools: [AllocationPool]

    package init(_ pools: [AllocationPool]) {
        self.pools = pools.sorted { $0.start < $1.start }
    }

    /// What a subnet gets when none are asked for: every host address but the gateway's.
    package init(of cidr: CIDR, gateway: IPAddress?) {
        let hosts = cidr.hosts
        guard let gateway, hosts.contains(gateway) else {
            pools = [AllocationPool(start: hosts.lowerBound, end: hosts.upperBound)].compactMap { $0 }
            return
        }
        let below = gateway > hosts.lowerBound ? gateway.previous : nil
        let above = gateway < hosts.upperBound ? gateway.next : nil
        pools = [
            below.flatMap { AllocationPool(start: hosts.lowerBound, end: $0) },
            above.flatMap { AllocationPool(start: $0, end: hosts.upperBound) },
        ].compactMap { $0 }
    }

    package func contains(_ address: IPAddress) -> Bool { pools.contains { $0.contains(address) } }
    package var size: UInt128 {
        pools.reduce(0) { total, pool in
            let (sum, overflow) = total.addingReportingOverflow(pool.size)
            return overflow ? .max : sum
        }
    }

    /// Up to `limit` free addresses in ascending order. The caller may pick one by chance, which keeps two
    /// concurrent allocations from always colliding.
    package func free(taken: Set<IPAddress>, limit: Int) -> [IPAddress] {
        var found: [IPAddress] = []
        for pool in pools {
            var candidate: IPAddress? = pool.start
            while let address = candidate, address <= pool.end, found.count < limit {
                if !taken.contains(address) { found.append(address) }
                candidate = address.next
            }
        }
        return found
    }

    package func firstFree(taken: Set<IPAddress>) -> IPAddress? { free(taken: taken, limit: 1).first }
}

/// Why pools do not suit a subnet; the API words it.
package enum AllocationPoolProblem: Sendable, Hashable {
    case family(AllocationPool)
    case outside(AllocationPool, CIDR)
    case overlap(AllocationPool, AllocationPool)
    case gateway(AllocationPool, IPAddress)
}

extension AllocationPools {
    /// The first thing wrong with the pools for that subnet, or nil.
    package func problem(in cidr: CIDR, gateway: IPAddress?) -> AllocationPoolProblem? {
        for (at, pool) in pools.enumerated() {
            guard pool.start.version == cidr.version else { return .family(pool) }
            guard cidr.hosts.contains(pool.start), cidr.hosts.contains(pool.end) else { return .outside(pool, cidr) }
            if at > 0, pools[at - 1].overlaps(pool) { return .overlap(pools[at - 1], pool) }
            if let gateway, pool.contains(gateway) { return .gateway(pool, gateway) }
        }
        return nil
    }
}
