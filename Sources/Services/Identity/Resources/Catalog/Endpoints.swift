// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Where a service answers, to whom and in which region.
struct Endpoint: Record {
    static let table = "identity_endpoints"

    let id: String
    var interface: String
    var regionID: String?
    var serviceID: String
    var url: String
    var enabled: Bool
    var extra: JSONObject
}

extension Endpoint: Resource {
    static let routes: [Route] = [
        .get("/endpoints", "List endpoints", of: Anything.from, allow: .inspector("list_endpoints"), index),
        .post("/endpoints", "Create endpoint", of: Anything.from, allow: .administrator("create_endpoint"), create),
        .get("/endpoints/{endpoint_id}", "Show endpoint", of: found, allow: .inspector("get_endpoint"), show),
        .patch(
            "/endpoints/{endpoint_id}", "Update endpoint", of: found, allow: .administrator("update_endpoint"), update),
        .delete(
            "/endpoints/{endpoint_id}", "Delete endpoint", of: found, allow: .administrator("delete_endpoint"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity endpoints
        CREATE TABLE identity_endpoints (
            id VARCHAR(64) NOT NULL PRIMARY KEY, interface VARCHAR(8) NOT NULL, region_id VARCHAR(255),
            service_id VARCHAR(64) NOT NULL, url TEXT NOT NULL, enabled INTEGER NOT NULL, extra TEXT NOT NULL);
        CREATE INDEX identity_endpoints_service ON identity_endpoints (service_id);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<Endpoint> {
        let id = request["endpoint_id"]
        let endpoint = try await request.database.first(Endpoint.self, "id = \(id)")
        return Found(endpoint, or: .notFound("endpoint", id), [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([
            .text("interface"), .reference("service_id"), .reference("region_id"),
            .reference("region", column: "region_id"), .flag("enabled"), .reference("id"),
        ])
        let endpoints = try await request.database.all(Endpoint.self, page.condition(condition, table: table))
        return .list("endpoints", endpoints.map { $0.details }, page: page, ids: endpoints.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("endpoint")
        let region = try Region.named(&body)
        let endpoint = Endpoint(
            id: request.ids.hex(), interface: try body.need("interface", .oneOf("admin", "internal", "public")),
            regionID: region?.id ?? nil, serviceID: try body.need("service_id", .id), url: try body.need("url", .url),
            enabled: try body.take("enabled", .bool) ?? true, extra: body.takeExtra())
        try await request.change { transaction throws(Fault) in
            try transaction.check(endpoint, makesRegion: region?.isMade ?? false)
            try transaction.insert(endpoint)
        }
        return .object("endpoint", endpoint.details)
    }

    static func show(_ request: Request, _ found: Found<Endpoint>) async throws(Fault) -> Reply {
        .object("endpoint", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<Endpoint>) async throws(Fault) -> Reply {
        let old = try found.get()
        var endpoint = old
        var body = try request.body("endpoint")
        try body.requireSame("id", as: old.id, or: "Cannot change endpoint ID")
        let region = try Region.named(&body)
        if let region { endpoint.regionID = region.id }
        endpoint.interface = try body.take("interface", .oneOf("admin", "internal", "public")) ?? old.interface
        endpoint.serviceID = try body.take("service_id", .id) ?? old.serviceID
        endpoint.url = try body.take("url", .url) ?? old.url
        endpoint.enabled = try body.take("enabled", .bool) ?? old.enabled
        endpoint.extra = old.extra.merging(body.takeExtra())
        try await request.change { [endpoint] transaction throws(Fault) in
            try transaction.check(endpoint, makesRegion: region?.isMade ?? false)
            try transaction.replace(endpoint, where: "id = \(endpoint.id)", or: .notFound("endpoint", endpoint.id))
        }
        return .object("endpoint", endpoint.details)
    }

    static func delete(_ request: Request, _ found: Found<Endpoint>) async throws(Fault) -> Reply {
        let endpoint = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.removeEndpoints("id = \(endpoint.id)")
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("interface", interface)
        view.put("region_id", regionID)
        view.put("service_id", serviceID)
        view.put("url", url)
        view.put("enabled", enabled)
        view.put("region", regionID)
        view.finish(extra, "endpoints/\(id)")
    }
}

extension Transaction {
    /// Service and region must be there; a region named in the older way is made when it is not.
    fileprivate func check(_ endpoint: Endpoint, makesRegion: Bool) throws(Fault) {
        guard EndpointURL(endpoint.url) != nil else {
            throw .badRequest("Cannot create an endpoint with an invalid URL: \(endpoint.url).")
        }
        guard try count(CatalogService.self, "id = \(endpoint.serviceID)") > 0 else {
            throw .expecting("endpoint service_id", in: "service table")
        }
        guard let regionID = endpoint.regionID, try count(Region.self, "id = \(regionID)") == 0 else { return }
        guard makesRegion else { throw .expecting("endpoint region_id", in: "region table") }
        try insert(Region(id: regionID, description: "", parentRegionID: nil, extra: [:]))
    }
}

extension Format where Value == String {
    /// `^[a-zA-Z0-9+.-]+:.+`, up to 225 characters.
    fileprivate static var url: Format {
        text(1...225).map { text throws(Misfit) in
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let isScheme = parts[0].utf8.allSatisfy {
                (48...57).contains($0) || (97...122).contains($0 | 32) || $0 == 43 || $0 == 45 || $0 == 46
            }
            guard parts.count == 2, !parts[0].isEmpty, isScheme, !parts[1].isEmpty else {
                throw Misfit("'\(text)' does not match '^[a-zA-Z0-9+.-]+:.+'")
            }
            return text
        }
    }
}
