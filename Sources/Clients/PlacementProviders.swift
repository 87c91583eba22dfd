// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension PlacementClient {
    /// A provider, and the root of its tree.
    package struct Provider: Sendable {
        package let name: String
        package let root: String
    }

    /// What a provider has of a class. Without a ratio the one it has already stays.
    package struct Stock: Sendable, Hashable {
        package var total: Int
        package var reserved: Int
        package var ratio: Double?
        /// The ratio to begin with.
        package var initialRatio: Double

        package init(total: Int, reserved: Int, ratio: Double?, initialRatio: Double = 1) {
            self.total = total
            self.reserved = reserved
            self.ratio = ratio
            self.initialRatio = initialRatio
        }
    }

    /// All providers, by id.
    package func providers(requestID: String) async throws(Fault) -> [String: Provider] {
        let answer = try await client.call("GET", "/resource_providers", requestID: requestID)
        var providers: [String: Provider] = [:]
        for item in answer["resource_providers"]?.array ?? [] {
            guard let id = item["uuid"]?.string else { continue }
            providers[id] = Provider(
                name: item["name"]?.string ?? "", root: item["root_provider_uuid"]?.string ?? id)
        }
        return providers
    }

    /// What is taken of a provider: amounts by consumer.
    package func allocations(
        on provider: String, requestID: String
    ) async throws(Fault) -> [String: [String: Int]] {
        let answer = try await client.call(
            "GET", "/resource_providers/\(provider)/allocations", requestID: requestID)
        var taken: [String: [String: Int]] = [:]
        for (consumer, item) in answer["allocations"]?.object ?? JSONObject() {
            for (name, amount) in item["resources"]?.object ?? JSONObject() {
                taken[consumer, default: [:]][name] = amount.integer ?? 0
            }
        }
        return taken
    }

    /// What a provider has, by class.
    package func inventory(of provider: String, requestID: String) async throws(Fault) -> [String: Stock] {
        let answer = try await client.call(
            "GET", "/resource_providers/\(provider)/inventories", requestID: requestID)
        var stock: [String: Stock] = [:]
        for (name, item) in answer["inventories"]?.object ?? JSONObject() {
            stock[name] = Stock(
                total: item["total"]?.integer ?? 0, reserved: item["reserved"]?.integer ?? 0,
                ratio: item["allocation_ratio"]?.double ?? item["allocation_ratio"]?.integer.map { Double($0) })
        }
        return stock
    }

    /// Sets those classes of a provider's inventory unless they are that already; others stay as they are.
    package func setInventory(_ provider: String, _ wanted: [String: Stock], requestID: String) async throws(Fault) {
        let path = "/resource_providers/\(provider)/inventories"
        let current = try await client.call("GET", path, requestID: requestID)
        var inventories = current["inventories"]?.object ?? JSONObject()
        var isSame = true
        for (name, stock) in wanted {
            let known = inventories[name]
            let oldRatio = known?["allocation_ratio"]?.double ?? known?["allocation_ratio"]?.integer.map { Double($0) }
            let ratio = stock.ratio ?? oldRatio ?? stock.initialRatio
            if known?["total"]?.integer == stock.total, known?["reserved"]?.integer == stock.reserved,
                oldRatio == ratio
            {
                continue
            }
            isSame = false
            inventories[name] = [
                "total": .integer(Int64(stock.total)), "reserved": .integer(Int64(stock.reserved)), "min_unit": 1,
                "max_unit": .integer(Int64(stock.total)), "step_size": 1, "allocation_ratio": .double(ratio),
            ]
        }
        if isSame { return }
        try await client.call(
            "PUT", path,
            body: [
                "resource_provider_generation": current["resource_provider_generation"] ?? 0,
                "inventories": .object(inventories),
            ], requestID: requestID)
    }

    /// Whether there is a trait, or a class of resources, of a name.
    package func knows(trait name: String, requestID: String) async throws(Fault) -> Bool {
        try await knows("/traits/" + name, requestID)
    }

    package func knows(resourceClass name: String, requestID: String) async throws(Fault) -> Bool {
        try await knows("/resource_classes/" + name, requestID)
    }

    private func knows(_ path: String, _ requestID: String) async throws(Fault) -> Bool {
        do throws(Fault) { try await client.call("GET", path, requestID: requestID) } catch {
            guard error.status == 404 else { throw error }
            return false
        }
        return true
    }

    /// Sets the traits of a provider that the caller answers for, as far as Placement knows them; others stay.
    /// - Parameter isOwn: whether the caller answers for a trait.
    package func setTraits(
        _ provider: String, _ wanted: Set<String>, isOwn: (String) -> Bool, requestID: String
    ) async throws(Fault) {
        let path = "/resource_providers/\(provider)/traits"
        let current = try await client.call("GET", path, requestID: requestID)
        let old = Set((current["traits"]?.array ?? []).compactMap(\.string))
        var new = old.filter { !isOwn($0) }
        let missing = wanted.subtracting(old)
        new.formUnion(wanted.intersection(old))
        if !missing.isEmpty {
            let query = [("name", "in:" + missing.sorted().joined(separator: ","))]
            let known = try await client.call("GET", "/traits", query: query, requestID: requestID)
            new.formUnion((known["traits"]?.array ?? []).compactMap(\.string))
        }
        guard new != old else { return }
        try await client.call(
            "PUT", path,
            body: [
                "resource_provider_generation": current["resource_provider_generation"] ?? 0,
                "traits": .array(new.sorted().map(JSON.string)),
            ], requestID: requestID)
    }

    /// Sets the aggregates a provider is in, unless it is in those already.
    package func setAggregates(_ provider: String, _ wanted: Set<String>, requestID: String) async throws(Fault) {
        let path = "/resource_providers/\(provider)/aggregates"
        let current = try await client.call("GET", path, requestID: requestID)
        guard Set((current["aggregates"]?.array ?? []).compactMap(\.string)) != wanted else { return }
        try await client.call(
            "PUT", path,
            body: [
                "resource_provider_generation": current["resource_provider_generation"] ?? 0,
                "aggregates": .array(wanted.sorted().map(JSON.string)),
            ], requestID: requestID)
    }
}
