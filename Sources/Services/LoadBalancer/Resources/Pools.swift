// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Members that answer alike, and how what comes in is spread over them.
package struct Pool: Part {
    package static let table = "load_balancer_pools"
    package static let noun = "pool"
    package static let plural = "pools"
    package static let title = "Pool"
    package static let ruleName = "pool"
    package static let kin: Set<Forest.Kind> = [.listeners, .policies, .members, .monitors]

    package var id: String, projectID: String, loadBalancerID: String
    var name: String, description: String
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var `protocol`: PoolProtocol, lbAlgorithm: BalancingAlgorithm
    var sessionPersistence: SessionPersistence?
    var tlsContainerRef: String?, caTLSContainerRef: String?, crlContainerRef: String?
    var tlsEnabled: Bool, tlsCiphers: String?, tlsVersions: [String]?, alpnProtocols: [String]?
    package var tags: [String]
    package var createdAt: Timestamp
    package var updatedAt: Timestamp?
}

/// What keeps a client at the member it was first sent to.
package struct SessionPersistence: Codable, Sendable, Hashable {
    package var type: PersistenceKind
    package var cookieName: String?
    package var timeout: Int?
    package var granularity: String?

    package init(type: PersistenceKind, cookieName: String? = nil, timeout: Int? = nil, granularity: String? = nil) {
        self.type = type
        self.cookieName = cookieName
        self.timeout = timeout
        self.granularity = granularity
    }
}

extension Pool: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/pools") { path in
        [
            .get(path, "List pools", of: OwnScope.from, allow: .listing, index),
            .post(path, "Create a pool", of: PoolDraft.drafted, allow: .write("pool:post"), create),
            .get(path + "/{id}", "Show pool details", of: found, allow: .read("pool:get_one"), show),
            .put(path + "/{id}", "Update a pool", of: found, allow: .write("pool:put"), update),
            .delete(path + "/{id}", "Remove a pool", of: found, allow: .write("pool:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer pools
        CREATE TABLE load_balancer_pools (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, load_balancer_id VARCHAR(36) NOT NULL,
            name VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL, provisioning_status VARCHAR(16) NOT NULL,
            operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL, protocol VARCHAR(16) NOT NULL,
            lb_algorithm VARCHAR(255) NOT NULL, session_persistence TEXT, tls_container_ref VARCHAR(255),
            ca_tls_container_ref VARCHAR(255), crl_container_ref VARCHAR(255), tls_enabled INTEGER NOT NULL,
            tls_ciphers TEXT, tls_versions TEXT, alpn_protocols TEXT, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT);
        CREATE INDEX load_balancer_pools_by_balancer ON load_balancer_pools (load_balancer_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("name"), .text("description"), .text("protocol"), .text("lb_algorithm"),
        .text("loadbalancer_id", "load_balancer_id"), .text("load_balancer_id"), .truth("tls_enabled"),
        .text("tls_ciphers"), .truth("admin_state_up", "enabled"), .truth("enabled"),
    ])
}

// MARK: - Handlers

extension Pool {
    static func create(_ request: Request, _ draft: Drafted<PoolDraft>) async throws(Fault) -> Reply {
        let (pool, balancer) = (draft.item, draft.balancer)
        try await pool.lookUp(request, balancer)
        let id = request.ids.uuid()
        try await request.database.transaction { transaction throws(Fault) in
            try Quotas.require(Pool.self, balancer.projectID, transaction, request)
            var touched = Touched()
            if let named = pool.listenerID {
                let listener = try transaction.one(Listener.self, "id = \(named)", or: Listener.notFound(named))
                guard listener.protocol != .prometheus else { throw .noChildren }
                if let kind = pool.kind { try ListenerDraft.checkProtocols(listener.protocol, kind) }
                guard listener.defaultPoolID == nil else {
                    throw .conflict("This listener already has a default pool")
                }
                try transaction.update(
                    Listener.self, set: "default_pool_id = \(id), updated_at = \(request.now)",
                    where: "id = \(named)")
                touched.listeners = [named]
            }
            try pool.insert(transaction, id: id, balancer, request)
            try transaction.touch(balancer.id, touched, request)
        }
        return try await reply(request, id: id)
    }

    static func update(_ request: Request, _ found: Pool) async throws(Fault) -> Reply {
        let draft = try PoolChange(request)
        var preview = found
        try draft.apply(&preview, request.balancing.options)
        try await preview.references.check(request, project: found.projectID)
        let balancer = try await Drafted<PoolDraft>.load(request, found.loadBalancerID)
        try await change(request, found.id) { transaction, row throws(Fault) in
            try draft.apply(&row, request.balancing.options)
            try ProviderRules(balancer, request).check(row)
            return Touched(listeners: try transaction.listeners(ofPool: row.id))
        }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: Pool) async throws(Fault) -> Reply {
        try await leave(request, found.id) { transaction, row throws(Fault) in
            let leaving = ProvisioningStatus.pendingDelete
            if let policy = try transaction.first(
                L7Policy.self, "redirect_pool_id = \(row.id) AND provisioning_status <> \(leaving)")
            {
                throw .conflict("Pool \(row.id) is in use by L7 policy \(policy.id)")
            }
            return Touched(listeners: try transaction.listeners(ofPool: row.id))
        }
        return .empty
    }

    var references: CertificateReferences {
        CertificateReferences(
            certificates: [tlsContainerRef].compactMap { $0 }, authority: caTLSContainerRef,
            revocations: crlContainerRef)
    }
}

// MARK: - Wire

extension Pool {
    package func write(_ view: inout View, _ forest: Forest) {
        writeOwn(&view, forest)
        view.links("loadbalancers", [loadBalancerID])
        view.put("healthmonitor_id", forest.monitor(of: self)?.id)
        view.links("members", forest.members(of: self).map(\.id))
    }

    func writeFull(_ view: inout View, _ forest: Forest) {
        writeOwn(&view, forest)
        if let monitor = forest.monitor(of: self) { view.nest("healthmonitor") { monitor.writeOwn(&$0) } }
        view.list("members", forest.members(of: self)) { $1.write(&$0, forest) }
    }

    private func writeOwn(_ view: inout View, _ forest: Forest) {
        writeStanding(&view)
        view.put("name", name)
        view.put("description", description)
        view.put("admin_state_up", enabled)
        view.put("protocol", self.protocol.rawValue)
        view.put("lb_algorithm", lbAlgorithm.rawValue)
        if let kept = sessionPersistence {
            view.nest("session_persistence") {
                $0.put("type", kept.type.rawValue)
                $0.put("cookie_name", kept.cookieName)
                $0.put("persistence_timeout", kept.timeout)
                $0.put("persistence_granularity", kept.granularity)
            }
        } else {
            view.put("session_persistence", String?.none)
        }
        view.links("listeners", forest.listeners(of: self).map(\.id))
        view.put("tls_container_ref", tlsContainerRef)
        view.put("ca_tls_container_ref", caTLSContainerRef)
        view.put("crl_container_ref", crlContainerRef)
        view.put("tls_enabled", tlsEnabled)
        view.put("tls_ciphers", tlsCiphers)
        view.put("tls_versions", tlsVersions)
        view.put("alpn_protocols", alpnProtocols)
    }
}
