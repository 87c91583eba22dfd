// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What a port asks of Placement (Network's `resource_request`): groups of amounts, each of one part of a host.
struct PortResources: Sendable {
    struct Group: Sendable {
        /// Also the suffix under which Placement is asked.
        let id: String
        let resources: [String: Int]
        let required: Set<String>
    }

    let groups: [Group]
    /// Groups that are to be had of one branch of a host's tree.
    let sameSubtree: [String]

    /// Nil when nothing is asked for.
    init?(_ json: JSON) {
        groups = (json["request_groups"]?.array ?? []).compactMap { group in
            guard let id = group["id"]?.string else { return nil }
            var resources: [String: Int] = [:]
            for (name, amount) in group["resources"]?.object ?? JSONObject() { resources[name] = amount.integer ?? 0 }
            return Group(
                id: id, resources: resources, required: Set((group["required"]?.array ?? []).compactMap(\.string)))
        }
        sameSubtree = (json["same_subtree"]?.array ?? []).compactMap(\.string)
        if groups.isEmpty { return nil }
    }
}

extension ComputeService {
    /// What ports ask of Placement, as far as they ask for anything.
    func resources(ofPorts ids: [String], requestID: String) async throws(Fault) -> [PortResources] {
        var asked: [PortResources] = []
        for id in ids {
            guard let port = try await network.port(id, requestID: requestID),
                let wanted = PortResources(port.resourceRequest)
            else { continue }
            asked.append(wanted)
        }
        return asked
    }
}

extension ResourceRequest {
    /// Classes that ports ask for, not flavors.
    static func isPorts(_ name: String) -> Bool { name.hasPrefix("NET_") }
}

extension ServerWiring {
    /// Tells a port which parts of its server's host it has been given (`binding:profile`). They are found by what the
    /// server holds, so it may be said again whenever the server holds something else.
    /// - Parameter move: the migration that may hold what is the server's where it was.
    func allocate(_ port: NetworkClient.Port, of server: Server, keptBy move: String? = nil) async throws(Fault) {
        let profile = try await profile(port, of: server, keptBy: move)
        guard profile != port.profile else { return }
        try await room.network.updatePort(port.id, ["binding:profile": .object(profile)], requestID: requestID)
    }

    /// A port's profile where its server has what its row says.
    func profile(
        _ port: NetworkClient.Port, of server: Server, keptBy move: String? = nil
    ) async throws(Fault) -> JSONObject {
        var profile = port.profile
        if let wanted = PortResources(port.resourceRequest) {
            profile["allocation"] = .object(try await providers(of: wanted, server.id, move))
        }
        if let device = server.hostDevices.first(where: { $0.portID == port.id }) {
            for name in HostResources.PCIDevice.profileNames { profile[name] = nil }
            for (name, value) in try await self.device(device, of: server).profile { profile[name] = value }
        }
        return profile
    }

    private func device(_ device: HostDevice, of server: Server) async throws(Fault) -> HostResources.PCIDevice {
        let host = try await room.database.first(
            ComputeHost.self, "name = \(server.host ?? "") AND deleted_at IS NULL")
        guard let found = host?.resources.pciDevices?.first(where: { $0.address == device.address }) else {
            throw .conflict("PCI device \(device.address) not found on \(server.host ?? "").")
        }
        return found
    }

    /// The provider that each group of amounts is held of.
    private func providers(
        of wanted: PortResources, _ server: String, _ move: String?
    ) async throws(Fault) -> JSONObject {
        var held: PlacementClient.Claim?
        if let move { held = try await room.placement.holding(move, requestID: requestID) }
        if held == nil { held = try await room.placement.holding(server, requestID: requestID) }
        var left = held?.allocations ?? [:]
        var given = JSONObject()
        for group in wanted.groups {
            for provider in left.keys.sorted() {
                let has = left[provider] ?? [:]
                guard group.resources.allSatisfy({ has[$0.key, default: 0] >= $0.value }),
                    group.required.isSubset(
                        of: try await room.placement.traits(of: provider, requestID: requestID))
                else { continue }
                for (name, amount) in group.resources { left[provider]?[name, default: 0] -= amount }
                given[group.id] = .string(provider)
                break
            }
        }
        return given
    }

    /// What a port is that no server has.
    static func freed(_ port: NetworkClient.Port) -> JSON {
        var members: JSONObject = ["device_id": "", "device_owner": "", "binding:host_id": "", "dns_name": ""]
        let ours = HostResources.PCIDevice.profileNames.union(["allocation"])
        if port.profile.contains(where: { ours.contains($0.key) }) {
            members["binding:profile"] = .object(JSONObject(port.profile.filter { !ours.contains($0.key) }))
        }
        return .object(members)
    }
}
