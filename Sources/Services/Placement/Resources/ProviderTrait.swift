// SPDX-License-Identifier: Apache-2.0
import Kernel

/// That a provider has a trait.
struct ProviderTrait: Record {
    static let table = "placement_provider_traits"
    let providerID: String
    let trait: String
}

extension ProviderTrait: Resource {
    static let routes: [Route] = [
        .get(
            "/resource_providers/{uuid}/traits", "List resource provider traits", of: Anything.from,
            allow: .adminOrService("resource_providers:traits:list"), index, since: "1.6"),
        .put(
            "/resource_providers/{uuid}/traits", "Update resource provider traits", of: Anything.from,
            allow: .adminOrService("resource_providers:traits:update"), replaceAll, since: "1.6"),
        .delete(
            "/resource_providers/{uuid}/traits", "Delete resource provider traits", of: Anything.from,
            allow: .adminOrService("resource_providers:traits:delete"), deleteAll, since: "1.6"),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement provider traits
        CREATE TABLE placement_provider_traits (
            provider_id VARCHAR(36) NOT NULL, trait VARCHAR(255) NOT NULL, PRIMARY KEY (provider_id, trait));
        CREATE INDEX placement_provider_traits_trait ON placement_provider_traits (trait)
        """
    ]
}

extension ProviderTrait {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = try await Provider.found(request)
        let rows = try await request.database.all(ProviderTrait.self, "provider_id = \(provider.id) ORDER BY trait")
        return listed(rows.map(\.trait), provider, request)
    }

    static func replaceAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let traits = Set(try body.need("traits", .list(.text(1...255))))
        let generation = try body.need("resource_provider_generation", .integer())
        try body.end()
        let known = try await Provider.found(request)
        let conflict = Fault.generationConflict(
            "Resource provider's generation already changed. Please update the generation and try again.")
        guard known.generation == generation else { throw conflict }
        let now = request.now
        let provider = try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, known.id)
            guard provider.generation == generation else { throw conflict }
            if let missing = try Trait.unknown(traits, transaction) { throw .badRequest("No such trait \(missing)") }
            try set(traits, of: &provider, transaction, at: now)
            return provider
        }
        return listed(traits.sorted(), provider, request)
    }

    static func deleteAll(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["uuid"]
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            var provider = try Provider.one(transaction, id)
            try set([], of: &provider, transaction, at: now)
        }
        return .empty
    }

    /// Counts as a change only when something changes.
    private static func set(
        _ traits: Set<String>, of provider: inout Provider, _ transaction: Transaction, at now: Timestamp
    ) throws(Fault) {
        let old = Set(try transaction.all(ProviderTrait.self, "provider_id = \(provider.id)").map(\.trait))
        guard old != traits else { return }
        for trait in old.subtracting(traits) {
            try transaction.delete(ProviderTrait.self, "provider_id = \(provider.id) AND trait = \(trait)")
        }
        let id = provider.id
        try transaction.insert(traits.subtracting(old).sorted().map { ProviderTrait(providerID: id, trait: $0) })
        try provider.bump(transaction, at: now)
    }

    private static func listed(_ traits: [String], _ provider: Provider, _ request: Request) -> Reply {
        let reply = Reply.bare { view in
            view.put("traits", traits)
            view.put("resource_provider_generation", provider.generation)
        }
        return reply.stamped(request, provider.updatedAt)
    }
}
