// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Regions of the catalogue, which may lie within one another. Their ids are names that the operator gives.
struct Region: Record {
    static let table = "identity_regions"

    let id: String
    var description: String
    var parentRegionID: String?
    var extra: JSONObject
}

extension Region: Resource {
    static let routes: [Route] = [
        .get("/regions", "List regions", of: Anything.from, allow: .anyone("list_regions"), index),
        .post("/regions", "Create region", of: Anything.from, allow: .administrator("create_region"), create),
        .get("/regions/{region_id}", "Show region", of: found, allow: .anyone("get_region"), show),
        .put(
            "/regions/{region_id}", "Create region with id", of: Anything.from, allow: .administrator("create_region"),
            createNamed, status: 201),
        .patch("/regions/{region_id}", "Update region", of: found, allow: .administrator("update_region"), update),
        .delete("/regions/{region_id}", "Delete region", of: found, allow: .administrator("delete_region"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity regions
        CREATE TABLE identity_regions (
            id VARCHAR(255) NOT NULL PRIMARY KEY, description TEXT NOT NULL, parent_region_id VARCHAR(255),
            extra TEXT NOT NULL);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<Region> {
        let id = request["region_id"]
        let region = try await request.database.first(Region.self, "id = \(id)")
        return Found(region, or: .notFound("region", id), [:])
    }

    /// The region an endpoint's body names: in `region_id`, or in the older `region`, which makes it.
    static func named(_ body: inout Body) throws(Fault) -> (id: String?, isMade: Bool)? {
        let older = try body.patch("region", .text(1...255))
        if let id = try body.patch("region_id", .text(1...255)) { return (id, false) }
        return older.map { ($0, true) }
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.reference("parent_region_id"), .text("id")])
        let regions = try await request.database.all(Region.self, page.condition(condition, table: table))
        return .list("regions", regions.map { $0.details }, page: page, ids: regions.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try await create(request, id: nil)
    }

    static func createNamed(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        try await create(request, id: request["region_id"])
    }

    private static func create(_ request: Request, id pathID: String?) async throws(Fault) -> Reply {
        var body = try request.body("region")
        let bodyID = try body.option("id", .text(0...255))
        if let pathID, let bodyID, bodyID != pathID {
            throw .badRequest(
                "Conflicting region IDs specified: \"\(pathID)\" != \"\(bodyID)\"")
        }
        let asked = pathID ?? bodyID ?? ""
        let region = Region(
            id: asked.isEmpty ? request.ids.hex() : asked, description: try body.option("description", .text) ?? "",
            parentRegionID: try body.option("parent_region_id", .text(1...255)), extra: body.takeExtra())
        try await request.change { transaction throws(Fault) in
            try transaction.requireParent(of: region)
            try transaction.insert(region, or: .duplicate("region", "Duplicate ID, \(region.id)"))
        }
        return .object("region", region.details)
    }

    static func show(_ request: Request, _ found: Found<Region>) async throws(Fault) -> Reply {
        .object("region", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<Region>) async throws(Fault) -> Reply {
        let old = try found.get()
        var region = old
        var body = try request.body("region")
        try body.requireSame("id", as: old.id, or: "Cannot change region ID")
        if let description = try body.patch("description", .text) { region.description = description ?? "" }
        if let parent = try body.patch("parent_region_id", .text(1...255)) { region.parentRegionID = parent }
        region.extra = old.extra.merging(body.takeExtra())
        try await request.change { [region] transaction throws(Fault) in
            try transaction.requireParent(of: region)
            try transaction.replace(region, where: "id = \(region.id)", or: .notFound("region", region.id))
        }
        return .object("region", region.details)
    }

    static func delete(_ request: Request, _ found: Found<Region>) async throws(Fault) -> Reply {
        let region = try found.get()
        try await request.change { transaction throws(Fault) in
            var below = [region.id]
            var at = 0
            while at < below.count {
                below += try transaction.all(Region.self, "parent_region_id = \(below[at])").map(\.id)
                at += 1
            }
            guard try transaction.count(Endpoint.self, "region_id IN \(below)") == 0 else {
                throw .forbidden(
                    "Unable to delete region \(region.id) because it or its child regions have associated endpoints.")
            }
            try transaction.delete(PolicyAssociation.self, "region_id IN \(below)")
            // Limits on what is in the region stay, as upstream's do.
            try transaction.delete(Region.self, "id IN \(below)")
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("description", description)
        view.put("parent_region_id", parentRegionID)
        view.finish(extra, "regions/\(id)")
    }
}

extension Transaction {
    fileprivate func requireParent(of region: Region) throws(Fault) {
        var next = region.parentRegionID
        while let id = next {
            guard id != region.id else {
                throw .badRequest("Cannot create a circle of regions: \(region.id) would lie within itself.")
            }
            next = try one(Region.self, "id = \(id)", or: .notFound("region", id)).parentRegionID
        }
    }
}
