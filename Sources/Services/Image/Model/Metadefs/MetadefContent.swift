// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A namespace with all that it holds: as clients create and read it whole, and as catalogue files keep it.
struct MetadefContent: Sendable {
    static let readOnly = ["self", "schema", "created_at", "updated_at"]

    var namespace: MetadefNamespace
    var objects: [MetadefObject] = []
    var properties: [MetadefProperty] = []
    var tags: [MetadefTag] = []
    var associations: [MetadefAssociation] = []

    /// The members of a namespace that hold other things, read but not yet in a namespace.
    struct Parts: Sendable {
        let associations: [(name: String, prefix: String?, target: String?)]
        let properties: JSONObject
        let objects: [MetadefObject.Draft]
        let tags: [String]

        init(_ body: inout MetadefBody) throws(Fault) {
            associations = try body.takeItems("resource_type_associations").mapping { item throws(Fault) in
                try MetadefAssociation.read(item, schema: "namespace")
            }
            properties = try MetadefDefinition.readAll(try body.takeMembers("properties") ?? JSONObject())
            objects = try body.takeItems("objects").mapping { item throws(Fault) in
                try MetadefObject.Draft(item, schema: "namespace")
            }
            tags = try body.takeItems("tags").mapping { item throws(Fault) in
                var tag = try MetadefBody(item, schema: "namespace")
                let name = try tag.need("name", .text(0...80))
                try tag.end()
                return name
            }
        }
    }

    /// As asked for by `POST /metadefs/namespaces`.
    init(_ request: Request) throws(Fault) {
        var body = try MetadefBody(request, schema: "namespace", readOnly: MetadefContent.readOnly)
        try self.init(&body, owner: request.caller.projectID, id: request.ids.uuid(), now: request.now)
    }

    init(_ body: inout MetadefBody, owner: String?, id: String, now: Timestamp) throws(Fault) {
        namespace = MetadefNamespace(
            id: id, position: now.microseconds, namespace: try body.need("namespace", .text(0...80)),
            displayName: try body.take("display_name", .text(0...80)),
            description: try body.take("description", .text(0...500)),
            visibility: try body.take("visibility", .oneOf("public", "private")) ?? "private",
            protected: try body.take("protected", .bool) ?? false,
            owner: try body.take("owner", .text(0...255)) ?? owner, createdAt: now, updatedAt: now)
        let parts = try Parts(&body)
        try body.end()
        take(parts, now)
    }

    private mutating func take(_ parts: Parts, _ now: Timestamp) {
        let (id, start) = (namespace.id, now.microseconds)
        associations = parts.associations.enumerated().map { at, part in
            MetadefAssociation(
                namespaceID: id, name: part.name, position: start + Int64(at), prefix: part.prefix,
                propertiesTarget: part.target, createdAt: now, updatedAt: now)
        }
        properties = parts.properties.enumerated().map { at, part in
            MetadefProperty(namespaceID: id, name: part.key, position: start + Int64(at), definition: part.value)
        }
        objects = parts.objects.enumerated().map { at, draft in
            draft.record(in: id, position: start + Int64(at), now)
        }
        tags = parts.tags.enumerated().map { at, name in
            MetadefTag(namespaceID: id, name: name, position: start + Int64(at), createdAt: now, updatedAt: now)
        }
    }

    /// As it is in the database.
    init(_ namespace: MetadefNamespace, _ database: Database) async throws(Fault) {
        self.namespace = namespace
        let condition: SQL = "namespace_id = \(namespace.id) ORDER BY position, name"
        objects = try await database.all(MetadefObject.self, condition)
        properties = try await database.all(MetadefProperty.self, condition)
        tags = try await database.all(
            MetadefTag.self, "namespace_id = \(namespace.id) ORDER BY position DESC, name DESC")
        associations = try await database.all(MetadefAssociation.self, condition)
    }

    func insert(_ transaction: Transaction) throws(Fault) {
        try transaction.insert(
            namespace,
            or: .conflict("The metadata definition namespace=\(namespace.namespace) already exists."))
        for association in associations { try association.insert(transaction, in: namespace) }
        for object in objects { try object.insert(transaction, in: namespace) }
        for tag in tags { try tag.insert(transaction, in: namespace) }
        for property in properties { try property.insert(transaction, in: namespace) }
    }

    /// Gives properties the names under which things of a type carry them.
    mutating func prefix(for type: String) {
        guard let prefix = associations.first(where: { $0.name == type })?.prefix, !prefix.isEmpty else { return }
        for at in properties.indices { properties[at].name = prefix + properties[at].name }
        for at in objects.indices {
            objects[at].required = objects[at].required.map { prefix + $0 }
            var renamed = JSONObject()
            for (name, value) in objects[at].properties.object ?? JSONObject() { renamed[prefix + name] = value }
            objects[at].properties = .object(renamed)
        }
    }

    func write(_ view: inout View) {
        namespace.details(&view)
        if !objects.isEmpty { view.list("objects", objects) { $1.details(&$0, in: namespace) } }
        MetadefAssociation.put(associations, &view)
        if !properties.isEmpty { MetadefProperty.put(properties, &view) }
        if !tags.isEmpty { view.list("tags", tags) { $0.put("name", $1.name) } }
    }
}
