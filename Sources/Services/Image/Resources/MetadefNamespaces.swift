// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A namespace of metadata definitions: what properties of images, flavors and volumes mean, for people who set them.
package struct MetadefNamespace: Record {
    package static let table = "image_metadef_namespaces"

    let id: String
    /// Grows with every namespace; orders those of one moment.
    let position: Int64
    var namespace: String
    var displayName: String?
    var description: String?
    var visibility: String
    var protected: Bool
    var owner: String?
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

extension MetadefNamespace: Resource {
    package static let routes: [Route] = [
        .get(
            "/metadefs/namespaces", "List metadata namespaces", of: OwnScope.from,
            allow: .rule("get_metadef_namespaces", ImageRules.reader), index),
        .post(
            "/metadefs/namespaces", "Create metadata namespace", of: Anything.from,
            allow: .rule("add_metadef_namespace", ImageRules.metadefAdmin), create),
        .get(
            "/metadefs/namespaces/{namespace}", "Show metadata namespace", of: find,
            allow: .rule("get_metadef_namespace", ImageRules.metadefReader), show),
        .put(
            "/metadefs/namespaces/{namespace}", "Update metadata namespace", of: find,
            allow: .rule("modify_metadef_namespace", ImageRules.metadefAdmin), update),
        .delete(
            "/metadefs/namespaces/{namespace}", "Delete metadata namespace", of: find,
            allow: .rule("delete_metadef_namespace", ImageRules.metadefAdmin), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 image metadata definitions
        CREATE TABLE image_metadef_namespaces (
            id VARCHAR(36) PRIMARY KEY, position BIGINT NOT NULL, namespace VARCHAR(80) NOT NULL UNIQUE,
            display_name VARCHAR(80), description TEXT, visibility VARCHAR(32) NOT NULL, protected INTEGER NOT NULL,
            owner VARCHAR(255), created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL);
        CREATE INDEX image_metadef_namespaces_position ON image_metadef_namespaces (position);
        CREATE TABLE image_metadef_objects (
            namespace_id VARCHAR(36) NOT NULL, name VARCHAR(80) NOT NULL, position BIGINT NOT NULL, description TEXT,
            required TEXT NOT NULL, properties TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            PRIMARY KEY (namespace_id, name));
        CREATE TABLE image_metadef_properties (
            namespace_id VARCHAR(36) NOT NULL, name VARCHAR(80) NOT NULL, position BIGINT NOT NULL,
            definition TEXT NOT NULL, PRIMARY KEY (namespace_id, name));
        CREATE TABLE image_metadef_tags (
            namespace_id VARCHAR(36) NOT NULL, name VARCHAR(80) NOT NULL, position BIGINT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, PRIMARY KEY (namespace_id, name));
        CREATE TABLE image_metadef_resource_types (
            name VARCHAR(80) PRIMARY KEY, protected INTEGER NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL);
        CREATE TABLE image_metadef_associations (
            namespace_id VARCHAR(36) NOT NULL, name VARCHAR(80) NOT NULL, position BIGINT NOT NULL,
            prefix VARCHAR(80), properties_target VARCHAR(80), created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            PRIMARY KEY (namespace_id, name));
        CREATE INDEX image_metadef_associations_name ON image_metadef_associations (name)
        """
    ]
}

// MARK: - Target

extension MetadefNamespace: PolicyTarget {
    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id", "owner": owner.map(JSON.string)
        case "visibility": .string(visibility)
        case "namespace": .string(namespace)
        default: nil
        }
    }

    /// The namespace of the path; 404 when it is not there for the caller.
    static func find(_ request: Request) async throws(Fault) -> MetadefNamespace {
        let name = request["namespace"]
        let found = try await request.database.first(
            MetadefNamespace.self, "namespace = \(name)\(sql: visible(request))")
        guard let found, request.may("get_metadef_namespace", on: found) else { throw .namespaceNotFound(name) }
        return found
    }

    /// What follows a condition, so that a caller finds what it may know of.
    private static func visible(_ request: Request) -> SQL {
        if request.may("context_is_admin", on: Anything()) { return "" }
        return " AND (visibility = 'public' OR owner IS NULL OR owner = \(request.caller.projectID ?? ""))"
    }
}

// MARK: - Handlers

extension MetadefNamespace {
    private static let sortable: [SortKey] = [
        .number("created_at", column: "position", mayBeNull: false), .number("updated_at", mayBeNull: false),
        .text("display_name"), .text("visibility"), .text("owner"), .number("protected"), .text("id"),
        .text("namespace", mayBeNull: false),
    ]

    static func index(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        try request.require("list_metadef_resource_types", on: scope)
        let options = request.image.options
        let page = try request.page(
            sortable: sortable, defaults: ["-created_at"],
            maximum: request.query("limit") == nil ? options.defaultLimit : options.maxLimit)
        if let marker = page.marker {
            _ = try await request.database.one(
                MetadefNamespace.self, "namespace = \(marker)\(sql: visible(request))",
                or: .namespaceNotFound(marker))
        }
        var condition: SQL = "1 = 1\(sql: visible(request))"
        if let visibility = request.query("visibility"), !visibility.isEmpty {
            guard visibility == "public" || visibility == "private" else {
                throw .badRequest("Invalid visibility value: \(visibility)")
            }
            condition += " AND visibility = \(visibility)"
        }
        if let types = request.query("resource_types") {
            let names = types.split(separator: ",").map(String.init)
            condition += " AND id IN (SELECT namespace_id FROM image_metadef_associations WHERE name IN \(names))"
        }
        let found = try await request.database.all(
            MetadefNamespace.self, page.condition(condition, table: table, id: "namespace"))
        let seen = found.filter { request.may("get_metadef_namespace", on: $0) }
        let associations = try await request.database.all(
            MetadefAssociation.self, "namespace_id IN \(seen.map(\.id)) ORDER BY position, name")
        let byNamespace = Dictionary(grouping: associations, by: \.namespaceID)
        return .list(
            "namespaces",
            seen.map { namespace in
                { view in
                    namespace.details(&view)
                    MetadefAssociation.put(byNamespace[namespace.id] ?? [], &view)
                }
            }, page: page, ids: found.map(\.namespace),
            extra: { $0.put("schema", "/v2/schemas/metadefs/namespaces") })
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let content = try MetadefContent(request)
        if !content.associations.isEmpty {
            try request.require("add_metadef_resource_type_association", on: Anything())
        }
        if !content.objects.isEmpty { try request.require("add_metadef_object", on: Anything()) }
        if !content.properties.isEmpty { try request.require("add_metadef_property", on: Anything()) }
        if !content.tags.isEmpty { try request.require("add_metadef_tag", on: Anything()) }
        try await request.database.transaction { transaction throws(Fault) in try content.insert(transaction) }
        return Reply.bare(content.write).header("Location", content.namespace.path)
    }

    static func show(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        for rule in [
            "list_metadef_resource_types", "get_metadef_objects", "get_metadef_properties", "get_metadef_tags",
        ] {
            try request.require(rule, on: OwnScope(request))
        }
        var content = try await MetadefContent(namespace, request.database)
        if let type = request.query("resource_type"), !type.isEmpty { content.prefix(for: type) }
        let whole = content
        return .bare(whole.write)
    }

    static func update(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        var body = try MetadefBody(request, schema: "namespace", readOnly: MetadefContent.readOnly)
        let name = try body.need("namespace", .text(0...80))
        let displayName = try body.take("display_name", .text(0...80))
        let description = try body.take("description", .text(0...500))
        let visibility = try body.take("visibility", .oneOf("public", "private")) ?? "private"
        let protected = try body.take("protected", .bool) ?? false
        let owner = try body.take("owner", .text(0...255)) ?? request.caller.projectID
        _ = try MetadefContent.Parts(&body)
        try body.end()
        var changed = namespace
        changed.namespace = name
        changed.displayName = displayName
        changed.description = description
        changed.visibility = visibility
        changed.protected = protected
        changed.owner = owner
        changed.updatedAt = request.now
        let row = changed
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(MetadefNamespace.self, "namespace = \(name) AND id <> \(row.id)") == 0 else {
                throw .conflict(
                    "Invalid update. It would result in a duplicate metadata definition namespace with the same name "
                        + "of \(name)")
            }
            try transaction.replace(row, where: "id = \(row.id)", or: .namespaceNotFound(namespace.namespace))
        }
        return .bare(row.details)
    }

    static func delete(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        try namespace.requireUnprotected()
        try await request.database.transaction { transaction throws(Fault) in
            try namespace.erase(transaction)
        }
        return .empty
    }
}

extension MetadefNamespace {
    /// Removes it and all that it holds.
    func erase(_ transaction: Transaction) throws(Fault) {
        try transaction.delete(MetadefObject.self, "namespace_id = \(id)")
        try transaction.delete(MetadefProperty.self, "namespace_id = \(id)")
        try transaction.delete(MetadefTag.self, "namespace_id = \(id)")
        try transaction.delete(MetadefAssociation.self, "namespace_id = \(id)")
        try transaction.delete(MetadefNamespace.self, "id = \(id)")
    }

    func requireUnprotected() throws(Fault) {
        guard !protected else {
            throw .forbidden("Metadata definition namespace \(namespace) is protected and cannot be deleted.")
        }
    }
}

// MARK: - Wire

extension MetadefNamespace {
    var path: String { "/v2/metadefs/namespaces/\(namespace)" }

    func details(_ view: inout View) {
        view.put("namespace", namespace)
        if let displayName { view.put("display_name", displayName) }
        if let description { view.put("description", description) }
        view.put("visibility", visibility)
        view.put("protected", protected)
        if let owner { view.put("owner", owner) }
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("self", path)
        view.put("schema", "/v2/schemas/metadefs/namespace")
    }
}

extension Fault {
    static func namespaceNotFound(_ name: String) -> Fault {
        .notFound("Metadata definition namespace=\(name) was not found.")
    }
}
