// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A type of things that definitions may apply to, named as Heat names it: `OS::Nova::Flavor`.
package struct MetadefResourceType: Record {
    package static let table = "image_metadef_resource_types"

    let name: String
    /// Types of the catalogue, which come with the service.
    var protected: Bool
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

/// A namespace's definitions applied to a type, under names with a prefix.
package struct MetadefAssociation: Record {
    package static let table = "image_metadef_associations"

    let namespaceID: String
    let name: String
    let position: Int64
    var prefix: String?
    var propertiesTarget: String?
    let createdAt: Timestamp
    var updatedAt: Timestamp
}

extension MetadefResourceType: Resource {
    package static let routes: [Route] = [
        .get(
            "/metadefs/resource_types", "List metadata resource types", of: OwnScope.from,
            allow: .rule("list_metadef_resource_types", ImageRules.metadefReader), index),
        .get(
            "/metadefs/namespaces/{namespace}/resource_types", "List resource types of a namespace",
            of: MetadefNamespace.find, allow: .rule("list_metadef_resource_types", ImageRules.metadefReader),
            associations),
        .post(
            "/metadefs/namespaces/{namespace}/resource_types", "Associate resource type with a namespace",
            of: MetadefNamespace.find,
            allow: .rule("add_metadef_resource_type_association", ImageRules.metadefAdmin), create),
        .delete(
            "/metadefs/namespaces/{namespace}/resource_types/{resource_type}", "Dissociate resource type",
            of: MetadefNamespace.find,
            allow: .rule("remove_metadef_resource_type_association", ImageRules.metadefAdmin), delete),
    ]
}

// MARK: - Handlers

extension MetadefResourceType {
    static func index(_ request: Request, _: OwnScope) async throws(Fault) -> Reply {
        let types = try await request.database.all(MetadefResourceType.self, "1 = 1 ORDER BY created_at, name")
        return .list(
            "resource_types",
            types.map { type in
                { view in
                    view.put("name", type.name)
                    view.put("created_at", type.createdAt)
                    view.put("updated_at", type.updatedAt)
                }
            })
    }

    static func associations(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let all = try await request.database.all(
            MetadefAssociation.self, "namespace_id = \(namespace.id) ORDER BY position, name")
        let seen = request.may("get_metadef_resource_type", on: namespace) ? all : []
        return .list("resource_type_associations", seen.map { $0.details })
    }

    static func create(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        guard let json = request.json else { throw .badRequest("Body expected in request.") }
        for name in ["created_at", "updated_at"] where json[name] != nil {
            throw .forbidden("Attribute '\(name)' is read-only.")
        }
        let asked = try MetadefAssociation.read(json, schema: "resource_type_association")
        let association = MetadefAssociation(
            namespaceID: namespace.id, name: asked.name, position: request.now.microseconds, prefix: asked.prefix,
            propertiesTarget: asked.target, createdAt: request.now, updatedAt: request.now)
        try await request.database.transaction { transaction throws(Fault) in
            try association.insert(transaction, in: namespace)
        }
        return .bare(association.details)
    }

    static func delete(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let name = request["resource_type"]
        let condition: SQL = "namespace_id = \(namespace.id) AND name = \(name)"
        let missing = Fault.notFound("Failed to find resource type \(name) to delete")
        _ = try await request.database.one(MetadefAssociation.self, condition, or: missing)
        guard !namespace.protected else {
            throw .forbidden(
                "Metadata definition resource-type-association \(name) is protected and cannot be deleted.")
        }
        try await request.database.delete(MetadefAssociation.self, condition, or: missing)
        return .empty
    }
}

extension MetadefAssociation {
    static func read(
        _ json: JSON, schema: String
    ) throws(Fault) -> (name: String, prefix: String?, target: String?) {
        var body = try MetadefBody(json, schema: schema)
        let name = try body.need("name", .text(0...80))
        let prefix = try body.take("prefix", .text(0...80))
        let target = try body.take("properties_target", .text(0...80))
        try body.end()
        return (name, prefix, target)
    }

    /// Writes the association, and its type when it is the first of it.
    func insert(_ transaction: Transaction, in namespace: MetadefNamespace, isSeeded: Bool = false) throws(Fault) {
        if try transaction.count(MetadefResourceType.self, "name = \(name)") == 0 {
            try transaction.insert(
                MetadefResourceType(name: name, protected: isSeeded, createdAt: createdAt, updatedAt: updatedAt),
                or: .conflict("A metadata definition resource-type with name=\(name) already exists."))
        }
        try transaction.insert(
            self,
            or: .conflict(
                "The metadata definition resource-type association of resource-type=\(name) to "
                    + "namespace=\(namespace.namespace) already exists."))
    }

    func details(_ view: inout View) {
        view.put("name", name)
        if let prefix { view.put("prefix", prefix) }
        if let propertiesTarget { view.put("properties_target", propertiesTarget) }
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
    }

    static func put(_ all: [MetadefAssociation], _ view: inout View) {
        if !all.isEmpty { view.list("resource_type_associations", all) { $1.details(&$0) } }
    }
}

extension Fault {
    static func associationNotFound(_ type: String, _ namespace: MetadefNamespace) -> Fault {
        .notFound(
            "The metadata definition resource-type association of resource-type=\(type) to "
                + "namespace=\(namespace.namespace), was not found.")
    }
}
