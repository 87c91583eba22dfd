// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Prefixes that subnets are cut from, so that those of one address scope never overlap.
package struct SubnetPool: SharedNoun {
    package static let table = "network_subnetpools"
    package static let noun = "subnetpool"
    package static let plural = "subnetpools"

    package let id: String, projectID: String
    var name: String
    package var description: String
    let ipVersion: Int
    var prefixes: [CIDR]
    var prefixDefault: Int
    var prefixMin: Int
    var prefixMax: Int
    var addressScopeID: String?
    package var shared: Bool
    var isDefault: Bool
    var quotaDefault: Int?
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package typealias Extra = Nothing
}

extension SubnetPool: Resource {
    private static let get = NetworkRules.adminOrReader + " or rule:shared_subnetpools"

    package static let routes: [Route] =
        [
            .get(
                "/subnetpools", "List subnet pools", of: OwnScope.from,
                allow: .anyone("list_subnetpools"), index),
            .post(
                "/subnetpools", "Create subnet pools", of: drafts,
                allow: .rule("create_subnetpool", NetworkRules.adminOrMember), create),
            .get("/subnetpools/{id}", "Show subnet pool", of: visible, allow: .rule("get_subnetpool", get), show),
            .put(
                "/subnetpools/{id}", "Update subnet pool", of: changeable,
                allow: .rule("update_subnetpool", NetworkRules.adminOrMember), update),
            .delete(
                "/subnetpools/{id}", "Delete subnet pool", of: visible,
                allow: .rule("delete_subnetpool", NetworkRules.adminOrMember), delete),
        ] + tagRoutes(read: get, write: NetworkRules.adminOrMember)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network subnetpools
        CREATE TABLE network_subnetpools (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, ip_version INTEGER NOT NULL, prefixes TEXT NOT NULL,
            prefix_default INTEGER NOT NULL, prefix_min INTEGER NOT NULL, prefix_max INTEGER NOT NULL,
            address_scope_id VARCHAR(36), shared INTEGER NOT NULL, is_default INTEGER NOT NULL,
            quota_default INTEGER, tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL)
        """
    ]

    package static let filters = Filter.standard([
        .text("name"), .number("ip_version"), .number("default_prefixlen", "prefix_default"),
        .number("min_prefixlen", "prefix_min"), .number("max_prefixlen", "prefix_max"), .text("address_scope_id"),
        .lent("subnetpool"), .truth("is_default"), .number("default_quota", "quota_default"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "SubnetPoolNotFound", "Subnet pool \(id) could not be found.")
    }
}

// MARK: - Handlers

extension SubnetPool {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<SubnetPool> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in
            let project = try body.takeProject(request)
            let owned = OwnedTarget(projectID: project)
            let prefixes = try body.need("prefixes", Format<[CIDR]>.list(.looseCIDR))
            guard let version = prefixes.first?.version else {
                throw .neutron(400, "EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.")
            }
            let low = try body.take("min_prefixlen", .whole(0...128)) ?? (version == .v4 ? 8 : 64)
            let high = try body.take("max_prefixlen", .whole(0...128)) ?? version.bits
            let pool = SubnetPool(
                id: request.ids.uuid(), projectID: project, name: try body.need("name", .string()),
                description: try body.take("description", .string()) ?? "", ipVersion: version.rawValue,
                prefixes: CIDR.joined(prefixes),
                prefixDefault: try body.take("default_prefixlen", .whole(0...128)) ?? low,
                prefixMin: low, prefixMax: high, addressScopeID: try body.option("address_scope_id", .id),
                shared: try body.take(
                    "shared", .truth, usually: false, rule: "create_subnetpool:shared", on: owned),
                isDefault: try body.take(
                    "is_default", .truth, usually: false, rule: "create_subnetpool:is_default", on: owned),
                quotaDefault: try body.option("default_quota", .whole(0...Int(Int32.max))),
                tags: try body.takeTags(), createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
            try pool.check()
            return pool
        }
    }

    /// What can never be changed is refused before anything is looked up.
    static func changeable(_ request: Request) async throws(Fault) -> SubnetPool {
        if request.json?[noun]?["shared"] != nil {
            throw .httpBadRequest("Cannot update read-only attribute shared")
        }
        return try await visible(request)
    }

    static func create(_ request: Request, _ drafts: Drafts<SubnetPool>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for pool in drafts.items {
                try Quotas.require(
                    "subnetpool", SubnetPool.self, project: pool.projectID, transaction, request.network.options)
                try pool.checkDefault(transaction)
                try pool.checkScope(transaction, request, isNew: true)
                try transaction.insert(pool)
                if pool.shared {
                    try RBACPolicy.open(
                        transaction, "subnetpool", pool.id, "access_as_shared", project: pool.projectID, request)
                }
                if !pool.tags.isEmpty { try Tag.set(transaction, pool.id, pool.tags) }
            }
        }
        return try await reply(request, made: drafts.items)
    }

    static func update(_ request: Request, _ found: SubnetPool) async throws(Fault) -> Reply {
        let pool = try await change(request, found.id) { transaction, pool throws(Fault) in
            var body = try request.body("subnetpool")
            pool.name = try body.take("name", .string()) ?? pool.name
            pool.description = try body.take("description", .string()) ?? pool.description
            if let prefixes = try body.take("prefixes", Format<[CIDR]>.list(.looseCIDR)) {
                let more = CIDR.joined(prefixes)
                guard pool.prefixes.allSatisfy({ old in more.contains { $0.contains(old) } }) else {
                    throw .neutron(
                        400, "IllegalSubnetPoolPrefixUpdate",
                        "Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes.")
                }
                pool.prefixes = more
            }
            pool.prefixMin = try body.take("min_prefixlen", .whole(0...128)) ?? pool.prefixMin
            pool.prefixMax = try body.take("max_prefixlen", .whole(0...128)) ?? pool.prefixMax
            pool.prefixDefault = try body.take("default_prefixlen", .whole(0...128)) ?? pool.prefixDefault
            if let quota = try body.patch("default_quota", .whole(0...Int(Int32.max))) { pool.quotaDefault = quota }
            if let scope = try body.patch("address_scope_id", .id) { pool.addressScopeID = scope }
            pool.isDefault =
                try body.take("is_default", .truth, rule: "update_subnetpool:is_default", on: pool) ?? pool.isDefault
            try body.end()
            try pool.checkBounds()
            try pool.checkDefault(transaction)
            try pool.checkScope(transaction, request)
        }
        return try await pool.reply(request)
    }

    static func delete(_ request: Request, _ found: SubnetPool) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(Subnet.self, "subnetpool_id = \(found.id)") == 0 else {
                throw .neutron(
                    400, "SubnetPoolDeleteError",
                    "Unable to delete subnet pool: Subnet pool has existing allocations.")
            }
            try RBACPolicy.forget(transaction, "subnetpool", found.id)
            try Tag.set(transaction, found.id, [])
            try transaction.delete(SubnetPool.self, "id = \(found.id)", or: notFound(found.id))
        }
        return .empty
    }

    private func check() throws(Fault) {
        guard Set(prefixes.map(\.version)).count == 1 else {
            throw .neutron(400, "PrefixVersionMismatch", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
        }
        try checkBounds()
    }

    private func checkBounds() throws(Fault) {
        func refuse(_ kind: String, _ length: Int, _ base: String, _ other: Int) -> Fault {
            .neutron(
                400, "IllegalSubnetPoolPrefixBounds",
                "Illegal prefix bounds: \(kind)=\(length), \(base)=\(other).")
        }
        if prefixMin > prefixMax { throw refuse("min_prefixlen", prefixMin, "max_prefixlen", prefixMax) }
        if prefixDefault < prefixMin { throw refuse("default_prefixlen", prefixDefault, "min_prefixlen", prefixMin) }
        if prefixDefault > prefixMax { throw refuse("default_prefixlen", prefixDefault, "max_prefixlen", prefixMax) }
    }

    /// Within an address scope no two pools hold the same address.
    func checkScope(
        _ transaction: Transaction, _ request: Request, isNew: Bool = false
    ) throws(Fault) {
        guard let scopeID = addressScopeID else { return }
        let visible: SQL = request.seesAll ? "1 = 1" : AddressScope.scope(request.project)
        let scope = try transaction.one(
            AddressScope.self, "id = \(scopeID) AND (\(sql: visible))", or: AddressScope.notFound(scopeID))
        // One that was let in may join the scope; what is in it later is for its owner to change.
        guard isNew || scope.projectID == request.project || request.seesAll else {
            throw .neutron(
                400, "IllegalSubnetPoolAssociationToAddressScope",
                "Illegal subnetpool association: subnetpool \(id) cannot be associated with address scope \(scopeID).")
        }
        guard scope.ipVersion == ipVersion else {
            throw .neutron(
                400, "IllegalSubnetPoolIpVersionAssociationToAddressScope",
                "Illegal subnetpool association: subnetpool \(id) cannot associate with address scope \(scopeID) "
                    + "because subnetpool ip_version is not \(scope.ipVersion).")
        }
        let others = try transaction.all(SubnetPool.self, "address_scope_id = \(scopeID) AND id <> \(id)")
        for other in others.flatMap(\.prefixes) where prefixes.contains(where: { $0.overlaps(other) }) {
            throw .neutron(
                409, "AddressScopePrefixConflict",
                "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.")
        }
    }

    private func checkDefault(_ transaction: Transaction) throws(Fault) {
        guard isDefault else { return }
        let others = try transaction.count(
            SubnetPool.self, "is_default = 1 AND ip_version = \(ipVersion) AND id <> \(id)")
        guard others == 0 else {
            throw .invalidInput(
                "A default subnetpool for this IP family has already been set. Only one default may exist per IP family"
            )
        }
    }
}

// MARK: - Cutting subnets

extension SubnetPool {
    /// The pool a subnet is to be cut from, if any.
    static func find(
        _ request: Request, _ id: String?, useDefault: Bool, version: Int
    ) async throws(Fault) -> String? {
        if let id {
            guard !useDefault else {
                throw .badResource("subnets", "subnetpool_id and use_default_subnetpool cannot both be specified")
            }
            let pool = try await request.database.one(
                SubnetPool.self, "id = \(id) AND (\(sql: request.scope(SubnetPool.self)))", or: notFound(id))
            guard pool.ipVersion == version else {
                throw .badResource(
                    "subnets", "Cannot allocate IPv\(version) subnet from IPv\(pool.ipVersion) subnet pool")
            }
            return pool.id
        }
        guard useDefault else { return nil }
        return try await request.database.one(
            SubnetPool.self, "is_default = 1 AND ip_version = \(version)",
            or: .badResource("subnets", "No default subnetpool found for IPv\(version)")
        ).id
    }

    /// The block of a new subnet: the one asked for, or the first free one of its pool.
    static func block(_ transaction: Transaction, _ draft: Subnet.Draft) throws(Fault) -> CIDR {
        guard let poolID = draft.subnetpoolID else {
            guard let cidr = draft.cidr else {
                throw .badResource("subnets", "a subnetpool must be specified in the absence of a cidr")
            }
            return cidr
        }
        let pool = try transaction.one(SubnetPool.self, "id = \(poolID)", or: notFound(poolID))
        let taken = try transaction.all(Subnet.self, "subnetpool_id = \(poolID)").map(\.cidr)
        let length = draft.cidr?.prefix ?? draft.prefix ?? pool.prefixDefault
        guard length >= pool.prefixMin else {
            throw .neutron(
                400, "MinPrefixSubnetAllocationError",
                "Unable to allocate subnet with prefix length \(length), minimum allowed prefix is \(pool.prefixMin).")
        }
        guard length <= pool.prefixMax else {
            throw .neutron(
                400, "MaxPrefixSubnetAllocationError",
                "Unable to allocate subnet with prefix length \(length), maximum allowed prefix is \(pool.prefixMax).")
        }
        if let cidr = draft.cidr {
            guard pool.prefixes.contains(where: { $0.contains(cidr) }), !taken.contains(where: { $0.overlaps(cidr) })
            else {
                throw .neutron(
                    500, "SubnetAllocationError",
                    "Failed to allocate subnet: Cannot allocate requested subnet from the available set of prefixes.")
            }
            return cidr
        }
        for prefix in pool.prefixes {
            for block in prefix.subnets(prefix: length) where !taken.contains(where: { $0.overlaps(block) }) {
                return block
            }
        }
        throw .neutron(
            500, "SubnetAllocationError",
            "Failed to allocate subnet: Insufficient prefix space to allocate subnet size /\(length).")
    }

    /// The address scope of each pool that has one.
    static func scopes(_ database: Database, _ ids: [String]) async throws(Fault) -> [String: String] {
        guard !ids.isEmpty else { return [:] }
        var scopes: [String: String] = [:]
        for pool in try await database.all(SubnetPool.self, "id", in: Array(Set(ids))) {
            scopes[pool.id] = pool.addressScopeID
        }
        return scopes
    }
}

// MARK: - Wire

extension SubnetPool {
    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("ip_version", ipVersion)
        view.put("prefixes", prefixes.map(\.description))
        view.put("default_prefixlen", String(prefixDefault))
        view.put("min_prefixlen", String(prefixMin))
        view.put("max_prefixlen", String(prefixMax))
        view.put("default_quota", quotaDefault)
        view.put("address_scope_id", addressScopeID)
        view.put("shared", shared)
        view.put("is_default", isDefault)
        writeStandard(&view)
    }
}
