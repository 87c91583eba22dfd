// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Blocks of addresses under one name, for security group rules to point at.
package struct AddressGroup: SharedNoun {
    package static let table = "network_address_groups"
    package static let noun = "address_group"
    package static let plural = "address_groups"
    package static let collection = "address-groups"

    package let id: String, projectID: String
    var name: String
    package var description: String
    /// Blocks in their normal form.
    var addresses: [String]
    package var shared: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package typealias Extra = Nothing
}

extension AddressGroup: Resource {
    private static let get = NetworkRules.adminOrReader + " or rule:shared_address_groups"

    package static let routes: [Route] = [
        .get("/address-groups", "List address groups", of: OwnScope.from, allow: .anyone("list_address_groups"), index),
        .post(
            "/address-groups", "Create address groups", of: drafts,
            allow: .rule("create_address_group", NetworkRules.adminOrMember), create),
        .get("/address-groups/{id}", "Show address group", of: visible, allow: .rule("get_address_group", get), show),
        .put(
            "/address-groups/{id}", "Update address group", of: own,
            allow: .rule("update_address_group", NetworkRules.adminOrMember), update),
        .put(
            "/address-groups/{id}/add_addresses", "Add addresses to address group", of: own,
            allow: .rule("add_addresses", NetworkRules.adminOrMember), add),
        .put(
            "/address-groups/{id}/remove_addresses", "Remove addresses from address group", of: own,
            allow: .rule("remove_addresses", NetworkRules.adminOrMember), remove),
        .delete(
            "/address-groups/{id}", "Delete address group", of: own,
            allow: .rule("delete_address_group", NetworkRules.adminOrMember), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network address groups
        CREATE TABLE network_address_groups (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(1024) NOT NULL, addresses TEXT NOT NULL, shared INTEGER NOT NULL, tags TEXT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL)
        """
    ]

    package static let filters = Filter.standard([.text("name"), .lent("address_group")])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "AddressGroupNotFound", "Address group \(id) could not be found.")
    }
}

// MARK: - Handlers

extension AddressGroup {
    /// One's own; groups that one was let in to are there to be used, not to be changed.
    private static func own(_ request: Request) async throws(Fault) -> AddressGroup {
        let group = try await visible(request)
        guard request.seesAll || group.projectID == request.project else { throw notFound(group.id) }
        return group
    }

    private static func drafts(_ request: Request) async throws(Fault) -> Drafts<AddressGroup> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            AddressGroup(
                id: request.ids.uuid(), projectID: try body.takeProject(request),
                name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string(1024)) ?? "",
                addresses: try blocks(&body, .looseCIDR) ?? [], shared: false, tags: [], createdAt: request.now,
                updatedAt: request.now, revisionNumber: 0)
        }
    }

    /// The blocks in a body, each once. Only those that are added later may be bare addresses.
    private static func blocks(_ body: inout Body, _ format: Format<CIDR> = .block) throws(Fault) -> [String]? {
        guard let blocks = try body.option("addresses", .list(format)) else { return nil }
        var texts: [String] = []
        for text in blocks.map(\.description) where !texts.contains(text) { texts.append(text) }
        return texts
    }

    private static func create(_ request: Request, _ drafts: Drafts<AddressGroup>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for group in drafts.items {
                try transaction.insert(group)
                try transaction.touch(.addressGroup, group.id, request)
            }
        }
        return try await reply(request, made: drafts.items)
    }

    private static func update(_ request: Request, _ found: AddressGroup) async throws(Fault) -> Reply {
        let group = try await change(request, found.id) { transaction, group throws(Fault) in
            var body = try request.body("address_group")
            group.name = try body.take("name", .string()) ?? group.name
            group.description = try body.take("description", .string(1024)) ?? group.description
            if body.has("addresses") { throw .httpBadRequest("Cannot update read-only attribute addresses") }
            try body.end()
            try transaction.touch(.addressGroup, group.id, request)
        }
        return try await group.reply(request)
    }

    private static func asked(_ request: Request) throws(Fault) -> [String] {
        var body = try request.body()
        guard let blocks = try blocks(&body) else {
            throw .httpBadRequest("Failed to parse request. Required attribute 'addresses' not specified")
        }
        try body.end()
        return blocks
    }

    private static func add(_ request: Request, _ found: AddressGroup) async throws(Fault) -> Reply {
        let asked = try asked(request)
        let group = try await change(request, found.id) { transaction, group throws(Fault) in
            let held = asked.filter(group.addresses.contains)
            guard held.isEmpty else {
                throw .neutron(
                    400, "AddressesAlreadyExist",
                    "Addresses \(listed(held)) already exist in the address group \(group.id).")
            }
            group.addresses += asked
            try transaction.touch(.addressGroup, group.id, request)
        }
        return try await group.reply(request)
    }

    private static func remove(_ request: Request, _ found: AddressGroup) async throws(Fault) -> Reply {
        let asked = try asked(request)
        let group = try await change(request, found.id) { transaction, group throws(Fault) in
            let absent = asked.filter { !group.addresses.contains($0) }
            guard absent.isEmpty else {
                throw .neutron(
                    404, "AddressesNotFound",
                    "Addresses \(listed(absent)) not found in the address group \(group.id).")
            }
            group.addresses.removeAll { asked.contains($0) }
            try transaction.touch(.addressGroup, group.id, request)
        }
        return try await group.reply(request)
    }

    private static func listed(_ blocks: [String]) -> String {
        "[" + blocks.map { "'\($0)'" }.joined(separator: ", ") + "]"
    }

    private static func delete(_ request: Request, _ found: AddressGroup) async throws(Fault) -> Reply {
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let group = try transaction.one(AddressGroup.self, "id = \(found.id)", or: notFound(found.id))
            try group.checkConstraint(expected)
            guard try transaction.count(SecurityGroupRule.self, "remote_address_group_id = \(group.id)") == 0 else {
                throw .neutron(
                    409, "AddressGroupInUse",
                    "Address group \(group.id) is in use on one or more security group rules.")
            }
            try RBACPolicy.forget(transaction, "address_group", group.id)
            try transaction.delete(AddressGroup.self, "id = \(group.id)", or: notFound(group.id))
            try transaction.touch(.addressGroup, group.id, request)
        }
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("addresses", addresses)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}

extension Format where Value == CIDR {
    /// A block, or an address, which is a block of one.
    fileprivate static var block: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, let block = CIDR(loose: text) else {
                throw Misfit("'\(value.bare)' is not a valid IP subnet")
            }
            return block
        }
    }
}

// MARK: - Made real

extension TopologyKind {
    static let addressGroup = AddressGroupSpec.kind
}

extension AddressGroupSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [AddressGroupSpec] {
        try await reader.rows(AddressGroup.self, ids).map { group in
            AddressGroupSpec(
                id: group.id, generation: group.revisionNumber, name: group.name,
                addresses: group.addresses.compactMap { CIDR(loose: $0) })
        }
    }
}
