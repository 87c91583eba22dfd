// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What a server takes of its host by its flavor and by the devices that its row says it has.
struct Takes {
    /// What Placement counts of the host apart.
    let counted: HostParts
    /// All of it, by class.
    let amounts: [String: Int]
    /// What is of the host's parts.
    let parts: PlacementClient.Way
    private let named: Set<String>

    var host: ComputeHost { counted.host }

    init(_ server: Server, _ flavor: FlavorSnapshot, _ devices: [HostDevice], of counted: HostParts) {
        self.counted = counted
        let request = ResourceRequest(
            flavor, image: server.imageProperties, isVolumeBacked: server.scheduling.isVolumeBacked ?? false)
        parts = counted.way(of: devices)
        // The flavor's amounts name parts of cards, but not devices that it asks for by their operator's name.
        let named = counted.way(of: devices.filter { $0.kind == .pci })
        amounts = request.amounts.merging(Auditor.sums(named)) { $0 + $1 }
        self.named = Set(request.groups.filter { !$0.key.isEmpty }.flatMap(\.value.resources.keys))
    }

    /// How it is to be held.
    var way: PlacementClient.Way {
        get throws(Fault) {
            let known = Auditor.sums(parts)
            let rest = amounts.reduce(into: [String: Int]()) { rest, amount in
                let left = amount.value - known[amount.key, default: 0]
                if left > 0 { rest[amount.key] = left }
            }
            guard named.isDisjoint(with: rest.keys) else {
                throw .conflict("The flavor asks for parts of the host; which ones the guest has is not known.")
            }
            return parts.merging([host.id: rest]) { $0.merging($1) { $0 + $1 } }
        }
    }
}

extension Auditor {
    /// How the parts of a host that Placement counts apart differ from what it says of them.
    /// - Parameter taken: the providers that somebody holds of.
    func partsDrift(_ parts: HostParts, _ facts: AuditFacts, _ taken: Set<String>) async throws(Fault) -> [String] {
        let names = facts.names[parts.host.id] ?? [:]
        var found: [String] = []
        for part in parts.all {
            guard names[part.id] != nil else {
                found.append("Placement does not know the part \(part.name)")
                continue
            }
            let stock = try await room.placement.inventory(of: part.id, requestID: requestID)
            let total = stock[part.resourceClass]?.total
            if total ?? 0 < part.total || stock.count != 1 {
                found.append(
                    "\(part.name) has \(part.resourceClass) \(part.total), Placement says "
                        + (total.map { "\($0)" } ?? "nothing"))
            }
        }
        let known = Set(parts.all.map(\.id))
        for (id, name) in names.sorted(by: { $0.value < $1.value }) where parts.isOurs(id, name) && !known.contains(id)
        {
            // What is held of a card that is gone is let go of first.
            if !taken.contains(id) { found.append("Placement has the part \(name), which is no more") }
        }
        return found
    }
}
