// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A tag that a namespace proposes for things.
package struct MetadefTag: Record {
    package static let table = "image_metadef_tags"

    let namespaceID: String
    var name: String
    let position: Int64
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

extension MetadefTag: Resource {
    package static let routes: [Route] = [
        .get(
            "/metadefs/namespaces/{namespace}/tags", "List metadata tags", of: MetadefNamespace.find,
            allow: .rule("get_metadef_tags", ImageRules.metadefReader), index),
        .post(
            "/metadefs/namespaces/{namespace}/tags", "Create metadata tags", of: MetadefNamespace.find,
            allow: .rule("add_metadef_tags", ImageRules.metadefAdmin), createAll),
        .delete(
            "/metadefs/namespaces/{namespace}/tags", "Delete all metadata tags", of: MetadefNamespace.find,
            allow: .rule("delete_metadef_tags", ImageRules.metadefAdmin), deleteAll),
        .get(
            "/metadefs/namespaces/{namespace}/tags/{tag_name}", "Show metadata tag", of: MetadefNamespace.find,
            allow: .rule("get_metadef_tag", ImageRules.metadefReader), show),
        .post(
            "/metadefs/namespaces/{namespace}/tags/{tag_name}", "Create metadata tag", of: MetadefNamespace.find,
            allow: .rule("add_metadef_tag", ImageRules.metadefAdmin), create),
        .put(
            "/metadefs/namespaces/{namespace}/tags/{tag_name}", "Update metadata tag", of: MetadefNamespace.find,
            allow: .rule("modify_metadef_tag", ImageRules.metadefAdmin), update),
        .delete(
            "/metadefs/namespaces/{namespace}/tags/{tag_name}", "Delete metadata tag", of: MetadefNamespace.find,
            allow: .rule("delete_metadef_tag", ImageRules.metadefAdmin), delete),
    ]
}

// MARK: - Handlers

extension MetadefTag {
    private static let sortable: [SortKey] = [
        .number("created_at", column: "position", mayBeNull: false), .number("updated_at", mayBeNull: false),
        .text("name", mayBeNull: false),
    ]

    static func index(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let page = try request.page(sortable: sortable, defaults: ["-created_at"])
        if let marker = page.marker { _ = try await find(marker, request, namespace) }
        // The marker is a name within this namespace, whose id is our own.
        let tags = try await request.database.all(
            MetadefTag.self,
            page.condition(
                "namespace_id = \(namespace.id)", table: table, id: "namespace_id = '\(namespace.id)' AND name"))
        return .list("tags", tags.map { tag in { $0.put("name", tag.name) } })
    }

    static func createAll(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        var body = try MetadefBody(request, schema: "tags")
        let names = try body.takeItems("tags").mapping { item throws(Fault) in
            var tag = try MetadefBody(item, schema: "tags")
            let name = try tag.need("name", .text(0...80))
            try tag.end()
            return name
        }
        try body.end()
        let appends = request.header("X-Openstack-Append").flatMap(Format<Bool>.truth) ?? false
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            if names.isEmpty { return }
            if !appends { try transaction.delete(MetadefTag.self, "namespace_id = \(namespace.id)") }
            for (at, name) in names.enumerated() {
                try MetadefTag(
                    namespaceID: namespace.id, name: name, position: now.microseconds + Int64(at), createdAt: now,
                    updatedAt: now
                ).insert(transaction, in: namespace)
            }
        }
        return .list("tags", names.map { name in { $0.put("name", name) } })
    }

    static func create(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let name = request["tag_name"]
        guard name.unicodeScalars.count <= 80 else { throw .badObject("tag", "'\(name)' is too long") }
        let tag = MetadefTag(
            namespaceID: namespace.id, name: name, position: request.now.microseconds, createdAt: request.now,
            updatedAt: request.now)
        try await request.database.transaction { transaction throws(Fault) in
            try tag.insert(transaction, in: namespace)
        }
        return .bare(tag.details)
    }

    static func show(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        .bare(try await find(request["tag_name"], request, namespace).details)
    }

    static func update(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        var body = try MetadefBody(request, schema: "tag")
        let name = try body.need("name", .text(0...80))
        try body.end()
        var tag = try await find(request["tag_name"], request, namespace)
        let old = tag.name
        tag.name = name
        tag.updatedAt = request.now
        let row = tag
        try await request.database.transaction { transaction throws(Fault) in
            if name != old,
                try transaction.count(MetadefTag.self, "namespace_id = \(namespace.id) AND name = \(name)") > 0
            {
                throw .tagExists(name, namespace)
            }
            try transaction.replace(
                row, where: "namespace_id = \(namespace.id) AND name = \(old)",
                or: .metadefNotFound("tag", old, namespace))
        }
        return .bare(row.details)
    }

    static func delete(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let tag = try await find(request["tag_name"], request, namespace)
        guard !namespace.protected else {
            throw .forbidden("Metadata definition tag \(tag.name) is protected and cannot be deleted.")
        }
        try await request.database.delete(
            MetadefTag.self, "namespace_id = \(namespace.id) AND name = \(tag.name)")
        return .empty
    }

    static func deleteAll(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        try request.require("delete_metadef_namespace", on: namespace)
        try namespace.requireUnprotected()
        try await request.database.delete(MetadefTag.self, "namespace_id = \(namespace.id)")
        return .empty
    }

    private static func find(
        _ name: String, _ request: Request, _ namespace: MetadefNamespace
    ) async throws(Fault) -> MetadefTag {
        try await request.database.one(
            MetadefTag.self, "namespace_id = \(namespace.id) AND name = \(name)",
            or: .metadefNotFound("tag", name, namespace))
    }

    func insert(_ transaction: Transaction, in namespace: MetadefNamespace) throws(Fault) {
        try transaction.insert(self, or: .tagExists(name, namespace))
    }
}

// MARK: - Wire

extension MetadefTag {
    func details(_ view: inout View) {
        view.put("name", name)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
    }
}

extension Fault {
    fileprivate static func tagExists(_ name: String, _ namespace: MetadefNamespace) -> Fault {
        .conflict(
            "A metadata tag with name=\(name) already exists in namespace=\(namespace.namespace). (Please note that "
                + "metadata tag names are case insensitive).")
    }
}
