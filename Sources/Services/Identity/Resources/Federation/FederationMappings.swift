// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Rules that turn what an identity provider says about somebody into a user, groups and projects here.
struct FederationMapping: Record {
    static let table = "identity_federation_mappings"

    let id: String
    var rules: JSON
    var schemaVersion: String
}

extension FederationMapping: Resource {
    static let routes: [Route] = [
        .get(path, "List mappings", of: Anything.from, allow: .inspector("list_mappings"), index),
        .put(
            path + "/{mapping_id}", "Create mapping", of: Anything.from, allow: .administrator("create_mapping"),
            create, status: 201),
        .get(path + "/{mapping_id}", "Show mapping", of: found, allow: .inspector("get_mapping"), show),
        .patch(path + "/{mapping_id}", "Update mapping", of: found, allow: .administrator("update_mapping"), update),
        .delete(path + "/{mapping_id}", "Delete mapping", of: found, allow: .administrator("delete_mapping"), delete),
    ]

    static let path = "/OS-FEDERATION/mappings"

    static let migrations: [Migration] = [
        """
        2026-11-21 identity federation mappings
        CREATE TABLE identity_federation_mappings (
            id VARCHAR(64) NOT NULL PRIMARY KEY, rules TEXT NOT NULL, schema_version VARCHAR(5) NOT NULL);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<FederationMapping> {
        let id = request["mapping_id"]
        let mapping = try await request.database.first(FederationMapping.self, "id = \(id)")
        return Found(mapping, or: .noMapping(id), [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let mappings = try await request.database.all(
            FederationMapping.self, page.condition("", table: table))
        return .list("mappings", mappings.map { $0.details }, page: page, ids: mappings.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let mapping = try asked(request, id: try request.federationID("mapping_id"))
        try await request.change { transaction throws(Fault) in
            try transaction.insert(mapping, or: .duplicate("mapping", "Duplicate entry"))
        }
        return .object("mapping", mapping.details)
    }

    static func show(_ request: Request, _ found: Found<FederationMapping>) async throws(Fault) -> Reply {
        .object("mapping", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<FederationMapping>) async throws(Fault) -> Reply {
        let mapping = try asked(request, id: try found.get().id)
        try await request.change { transaction throws(Fault) in
            try transaction.replace(mapping, where: "id = \(mapping.id)", or: .noMapping(mapping.id))
        }
        return .object("mapping", mapping.details)
    }

    static func delete(_ request: Request, _ found: Found<FederationMapping>) async throws(Fault) -> Reply {
        let id = try found.get().id
        try await request.change { transaction throws(Fault) in
            try transaction.delete(FederationMapping.self, "id = \(id)", or: .noMapping(id))
        }
        return .empty
    }

    /// The mapping that a request holds; one without a schema's version gets the cloud's.
    private static func asked(_ request: Request, id: String) throws(Fault) -> FederationMapping {
        var document = request.json?["mapping"]?.object ?? [:]
        if document["schema_version"]?.string?.isEmpty ?? (document["schema_version"]?.isNull != false) {
            document["schema_version"] = .string(request.identity.options.federation.mappingSchemaVersion)
        }
        let version = try MappingSchema.require(.object(document))
        return FederationMapping(id: id, rules: document["rules"] ?? [], schemaVersion: version)
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("rules", rules)
        view.put("schema_version", schemaVersion)
        view.links("OS-FEDERATION/mappings/" + Percent.encode(id))
    }
}

extension Fault {
    static func noMapping(_ id: String) -> Fault { .notFound("mapping", id) }
}
