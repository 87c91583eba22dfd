// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Placement's API as other rooms use it.
package struct PlacementClient: Sendable {
    let client: ServiceClient

    package init(over transport: any Transport, as caller: Caller) {
        client = ServiceClient("placement", base: "", version: "placement 1.36", over: transport, as: caller)
    }

    /// Amounts by provider and resource class: what one consumer takes, or could take.
    package typealias Way = [String: [String: Int]]

    /// How much of a class a provider has.
    package struct Supply: Sendable {
        package let capacity: Int
        package var used: Int

        package var free: Int { capacity - used }
    }

    /// Who could serve a request: the ways to take it, and what the providers concerned have.
    package struct Candidates: Sendable {
        /// By the root of the tree: the ways in the order Placement lists them, each once.
        package fileprivate(set) var ways: [String: [Way]] = [:]
        /// By the root of the tree, then by provider and class.
        package fileprivate(set) var supplies: [String: [String: [String: Supply]]] = [:]
        package fileprivate(set) var traits: [String: Set<String>] = [:]
        /// How many Placement told of.
        package fileprivate(set) var count = 0

        package init() {}
    }

    /// What a consumer takes from now on, instead of what it holds.
    package struct Claim: Sendable {
        package let consumer: String
        /// Nothing gives all back.
        package let allocations: Way
        package let project: String
        package let user: String
        /// The consumer's generation when it holds something already.
        package let generation: Int?

        package init(consumer: String, allocations: Way, project: String, user: String, generation: Int? = nil) {
            self.consumer = consumer
            self.allocations = allocations
            self.project = project
            self.user = user
            self.generation = generation
        }
    }

    /// - Parameter query: as `GET /allocation_candidates` takes it.
    package func candidates(_ query: [(String, String)], requestID: String) async throws(Fault) -> Candidates {
        // Who takes all of several groups cares for what is taken, not for which group it is.
        let hasGroups = query.count { $0.0.hasPrefix("resources") && $0.0 != "resources" } > 1
        let answer = try await client.call(
            "GET", "/allocation_candidates", query: query, prefers: hasGroups ? "allocations=distinct" : nil,
            requestID: requestID)
        var found = Candidates()
        var (roots, known): ([String: String], [String: Set<Way>]) = ([:], [:])
        for (provider, summary) in answer["provider_summaries"]?.object ?? JSONObject() {
            let root = summary["root_provider_uuid"]?.string ?? provider
            roots[provider] = root
            var classes: [String: Supply] = [:]
            for (name, amounts) in summary["resources"]?.object ?? JSONObject() {
                classes[name] = Supply(
                    capacity: amounts["capacity"]?.integer ?? 0, used: amounts["used"]?.integer ?? 0)
            }
            found.supplies[root, default: [:]][provider] = classes
            let traits = summary["traits"]?.array ?? []
            if !traits.isEmpty { found.traits[root, default: []].formUnion(traits.compactMap(\.string)) }
        }
        for request in answer["allocation_requests"]?.array ?? [] {
            let way = PlacementClient.way(request["allocations"])
            guard let provider = way.keys.first else { continue }
            found.count += 1
            let root = roots[provider] ?? provider
            if let ways = found.ways[root] {
                guard known[root, default: Set(ways)].insert(way).inserted else { continue }
            }
            found.ways[root, default: []].append(way)
        }
        return found
    }

    private static func way(_ allocations: JSON?) -> Way {
        var way: Way = [:]
        for (provider, taken) in allocations?.object ?? JSONObject() {
            var amounts: [String: Int] = [:]
            for (name, amount) in taken["resources"]?.object ?? JSONObject() { amounts[name] = amount.integer ?? 0 }
            way[provider] = amounts
        }
        return way
    }

    /// Makes all claims or none; 409 when somebody was quicker or a place is full.
    package func claim(_ claims: [Claim], requestID: String) async throws(Fault) {
        var body = JSONObject()
        for claim in claims { body[claim.consumer] = PlacementClient.body(of: claim) }
        try await client.call("POST", "/allocations", body: .object(body), requestID: requestID)
    }

    /// What a consumer holds now, as the claim that would hold it again; nil when it holds nothing.
    package func holding(_ consumer: String, requestID: String) async throws(Fault) -> Claim? {
        let answer = try await client.call("GET", "/allocations/\(consumer)", requestID: requestID)
        let way = PlacementClient.way(answer["allocations"])
        guard !way.isEmpty else { return nil }
        return Claim(
            consumer: consumer, allocations: way, project: answer["project_id"]?.string ?? "",
            user: answer["user_id"]?.string ?? "", generation: answer["consumer_generation"]?.integer)
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
}
