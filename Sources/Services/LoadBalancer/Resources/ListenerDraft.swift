// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A draft together with the balancer it is for, on whose project its rule is judged.
package struct Drafted<Item: Sendable>: ProjectOwned {
    let item: Item
    let balancer: LoadBalancer
    package var projectID: String { balancer.projectID }

    static func load(_ request: Request, _ id: String) async throws(Fault) -> LoadBalancer {
        try await request.database.one(LoadBalancer.self, "id = \(id)", or: LoadBalancer.notFound(id))
    }
}

/// A listener as asked for, alone or inside a balancer's creation.
package struct ListenerDraft: Sendable {
    var members: ListenerMembers
    /// Only inside a balancer's creation: the pool it sends to, whole or by name.
    var defaultPool: PoolDraft?
    var policies: [L7PolicyDraft]
    let defaultPoolID: String?

    static func drafted(_ request: Request) async throws(Fault) -> Drafted<ListenerDraft> {
        var body = try request.body("listener")
        let balancer = try body.need("loadbalancer_id", .id)
        body.ignore("project_id", "tenant_id")
        let draft = try ListenerDraft(&body, "listener_.listener")
        return Drafted(item: draft, balancer: try await Drafted<ListenerDraft>.load(request, balancer))
    }

    init(_ body: inout Body, _ argument: String) throws(Fault) {
        members = try ListenerMembers(&body)
        defaultPoolID = try body.option("default_pool_id", .id)
        defaultPool = try body.nested("default_pool") { body throws(Fault) in
            try PoolDraft(&body, argument + ".default_pool", isNamed: true)
        }
        policies = try body.several("l7policies") { body throws(Fault) in
            try L7PolicyDraft(&body, argument + ".l7policies", isNested: true)
        }
        try body.finish(argument)
    }

    /// What cannot be looked at inside a transaction.
    func lookUp(_ request: Request, _ balancer: LoadBalancer) async throws(Fault) {
        let row = members.row(id: "", balancer, request)
        try ListenerRules(row, balancer, request).checkCreation()
        try await row.references.check(request, project: balancer.projectID)
        if let pool = defaultPool { try await pool.lookUp(request, balancer) }
        for policy in policies { if let pool = policy.redirectPool { try await pool.lookUp(request, balancer) } }
    }

    /// - Parameter pools: the pools made with it, by name.
    func insert(
        _ transaction: Transaction, id: String, _ balancer: LoadBalancer, pools: [String: String], _ request: Request
    ) throws(Fault) {
        var row = members.row(id: id, balancer, request)
        row.defaultPoolID = defaultPoolID
        if let pool = defaultPool {
            guard let made = pools[pool.name] else {
                throw .badRequest("Missing details for Pool object: \(pool.name)")
            }
            row.defaultPoolID = made
        }
        if row.protocol == .prometheus, row.defaultPoolID != nil || !policies.isEmpty { throw .noChildren }
        if let pool = row.defaultPoolID {
            try ListenerDraft.checkPool(transaction, pool, balancer.id, row.protocol)
        }
        let port = row.protocolPort
        let others = try transaction.all(
            Listener.self,
            """
            load_balancer_id = \(balancer.id) AND protocol_port = \(port) \
            AND provisioning_status <> \(ProvisioningStatus.pendingDelete)
            """)
        if let other = others.first(where: { $0.protocol.transport == row.protocol.transport }) {
            throw .conflict(
                "Another Listener on this Load Balancer is already using protocol \(other.protocol.rawValue) and "
                    + "protocol_port \(port)")
        }
        try ProviderRules(balancer, request).check(row)
        try row.insert(transaction)
        for policy in policies {
            try policy.insert(transaction, id: request.ids.uuid(), row, pools: pools, request)
        }
    }

    static func checkPool(
        _ transaction: Transaction, _ id: String, _ balancer: String, _ kind: ListenerProtocol
    ) throws(Fault) {
        guard kind != .prometheus else { throw .noChildren }
        let pool = try transaction.one(
            Pool.self, "id = \(id) AND load_balancer_id = \(balancer)", or: Pool.notFound(id))
        try checkProtocols(kind, pool.protocol)
    }

    static func checkProtocols(_ listener: ListenerProtocol, _ pool: PoolProtocol) throws(Fault) {
        guard listener.pools.contains(pool) else {
            throw .validation(
                "The pool protocol '\(pool.rawValue)' is invalid while the listener protocol is "
                    + "'\(listener.rawValue)'.")
        }
    }
}

/// What a listener is told of itself.
struct ListenerMembers: Sendable {
    private var template: Listener

    init(_ body: inout Body) throws(Fault) {
        let zero = Timestamp(microseconds: 0)
        template = Listener(
            id: "", projectID: "", loadBalancerID: "", name: "", description: "", provisioningStatus: .pendingCreate,
            operatingStatus: .offline, enabled: true,
            protocol: try body.need("protocol", .one(of: ListenerProtocol.self)),
            protocolPort: try body.need("protocol_port", .port), connectionLimit: -1, defaultPoolID: nil,
            insertHeaders: [:], timeoutClientData: 50_000, timeoutMemberConnect: 5000, timeoutMemberData: 50_000,
            timeoutTCPInspect: 0, defaultTLSContainerRef: nil, sniContainerRefs: [], clientCATLSContainerRef: nil,
            clientAuthentication: .none, clientCRLContainerRef: nil, allowedCIDRs: [], tlsCiphers: nil,
            tlsVersions: nil, alpnProtocols: nil, hstsMaxAge: nil, hstsIncludeSubdomains: false, hstsPreload: false,
            tags: [], createdAt: zero, updatedAt: nil)
        try ListenerMembers.read(&body, &template)
        if template.protocol == .terminated {
            template.tlsCiphers = template.tlsCiphers ?? TLSSettings.ciphers
            template.tlsVersions = template.tlsVersions ?? TLSSettings.versions
            template.alpnProtocols = template.alpnProtocols ?? TLSSettings.protocols
        }
    }

    /// The members that may be given at first and changed later.
    static func read(_ body: inout Body, _ row: inout Listener) throws(Fault) {
        try body.set("name", .words(), &row.name, none: "")
        try body.set("description", .words(), &row.description, none: "")
        try body.set("admin_state_up", .truth, &row.enabled, none: false)
        try body.set("connection_limit", .whole(-1), &row.connectionLimit, none: -1)
        try body.set("insert_headers", .headers, &row.insertHeaders, none: [:])
        try body.set("timeout_client_data", .milliseconds, &row.timeoutClientData, none: 50_000)
        try body.set("timeout_member_connect", .milliseconds, &row.timeoutMemberConnect, none: 5000)
        try body.set("timeout_member_data", .milliseconds, &row.timeoutMemberData, none: 50_000)
        try body.set("timeout_tcp_inspect", .milliseconds, &row.timeoutTCPInspect, none: 0)
        try body.set("default_tls_container_ref", .words(), &row.defaultTLSContainerRef)
        try body.set("sni_container_refs", .several(.words()), &row.sniContainerRefs, none: [])
        try body.set("client_ca_tls_container_ref", .words(), &row.clientCATLSContainerRef)
        try body.set(
            "client_authentication", .one(of: ClientAuthentication.self), &row.clientAuthentication, none: .none)
        try body.set("client_crl_container_ref", .words(), &row.clientCRLContainerRef)
        try body.set("allowed_cidrs", .several(.block), &row.allowedCIDRs, none: [])
        try body.set("tls_ciphers", .words(2048), &row.tlsCiphers)
        try body.set("tls_versions", .several(.words(32)), &row.tlsVersions)
        try body.set("alpn_protocols", .several(.alpn), &row.alpnProtocols)
        try body.set("hsts_max_age", .whole(0), &row.hstsMaxAge)
        try body.set("hsts_include_subdomains", .truth, &row.hstsIncludeSubdomains, none: false)
        try body.set("hsts_preload", .truth, &row.hstsPreload, none: false)
        try body.set("tags", .several(.words()), &row.tags, none: [])
    }

    func row(id: String, _ balancer: LoadBalancer, _ request: Request) -> Listener {
        var row = template
        row.id = id
        row.createdAt = request.now
        row.projectID = balancer.projectID
        row.loadBalancerID = balancer.id
        return row
    }
}
