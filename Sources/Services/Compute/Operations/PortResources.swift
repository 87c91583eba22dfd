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

extension ResourceRequest {
    /// Classes that ports ask for, not flavors.
    static func isPorts(_ name: String) -> Bool { name.hasPrefix("NET_") }
}

extension ServerWiring {
    /// Tells a port which parts of its server's host it has been given (`binding:profile`). They are found by what the
    /// server holds, so it may be said again whenever the server holds something else.
    func allocate(_ port: NetworkClient.Port, of server: String) async throws(Fault) {
        guard let wanted = PortResources(port.resourceRequest) else { return }
        var left = try await room.placement.holding(server, requestID: requestID)?.allocations ?? [:]
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
        var profile = port.profile
        profile["allocation"] = .object(given)
        guard profile != port.profile else { return }
        try await room.network.updatePort(port.id, ["binding:profile": .object(profile)], requestID: requestID)
    }

    /// What a port is that no server has.
    static func freed(_ port: NetworkClient.Port) -> JSON {
        var members: JSONObject = ["device_id": "", "device_owner": "", "binding:host_id": "", "dns_name": ""]
        if port.profile["allocation"] != nil {
            members["binding:profile"] = .object(JSONObject(port.profile.filter { $0.key != "allocation" }))
        }
        return .object(members)
    }
}
