// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Prefixes that come to a subnet pool and go, and subnets that join one with theirs.
package enum SubnetPoolPrefixes: Resource {
    package static let routes: [Route] = [
        .put(
            "/subnetpools/{id}/add_prefixes", "Add prefixes to subnet pool", of: SubnetPool.visible,
            allow: .rule("add_prefixes", NetworkRules.adminOrMember), add),
        .put(
            "/subnetpools/{id}/remove_prefixes", "Remove prefixes from subnet pool", of: SubnetPool.visible,
            allow: .rule("remove_prefixes", NetworkRules.adminOrMember), remove),
        .put(
            "/subnetpools/{id}/onboard_network_subnets", "Take a network's subnets into subnet pool",
            of: SubnetPool.visible, allow: .rule("onboard_network_subnets", NetworkRules.adminOrMember), onboard),
    ]

    private static func asked(_ request: Request) throws(Fault) -> [CIDR] {
        var body = try request.body()
        let prefixes = try body.need("prefixes", Format<[CIDR]>.list(.looseCIDR))
        try body.end()
        return prefixes
    }

    private static func reply(_ pool: SubnetPool) -> Reply {
        .bare { $0.put("prefixes", pool.prefixes.map(\.description)) }
    }

    private static func add(_ request: Request, _ found: SubnetPool) async throws(Fault) -> Reply {
        let more = try asked(request)
        guard !more.isEmpty else { return reply(found) }
        let pool = try await SubnetPool.change(request, found.id) { transaction, pool throws(Fault) in
            try pool.grow(by: more, transaction, request)
        }
        return reply(pool)
    }

    private static func remove(_ request: Request, _ found: SubnetPool) async throws(Fault) -> Reply {
        let fewer = try asked(request)
        guard found.prefixes.contains(where: { prefix in fewer.contains { $0.overlaps(prefix) } }) else {
            return reply(found)
        }
        let pool = try await SubnetPool.change(request, found.id) { transaction, pool throws(Fault) in
            let cut = try transaction.all(Subnet.self, "subnetpool_id = \(pool.id)").map(\.cidr)
            guard !cut.contains(where: { block in fewer.contains { $0.overlaps(block) } }) else {
                throw .neutron(
                    400, "IllegalSubnetPoolPrefixUpdate",
                    "Illegal update to prefixes: One or more the prefixes to be removed is in use by a subnet.")
            }
            var left = pool.prefixes
            for block in fewer { left = left.flatMap { $0.subtracting(block) } }
            pool.prefixes = CIDR.joined(left)
        }
        return reply(pool)
    }

    private static func onboard(_ request: Request, _ found: SubnetPool) async throws(Fault) -> Reply {
        var body = try request.body()
        guard let networkID = try body.option("network_id", .id) else {
            throw .invalidInput("network_id must be specified.")
        }
        try body.end()
        let network = try await request.database.one(
            Network.self, "id = \(networkID) AND (\(sql: request.scope(Network.self)))",
            or: Network.notFound(networkID))
        guard network.projectID == request.project || request.seesAll else {
            throw .neutron(403, "NotAuthorized", "Not authorized.")
        }
        let (id, version) = (found.id, found.ipVersion)
        let subnets = try await request.database.transaction { transaction throws(Fault) in
            var pool = try transaction.one(SubnetPool.self, "id = \(id)", or: SubnetPool.notFound(id))
            let subnets = try transaction.all(
                Subnet.self, "network_id = \(networkID) AND ip_version = \(version) ORDER BY created_at, id")
            let taken = try transaction.all(Subnet.self, "subnetpool_id = \(id)").map(\.cidr)
            for subnet in subnets where taken.contains(where: { $0.overlaps(subnet.cidr) }) {
                throw .badResource(
                    "subnetpool",
                    "Illegal subnetpool update : Onboarding subnet \(subnet.id): \(subnet.cidr) conflicts with "
                        + "allocated prefixes in subnet pool \(id)")
            }
            try pool.grow(by: subnets.map(\.cidr), transaction, request)
            pool.revisionNumber += 1
            pool.updatedAt = request.now
            try transaction.replace(pool, where: "id = \(id)", or: SubnetPool.notFound(id))
            for var subnet in subnets {
                subnet.subnetpoolID = id
                subnet.revisionNumber += 1
                subnet.updatedAt = request.now
                try transaction.replace(subnet, where: "id = \(subnet.id)", or: Subnet.notFound(subnet.id))
            }
            return subnets
        }
        return .json(
            .array(subnets.map { ["id": .string($0.id), "cidr": .string($0.cidr.description)] }))
    }
}

extension SubnetPool {
    fileprivate mutating func grow(
        by more: [CIDR], _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        guard more.allSatisfy({ $0.version.rawValue == ipVersion }) else {
            throw .neutron(400, "PrefixVersionMismatch", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
        }
        prefixes = CIDR.joined(prefixes + more)
        try checkScope(transaction, request)
    }
}
