// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How a guest's vCPUs are arranged in sockets, cores and threads.
package struct CPUTopology: Sendable, Hashable {
    package let sockets: Int
    package let cores: Int
    package let threads: Int

    package init(sockets: Int, cores: Int, threads: Int) {
        (self.sockets, self.cores, self.threads) = (sockets, cores, threads)
    }

    /// What flavor and image prefer, and the most that they allow. Images may lower a flavor's limits, never raise
    /// them.
    static func constraints(
        _ wishes: GuestWishes
    ) throws(Fault) -> (preferred: CPUTopology, limit: CPUTopology) {
        let flavorLimit = try CPUTopology(ofFlavor: wishes, "cpu_max_")
        let imageLimit = try CPUTopology(ofImage: wishes, "cpu_max_")
        guard imageLimit.isWithin(flavorLimit) else {
            throw .badRequest(
                "Image vCPU topology limits (\(imageLimit.text)) exceeds the limits of the flavor (\(flavorLimit.text))"
            )
        }
        let limit = imageLimit.orElse(flavorLimit).orElse(CPUTopology(sockets: 65_536, cores: 65_536, threads: 65_536))
        var preferred = try CPUTopology(ofFlavor: wishes, "cpu_")
        if !preferred.isWithin(limit) { preferred = CPUTopology(sockets: 0, cores: 0, threads: 0) }
        let image = try CPUTopology(ofImage: wishes, "cpu_")
        guard image.isWithin(limit) else {
            throw .badRequest(
                "Image vCPU topology (\(image.text)) exceeds the limits of the flavor or image (\(limit.text))")
        }
        return (image.sockets + image.cores + image.threads > 0 ? image : preferred, limit)
    }

    /// The arrangement that fits best: as many of the preferred numbers as can be had, then few threads and many
    /// sockets.
    package static func best(_ wishes: GuestWishes) throws(Fault) -> CPUTopology {
        let (preferred, limit) = try constraints(wishes)
        let vcpus = wishes.vcpus
        func divisors(_ number: Int, upTo limit: Int) -> [Int] {
            (1...max(1, number)).filter { $0 <= limit && number % $0 == 0 }
        }
        var best: (score: [Int], topology: CPUTopology)?
        for threads in divisors(vcpus, upTo: limit.threads) {
            for cores in divisors(vcpus / threads, upTo: limit.cores) {
                let sockets = vcpus / threads / cores
                guard sockets <= limit.sockets else { continue }
                let topology = CPUTopology(sockets: sockets, cores: cores, threads: threads)
                let score = [preferred.matches(topology), sockets * cores, sockets]
                if let found = best, !found.score.lexicographicallyPrecedes(score) { continue }
                best = (score, topology)
            }
        }
        guard let best else {
            let (sockets, cores) = (min(vcpus, limit.sockets), min(vcpus, limit.cores))
            throw .badRequest(
                "Requested vCPU limits \(sockets):\(cores):\(min(vcpus, limit.threads)) are impossible to satisfy for "
                    + "vcpus count \(vcpus)")
        }
        return best.topology
    }

    private init(ofFlavor wishes: GuestWishes, _ prefix: String) throws(Fault) {
        sockets = try wishes.number(ofFlavor: prefix + "sockets")
        cores = try wishes.number(ofFlavor: prefix + "cores")
        threads = try wishes.number(ofFlavor: prefix + "threads")
    }

    private init(ofImage wishes: GuestWishes, _ prefix: String) throws(Fault) {
        sockets = try wishes.number(ofImage: prefix + "sockets")
        cores = try wishes.number(ofImage: prefix + "cores")
        threads = try wishes.number(ofImage: prefix + "threads")
    }

    /// Zeroes of the limit are no limits.
    private func isWithin(_ limit: CPUTopology) -> Bool {
        [(sockets, limit.sockets), (cores, limit.cores), (threads, limit.threads)].allSatisfy { $1 == 0 || $0 <= $1 }
    }

    private func orElse(_ other: CPUTopology) -> CPUTopology {
        CPUTopology(
            sockets: sockets > 0 ? sockets : other.sockets, cores: cores > 0 ? cores : other.cores,
            threads: threads > 0 ? threads : other.threads)
    }

    /// How many of the numbers that are asked for another arrangement has.
    private func matches(_ other: CPUTopology) -> Int {
        [(sockets, other.sockets), (cores, other.cores), (threads, other.threads)].count { $0 > 0 && $0 == $1 }
    }

    private var text: String { "sockets=\(sockets), cores=\(cores), threads=\(threads)" }
}
