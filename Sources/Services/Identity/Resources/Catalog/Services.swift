// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A service in the catalogue.
struct CatalogService: Record {
    static let table = "identity_services"

    let id: String
    var type: String
    var name: String
    var description: String?
    var enabled: Bool
    var extra: JSONObject
}

extension CatalogService: Resource {
    static let routes: [Route] = [
        .get("/services", "List services", of: Anything.from, allow: .inspector("list_services"), index),
        .post("/services", "Create service", of: Anything.from, allow: .administrator("create_service"), create),
        .get("/services/{service_id}", "Show service", of: found, allow: .inspector("get_service"), show),
        .patch("/services/{service_id}", "Update service", of: found, allow: .administrator("update_service"), update),
        .delete(
            "/services/{service_id}", "Delete service", of: found, allow: .administrator("delete_service"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity services
        CREATE TABLE identity_services (
            id VARCHAR(64) NOT NULL PRIMARY KEY, type VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description TEXT, enabled INTEGER NOT NULL, extra TEXT NOT NULL);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<CatalogService> {
        let id = request["service_id"]
        let service = try await request.database.first(CatalogService.self, "id = \(id)")
        return Found(service, or: .notFound("service", id), [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("type"), .text("name"), .flag("enabled"), .reference("id")])
        let services = try await request.database.all(CatalogService.self, page.condition(condition, table: table))
        return .list("services", services.map { $0.details }, page: page, ids: services.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("service")
        let service = CatalogService(
            id: request.ids.hex(), type: try body.need("type", .text(1...255)),
            name: try body.option("name", .text(0...255)) ?? "", description: try body.option("description", .text),
            enabled: try body.take("enabled", .bool) ?? true, extra: body.takeExtra())
        try await request.change { transaction throws(Fault) in try transaction.insert(service) }
        return .object("service", service.details)
    }

    static func show(_ request: Request, _ found: Found<CatalogService>) async throws(Fault) -> Reply {
        .object("service", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<CatalogService>) async throws(Fault) -> Reply {
        let old = try found.get()
        var service = old
        var body = try request.body("service")
        try body.requireSame("id", as: old.id, or: "Cannot change service ID")
        service.type = try body.take("type", .text(1...255)) ?? old.type
        service.name = try body.option("name", .text(0...255)) ?? old.name
        if let description = try body.patch("description", .text) { service.description = description }
        service.enabled = try body.take("enabled", .bool) ?? old.enabled
        service.extra = old.extra.merging(body.takeExtra())
        try await request.change { [service] transaction throws(Fault) in
            try transaction.replace(service, where: "id = \(service.id)", or: .notFound("service", service.id))
        }
        return .object("service", service.details)
    }

    static func delete(_ request: Request, _ found: Found<CatalogService>) async throws(Fault) -> Reply {
        let service = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.removeEndpoints("service_id = \(service.id)")
            try transaction.delete(PolicyAssociation.self, "service_id = \(service.id)")
            // Limits on what the service has stay, as upstream's do.
            try transaction.delete(CatalogService.self, "id = \(service.id)", or: .notFound("service", service.id))
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("type", type)
        view.put("name", name)
        if let description { view.put("description", description) }
        view.put("enabled", enabled)
        view.finish(extra, "services/\(id)")
    }
}
