// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension PlacementClient {
    /// The provider of a name; nil when there is none.
    package func provider(named name: String, requestID: String) async throws(Fault) -> String? {
        let answer = try await client.call(
            "GET", "/resource_providers", query: [("name", name)], requestID: requestID)
        return answer["resource_providers"]?.array?.first?["uuid"]?.string
    }

    /// Makes or finds a provider by its id, below another.
    package func ensureProvider(
        _ id: String, name: String, under parent: String, requestID: String
    ) async throws(Fault) {
        do throws(Fault) {
            try await client.call(
                "POST", "/resource_providers",
                body: ["uuid": .string(id), "name": .string(name), "parent_provider_uuid": .string(parent)],
                requestID: requestID)
        } catch {
            if error.status != 409 { throw error }
        }
    }

    /// The providers of a provider's tree whose parent it is, with their names.
    package func children(of id: String, requestID: String) async throws(Fault) -> [String: String] {
        try await tree(of: id, requestID: requestID).reduce(into: [:]) { names, member in
            if member.parent == id { names[member.id] = member.name }
        }
    }

    /// Forgets a provider with all that are below it, the lowest first.
    package func deleteTree(_ id: String, requestID: String) async throws(Fault) {
        let children = Dictionary(grouping: try await tree(of: id, requestID: requestID)) { $0.parent ?? "" }
        var order = [id]
        var at = 0
        while at < order.count {
            order += (children[order[at]] ?? []).map(\.id)
            at += 1
        }
        for provider in order.reversed() { try await deleteProvider(provider, requestID: requestID) }
    }

    private func tree(
        of id: String, requestID: String
    ) async throws(Fault) -> [(id: String, name: String, parent: String?)] {
        let answer = try await client.call(
            "GET", "/resource_providers", query: [("in_tree", id)], requestID: requestID)
        return (answer["resource_providers"]?.array ?? []).map { item in
            (item["uuid"]?.string ?? "", item["name"]?.string ?? "", item["parent_provider_uuid"]?.string)
        }
    }

    /// Makes traits of one's own known.
    package func defineTraits(_ names: Set<String>, requestID: String) async throws(Fault) {
        for name in names.sorted() where name.hasPrefix("CUSTOM_") {
            try await client.call("PUT", "/traits/\(name)", requestID: requestID)
        }
    }

    package func traits(of provider: String, requestID: String) async throws(Fault) -> Set<String> {
        let answer = try await client.call("GET", "/resource_providers/\(provider)/traits", requestID: requestID)
        return Set((answer["traits"]?.array ?? []).compactMap(\.string))
    }

    /// Makes a provider's inventory exactly this, each class with the members of Placement's own that are given.
    /// - Parameter keepsReserved: whether what an operator reserved stays, as far as there is as much.
    package func replaceInventory(
        _ provider: String, _ wanted: [String: JSONObject], keepsReserved: Bool = false, requestID: String
    ) async throws(Fault) {
        let path = "/resource_providers/\(provider)/inventories"
        let current = try await client.call("GET", path, requestID: requestID)
        let known = current["inventories"]?.object ?? JSONObject()
        var wanted = wanted
        for (name, members) in wanted where keepsReserved {
            guard let reserved = known[name]?["reserved"]?.integer, reserved <= members["total"]?.integer ?? 0 else {
                continue
            }
            wanted[name]?["reserved"] = .integer(Int64(reserved))
        }
        let isSame =
            Set(known.keys) == Set(wanted.keys)
            && wanted.allSatisfy { name, members in
                members.allSatisfy { member in
                    PlacementClient.number(known[name]?[member.key]) == PlacementClient.number(member.value)
                }
            }
        if isSame { return }
        try await client.call(
            "PUT", path,
            body: [
                "resource_provider_generation": current["resource_provider_generation"] ?? 0,
                "inventories": .object(JSONObject(wanted.map { ($0.key, .object($0.value)) })),
            ], requestID: requestID)
    }

    private static func number(_ value: JSON?) -> Double? { value?.double ?? value?.integer.map { Double($0) } }
}
