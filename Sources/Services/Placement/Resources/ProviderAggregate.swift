// SPDX-License-Identifier: Apache-2.0
import Kernel

/// That a provider belongs to an aggregate; aggregates are only ids here, spelt as they were given.
struct ProviderAggregate: Record {
    static let table = "placement_provider_aggregates"
    let providerID: String
    let aggregateID: String
}

extension ProviderAggregate: Resource {
    static let routes: [Route] = [
        .get(
            "/resource_providers/{uuid}/aggregates", "List resource provider aggregates", of: Anything.from,
            allow: .adminOrService("resource_providers:aggregates:list"), index, since: "1.1"),
        .put(
            "/resource_providers/{uuid}/aggregates", "Update resource provider aggregates", of: Anything.from,
            allow: .adminOrService("resource_providers:aggregates:update"), replaceAll, since: "1.1"),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement provider aggregates
        CREATE TABLE placement_provider_aggregates (
            provider_id VARCHAR(36) NOT NULL, aggregate_id VARCHAR(36) NOT NULL,
            PRIMARY KEY (provider_id, aggregate_id));
        CREATE INDEX placement_provider_aggregates_aggregate ON placement_provider_aggregates (aggregate_id)
        """
    ]
}

extension ProviderAggregate {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = try await Provider.found(request)
        let rows = try await request.database.all(
            ProviderAggregate.self, "provider_id = \(provider.id) ORDER BY aggregate_id")
        return listed(rows.map(\.aggregateID), provider, request)
    }

    /// Since 1.19 the body is an object with the provider's generation; before it was the bare list.
    static func replaceAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let known = try await Provider.found(request)
        let (ids, generation) = try draft(request)
        let conflict = Fault.generationConflict(
            "Resource provider's generation already changed. Please update the generation and try again.")
        if let generation, known.generation != generation { throw conflict }
        let now = request.now
        let provider = try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, known.id)
            if let generation, provider.generation != generation { throw conflict }
            try transaction.delete(ProviderAggregate.self, "provider_id = \(known.id)")
            try transaction.insert(ids.map { ProviderAggregate(providerID: known.id, aggregateID: $0) })
            if generation != nil {
                try provider.bump(transaction, at: now)
            } else {
                try Revision.count([provider.rootID], transaction)
            }
            return provider
        }
        return listed(ids, provider, request)
    }

    private static func draft(_ request: Request) throws(Fault) -> ([String], Int?) {
        var generation: Int?
        var ids: [String]
        if request.version >= "1.19" {
            var body = try request.body()
            ids = try body.need("aggregates", .list(.uuid))
            generation = try body.need("resource_provider_generation", .integer())
            try body.end()
        } else {
            let json = request.json ?? .null
            do {
                ids = try Format<[String]>.list(.uuid).read(json, false)
            } catch {
                throw request.index.wording.invalid("aggregates", json, error.reason)
            }
        }
        guard Set(ids).count == ids.count else {
            throw request.index.wording.invalid("aggregates", nil, "the list has non-unique elements")
        }
        return (ids, generation)
    }

    private static func listed(_ ids: [String], _ provider: Provider, _ request: Request) -> Reply {
        let reply = Reply.bare { view in
            view.put("aggregates", ids)
            view.put("resource_provider_generation", provider.generation, since: "1.19")
        }
        return reply.stamped(request)
    }
}
