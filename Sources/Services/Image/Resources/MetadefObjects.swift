// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Properties of a namespace that belong together.
package struct MetadefObject: Record {
    package static let table = "image_metadef_objects"

    let namespaceID: String
    var name: String
    let position: Int64
    var description: String?
    var required: [String]
    var properties: JSON
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

extension MetadefObject: Resource {
    package static let routes: [Route] = [
        .get(
            "/metadefs/namespaces/{namespace}/objects", "List metadata objects", of: MetadefNamespace.find,
            allow: .rule("get_metadef_objects", ImageRules.metadefReader), index),
        .post(
            "/metadefs/namespaces/{namespace}/objects", "Create metadata object", of: MetadefNamespace.find,
            allow: .rule("add_metadef_object", ImageRules.metadefAdmin), create),
        .delete(
            "/metadefs/namespaces/{namespace}/objects", "Delete all metadata objects", of: MetadefNamespace.find,
            allow: .rule("delete_metadef_namespace", ImageRules.metadefAdmin), deleteAll),
        .get(
            "/metadefs/namespaces/{namespace}/objects/{object_name}", "Show metadata object",
            of: MetadefNamespace.find, allow: .rule("get_metadef_object", ImageRules.metadefReader), show),
        .put(
            "/metadefs/namespaces/{namespace}/objects/{object_name}", "Update metadata object",
            of: MetadefNamespace.find, allow: .rule("modify_metadef_object", ImageRules.metadefAdmin), update),
        .delete(
            "/metadefs/namespaces/{namespace}/objects/{object_name}", "Delete metadata object",
            of: MetadefNamespace.find, allow: .rule("delete_metadef_object", ImageRules.metadefAdmin), delete),
    ]
}

// MARK: - Handlers

extension MetadefObject {
    static func index(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let all = try await request.database.all(
            MetadefObject.self, "namespace_id = \(namespace.id) ORDER BY position, name")
        let seen = request.may("get_metadef_object", on: namespace) ? all : []
        return .list(
            "objects", seen.map { object in { object.details(&$0, in: namespace) } },
            extra: { $0.put("schema", "/v2/schemas/metadefs/objects") })
    }

    static func create(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let draft = try Draft(request)
        let object = draft.record(in: namespace.id, position: request.now.microseconds, request.now)
        try await request.database.transaction { transaction throws(Fault) in
            try object.insert(transaction, in: namespace)
        }
        return .bare { object.details(&$0, in: namespace) }
    }

    static func show(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let object = try await find(request, namespace)
        return .bare { object.details(&$0, in: namespace) }
    }

    static func update(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let draft = try Draft(request)
        let old = try await find(request, namespace)
        var object = draft.record(in: namespace.id, position: old.position, old.createdAt)
        object.updatedAt = request.now
        let row = object
        try await request.database.transaction { transaction throws(Fault) in
            if row.name != old.name,
                try transaction.count(
                    MetadefObject.self, "namespace_id = \(namespace.id) AND name = \(row.name)") > 0
            {
                throw .conflict(
                    "Invalid update. It would result in a duplicate metadata definition object with the same "
                        + "name=\(row.name) in namespace=\(namespace.namespace).")
            }
            try transaction.replace(
                row, where: "namespace_id = \(namespace.id) AND name = \(old.name)",
                or: .metadefNotFound("object", old.name, namespace))
        }
        return .bare { row.details(&$0, in: namespace) }
    }

    static func delete(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let object = try await find(request, namespace)
        guard !namespace.protected else {
            throw .forbidden("Metadata definition object \(object.name) is protected and cannot be deleted.")
        }
        try await request.database.delete(
            MetadefObject.self, "namespace_id = \(namespace.id) AND name = \(object.name)")
        return .empty
    }

    static func deleteAll(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        try namespace.requireUnprotected()
        try await request.database.delete(MetadefObject.self, "namespace_id = \(namespace.id)")
        return .empty
    }

    private static func find(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> MetadefObject {
        let name = request["object_name"]
        return try await request.database.one(
            MetadefObject.self, "namespace_id = \(namespace.id) AND name = \(name)",
            or: .metadefNotFound("object", name, namespace))
    }

    func insert(_ transaction: Transaction, in namespace: MetadefNamespace) throws(Fault) {
        try transaction.insert(
            self,
            or: .conflict(
                "A metadata definition object with name=\(name) already exists in namespace=\(namespace.namespace)."))
    }
}

// MARK: - Wire

extension MetadefObject {
    /// An object as asked for.
    struct Draft: Sendable {
        let name: String
        let description: String?
        let required: [String]
        let properties: JSONObject

        init(_ request: Request) throws(Fault) {
            var body = try MetadefBody(request, schema: "object", readOnly: MetadefContent.readOnly)
            try self.init(&body)
        }

        init(_ json: JSON, schema: String) throws(Fault) {
            var body = try MetadefBody(json, schema: schema)
            try self.init(&body)
        }

        private init(_ body: inout MetadefBody) throws(Fault) {
            name = try body.need("name", .text(0...80))
            description = try body.take("description", .text)
            required = try body.take("required", .list(.text)) ?? []
            properties = try MetadefDefinition.readAll(try body.takeMembers("properties") ?? JSONObject())
            try body.end()
        }

        func record(in namespaceID: String, position: Int64, _ now: Timestamp) -> MetadefObject {
            MetadefObject(
                namespaceID: namespaceID, name: name, position: position, description: description,
                required: required, properties: .object(properties), createdAt: now, updatedAt: now)
        }
    }

    func details(_ view: inout View, in namespace: MetadefNamespace) {
        view.put("name", name)
        if let description { view.put("description", description) }
        view.put("required", required)
        view.put("properties", properties)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("self", "\(namespace.path)/objects/\(name)")
        view.put("schema", "/v2/schemas/metadefs/object")
    }
}

extension Fault {
    static func metadefNotFound(_ noun: String, _ name: String, _ namespace: MetadefNamespace) -> Fault {
        .notFound(
            "The metadata definition \(noun) with name=\(name) was not found in namespace=\(namespace.namespace).")
    }
}
