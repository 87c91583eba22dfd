// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Parts of a host that Placement counts apart, and how what was the host's becomes theirs.
extension PlacementClient {
    /// Makes classes of one's own known.
    package func defineClasses(_ names: Set<String>, requestID: String) async throws(Fault) {
        for name in names.sorted() where name.hasPrefix("CUSTOM_") {
            try await client.call("PUT", "/resource_classes/\(name)", requestID: requestID)
        }
    }

    /// Makes a provider's inventory exactly so much of one class; what an operator reserved of it stays.
    package func setTotal(
        of provider: String, _ name: String, _ total: Int, requestID: String
    ) async throws(Fault) {
        try await replaceInventory(
            provider, [name: PlacementClient.units(total)], keepsReserved: true, requestID: requestID)
    }

    /// What can be had one by one, and by nobody twice.
    private static func units(_ total: Int) -> JSONObject {
        [
            "total": .integer(Int64(total)), "reserved": 0, "min_unit": 1, "max_unit": .integer(Int64(total)),
            "step_size": 1, "allocation_ratio": 1.0,
        ]
    }

    /// Takes a class away from a provider and gives it to others, with what is held of it: all or nothing.
    /// - Parameters:
    ///   - totals: how much each of the others has from then on.
    ///   - claims: what those who held of it hold from then on.
    package func move(
        _ name: String, from provider: String, to totals: [String: Int], _ claims: [Claim], requestID: String
    ) async throws(Fault) {
        var inventories = JSONObject()
        for id in [provider] + totals.keys.sorted() {
            let current = try await client.call(
                "GET", "/resource_providers/\(id)/inventories", requestID: requestID)
            var stock = current["inventories"]?.object ?? JSONObject()
            if let total = totals[id] {
                stock[name] = .object(PlacementClient.units(total))
            } else {
                stock[name] = nil
            }
            inventories[id] = [
                "resource_provider_generation": current["resource_provider_generation"] ?? 0,
                "inventories": .object(stock),
            ]
        }
        var allocations = JSONObject()
        for claim in claims { allocations[claim.consumer] = PlacementClient.body(of: claim) }
        try await client.call(
            "POST", "/reshaper",
            body: ["inventories": .object(inventories), "allocations": .object(allocations)], requestID: requestID)
    }

    static func body(of claim: Claim) -> JSON {
        var allocations = JSONObject()
        for (provider, amounts) in claim.allocations {
            var resources = JSONObject()
            for (name, amount) in amounts { resources[name] = .integer(Int64(amount)) }
            allocations[provider] = ["resources": .object(resources)]
        }
        return [
            "allocations": .object(allocations), "project_id": .string(claim.project),
            "user_id": .string(claim.user),
            "consumer_generation": claim.generation.map { .integer(Int64($0)) } ?? .null,
        ]
    }
}
