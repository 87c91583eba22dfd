// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The definition of one property within a namespace.
package struct MetadefProperty: Record {
    package static let table = "image_metadef_properties"

    let namespaceID: String
    var name: String
    let position: Int64
    var definition: JSON
}

extension MetadefProperty: Resource {
    package static let routes: [Route] = [
        .get(
            "/metadefs/namespaces/{namespace}/properties", "List metadata properties", of: MetadefNamespace.find,
            allow: .rule("get_metadef_properties", ImageRules.metadefReader), index),
        .post(
            "/metadefs/namespaces/{namespace}/properties", "Create metadata property", of: MetadefNamespace.find,
            allow: .rule("add_metadef_property", ImageRules.metadefAdmin), create),
        .delete(
            "/metadefs/namespaces/{namespace}/properties", "Delete all metadata properties",
            of: MetadefNamespace.find, allow: .rule("delete_metadef_namespace", ImageRules.metadefAdmin), deleteAll),
        .get(
            "/metadefs/namespaces/{namespace}/properties/{property_name}", "Show metadata property",
            of: MetadefNamespace.find, allow: .rule("get_metadef_property", ImageRules.metadefReader), show),
        .put(
            "/metadefs/namespaces/{namespace}/properties/{property_name}", "Update metadata property",
            of: MetadefNamespace.find, allow: .rule("modify_metadef_property", ImageRules.metadefAdmin), update),
        .delete(
            "/metadefs/namespaces/{namespace}/properties/{property_name}", "Delete metadata property",
            of: MetadefNamespace.find, allow: .rule("remove_metadef_property", ImageRules.metadefAdmin), delete),
    ]
}

// MARK: - Handlers

extension MetadefProperty {
    static func index(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let all = try await request.database.all(
            MetadefProperty.self, "namespace_id = \(namespace.id) ORDER BY position, name")
        return .bare { put(all, &$0) }
    }

    static func create(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let draft = try read(request)
        let property = MetadefProperty(
            namespaceID: namespace.id, name: draft.name, position: request.now.microseconds,
            definition: draft.definition)
        try await request.database.transaction { transaction throws(Fault) in
            try property.insert(transaction, in: namespace)
        }
        return .bare(property.details)
    }

    /// With `resource_type` the name is the one that things of this type carry, its prefix included.
    static func show(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let asked = request["property_name"]
        var name = asked
        if let type = request.query("resource_type"), !type.isEmpty {
            try request.require("get_metadef_resource_type", on: namespace)
            let association = try await request.database.one(
                MetadefAssociation.self, "namespace_id = \(namespace.id) AND name = \(type)",
                or: .associationNotFound(type, namespace))
            let prefix = association.prefix ?? ""
            guard !prefix.isEmpty, asked.hasPrefix(prefix) else {
                throw .notFound(
                    "Property \(asked) does not start with the expected resource type association prefix of "
                        + "'\(association.prefix ?? "None")'.")
            }
            name = String(asked.dropFirst(prefix.count))
        }
        return .bare(try await find(name, request, namespace).details)
    }

    static func update(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let draft = try read(request)
        let old = try await find(request["property_name"], request, namespace)
        let row = MetadefProperty(
            namespaceID: namespace.id, name: draft.name, position: old.position, definition: draft.definition)
        try await request.database.transaction { transaction throws(Fault) in
            if row.name != old.name,
                try transaction.count(
                    MetadefProperty.self, "namespace_id = \(namespace.id) AND name = \(row.name)") > 0
            {
                throw .conflict(
                    "Invalid update. It would result in a duplicate metadata definition property with the same "
                        + "name=\(row.name) in namespace=\(namespace.namespace).")
            }
            try transaction.replace(
                row, where: "namespace_id = \(namespace.id) AND name = \(old.name)",
                or: .metadefNotFound("property", old.name, namespace))
        }
        return .bare(row.details)
    }

    static func delete(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        let property = try await find(request["property_name"], request, namespace)
        guard !namespace.protected else {
            throw .forbidden("Metadata definition property \(property.name) is protected and cannot be deleted.")
        }
        try await request.database.delete(
            MetadefProperty.self, "namespace_id = \(namespace.id) AND name = \(property.name)")
        return .empty
    }

    static func deleteAll(_ request: Request, _ namespace: MetadefNamespace) async throws(Fault) -> Reply {
        try namespace.requireUnprotected()
        try await request.database.delete(MetadefProperty.self, "namespace_id = \(namespace.id)")
        return .empty
    }

    private static func read(_ request: Request) throws(Fault) -> (name: String, definition: JSON) {
        var body = try MetadefBody(request, schema: "property")
        return try MetadefDefinition.read(&body, isNamed: true)
    }

    private static func find(
        _ name: String, _ request: Request, _ namespace: MetadefNamespace
    ) async throws(Fault) -> MetadefProperty {
        try await request.database.one(
            MetadefProperty.self, "namespace_id = \(namespace.id) AND name = \(name)",
            or: .metadefNotFound("property", name, namespace))
    }

    func insert(_ transaction: Transaction, in namespace: MetadefNamespace) throws(Fault) {
        try transaction.insert(
            self,
            or: .conflict(
                "A metadata definition property with name=\(name) already exists in "
                    + "namespace=\(namespace.namespace)."))
    }
}

// MARK: - Wire

extension MetadefProperty {
    func details(_ view: inout View) {
        view.put("name", name)
        for (member, value) in definition.object ?? JSONObject() { view.put(named: member, value) }
    }

    /// Definitions under their names.
    static func put(_ all: [MetadefProperty], _ view: inout View) {
        view.nest("properties") { view in
            for property in all { view.put(named: property.name, property.definition) }
        }
    }
}
