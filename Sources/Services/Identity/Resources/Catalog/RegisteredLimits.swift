// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// How much of something every project may have where nothing else is said.
struct RegisteredLimit: Record {
    static let table = "identity_registered_limits"

    let id: String
    var serviceID: String
    var regionID: String?
    var resourceName: String
    var defaultLimit: Int
    var description: String?

    /// The rows about the same resource, its limits' too.
    var resource: SQL {
        "service_id = \(serviceID) AND region_id \(is: regionID) AND resource_name = \(resourceName)"
    }
}

extension RegisteredLimit: Resource {
    static let routes: [Route] = [
        .get(
            "/registered_limits", "List registered limits", of: Anything.from, allow: .anyone("list_registered_limits"),
            index),
        .post(
            "/registered_limits", "Create registered limits", of: Anything.from,
            allow: .administrator("create_registered_limits"), create),
        .get(path, "Show registered limit", of: found, allow: .anyone("get_registered_limit"), show),
        .patch(path, "Update registered limit", of: found, allow: .administrator("update_registered_limit"), update),
        .delete(path, "Delete registered limit", of: found, allow: .administrator("delete_registered_limit"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity registered limits
        CREATE TABLE identity_registered_limits (
            id VARCHAR(64) NOT NULL PRIMARY KEY, service_id VARCHAR(64) NOT NULL, region_id VARCHAR(255),
            resource_name VARCHAR(255) NOT NULL, default_limit BIGINT NOT NULL, description TEXT);
        CREATE INDEX identity_registered_limits_service ON identity_registered_limits (service_id);
        """
    ]

    private static let path = "/registered_limits/{registered_limit_id}"

    static func found(_ request: Request) async throws(Fault) -> Found<RegisteredLimit> {
        let id = request["registered_limit_id"]
        let limit = try await request.database.first(RegisteredLimit.self, "id = \(id)")
        return Found(limit, or: missing(id), [:])
    }

    private static func missing(_ id: String) -> Fault { .notFound("Could not find registered limit for \(id).") }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("service_id"), .text("region_id"), .text("resource_name")])
        let limits = try await request.database.all(RegisteredLimit.self, page.condition(condition, table: table))
        return .list("registered_limits", limits.map { $0.details }, page: page, ids: limits.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var limits: [RegisteredLimit] = []
        for var body in try request.limits("registered_limits") {
            limits.append(
                RegisteredLimit(
                    id: request.ids.hex(), serviceID: try body.need("service_id", .text(1...64)),
                    regionID: try body.option("region_id", .text(0...255)),
                    resourceName: try body.need("resource_name", .label()),
                    defaultLimit: try body.need("default_limit", .limit),
                    description: try body.option("description", .text)))
            try body.end()
        }
        try await request.database.transaction { [limits] transaction throws(Fault) in
            for limit in limits {
                try transaction.requireThere(limit.serviceID, limit.regionID, target: "registered_limit")
                try transaction.add(limit)
            }
        }
        return .list("registered_limits", limits.map { $0.details })
    }

    static func show(_ request: Request, _ found: Found<RegisteredLimit>) async throws(Fault) -> Reply {
        .object("registered_limit", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<RegisteredLimit>) async throws(Fault) -> Reply {
        let old = try found.get()
        var limit = old
        var body = try request.body("registered_limit")
        limit.serviceID = try body.take("service_id", .text(1...64)) ?? old.serviceID
        if let region = try body.patch("region_id", .text(0...255)) { limit.regionID = region }
        limit.resourceName = try body.take("resource_name", .label()) ?? old.resourceName
        limit.defaultLimit = try body.take("default_limit", .limit) ?? old.defaultLimit
        if let description = try body.patch("description", .text) { limit.description = description }
        try body.end()
        try await request.database.transaction { [limit] transaction throws(Fault) in
            try transaction.requireThere(limit.serviceID, limit.regionID, target: "registered_limit")
            try transaction.requireUnused(old)
            guard limit.resource != old.resource else {
                return try transaction.replace(limit, where: "id = \(limit.id)", or: missing(limit.id))
            }
            try transaction.delete(RegisteredLimit.self, "id = \(old.id)", or: missing(old.id))
            try transaction.add(limit)
        }
        return .object("registered_limit", limit.details)
    }

    static func delete(_ request: Request, _ found: Found<RegisteredLimit>) async throws(Fault) -> Reply {
        let limit = try found.get()
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.requireUnused(limit)
            try transaction.delete(RegisteredLimit.self, "id = \(limit.id)", or: missing(limit.id))
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("service_id", serviceID)
        view.put("region_id", regionID)
        view.put("resource_name", resourceName)
        view.put("default_limit", defaultLimit)
        view.put("description", description)
        view.links("registered_limits/\(id)")
    }
}

extension Transaction {
    /// Refuses a second row about the same resource; a key over it would let rows without a region pass.
    fileprivate func add(_ limit: RegisteredLimit) throws(Fault) {
        guard try count(RegisteredLimit.self, limit.resource) == 0 else {
            throw .duplicate("registered_limit", "Duplicate entry")
        }
        try insert(limit)
    }

    fileprivate func requireUnused(_ limit: RegisteredLimit) throws(Fault) {
        guard try count(Limit.self, "registered_limit_id = \(limit.id)") == 0 else {
            throw .forbidden(
                "Unable to update or delete registered limit \(limit.id) because there are project limits associated "
                    + "with it.")
        }
    }

    /// Refuses a limit on a service or in a region that is not there.
    func requireThere(_ serviceID: String, _ regionID: String?, target: String) throws(Fault) {
        guard try count(CatalogService.self, "id = \(serviceID)") > 0 else {
            throw .expecting("service_id", in: target)
        }
        guard let regionID else { return }
        guard try count(Region.self, "id = \(regionID)") > 0 else { throw .expecting("region_id", in: target) }
    }
}

extension Request {
    /// The limits that a body makes, of which there must be one.
    func limits(_ name: String) throws(Fault) -> [Body] {
        var body = try body()
        guard let limits = try body.takeObjects(name) else { throw index.wording.missing(name) }
        try body.end()
        guard !limits.isEmpty else { throw index.wording.invalid(name, [], "[] should be non-empty") }
        return limits
    }
}

extension Format where Value == Int {
    /// A limit: -1 is none.
    static var limit: Format { integer(-1...0x7FFF_FFFF) }
}
