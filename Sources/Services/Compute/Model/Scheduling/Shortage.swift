// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Finds out what the hosts that Placement left out lack.
struct Shortage {
    private let room: ComputeService
    private let requestID: String
    private let resources: ResourceRequest

    init(_ room: ComputeService, requestID: String, _ resources: ResourceRequest) {
        self.room = room
        self.requestID = requestID
        self.resources = resources
    }

    /// - Parameter isNeeded: whether somebody will want to know; else it is only counted, which costs nothing.
    func explain(_ hosts: [ComputeHost], isNeeded: Bool, _ decision: inout Decision) async throws(Fault) {
        guard !hosts.isEmpty else { return }
        guard isNeeded else {
            return decision.drop("Placement", hosts.map(\.name), "not enough room, or not what is required")
        }
        if let complaint = decision.complaint {
            return decision.drop("Placement", hosts.map(\.name), complaint)
        }
        let (free, traits) = try await supplies()
        var lacks: [(host: ComputeHost, parts: [String], share: Double)] = []
        for host in hosts {
            let (parts, share) = lack(free[host.id] ?? [:], traits[host.id])
            lacks.append((host, parts, share))
        }
        decision.drop("Placement", hosts.map(\.name), summary(hosts, free, lacks.flatMap(\.parts)))
        lacks.sort { ($0.share, $0.host.name) < ($1.share, $1.host.name) }
        decision.misses = lacks.prefix(Decision.kept).map {
            .init(
                host: $0.host.name, step: "Placement",
                reason: $0.parts.isEmpty ? "not enough of everything in one place" : $0.parts.joined(separator: "; "))
        }
    }

    /// Free amounts and traits by host, of all hosts that have any of what is asked: what one provider has free, or
    /// what all have of that which named groups may have of several.
    private func supplies() async throws(Fault) -> ([String: [String: Int]], [String: Set<String>]) {
        var free: [String: [String: Int]] = [:]
        var traits: [String: Set<String>] = [:]
        let spread = resources.spread
        for name in resources.amounts.keys.sorted() {
            let having = try await room.placement.candidates([("resources", "\(name):1")], requestID: requestID)
            for (root, providers) in having.supplies {
                var here: [String: Int] = [:]
                for (name, supply) in providers.values.flatMap(\.self) {
                    let before = here[name] ?? 0
                    here[name] = spread.contains(name) ? before + supply.free : max(before, supply.free)
                }
                free[root, default: [:]].merge(here) { max($0, $1) }
            }
            traits.merge(having.traits) { $0.union($1) }
        }
        return (free, traits)
    }

    /// What one host lacks, in words, and as shares of what is asked added up.
    private func lack(_ free: [String: Int], _ traits: Set<String>?) -> ([String], Double) {
        var (parts, share): ([String], Double) = ([], 0)
        for (name, asked) in resources.amounts.sorted(by: { $0.key < $1.key }) {
            let have = free[name] ?? 0
            guard have < asked else { continue }
            parts.append("\(name) \(asked) asked, \(have) free, \(asked - have) missing")
            share += Double(asked - have) / Double(asked)
        }
        for trait in resources.requiredTraits.subtracting(traits ?? []).sorted() {
            parts.append("the trait \(trait) is missing")
            share += 1
        }
        for trait in resources.forbiddenTraits.intersection(traits ?? []).sorted() {
            parts.append("the trait \(trait) is forbidden")
            share += 1
        }
        return (parts, share)
    }

    private func summary(_ hosts: [ComputeHost], _ free: [String: [String: Int]], _ parts: [String]) -> String {
        var texts: [String] = []
        for (name, asked) in resources.amounts.sorted(by: { $0.key < $1.key }) {
            let most = hosts.map { free[$0.id]?[name] ?? 0 }.max() ?? 0
            if most < asked { texts.append("\(name) \(asked) asked, at most \(most) free") }
        }
        texts += Set(parts.filter { $0.hasPrefix("the trait") }).sorted()
        return texts.isEmpty ? "not enough of everything at once" : texts.joined(separator: "; ")
    }
}
