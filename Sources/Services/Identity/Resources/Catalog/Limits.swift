// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// How much of something one project or one domain may have, where that differs from what all may.
struct Limit: Record {
    static let table = "identity_limits"

    let id: String
    var projectID: String?
    var domainID: String?
    let serviceID: String
    let regionID: String?
    let resourceName: String
    var resourceLimit: Int
    var description: String?
    /// What it overrides. The resource stands in both rows: a registered limit with limits never changes.
    var registeredLimitID: String

    var resource: SQL {
        "service_id = \(serviceID) AND region_id \(is: regionID) AND resource_name = \(resourceName)"
    }

    func isSame(resourceOf other: Limit) -> Bool {
        serviceID == other.serviceID && regionID == other.regionID && resourceName == other.resourceName
    }
}

extension Limit: Resource {
    static let routes: [Route] = [
        .get("/limits", "List limits", of: Anything.from, allow: .anyone("list_limits"), index),
        .post("/limits", "Create limits", of: Anything.from, allow: .administrator("create_limits"), create),
        .get(
            "/limits/model", "Show limit enforcement model", of: Anything.from, allow: .anyone("get_limit_model"),
            model),
        .get(
            "/limits/{limit_id}", "Show limit", of: found,
            allow: .inspector(
                "get_limit",
                or: "(domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s) or "
                    + "(project_id:%(target.limit.project_id)s and not None:%(target.limit.project_id)s)"), show),
        .patch("/limits/{limit_id}", "Update limit", of: found, allow: .administrator("update_limit"), update),
        .delete("/limits/{limit_id}", "Delete limit", of: found, allow: .administrator("delete_limit"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity limits
        CREATE TABLE identity_limits (
            id VARCHAR(64) NOT NULL PRIMARY KEY, project_id VARCHAR(64), domain_id VARCHAR(64),
            service_id VARCHAR(64) NOT NULL, region_id VARCHAR(255), resource_name VARCHAR(255) NOT NULL,
            resource_limit BIGINT NOT NULL, description TEXT, registered_limit_id VARCHAR(64) NOT NULL);
        CREATE INDEX identity_limits_project ON identity_limits (project_id);
        CREATE INDEX identity_limits_domain ON identity_limits (domain_id);
        CREATE INDEX identity_limits_registered ON identity_limits (registered_limit_id);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<Limit> {
        let id = request["limit_id"]
        let limit = try await request.database.first(Limit.self, "id = \(id)")
        var attributes: [String: JSON] = [:]
        if let limit {
            attributes["target.limit.project_id"] = .attribute(limit.projectID)
            if let domainID = limit.domainID { attributes["target.limit.domain.id"] = .string(domainID) }
            if let projectID = limit.projectID,
                let project = try await request.database.first(Project.self, "id = \(projectID)")
            {
                attributes["target.limit.project.domain_id"] = .string(project.domainID)
            }
        }
        return Found(limit, or: missing(id), attributes)
    }

    private static func missing(_ id: String) -> Fault { .notFound("Could not find limit for \(id).") }
}

// MARK: - Handlers

extension Limit {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered(
            [
                .text("service_id"), .text("region_id"), .text("resource_name"), .text("project_id"),
                .text("domain_id"),
            ], visible(request.caller))
        let limits = try await request.database.all(Limit.self, page.condition(condition, table: table))
        return .list("limits", limits.map { $0.details }, page: page, ids: limits.map(\.id))
    }

    /// Whose limits somebody may see: all, those of a domain and its projects, or those of one project.
    private static func visible(_ caller: Caller) -> SQL {
        if caller.isSystem || caller.has(role: "admin") || caller.has(role: "service") { return "1 = 1" }
        if let id = caller.domainID {
            return
                """
                (domain_id = \(id) OR project_id IN (SELECT id FROM identity_projects WHERE domain_id = \(id)))
                """
        }
        return "project_id = \(caller.projectID ?? "")"
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var drafts: [Limit] = []
        for var body in try request.limits("limits") {
            drafts.append(try Limit(&body, request))
            try body.end()
        }
        let model = request.identity.options.limits.model
        let limits = try await request.database.transaction { [drafts] transaction throws(Fault) in
            let limits = try drafts.mapping(transaction.placed)
            if model == .strictTwoLevel { try LimitTree(transaction: transaction).requireFit(limits) }
            return try limits.mapping(transaction.add)
        }
        return .list("limits", limits.map { $0.details })
    }

    static func show(_ request: Request, _ found: Found<Limit>) async throws(Fault) -> Reply {
        .object("limit", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<Limit>) async throws(Fault) -> Reply {
        var limit = try found.get()
        var body = try request.body("limit")
        limit.resourceLimit = try body.take("resource_limit", .limit) ?? limit.resourceLimit
        limit.description = try body.option("description", .text) ?? limit.description
        try body.end()
        let model = request.identity.options.limits.model
        try await request.database.transaction { [limit] transaction throws(Fault) in
            if model == .strictTwoLevel { try LimitTree(transaction: transaction).requireFit([limit]) }
            try transaction.replace(limit, where: "id = \(limit.id)", or: missing(limit.id))
        }
        return .object("limit", limit.details)
    }

    static func delete(_ request: Request, _ found: Found<Limit>) async throws(Fault) -> Reply {
        let id = try found.get().id
        try await request.database.delete(Limit.self, "id = \(id)", or: missing(id))
        return .empty
    }

    static func model(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let model = request.identity.options.limits.model
        return .object("model") {
            $0.put("name", model.rawValue)
            $0.put("description", model.description)
        }
    }
}

// MARK: - Wire

extension Limit {
    /// A limit as asked for: what it overrides is looked up later.
    init(_ body: inout Body, _ request: Request) throws(Fault) {
        id = request.ids.hex()
        guard body.has("project_id") != body.has("domain_id") else {
            throw body.refuse("limits", nil, "a limit is for either a project_id or a domain_id")
        }
        projectID = try body.take("project_id", .text(1...64))
        domainID = try body.take("domain_id", .text(1...64))
        serviceID = try body.need("service_id", .text(1...64))
        regionID = try body.option("region_id", .text(0...255))
        resourceName = try body.need("resource_name", .label())
        resourceLimit = try body.need("resource_limit", .limit)
        description = try body.option("description", .text)
        registeredLimitID = ""
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("project_id", projectID)
        view.put("domain_id", domainID)
        view.put("service_id", serviceID)
        view.put("region_id", regionID)
        view.put("resource_name", resourceName)
        view.put("resource_limit", resourceLimit)
        view.put("description", description)
        view.links("limits/\(id)")
    }
}

extension Transaction {
    /// The limit with the place it is for: a project that acts as a domain is one.
    fileprivate func placed(_ limit: Limit) throws(Fault) -> Limit {
        var limit = limit
        try requireThere(limit.serviceID, limit.regionID, target: "limit")
        if let id = limit.projectID {
            guard let project = try first(Project.self, "id = \(id)") else {
                throw .expecting("project_id", in: "limit")
            }
            if project.isDomain { (limit.projectID, limit.domainID) = (nil, id) }
        }
        if let id = limit.domainID, try count(Project.self, "id = \(id) AND is_domain = 1") == 0 {
            throw .expecting("domain_id", in: "limit")
        }
        return limit
    }

    /// Keeps a limit that overrides a registered one, once for each place.
    fileprivate func add(_ limit: Limit) throws(Fault) -> Limit {
        var limit = limit
        limit.registeredLimitID = try one(
            RegisteredLimit.self, limit.resource,
            or: .forbidden("Unable to create a limit that has no corresponding registered limit.")
        ).id
        let place: SQL = "project_id \(is: limit.projectID) AND domain_id \(is: limit.domainID)"
        guard try count(Limit.self, limit.resource + " AND " + place) == 0 else {
            throw .duplicate("limit", "Duplicate entry")
        }
        try insert(limit)
        return limit
    }
}
