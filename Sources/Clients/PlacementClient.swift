// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Placement's API as other rooms use it.
package struct PlacementClient: Sendable {
    private let client: ServiceClient

    package init(over transport: any Transport, as caller: Caller) {
        client = ServiceClient("placement", base: "", version: "placement 1.36", over: transport, as: caller)
    }

    /// A place that has room, and how much of each class it still has.
    package struct Candidate: Sendable {
        package let provider: String
        /// By resource class: capacity and what of it is used.
        package let summary: [String: (capacity: Int, used: Int)]

        package func free(_ resource: String) -> Int {
            summary[resource].map { $0.capacity - $0.used } ?? 0
        }
    }

    /// What a server takes of one provider.
    package struct Claim: Sendable {
        package let consumer: String
        package let provider: String
        package let resources: [String: Int]
        package let project: String
        package let user: String

        package init(consumer: String, provider: String, resources: [String: Int], project: String, user: String) {
            self.consumer = consumer
            self.provider = provider
            self.resources = resources
            self.project = project
            self.user = user
        }
    }

    package func candidates(
        resources: [String: Int], required: [String] = [], forbidden: [String] = [], limit: Int? = nil,
        requestID: String
    ) async throws(Fault) -> [Candidate] {
        var query = [
            ("resources", resources.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }.joined(separator: ","))
        ]
        let traits = required + forbidden.map { "!" + $0 }
        if !traits.isEmpty { query.append(("required", traits.joined(separator: ","))) }
        if let limit { query.append(("limit", "\(limit)")) }
        let answer = try await client.call("GET", "/allocation_candidates", query: query, requestID: requestID)
        return (answer["provider_summaries"]?.object ?? JSONObject()).map { provider, summary in
            var classes: [String: (capacity: Int, used: Int)] = [:]
            for (name, amounts) in summary["resources"]?.object ?? JSONObject() {
                classes[name] = (amounts["capacity"]?.integer ?? 0, amounts["used"]?.integer ?? 0)
            }
            return Candidate(provider: provider, summary: classes)
        }
    }

    /// Takes all claims or none; 409 when somebody was quicker or a place is full.
    package func claim(_ claims: [Claim], requestID: String) async throws(Fault) {
        var body = JSONObject()
        for claim in claims {
            var resources = JSONObject()
            for (name, amount) in claim.resources { resources[name] = .integer(Int64(amount)) }
            body[claim.consumer] = [
                "allocations": [claim.provider: ["resources": .object(resources)]],
                "project_id": .string(claim.project), "user_id": .string(claim.user), "consumer_generation": nil,
            ]
        }
        try await client.call("POST", "/allocations", body: .object(body), requestID: requestID)
    }

    /// What a consumer holds, by provider.
    package func allocations(of consumer: String, requestID: String) async throws(Fault) -> [String] {
        let answer = try await client.call("GET", "/allocations/\(consumer)", requestID: requestID)
        return answer["allocations"]?.object?.keys ?? []
    }

    /// Gives back what a consumer holds; nothing held is fine.
    package func release(_ consumer: String, requestID: String) async throws(Fault) {
        do throws(Fault) {
            try await client.call("DELETE", "/allocations/\(consumer)", requestID: requestID)
        } catch {
            if error.status != 404 { throw error }
        }
    }

    /// Makes or finds a provider by its id.
    package func ensureProvider(_ id: String, name: String, requestID: String) async throws(Fault) {
        do throws(Fault) {
            try await client.call(
                "POST", "/resource_providers", body: ["uuid": .string(id), "name": .string(name)], requestID: requestID)
        } catch {
            if error.status != 409 { throw error }
        }
    }

    /// Forgets a provider that nothing is taken of; one that is gone already is fine.
    package func deleteProvider(_ id: String, requestID: String) async throws(Fault) {
        do throws(Fault) {
            try await client.call("DELETE", "/resource_providers/\(id)", requestID: requestID)
        } catch {
            if error.status != 404 { throw error }
        }
    }

    /// Sets a provider's whole inventory unless it is that already.
    /// - Parameter inventory: by class: total, reserved, allocation ratio.
    package func setInventory(
        _ provider: String, _ inventory: [String: (total: Int, reserved: Int, ratio: Double)], requestID: String
    ) async throws(Fault) {
        let path = "/resource_providers/\(provider)/inventories"
        let current = try await client.call("GET", path, requestID: requestID)
        let known = current["inventories"]?.object ?? JSONObject()
        let isSame =
            known.count == inventory.count
            && inventory.allSatisfy { name, wanted in
                known[name]?["total"]?.integer == wanted.total && known[name]?["reserved"]?.integer == wanted.reserved
                    && known[name]?["allocation_ratio"]?.double == wanted.ratio
            }
        if isSame { return }
        var inventories = JSONObject()
        for (name, wanted) in inventory {
            inventories[name] = [
                "total": .integer(Int64(wanted.total)), "reserved": .integer(Int64(wanted.reserved)), "min_unit": 1,
                "max_unit": .integer(Int64(wanted.total)), "step_size": 1, "allocation_ratio": .double(wanted.ratio),
            ]
        }
        try await client.call(
            "PUT", path,
            body: [
                "resource_provider_generation": current["resource_provider_generation"] ?? 0,
                "inventories": .object(inventories),
            ], requestID: requestID)
    }
}
