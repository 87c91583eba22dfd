// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What a port asks of its server's host when it is plugged into a server that runs, beside what the server has.
extension ServerWiring {
    /// Takes it of the host where the server is, or refuses.
    func claim(_ port: NetworkClient.Port, for server: Server) async throws(Fault) {
        guard let wanted = PortResources(port.resourceRequest), let host = server.host,
            let root = try await room.placement.provider(named: host, requestID: requestID),
            let held = try await room.placement.holding(server.id, requestID: requestID)
        else { return }
        var query: [(String, String)] = [("limit", "1"), ("group_policy", "none")]
        for group in wanted.groups {
            let amounts = group.resources.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
            query.append(("resources" + group.id, amounts.joined(separator: ",")))
            if !group.required.isEmpty {
                query.append(("required" + group.id, group.required.sorted().joined(separator: ",")))
            }
            query.append(("in_tree" + group.id, root))
        }
        if wanted.sameSubtree.count > 1 {
            query.append(("same_subtree", wanted.sameSubtree.joined(separator: ",")))
        }
        let refusal = Fault.badRequest(
            "Failed to allocate additional resources to \(server.id) during interface attach")
        let found: PlacementClient.Candidates
        do throws(Fault) { found = try await room.placement.candidates(query, requestID: requestID) } catch {
            // A class or a trait that Placement does not know is one that no host has.
            throw error.status == 400 ? refusal : error
        }
        guard let way = found.ways.values.first?.first else { throw refusal }
        try await hold(held, held.allocations.merging(way) { $0.merging($1) { $0 + $1 } })
        try await allocate(port, of: server)
    }

    /// Gives back what a port has of its server's host, as its profile names it: what is left is what the server's
    /// other ports have, so that it may be said again.
    func release(_ port: NetworkClient.Port, of server: Server) async throws(Fault) {
        let parts = Set((port.profile["allocation"]?.object ?? [:]).compactMap(\.value.string))
        guard !parts.isEmpty, let held = try await room.placement.holding(server.id, requestID: requestID) else {
            return
        }
        var all = held.allocations
        for part in parts { all[part] = all[part]?.filter { !ResourceRequest.isPorts($0.key) } }
        for other in try await room.network.ports([("device_id", server.id)], requestID: requestID)
        where other.id != port.id {
            let given = other.profile["allocation"]?.object ?? [:]
            for group in PortResources(other.resourceRequest)?.groups ?? [] {
                guard let part = given[group.id]?.string, parts.contains(part) else { continue }
                all[part, default: [:]].merge(group.resources) { $0 + $1 }
            }
        }
        try await hold(held, all)
    }

    private func hold(_ held: PlacementClient.Claim, _ allocations: PlacementClient.Way) async throws(Fault) {
        let kept = allocations.filter { !$0.value.isEmpty }
        guard kept != held.allocations else { return }
        let claim = PlacementClient.Claim(
            consumer: held.consumer, allocations: kept, project: held.project, user: held.user,
            generation: held.generation)
        try await room.placement.claim([claim], requestID: requestID)
    }
}
