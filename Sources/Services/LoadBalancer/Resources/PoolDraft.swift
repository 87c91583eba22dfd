// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A pool as asked for, alone or inside a balancer's creation, where it may also be only a name.
package struct PoolDraft: Sendable {
    let listenerID: String?
    let kind: PoolProtocol?
    let algorithm: BalancingAlgorithm?
    let members: [MemberDraft]
    let monitor: HealthMonitorDraft?
    private var template: Pool

    var name: String { template.name }
    /// Whether it says more than which pool is meant.
    let isWhole: Bool

    static func drafted(_ request: Request) async throws(Fault) -> Drafted<PoolDraft> {
        var body = try request.body("pool")
        let named = try body.option("loadbalancer_id", .id)
        body.ignore("project_id", "tenant_id")
        let draft = try PoolDraft(&body, "pool_.pool", isNamed: false)
        if let named { return Drafted(item: draft, balancer: try await Drafted<PoolDraft>.load(request, named)) }
        guard let listener = draft.listenerID else {
            throw .validation("Must provide at least one of: loadbalancer_id, listener_id")
        }
        let parent = try await request.database.one(
            Listener.self, "id = \(listener)", or: Listener.notFound(listener))
        return Drafted(item: draft, balancer: try await Drafted<PoolDraft>.load(request, parent.loadBalancerID))
    }

    /// - Parameter isNamed: inside a balancer's creation, where other drafts refer to it by its name.
    init(_ body: inout Body, _ argument: String, isNamed: Bool) throws(Fault) {
        isWhole = body.keys.contains { !["name", "admin_state_up", "tls_enabled"].contains($0) }
        let wholly = Format<PoolProtocol>.one(of: PoolProtocol.self)
        let ways = Format<BalancingAlgorithm>.one(of: BalancingAlgorithm.self)
        kind = isNamed ? try body.option("protocol", wholly) : try body.need("protocol", wholly)
        algorithm = isNamed ? try body.option("lb_algorithm", ways) : try body.need("lb_algorithm", ways)
        listenerID = isNamed ? nil : try body.option("listener_id", .id)
        let zero = Timestamp(microseconds: 0)
        template = Pool(
            id: "", projectID: "", loadBalancerID: "", name: "", description: "", provisioningStatus: .pendingCreate,
            operatingStatus: .offline, enabled: true, protocol: kind ?? .tcp, lbAlgorithm: algorithm ?? .roundRobin,
            sessionPersistence: nil, tlsContainerRef: nil, caTLSContainerRef: nil, crlContainerRef: nil,
            tlsEnabled: false, tlsCiphers: nil, tlsVersions: nil, alpnProtocols: nil, tags: [], createdAt: zero,
            updatedAt: nil)
        try PoolDraft.read(&body, &template)
        if template.tlsEnabled {
            template.tlsCiphers = template.tlsCiphers ?? TLSSettings.ciphers
            template.tlsVersions = template.tlsVersions ?? TLSSettings.versions
            template.alpnProtocols = template.alpnProtocols ?? TLSSettings.protocols
        }
        members = try body.several("members") { body throws(Fault) in
            try MemberDraft(&body, argument + ".members")
        }
        monitor = try body.nested("healthmonitor") { body throws(Fault) in
            try HealthMonitorDraft(&body, argument + ".healthmonitor")
        }
        try body.finish(argument)
    }

    static func read(_ body: inout Body, _ row: inout Pool) throws(Fault) {
        try body.set("name", .words(), &row.name, none: "")
        try body.set("description", .words(), &row.description, none: "")
        try body.set("admin_state_up", .truth, &row.enabled, none: false)
        if body.peek("session_persistence")?.isNull == true {
            body.ignore("session_persistence")
            row.sessionPersistence = nil
        }
        let before = row.sessionPersistence
        if let kept = try body.nested(
            "session_persistence",
            { body throws(Fault) in
                try SessionPersistence(&body, before)
            })
        {
            row.sessionPersistence = kept
        }
        try body.set("tls_container_ref", .words(), &row.tlsContainerRef)
        try body.set("ca_tls_container_ref", .words(), &row.caTLSContainerRef)
        try body.set("crl_container_ref", .words(), &row.crlContainerRef)
        try body.set("tls_enabled", .truth, &row.tlsEnabled, none: false)
        try body.set("tls_ciphers", .words(2048), &row.tlsCiphers)
        try body.set("tls_versions", .several(.words(32)), &row.tlsVersions)
        try body.set("alpn_protocols", .several(.alpn), &row.alpnProtocols)
        try body.set("tags", .several(.words()), &row.tags, none: [])
    }

    /// What cannot be looked at inside a transaction.
    func lookUp(_ request: Request, _ balancer: LoadBalancer) async throws(Fault) {
        guard isWhole else { return }
        try PoolRules.check(template, request.balancing.options)
        if template.crlContainerRef != nil, template.caTLSContainerRef == nil {
            throw .validation("A CA certificate reference is required to specify a revocation list.")
        }
        try await template.references.check(request, project: balancer.projectID)
        for member in members { try await member.lookUp(request, balancer) }
    }

    func insert(
        _ transaction: Transaction, id: String, _ balancer: LoadBalancer, _ request: Request
    ) throws(Fault) {
        for (value, attribute) in [(kind?.rawValue, "protocol"), (algorithm?.rawValue, "lb_algorithm")]
        where value == nil {
            throw .validation("Pool definition for '\(name)' missing required attribute: \(attribute)")
        }
        var row = template
        row.id = id
        row.projectID = balancer.projectID
        row.loadBalancerID = balancer.id
        row.createdAt = request.now
        try ProviderRules(balancer, request).check(row)
        try row.insert(transaction)
        if let monitor {
            try Quotas.require(HealthMonitor.self, balancer.projectID, transaction, request)
            try monitor.insert(transaction, id: request.ids.uuid(), row, balancer, request)
        }
        if !members.isEmpty {
            try Quotas.require(Member.self, balancer.projectID, transaction, request, adding: members.count)
        }
        for member in members {
            try member.insert(
                transaction, id: request.ids.uuid(), row, isWatched: monitor != nil, balancer, request)
        }
    }
}

/// What is to change about a pool.
struct PoolChange: Sendable {
    private let body: Body

    init(_ request: Request) throws(Fault) { body = try request.body("pool") }

    func apply(_ row: inout Pool, _ options: LoadBalancerOptions) throws(Fault) {
        var body = body
        let removesAuthority = body.has("ca_tls_container_ref") && body.peek("ca_tls_container_ref")?.isNull == true
        let had = row.caTLSContainerRef != nil
        try body.set("lb_algorithm", .one(of: BalancingAlgorithm.self), &row.lbAlgorithm, none: row.lbAlgorithm)
        try PoolDraft.read(&body, &row)
        try body.finish("pool_.pool")
        if row.tlsEnabled {
            row.tlsCiphers = row.tlsCiphers ?? TLSSettings.ciphers
            row.tlsVersions = row.tlsVersions ?? TLSSettings.versions
        }
        if row.crlContainerRef != nil, row.caTLSContainerRef == nil {
            throw removesAuthority && had
                ? .validation("A CA reference cannot be removed when a certificate revocation list is present.")
                : .validation("A CA reference is required to specify a certificate revocation list.")
        }
        try PoolRules.check(row, options)
    }
}

/// What must fit together about a pool.
enum PoolRules {
    static func check(_ row: Pool, _ options: LoadBalancerOptions) throws(Fault) {
        if let kept = row.sessionPersistence {
            if row.protocol.isDatagram { try checkDatagram(kept) } else { try checkStream(kept) }
            try checkCookie(kept)
        }
        try TLSSettings.check(ciphers: row.tlsCiphers, options)
        try TLSSettings.check(versions: row.tlsVersions, options)
        try TLSSettings.check(protocols: row.alpnProtocols)
    }

    private static func checkStream(_ kept: SessionPersistence) throws(Fault) {
        guard kept.timeout == nil, kept.granularity == nil else {
            throw .validation(
                "persistence_timeout and persistence_granularity is only for UDP and SCTP protocol pools.")
        }
    }

    private static func checkDatagram(_ kept: SessionPersistence) throws(Fault) {
        if kept.type == .sourceIP, kept.cookieName != nil {
            throw .validation(
                "session_persistence SOURCE_IP type for UDP and SCTP protocols only accepts: type, "
                    + "persistence_timeout, persistence_granularity.")
        }
        guard kept.cookieName == nil else {
            throw .validation("Cookie names are not supported for UDP/SCTP pools.")
        }
        guard kept.type == .sourceIP else {
            throw .validation(
                "Session persistence of type \(kept.type.rawValue) is not supported for UDP/SCTP protocol pools.")
        }
    }

    private static func checkCookie(_ kept: SessionPersistence) throws(Fault) {
        if let name = kept.cookieName {
            guard kept.type == .appCookie else {
                throw .validation(
                    "Field \"cookie_name\" can only be specified with session persistence of type \"APP_COOKIE\".")
            }
            let isBad = name.utf8.contains { $0 <= 32 || $0 == 127 || "\"()/:;<=>?@[\\]{},".utf8.contains($0) }
            if isBad { throw .validation("Supplied \"cookie_name\" is invalid.") }
        } else if kept.type == .appCookie {
            throw .validation(
                "Field \"cookie_name\" must be specified when using the \"APP_COOKIE\" session persistence type.")
        }
    }
}

extension SessionPersistence {
    /// - Parameter before: what held until now; its kind stays when none is named.
    init(_ body: inout Body, _ before: SessionPersistence?) throws(Fault) {
        let kinds = Format<PersistenceKind>.one(of: PersistenceKind.self)
        if let before {
            type = try body.option("type", kinds) ?? before.type
        } else {
            type = try body.need("type", kinds)
        }
        cookieName = try body.option("cookie_name", .cookie)
        timeout = try body.option("persistence_timeout", .whole(Int.min))
        granularity = try body.option("persistence_granularity", .ip)
        try body.finish("pool_.pool.session_persistence")
    }
}
