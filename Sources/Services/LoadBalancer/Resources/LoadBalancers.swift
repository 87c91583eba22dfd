// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A balancer: an address of a network, and what listens there. It may be edited at any time; what was written last is
/// what becomes real.
package struct LoadBalancer: Part {
    package static let table = "load_balancer_load_balancers"
    package static let noun = "loadbalancer"
    package static let plural = "loadbalancers"
    package static let title = "Load Balancer"
    package static let ruleName = "loadbalancer"
    package static let kin: Set<Forest.Kind> = [.listeners, .pools]

    package var id: String, projectID: String
    var name: String, description: String
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var vipAddress: String?, vipPortID: String?, vipSubnetID: String?, vipNetworkID: String?
    var vipQosPolicyID: String?, vipSGIDs: [String], vipVnicType: String
    var additionalVIPs: [AdditionalVIP]
    var provider: String, flavorID: String?, availabilityZone: String?
    /// Whether the address' port is ours to delete.
    var ownsPort: Bool
    /// Whether it is to be taken away.
    var isLeaving: Bool
    /// Counts what was written; `applied` is the one that its provider has made real.
    var generation: Int, applied: Int
    /// How often the provider failed in a row, and when it is asked again.
    var attempts: Int, retryAt: Timestamp
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp?

    package var loadBalancerID: String { id }
}

/// One more address of a balancer, on another subnet of the same network.
struct AdditionalVIP: Codable, Sendable, Hashable {
    var subnetID: String
    var address: String?
    var portID: String?
}

extension LoadBalancer: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/loadbalancers") { path in
        [
            .get(path, "List load balancers", of: OwnScope.from, allow: .listing, index),
            .post(
                path, "Create a load balancer", of: LoadBalancerDraft.from, allow: .write("loadbalancer:post"), create),
            .get(path + "/{id}", "Show load balancer details", of: found, allow: .read("loadbalancer:get_one"), show),
            .put(path + "/{id}", "Update a load balancer", of: found, allow: .write("loadbalancer:put"), update),
            .delete(path + "/{id}", "Remove a load balancer", of: found, allow: .write("loadbalancer:delete"), delete),
            .get(
                path + "/{id}/stats", "Get load balancer statistics", of: found, allow: .read("loadbalancer:get_stats"),
                stats),
            .get(
                path + "/{id}/status", "Get the load balancer status tree", of: found,
                allow: .read("loadbalancer:get_status"), status),
            .get(
                path + "/{id}/statuses", "Get the load balancer status tree, as older clients ask", of: found,
                allow: .read("loadbalancer:get_status"), status),
            .put(
                path + "/{id}/failover", "Failover a load balancer", of: found,
                allow: .operate("loadbalancer:put_failover"), failover, status: 202),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer load balancers
        CREATE TABLE load_balancer_load_balancers (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, provisioning_status VARCHAR(16) NOT NULL,
            operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL, vip_address VARCHAR(64),
            vip_port_id VARCHAR(36), vip_subnet_id VARCHAR(36), vip_network_id VARCHAR(36),
            vip_qos_policy_id VARCHAR(36), vip_sgids TEXT NOT NULL, vip_vnic_type VARCHAR(64) NOT NULL,
            additional_vips TEXT NOT NULL, provider VARCHAR(64) NOT NULL, flavor_id VARCHAR(36),
            availability_zone VARCHAR(255), owns_port INTEGER NOT NULL, is_leaving INTEGER NOT NULL,
            generation BIGINT NOT NULL, applied BIGINT NOT NULL, attempts INTEGER NOT NULL, retry_at BIGINT NOT NULL,
            tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT);
        CREATE INDEX load_balancer_load_balancers_by_project ON load_balancer_load_balancers (project_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("name"), .text("description"), .text("vip_address"), .text("vip_port_id"), .text("vip_subnet_id"),
        .text("vip_network_id"), .text("vip_qos_policy_id"), .text("provider"), .text("flavor_id"),
        .text("availability_zone"), .truth("admin_state_up", "enabled"), .truth("enabled"),
    ])
}

// MARK: - Handlers

extension LoadBalancer {
    static func create(_ request: Request, _ draft: LoadBalancerDraft) async throws(Fault) -> Reply {
        let room = request.balancing
        let made = try await draft.resolve(request)
        let id = made.balancer.id
        // Whoever makes balancers real leaves this one to us until its port is there; if we die, not for long.
        let claimed = request.now + .seconds(30)
        try await request.database.transaction { transaction throws(Fault) in
            try Quotas.require(LoadBalancer.self, made.balancer.projectID, transaction, request)
            try made.balancer.insert(transaction)
            try made.graph.insert(transaction, made.balancer, request)
            try transaction.update(LoadBalancer.self, set: "retry_at = \(claimed)", where: "id = \(id)")
        }
        do throws(Fault) {
            try await VIPPort(room).ensure(id, requestID: request.id)
        } catch {
            // What may pass is tried again behind the client's back. A refusal of Network's leaves nothing.
            guard error.status >= 500 else {
                try await request.database.transaction { transaction throws(Fault) in try erase(transaction, id) }
                throw error
            }
        }
        try await request.database.update(LoadBalancer.self, set: "retry_at = 0", where: "id = \(id)")
        room.dirty.signal()
        return try await fullReply(request, id)
    }

    private static func fullReply(_ request: Request, _ id: String) async throws(Fault) -> Reply {
        let row = try await request.database.one(LoadBalancer.self, "id = \(id)", or: notFound(id))
        let forest = try await Forest(request.database, of: [id])
        return .object(noun) { row.writeFull(&$0, forest) }
    }

    static func update(_ request: Request, _ found: LoadBalancer) async throws(Fault) -> Reply {
        let draft = try await LoadBalancerChange(request, found)
        try await change(request, found.id) { _, row throws(Fault) in
            draft.apply(&row)
            return Touched()
        }
        if draft.concernsPort, let port = found.vipPortID { try await VIPPort(request.balancing).update(port, request) }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: LoadBalancer) async throws(Fault) -> Reply {
        let cascades = try request.flag("cascade") ?? false
        let id = found.id
        try await request.database.transaction { transaction throws(Fault) in
            let row = try transaction.one(LoadBalancer.self, "id = \(id)", or: notFound(id))
            guard !row.isLeaving else { return }
            let forest = try Forest(transaction, of: id).staying
            guard cascades || (forest.listeners.isEmpty && forest.pools.isEmpty) else {
                throw .validation("Cannot delete Load Balancer \(id) - it has children")
            }
            try transaction.update(
                LoadBalancer.self,
                set: """
                    provisioning_status = \(ProvisioningStatus.pendingDelete), is_leaving = 1, attempts = 0, \
                    retry_at = 0, generation = generation + 1, updated_at = \(request.now)
                    """, where: "id = \(id)")
            let dirty = request.balancing.dirty
            transaction.afterCommit { dirty.signal() }
        }
        return .empty
    }

    /// Makes the balancer anew from what is written.
    static func failover(_ request: Request, _ found: LoadBalancer) async throws(Fault) -> Reply {
        let abilities = request.balancing.providers.abilities(found.provider)
        guard abilities.fails else {
            throw .unsupported(found.provider, "\(abilities.title) does not support loadbalancer failover")
        }
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.touch(found.id, Touched(), request)
            try transaction.update(LoadBalancer.self, set: "applied = -1", where: "id = \(found.id)")
        }
        return .empty
    }

    static func stats(_ request: Request, _ found: LoadBalancer) async throws(Fault) -> Reply {
        let all = try await request.database.all(ListenerStatistics.self, "load_balancer_id = \(found.id)")
        let sum = all.reduce(Figures()) { $0 + $1.total }
        return .object("stats") { sum.write(&$0) }
    }

    /// Takes a balancer and all that hangs below it out of the tables.
    static func erase(_ transaction: Transaction, _ id: String) throws(Fault) {
        let mine: SQL = "load_balancer_id = \(id)"
        for table in [
            L7Rule.table, L7Policy.table, HealthMonitor.table, Member.table, Pool.table, Listener.table,
        ] {
            try transaction.execute(
                "DELETE FROM load_balancer_tags WHERE part_id IN (SELECT id FROM \(raw: table) WHERE \(sql: mine))")
            try transaction.execute("DELETE FROM \(raw: table) WHERE \(sql: mine)")
        }
        try transaction.delete(ListenerStatistics.self, mine)
        try transaction.delete(PartTag.self, "part_id = \(id)")
        try transaction.delete(LoadBalancer.self, "id = \(id)")
    }
}

// MARK: - Wire

extension LoadBalancer {
    package func write(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.links("listeners", forest.listeners(of: self).map(\.id))
        view.links("pools", forest.pools(of: self).map(\.id))
    }

    /// With everything below it spelled out, as a creation answers.
    func writeFull(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.list("listeners", forest.listeners(of: self)) { $1.writeFull(&$0, forest) }
        view.list("pools", forest.pools(of: self)) { $1.writeFull(&$0, forest) }
    }

    private func writeOwn(_ view: inout View) {
        writeStanding(&view)
        view.put("name", name)
        view.put("description", description)
        view.put("admin_state_up", enabled)
        view.put("vip_address", vipAddress)
        view.put("vip_port_id", vipPortID)
        view.put("vip_subnet_id", vipSubnetID)
        view.put("vip_network_id", vipNetworkID)
        view.put("vip_sg_ids", vipSGIDs)
        view.put("vip_qos_policy_id", vipQosPolicyID)
        view.put("vip_vnic_type", vipVnicType)
        view.list("additional_vips", additionalVIPs) {
            $0.put("subnet_id", $1.subnetID)
            $0.put("ip_address", $1.address)
            $0.put("port_id", $1.portID)
        }
        view.put("provider", provider)
        view.put("flavor_id", flavorID)
        view.put("availability_zone", availabilityZone)
    }
}
