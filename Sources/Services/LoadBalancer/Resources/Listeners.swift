// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A port of a balancer's address, and what is done with what comes in there.
package struct Listener: Part {
    package static let table = "load_balancer_listeners"
    package static let noun = "listener"
    package static let plural = "listeners"
    package static let title = "Listener"
    package static let ruleName = "listener"
    package static let kin: Set<Forest.Kind> = [.policies]

    package var id: String, projectID: String, loadBalancerID: String
    var name: String, description: String
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var `protocol`: ListenerProtocol, protocolPort: Int, connectionLimit: Int
    var defaultPoolID: String?
    var insertHeaders: [String: String]
    var timeoutClientData: Int, timeoutMemberConnect: Int, timeoutMemberData: Int, timeoutTCPInspect: Int
    var defaultTLSContainerRef: String?, sniContainerRefs: [String]
    var clientCATLSContainerRef: String?, clientAuthentication: ClientAuthentication, clientCRLContainerRef: String?
    var allowedCIDRs: [String]
    var tlsCiphers: String?, tlsVersions: [String]?, alpnProtocols: [String]?
    var hstsMaxAge: Int?, hstsIncludeSubdomains: Bool, hstsPreload: Bool
    package var tags: [String]
    package var createdAt: Timestamp
    package var updatedAt: Timestamp?
}

extension Listener: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/listeners") { path in
        [
            .get(path, "List listeners", of: OwnScope.from, allow: .listing, index),
            .post(path, "Create a listener", of: ListenerDraft.drafted, allow: .write("listener:post"), create),
            .get(path + "/{id}", "Show listener details", of: found, allow: .read("listener:get_one"), show),
            .put(path + "/{id}", "Update a listener", of: found, allow: .write("listener:put"), update),
            .delete(path + "/{id}", "Remove a listener", of: found, allow: .write("listener:delete"), delete),
            .get(path + "/{id}/stats", "Get listener statistics", of: found, allow: .read("listener:get_stats"), stats),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer listeners
        CREATE TABLE load_balancer_listeners (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, load_balancer_id VARCHAR(36) NOT NULL,
            name VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL, provisioning_status VARCHAR(16) NOT NULL,
            operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL, protocol VARCHAR(16) NOT NULL,
            protocol_port INTEGER NOT NULL, connection_limit BIGINT NOT NULL, default_pool_id VARCHAR(36),
            insert_headers TEXT NOT NULL, timeout_client_data BIGINT NOT NULL, timeout_member_connect BIGINT NOT NULL,
            timeout_member_data BIGINT NOT NULL, timeout_tcp_inspect BIGINT NOT NULL,
            default_tls_container_ref VARCHAR(255), sni_container_refs TEXT NOT NULL,
            client_catls_container_ref VARCHAR(255), client_authentication VARCHAR(10) NOT NULL,
            client_crl_container_ref VARCHAR(255), allowed_cidrs TEXT NOT NULL, tls_ciphers TEXT, tls_versions TEXT,
            alpn_protocols TEXT, hsts_max_age BIGINT, hsts_include_subdomains INTEGER NOT NULL,
            hsts_preload INTEGER NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT);
        CREATE INDEX load_balancer_listeners_by_balancer ON load_balancer_listeners (load_balancer_id);
        CREATE INDEX load_balancer_listeners_by_pool ON load_balancer_listeners (default_pool_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("name"), .text("description"), .text("protocol"), .number("protocol_port"),
        .number("connection_limit"), .text("default_pool_id"), .text("default_tls_container_ref"),
        .text("loadbalancer_id", "load_balancer_id"), .text("load_balancer_id"), .number("timeout_client_data"),
        .number("timeout_member_connect"), .number("timeout_member_data"), .number("timeout_tcp_inspect"),
        .text("client_authentication"), .text("tls_ciphers"), .truth("admin_state_up", "enabled"),
        .truth("enabled"),
    ])
}

// MARK: - Handlers

extension Listener {
    static func create(_ request: Request, _ draft: Drafted<ListenerDraft>) async throws(Fault) -> Reply {
        let (listener, balancer) = (draft.item, draft.balancer)
        try await listener.lookUp(request, balancer)
        let id = request.ids.uuid()
        try await request.database.transaction { transaction throws(Fault) in
            try Quotas.require(Listener.self, balancer.projectID, transaction, request)
            try listener.insert(transaction, id: id, balancer, pools: [:], request)
            try transaction.touch(balancer.id, Touched(), request)
        }
        return try await reply(request, id: id)
    }

    static func update(_ request: Request, _ found: Listener) async throws(Fault) -> Reply {
        let draft = try ListenerChange(request)
        let balancer = try await request.database.one(
            LoadBalancer.self, "id = \(found.loadBalancerID)", or: LoadBalancer.notFound(found.loadBalancerID))
        var preview = found
        try draft.apply(&preview)
        try ListenerRules(preview, balancer, request).checkChange(draft)
        try await preview.references.check(request, project: found.projectID)
        try await change(request, found.id) { transaction, row throws(Fault) in
            try draft.apply(&row)
            if let pool = row.defaultPoolID, draft.namesPool {
                try ListenerDraft.checkPool(transaction, pool, row.loadBalancerID, row.protocol)
            }
            try ProviderRules(balancer, request).check(row)
            return Touched()
        }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: Listener) async throws(Fault) -> Reply {
        try await leave(request, found.id) { _, _ in Touched() }
        return .empty
    }

    static func stats(_ request: Request, _ found: Listener) async throws(Fault) -> Reply {
        let row = try await request.database.first(ListenerStatistics.self, "listener_id = \(found.id)")
        let figures = row?.total ?? Figures()
        return .object("stats") { figures.write(&$0) }
    }

    var references: CertificateReferences {
        CertificateReferences(
            certificates: sniContainerRefs + [defaultTLSContainerRef].compactMap { $0 },
            authority: clientCATLSContainerRef, revocations: clientCRLContainerRef)
    }
}

// MARK: - Wire

extension Listener {
    package func write(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.links("l7policies", forest.policies(of: self).map(\.id))
        view.links("loadbalancers", [loadBalancerID])
    }

    func writeFull(_ view: inout View, _ forest: Forest) {
        writeOwn(&view)
        view.list("l7policies", forest.policies(of: self)) { $1.writeFull(&$0, forest) }
    }

    private func writeOwn(_ view: inout View) {
        writeStanding(&view)
        view.put("name", name)
        view.put("description", description)
        view.put("admin_state_up", enabled)
        view.put("protocol", self.protocol.rawValue)
        view.put("protocol_port", protocolPort)
        view.put("connection_limit", connectionLimit)
        view.put("default_pool_id", defaultPoolID)
        view.nest("insert_headers") { for (name, value) in insertHeaders.sorted(by: <) { $0.put(named: name, value) } }
        view.put("timeout_client_data", timeoutClientData)
        view.put("timeout_member_connect", timeoutMemberConnect)
        view.put("timeout_member_data", timeoutMemberData)
        view.put("timeout_tcp_inspect", timeoutTCPInspect)
        view.put("default_tls_container_ref", defaultTLSContainerRef)
        view.put("sni_container_refs", sniContainerRefs)
        view.put("client_ca_tls_container_ref", clientCATLSContainerRef)
        view.put("client_authentication", clientAuthentication.rawValue)
        view.put("client_crl_container_ref", clientCRLContainerRef)
        view.put("allowed_cidrs", allowedCIDRs.isEmpty ? nil : allowedCIDRs)
        view.put("tls_ciphers", tlsCiphers)
        view.put("tls_versions", tlsVersions)
        view.put("alpn_protocols", alpnProtocols)
        view.put("hsts_max_age", hstsMaxAge)
        view.put("hsts_include_subdomains", hstsIncludeSubdomains)
        view.put("hsts_preload", hstsPreload)
    }
}
