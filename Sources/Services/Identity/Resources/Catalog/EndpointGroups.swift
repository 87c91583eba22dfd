// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Endpoints that have something in common, so that a project can be given all of them at once.
struct EndpointGroup: Record {
    static let table = "identity_endpoint_groups"

    let id: String
    var name: String
    var description: String?
    /// What each of them has: `service_id`, `region_id`, `interface`.
    var filters: JSONObject

    func holds(_ endpoint: Endpoint) -> Bool {
        filters.allSatisfy { name, value in
            switch name {
            case "service_id": value.string == endpoint.serviceID
            case "interface": value.string == endpoint.interface
            case "region_id": value.string == endpoint.regionID
            default: false
            }
        }
    }
}

extension EndpointGroup: Resource {
    static let routes: [Route] = [
        .get(base, "List endpoint groups", of: Anything.from, allow: .inspector("list_endpoint_groups"), index),
        .post(
            base, "Create endpoint group", of: Anything.from, allow: .administrator("create_endpoint_group"), create),
        .get(path, "Show endpoint group", of: found, allow: .inspector("get_endpoint_group"), show),
        .patch(path, "Update endpoint group", of: found, allow: .administrator("update_endpoint_group"), update),
        .delete(path, "Delete endpoint group", of: found, allow: .administrator("delete_endpoint_group"), delete),
        .get(
            path + "/endpoints", "List endpoints of endpoint group", of: found,
            allow: .inspector("list_endpoints_associated_with_endpoint_group"), endpoints),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity endpoint groups
        CREATE TABLE identity_endpoint_groups (
            id VARCHAR(64) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, description TEXT,
            filters TEXT NOT NULL);
        """
    ]

    private static let base = "/OS-EP-FILTER/endpoint_groups"
    private static let path = base + "/{endpoint_group_id}"

    static func found(_ request: Request) async throws(Fault) -> Found<EndpointGroup> {
        let id = request["endpoint_group_id"]
        let group = try await request.database.first(EndpointGroup.self, "id = \(id)")
        return Found(group, or: missing(id), [:])
    }

    static func missing(_ id: String) -> Fault { .notFound("Endpoint Group", id) }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("name")])
        let groups = try await request.database.all(EndpointGroup.self, page.condition(condition, table: table))
        return .list("endpoint_groups", groups.map { $0.details }, page: page, ids: groups.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("endpoint_group")
        guard let filters = try filters(&body), !filters.isEmpty else {
            throw .badRequest("filters field is required and cannot be empty")
        }
        let group = EndpointGroup(
            id: request.ids.hex(), name: try body.need("name", .label()),
            description: try body.option("description", .text), filters: filters)
        try body.end()
        try await request.database.insert(group)
        return .object("endpoint_group", group.details)
    }

    static func show(_ request: Request, _ found: Found<EndpointGroup>) async throws(Fault) -> Reply {
        .object("endpoint_group", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<EndpointGroup>) async throws(Fault) -> Reply {
        var group = try found.get()
        var body = try request.body("endpoint_group")
        group.name = try body.take("name", .label()) ?? group.name
        if let description = try body.patch("description", .text) { group.description = description }
        group.filters = try filters(&body) ?? group.filters
        try body.end()
        try await request.change { [group] transaction throws(Fault) in
            try transaction.replace(group, where: "id = \(group.id)", or: missing(group.id))
        }
        return .object("endpoint_group", group.details)
    }

    static func delete(_ request: Request, _ found: Found<EndpointGroup>) async throws(Fault) -> Reply {
        let id = try found.get().id
        try await request.change { transaction throws(Fault) in
            try transaction.delete(ProjectEndpointGroup.self, "endpoint_group_id = \(id)")
            try transaction.delete(EndpointGroup.self, "id = \(id)", or: missing(id))
        }
        return .empty
    }

    static func endpoints(_ request: Request, _ found: Found<EndpointGroup>) async throws(Fault) -> Reply {
        let group = try found.get()
        let endpoints = try await request.database.all(Endpoint.self, "1 = 1 ORDER BY id").filter(group.holds)
        return .list("endpoints", endpoints.map { $0.details }, page: try request.page())
    }

    // MARK: Wire

    private static func filters(_ body: inout Body) throws(Fault) -> JSONObject? {
        guard var filters = try body.takeObject("filters") else { return nil }
        var taken = JSONObject()
        if let interface = try filters.take("interface", .oneOf("admin", "internal", "public")) {
            taken["interface"] = .string(interface)
        }
        if let id = try filters.take("service_id", .text) { taken["service_id"] = .string(id) }
        if let id = try filters.patch("region_id", .text) { taken["region_id"] = id.map(JSON.string) ?? .null }
        guard filters.isEmpty else {
            throw .expecting("service_id or region_id or interface", in: "endpoint_group")
        }
        return taken
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("filters", filters)
        view.links("OS-EP-FILTER/endpoint_groups/\(id)")
    }
}
