// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a consumer has taken of one class of one provider.
struct Allocation: Record {
    static let table = "placement_allocations"
    let consumerID: String
    let providerID: String
    let resourceClass: String
    let used: Int
    let createdAt: Timestamp
}

/// Who takes: a server, a migration; known only while it holds something.
struct Consumer: Record {
    static let table = "placement_consumers"
    /// Stands for a project and user that were not named, before 1.8.
    static let unnamed = "00000000-0000-0000-0000-000000000000"

    let id: String
    var projectID: String
    var userID: String
    var type: String?
    var generation: Int
}

extension Allocation: Resource {
    static let routes: [Route] = [
        .post(
            "/allocations", "Manage allocations", of: Anything.from, allow: .adminOrService("allocations:manage"),
            setMany, status: 204, since: "1.13"),
        .get(
            "/allocations/{consumer_uuid}", "List allocations", of: Anything.from,
            allow: .adminOrService("allocations:list"), ofConsumer),
        .put(
            "/allocations/{consumer_uuid}", "Update allocations", of: Anything.from,
            allow: .adminOrService("allocations:update"), setOne, status: 204),
        .delete(
            "/allocations/{consumer_uuid}", "Delete allocations", of: Anything.from,
            allow: .adminOrService("allocations:delete"), delete),
        .get(
            "/resource_providers/{uuid}/allocations", "List resource provider allocations", of: Anything.from,
            allow: .adminOrService("resource_providers:allocations:list"), ofProvider),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 placement allocations
        CREATE TABLE placement_consumers (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, user_id VARCHAR(255) NOT NULL,
            type VARCHAR(255), generation INTEGER NOT NULL);
        CREATE INDEX placement_consumers_owner ON placement_consumers (project_id, user_id);
        CREATE TABLE placement_allocations (
            consumer_id VARCHAR(36) NOT NULL, provider_id VARCHAR(36) NOT NULL, resource_class VARCHAR(255) NOT NULL,
            used BIGINT NOT NULL, created_at BIGINT, PRIMARY KEY (consumer_id, provider_id, resource_class));
        CREATE INDEX placement_allocations_provider ON placement_allocations (provider_id, resource_class)
        """
    ]
}

// MARK: - Handlers

extension Allocation {
    static func ofConsumer(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["consumer_uuid"].lowercased()
        let rows = try await request.database.all(
            Allocation.self, "consumer_id = \(id) ORDER BY provider_id, resource_class")
        let consumer = try await request.database.first(Consumer.self, "id = \(id)")
        let providers = try await request.database.all(Provider.self, "id", in: Set(rows.map(\.providerID)).sorted())
        let generations = Dictionary(uniqueKeysWithValues: providers.map { ($0.id, $0.generation) })
        let ages = Dictionary(uniqueKeysWithValues: providers.map { ($0.id, $0.createdAt.microseconds) })
        // The older providers first, as upstream's rows come; clients show them so.
        let groups = runs(rows, by: \.providerID).sorted {
            (ages[$0[0].providerID] ?? 0, $0[0].providerID) < (ages[$1[0].providerID] ?? 0, $1[0].providerID)
        }
        let reply = Reply.bare { view in
            view.nest("allocations") { view in
                for group in groups {
                    view.nest(named: group[0].providerID) { view in
                        write(group, &view)
                        view.put("generation", generations[group[0].providerID] ?? 0)
                    }
                }
            }
            guard let consumer, !rows.isEmpty else { return }
            view.put("project_id", consumer.projectID, since: "1.12")
            view.put("user_id", consumer.userID, since: "1.12")
            view.put("consumer_generation", consumer.generation, since: "1.28")
            view.put("consumer_type", consumer.type ?? "unknown", since: "1.38")
        }
        return reply.stamped(request, rows.map(\.createdAt).max())
    }

    static func ofProvider(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider: Provider
        do {
            provider = try await Provider.found(request)
        } catch {
            throw error.status == 404
                ? .notFound("Resource provider '\(request["uuid"])' not found: \(error.message)") : error
        }
        let rows = try await request.database.all(
            Allocation.self, "provider_id = \(provider.id) ORDER BY consumer_id, resource_class")
        let consumers = try await request.database.all(Consumer.self, "id", in: Set(rows.map(\.consumerID)).sorted())
        let generations = Dictionary(uniqueKeysWithValues: consumers.map { ($0.id, $0.generation) })
        let reply = Reply.bare { view in
            view.nest("allocations") { view in
                for group in runs(rows, by: \.consumerID) {
                    view.nest(named: group[0].consumerID) { view in
                        write(group, &view)
                        view.put("consumer_generation", generations[group[0].consumerID], since: "1.28")
                    }
                }
            }
            view.put("resource_provider_generation", provider.generation)
        }
        return reply.stamped(request, rows.map(\.createdAt).max())
    }

    static func setOne(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["consumer_uuid"]
        guard Hex.isUUID(id) else { throw .badRequest("Malformed consumer_uuid: \(id)") }
        let claim = try Claim(
            try request.body(), consumer: Symbol.uuid(id), mayBeEmpty: request.version >= "1.28", request)
        try await Ledger.set([claim], "Unable to allocate inventory for consumer \(claim.consumer): ", request)
        return .empty
    }

    static func setMany(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let members = body.takeRest()
        guard !members.isEmpty else {
            throw request.index.wording.invalid("body", nil, "{} does not have enough properties")
        }
        try await Ledger.set(claims(members, request), "Unable to allocate inventory ", request)
        return .empty
    }

    /// What many consumers shall hold, by their ids.
    static func claims(_ members: JSONObject, _ request: Request) throws(Fault) -> [Claim] {
        var claims: [Claim] = []
        claims.reserveCapacity(members.count)
        for (id, value) in members {
            guard Claim.isID(id) else { throw Complaint.unmatched(id, "^[0-9a-fA-F-]{36}$") }
            guard case .object(let object) = value else {
                throw request.index.wording.invalid(id, value, "\(value.text()) is not of type 'object'")
            }
            let body = Body(object, path: id, request: request)
            claims.append(try Claim(body, consumer: id.lowercased(), mayBeEmpty: true, request))
        }
        guard Set(claims.map(\.consumer)).count == claims.count else {
            throw request.index.wording.invalid("body", nil, "a consumer is named twice")
        }
        return claims
    }

    static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = request["consumer_uuid"]
        let consumer = id.lowercased()
        try await request.database.transaction { transaction throws(Fault) in
            let rows = try transaction.all(Allocation.self, "consumer_id = \(consumer)")
            guard !rows.isEmpty else { throw .notFound("No allocations for consumer '\(id)'") }
            for row in rows {
                _ = try transaction.update(
                    Inventory.self, set: "used = used - \(row.used)",
                    where: "provider_id = \(row.providerID) AND resource_class = \(row.resourceClass)")
            }
            try transaction.delete(Allocation.self, "consumer_id = \(consumer)")
            try transaction.delete(Consumer.self, "id = \(consumer)")
            let providers = try transaction.all(Provider.self, "id", in: rows.map(\.providerID))
            try Revision.count(Set(providers.map(\.rootID)), transaction)
        }
        return .empty
    }
}

// MARK: - Wire

extension Allocation {
    private static func write(_ rows: ArraySlice<Allocation>, _ view: inout View) {
        view.nest("resources") { view in
            for row in rows { view.put(named: row.resourceClass, row.used) }
        }
    }

    /// Rows that follow each other and are alike, together; the slices start at 0.
    private static func runs(_ rows: [Allocation], by key: KeyPath<Allocation, String>) -> [ArraySlice<Allocation>] {
        var groups: [ArraySlice<Allocation>] = []
        var open: [Allocation] = []
        for row in rows {
            if let last = open.last, last[keyPath: key] != row[keyPath: key] {
                groups.append(open[...])
                open = []
            }
            open.append(row)
        }
        if !open.isEmpty { groups.append(open[...]) }
        return groups
    }
}
