// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Hosts grouped by the operator; one with `availability_zone` in its metadata makes a zone.
struct Aggregate: Record {
    static let table = "compute_aggregates"

    let id: Int
    let uuid: String
    var name: String
    var metadata: [String: String]
    var hosts: [String]
    let createdAt: Timestamp
    var updatedAt: Timestamp?
}

extension Aggregate: Resource {
    static let routes: [Route] = [
        .get("/os-aggregates", "List aggregates", of: Anything.from, allow: .adminOnly("os-aggregates:index"), index),
        .post(
            "/os-aggregates", "Create an aggregate", of: Anything.from, allow: .adminOnly("os-aggregates:create"),
            create,
            status: 200),
        .get(item, "Show an aggregate", of: Anything.from, allow: .adminOnly("os-aggregates:show"), show),
        .put(item, "Update an aggregate", of: Anything.from, allow: .adminOnly("os-aggregates:update"), update),
        .delete(
            item, "Delete an aggregate", of: Anything.from, allow: .adminOnly("os-aggregates:delete"), delete,
            status: 200),
        .action(
            item + "/action", "add_host", "Add a host to an aggregate", of: Anything.from,
            allow: .adminOnly("os-aggregates:add_host"), addHost, status: 200),
        .action(
            item + "/action", "remove_host", "Remove a host from an aggregate", of: Anything.from,
            allow: .adminOnly("os-aggregates:remove_host"), removeHost, status: 200),
        .action(
            item + "/action", "set_metadata", "Set an aggregate's metadata", of: Anything.from,
            allow: .adminOnly("os-aggregates:set_metadata"), setMetadata, status: 200),
    ]

    private static let item = "/os-aggregates/{aggregate_id}"

    static let migrations: [Migration] = [
        """
        2026-11-21 compute aggregates
        CREATE TABLE compute_aggregates (
            id INTEGER NOT NULL PRIMARY KEY, uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL UNIQUE,
            metadata TEXT NOT NULL, hosts TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT)
        """
    ]
}

// MARK: - Handlers

extension Aggregate {
    private static let zoneKey = "availability_zone"

    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let all = try await request.database.all(Aggregate.self, "1 = 1 ORDER BY id")
        return .list("aggregates", all.map { $0.details })
    }

    private static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("aggregate")
        let name = try body.need("name", .name)
        let zone = try body.option(zoneKey, .zone)
        try body.end()
        let (now, uuid) = (request.now, request.ids.uuid())
        let made = try await request.database.transaction { transaction throws(Fault) in
            let newest = try transaction.rows("SELECT COALESCE(MAX(id), 0) AS newest FROM compute_aggregates").first
            let aggregate = Aggregate(
                id: (newest?.int("newest") ?? 0) + 1, uuid: uuid, name: name,
                metadata: zone.map { [zoneKey: $0] } ?? [:],
                hosts: [], createdAt: now, updatedAt: nil)
            try transaction.insert(aggregate, or: .aggregateExists(name))
            return aggregate
        }
        return .object("aggregate", made.summary)
    }

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = try number(request)
        return .object(
            "aggregate",
            try await request.database.one(Aggregate.self, "id = \(id)", or: .aggregateNotFound(id)).details)
    }

    private static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("aggregate")
        let name = try body.take("name", .name)
        let zone = try body.patch(zoneKey, .zone)
        guard name != nil || zone != nil else {
            throw body.refuse("aggregate", nil, "it does not have enough properties")
        }
        try body.end()
        return try await change(request) { aggregate, transaction throws(Fault) in
            if let name { aggregate.name = name }
            if let zone {
                try aggregate.checkZone(zone, transaction)
                aggregate.metadata[zoneKey] = zone
            }
        }
    }

    private static func delete(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = try number(request)
        try await request.database.transaction { transaction throws(Fault) in
            let aggregate = try transaction.one(Aggregate.self, "id = \(id)", or: .aggregateNotFound(id))
            guard aggregate.hosts.isEmpty else {
                throw .badRequest("Cannot delete aggregate \(id). Reason: Host aggregate is not empty.")
            }
            _ = try transaction.delete(Aggregate.self, "id = \(id)")
        }
        return .empty
    }

    private static func addHost(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let host = try host("add_host", request)
        return try await change(request) { aggregate, transaction throws(Fault) in
            guard try transaction.first(ComputeHost.self, "name = \(host) AND deleted_at IS NULL") != nil else {
                throw .notFound("Compute host \(host) could not be found.")
            }
            guard !aggregate.hosts.contains(host) else {
                throw .conflict("Aggregate \(aggregate.id) already has host \(host).")
            }
            let others = try transaction.all(Aggregate.self, "id <> \(aggregate.id)")
            if let zone = aggregate.metadata[zoneKey],
                let other = others.first(where: { $0.hosts.contains(host) && ($0.metadata[zoneKey] ?? zone) != zone })
            {
                throw .conflict(
                    "Cannot add host to aggregate \(aggregate.id). Reason: One or more hosts already in availability "
                        + "zone(s) ['\(other.metadata[zoneKey] ?? "")'].")
            }
            let old = others.first { $0.hosts.contains(host) && $0.metadata[zoneKey] != nil }?.metadata[zoneKey]
            if let zone = aggregate.metadata[zoneKey], zone != old {
                try requireEmpty(host, transaction) { servers in
                    "Cannot add host to aggregate \(aggregate.id). Reason: The host cannot be added to the aggregate "
                        + "as " + moving(from: old, to: zone, servers)
                }
            }
            aggregate.hosts.append(host)
        }
    }

    private static func removeHost(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let host = try host("remove_host", request)
        return try await change(request) { aggregate, transaction throws(Fault) in
            guard aggregate.hosts.contains(host) else {
                throw .notFound("Cannot remove host \(host) in aggregate \(aggregate.id)")
            }
            let others = try transaction.all(Aggregate.self, "id <> \(aggregate.id)")
            let left = others.first { $0.hosts.contains(host) && $0.metadata[zoneKey] != nil }?.metadata[zoneKey]
            if let zone = aggregate.metadata[zoneKey], zone != left {
                try requireEmpty(host, transaction) { servers in
                    "Cannot remove host from aggregate \(aggregate.id). Reason: The host cannot be removed from the "
                        + "aggregate as " + moving(from: zone, to: left, servers)
                }
            }
            aggregate.hosts.removeAll { $0 == host }
        }
    }

    /// Servers do not change their zone unasked: a host does so without any.
    private static func requireEmpty(
        _ host: String, _ transaction: Transaction, _ message: (Int) -> String
    ) throws(Fault) {
        let servers = try transaction.count(Server.self, "host = \(host) AND deleted_at IS NULL")
        guard servers == 0 else { throw .conflict(message(servers)) }
    }

    private static func moving(from old: String?, to new: String?, _ servers: Int) -> String {
        "the availability zone of the host would change from '\(old ?? "None")' to '\(new ?? "None")' but the host "
            + "already has \(servers) instance(s). Changing the AZ of an existing instance is not supported by this "
            + "action. Move the instances away from this host then try again. If you need to move the instances "
            + "between AZs then you can use shelve_offload and unshelve to achieve this.."
    }

    private static func setMetadata(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("set_metadata")
        var given = try body.needObject("metadata")
        try body.end()
        var changes: [(String, String?)] = []
        for key in given.keys { changes.append((key, try given.option(key, .text(0...255)))) }
        let wanted = changes
        return try await change(request) { aggregate, transaction throws(Fault) in
            for (key, value) in wanted {
                if key == zoneKey { try aggregate.checkZone(value, transaction) }
                aggregate.metadata[key] = value
            }
        }
    }
}

extension Aggregate {
    private static func number(_ request: Request) throws(Fault) -> Int {
        guard let id = Int(request["aggregate_id"]) else {
            throw .badRequest("Invalid input received: id must be an integer")
        }
        return id
    }

    private static func host(_ action: String, _ request: Request) throws(Fault) -> String {
        var body = try request.body(action)
        let host = try body.need("host", .text(1...255))
        try body.end()
        return host
    }

    private typealias Change = @Sendable (inout Aggregate, Transaction) throws(Fault) -> Void

    private static func change(_ request: Request, _ deed: @escaping Change) async throws(Fault) -> Reply {
        let (id, now) = (try number(request), request.now)
        let changed = try await request.database.transaction { transaction throws(Fault) in
            var aggregate = try transaction.one(Aggregate.self, "id = \(id)", or: .aggregateNotFound(id))
            let name = aggregate.name
            try deed(&aggregate, transaction)
            if aggregate.name != name, try transaction.count(Aggregate.self, "name = \(aggregate.name)") > 0 {
                throw .aggregateExists(aggregate.name)
            }
            aggregate.updatedAt = now
            try transaction.replace(aggregate, where: "id = \(id)", or: .aggregateNotFound(id))
            return aggregate
        }
        return .object("aggregate", changed.details)
    }

    /// A host is in one zone, and servers do not change theirs unasked (nova/compute/api.py,
    /// `is_safe_to_update_az`).
    private func checkZone(_ zone: String?, _ transaction: Transaction) throws(Fault) {
        guard zone != metadata[Aggregate.zoneKey], !hosts.isEmpty else { return }
        guard try transaction.count(Server.self, "host IN \(hosts) AND deleted_at IS NULL") == 0 else {
            throw .badRequest(
                "Cannot update aggregate \(id). Reason: One or more hosts contain instances in this zone.")
        }
    }

    private func summary(_ view: inout View) {
        view.put("id", id)
        view.put("uuid", uuid, since: "2.41")
        view.put("name", name)
        view.put("availability_zone", metadata[Aggregate.zoneKey])
        view.put("created_at", createdAt.iso8601Naive)
        view.put("updated_at", updatedAt?.iso8601Naive)
        view.put("deleted", false)
        view.put("deleted_at", String?.none)
    }

    private func details(_ view: inout View) {
        summary(&view)
        view.put("hosts", hosts)
        view.put("metadata", metadata)
    }
}

extension Format where Value == String {
    /// A zone's name: no colon, because `zone:host` is how a host is named.
    fileprivate static var zone: Format {
        name.map { text throws(Misfit) in
            guard !text.contains(":") else { throw Misfit("'\(text)' must not contain ':'") }
            return text
        }
    }
}

extension Fault {
    fileprivate static func aggregateNotFound(_ id: Int) -> Fault { .notFound("Aggregate \(id) could not be found.") }
    fileprivate static func aggregateExists(_ name: String) -> Fault { .conflict("Aggregate \(name) already exists.") }
}
