// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A guest's own IPv6 address as its router answers for it outside: whoever asks the external network for it is told
/// the gateway (the extension `l3-ndp-proxy`).
package struct NDPProxy: Noun {
    package static let table = "network_ndp_proxies"
    package static let noun = "ndp_proxy"
    package static let plural = "ndp_proxies"

    package let id: String, projectID: String
    var name: String
    package var description: String
    let routerID: String, portID: String
    let ipAddress: String
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package typealias Extra = Nothing
}

extension NDPProxy: Resource {
    package static let routes: [Route] = [
        .get("/ndp_proxies", "List ndp proxies", of: OwnScope.from, allow: .anyone("list_ndp_proxies"), index),
        .post(
            "/ndp_proxies", "Create ndp proxy", of: drafts,
            allow: .rule("create_ndp_proxy", NetworkRules.adminOrMember), create),
        .get(
            "/ndp_proxies/{id}", "Show ndp proxy", of: visible,
            allow: .rule("get_ndp_proxy", NetworkRules.adminOrReader), show),
        .put(
            "/ndp_proxies/{id}", "Update ndp proxy", of: visible,
            allow: .rule("update_ndp_proxy", NetworkRules.adminOrMember), update),
        .delete(
            "/ndp_proxies/{id}", "Delete ndp proxy", of: visible,
            allow: .rule("delete_ndp_proxy", NetworkRules.adminOrMember), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network ndp proxies
        CREATE TABLE network_ndp_proxies (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(1024) NOT NULL, router_id VARCHAR(36) NOT NULL, port_id VARCHAR(36) NOT NULL,
            ip_address VARCHAR(64) NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL, UNIQUE (router_id, ip_address));
        CREATE INDEX network_ndp_proxies_by_port ON network_ndp_proxies (port_id)
        """
    ]

    package static let filters = Filter.standard([
        .text("name"), .text("router_id"), .text("port_id"), .text("ip_address"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "NDPProxyNotFound", "Ndp proxy \(id) could not be found.")
    }

    struct Draft: ProjectOwned {
        let projectID: String, name: String, description: String
        let router: String, port: String
        let address: IPAddress?
    }
}

// MARK: - Handlers

extension NDPProxy {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            Draft(
                projectID: try body.takeProject(request), name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string(1024)) ?? "",
                router: try body.need("router_id", .id), port: try body.need("port_id", .id),
                address: try body.option("ip_address", .address))
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in try insert(draft, transaction, request) }
        }
        return try await reply(request, made: made)
    }

    private static func insert(
        _ draft: Draft, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> NDPProxy {
        let port = try transaction.one(
            Port.self, "id = \(draft.port) AND (\(sql: request.scope(Port.self)))", or: Port.notFound(draft.port))
        let router = try transaction.one(
            Router.self, "id = \(draft.router) AND (\(sql: request.scope(Router.self)))",
            or: Router.notFound(draft.router))
        let own = try router.ports(transaction).filter { $0.networkID == port.networkID }
        let unreachable = Fault.neutron(
            409, "PortUnreachableRouter", "The port \(port.id) cannot reach the router \(router.id) by IPv6 subnet.")
        guard !own.isEmpty else { throw unreachable }
        guard router.ndpProxy else {
            throw .neutron(
                409, "RouterNDPProxyNotEnable",
                "The enable_ndp_proxy parameter of router \(router.id) must be set as True while create ndp proxy "
                    + "entry on it.")
        }
        let subnets = Set(own.flatMap(\.fixedIPs.entries).filter { $0.address.version == .v6 }.map(\.subnetID))
        let entries = port.fixedIPs.entries.filter { $0.address.version == .v6 }
        guard !entries.isEmpty else {
            throw .badResource("ndp_proxy", "Requested port \(port.id) must allocate one IPv6 address at least")
        }
        let address = try choose(draft.address, entries, subnets, port, router, or: unreachable)
        let outer = try IPv6Scopes.scope(of: router.gatewayNetworkID ?? "", transaction)
        let inner = try IPv6Scopes.scope(of: port.networkID, transaction)
        guard outer == inner else {
            throw .neutron(
                409, "AddressScopeConflict",
                "The IPv6 address scope \(outer ?? "None") of external network conflict with internal network's "
                    + "IPv6 address scope \(inner ?? "None").")
        }
        let proxy = NDPProxy(
            id: request.ids.uuid(), projectID: draft.projectID, name: draft.name, description: draft.description,
            routerID: router.id, portID: port.id, ipAddress: address.description, tags: [], createdAt: request.now,
            updatedAt: request.now, revisionNumber: 0)
        try transaction.insert(
            proxy,
            or: .neutron(
                409, "NeutronDbObjectDuplicateEntry",
                "Failed to create a duplicate NDPProxy: for attribute(s) ['router_id', 'ip_address'] with value(s) "
                    + "\(router.id), \(address)"))
        try Router.bump(transaction, router.id, at: request.now)
        try transaction.touch(.router, router.id, request)
        return proxy
    }

    /// The address that is meant: the one that was named, or the first that the router reaches.
    private static func choose(
        _ asked: IPAddress?, _ entries: [FixedIPs.Entry], _ subnets: Set<String>, _ port: Port, _ router: Router,
        or unreachable: Fault
    ) throws(Fault) -> IPAddress {
        guard let asked else {
            guard let entry = entries.first(where: { subnets.contains($0.subnetID) }) else { throw unreachable }
            return entry.address
        }
        func invalid(_ reason: String) -> Fault {
            .neutron(400, "InvalidAddress", "The address \(asked) is invalid, reason: \(reason).")
        }
        guard let entry = entries.first(where: { $0.address == asked }) else {
            throw invalid("This address not belong to the port \(port.id)")
        }
        guard subnets.contains(entry.subnetID) else {
            throw invalid("This address cannot reach the router \(router.id)")
        }
        return asked
    }

    static func update(_ request: Request, _ found: NDPProxy) async throws(Fault) -> Reply {
        let proxy = try await change(request, found.id) { _, proxy throws(Fault) in
            var body = try request.body("ndp_proxy")
            proxy.name = try body.take("name", .string()) ?? proxy.name
            proxy.description = try body.take("description", .string(1024)) ?? proxy.description
            try body.end()
        }
        return try await proxy.reply(request)
    }

    static func delete(_ request: Request, _ found: NDPProxy) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try found.remove(transaction, request)
        }
        return .empty
    }

    private func remove(_ transaction: Transaction, _ request: Request) throws(Fault) {
        try transaction.delete(NDPProxy.self, "id = \(id)", or: NDPProxy.notFound(id))
        try Router.bump(transaction, routerID, at: request.now)
        try transaction.touch(.router, routerID, request)
    }
}

// MARK: - What others do to it

extension NDPProxy {
    /// A port that loses an address loses what stands for it outside.
    static func release(
        _ transaction: Transaction, port: String, keeping: FixedIPs?, _ request: Request
    ) throws(Fault) {
        for proxy in try transaction.all(NDPProxy.self, "port_id = \(port)")
        where keeping?.entries.contains(where: { $0.address.description == proxy.ipAddress }) != true {
            try proxy.remove(transaction, request)
        }
    }

    /// Whether any address of a block, or any at all, is answered for by a router.
    static func isUsed(_ router: String, _ block: CIDR?, _ transaction: Transaction) throws(Fault) -> Bool {
        try transaction.all(NDPProxy.self, "router_id = \(router)").contains { proxy in
            block.map { block in IPAddress(proxy.ipAddress).map(block.contains) ?? false } ?? true
        }
    }
}

/// The address scope that a network's IPv6 blocks are of.
enum IPv6Scopes {
    static func scope(of network: String, _ transaction: Transaction) throws(Fault) -> String? {
        let pools = try transaction.all(Subnet.self, "network_id = \(network) AND ip_version = 6")
            .compactMap(\.subnetpoolID)
        return try transaction.all(SubnetPool.self, "id", in: pools).compactMap(\.addressScopeID).first
    }
}

extension Router {
    /// Refuses a router that shall answer for addresses outside and has no way out that would carry them.
    func checkNDPProxy(_ transaction: Transaction, reason: String? = nil) throws(Fault) {
        guard ndpProxy else { return }
        func refuse(_ reason: String) -> Fault {
            .neutron(409, "RouterGatewayNotValid", "Can not enable ndp proxy on router \(id), \(reason).")
        }
        let usual =
            "The router has no external gateway or the external gateway port has no IPv6 address or IPv6 address scope"
        guard let gatewayPortID, let network = gatewayNetworkID,
            let port = try transaction.first(Port.self, "id = \(gatewayPortID)")
        else { throw refuse(reason ?? usual) }
        guard try IPv6Scopes.scope(of: network, transaction) != nil, port.fixedIPs.first(.v6) != nil else {
            guard reason != nil else { throw refuse(usual) }
            throw refuse(
                "The external network \(network) don't support IPv6 ndp proxy, the network has no IPv6 subnets or has "
                    + "no IPv6 address scope")
        }
    }
}

// MARK: - Wire

extension NDPProxy {
    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("router_id", routerID)
        view.put("port_id", portID)
        view.put("ip_address", ipAddress)
        writeStandard(&view)
    }
}
