// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Joins networks, and leads out of them through a gateway on an external network.
package struct Router: Noun {
    package static let table = "network_routers"
    package static let noun = "router"
    package static let plural = "routers"

    package let id: String, projectID: String
    var name: String
    package var description: String
    var adminStateUp: Bool
    var status: String
    var gatewayPortID: String?
    var gatewayNetworkID: String?
    var enableSNAT: Bool
    var routes: [RouteSpec]
    var zoneHints: [String]
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int
    /// Whether default routes are watched (BFD), and whether every gateway has one (ECMP).
    var routeBFD: Bool
    var routeECMP: Bool
    let flavorID: String?
    /// Whether it answers outside for guests' own IPv6 addresses, those that are named.
    var ndpProxy: Bool
    /// The hosts that an administrator named for its gateways, with their priorities; nil leaves them to be computed.
    var hosts: String?

    package struct Extra: Sendable {
        /// The gateways' ports by router, the first one first.
        let gateways: [String: [Port]]
        let zone: String
        let seesHA: Bool
        let policies: [String: String]
    }
}

extension Router: Resource {
    package static let routes: [Route] =
        [
            .get(
                "/routers", "List routers", of: OwnScope.from,
                allow: .anyone("list_routers"), index),
            .post(
                "/routers", "Create routers", of: drafts, allow: .rule("create_router", NetworkRules.adminOrMember),
                create),
            .get(
                "/routers/{id}", "Show router", of: visible, allow: .rule("get_router", NetworkRules.adminOrReader),
                show
            ),
            .put(
                "/routers/{id}", "Update router", of: visible,
                allow: .rule("update_router", NetworkRules.adminOrMember), update),
            .delete(
                "/routers/{id}", "Delete router", of: visible,
                allow: .rule("delete_router", NetworkRules.adminOrMember), delete),
        ] + tagRoutes(read: NetworkRules.adminOrReader, write: NetworkRules.adminOrMember)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network routers
        CREATE TABLE network_routers (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, admin_state_up INTEGER NOT NULL, status VARCHAR(16) NOT NULL,
            gateway_port_id VARCHAR(36), gateway_network_id VARCHAR(36), enable_snat INTEGER NOT NULL,
            routes TEXT NOT NULL, zone_hints TEXT NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE INDEX network_routers_by_project ON network_routers (project_id)
        """,
        """
        2026-11-29 network routers' default routes and flavors
        ALTER TABLE network_routers ADD COLUMN route_bfd INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE network_routers ADD COLUMN route_ecmp INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE network_routers ADD COLUMN flavor_id VARCHAR(36)
        """,
        """
        2026-11-30 network routers' ndp proxies
        ALTER TABLE network_routers ADD COLUMN ndp_proxy INTEGER NOT NULL DEFAULT 0
        """,
        """
        2026-11-30 network routers' hosts
        ALTER TABLE network_routers ADD COLUMN hosts TEXT
        """,
    ]

    package static let filters = Filter.standard([
        .text("name"), .truth("admin_state_up"), .text("status"),
        .other("external_gateway_info") { values in
            "gateway_network_id IN \(values.map { $0.hasPrefix("network_id=") ? String($0.dropFirst(11)) : $0 })"
        },
        .truth("enable_snat"), .text("flavor_id"), .truth("enable_ndp_proxy", "ndp_proxy"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "RouterNotFound", "Router \(id) could not be found")
    }

    struct Draft: ProjectOwned {
        let projectID: String, name: String, description: String
        let adminStateUp: Bool
        var gateway: GatewayWish?
        var routes = RouteWish()
        let zoneHints: [String]
        let flavor: String?
        let tags: [String]
        var ndpProxy: Bool?
    }
}

// MARK: - Handlers

extension Router {
    /// A router with nothing to it yet.
    init(_ request: Request, project: String, name: String, flavor: String? = nil) {
        routeBFD = false
        routeECMP = false
        ndpProxy = false
        flavorID = flavor
        id = request.ids.uuid()
        projectID = project
        self.name = name
        description = ""
        adminStateUp = true
        status = "ACTIVE"
        enableSNAT = true
        routes = []
        zoneHints = []
        tags = []
        createdAt = request.now
        updatedAt = request.now
        revisionNumber = 1
    }

    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in
            var draft = Draft(
                projectID: try body.takeProject(request), name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string()) ?? "",
                adminStateUp: try body.take("admin_state_up", .truth) ?? true,
                zoneHints: try body.take("availability_zone_hints", .strings(.string())) ?? [],
                flavor: try body.option("flavor_id", .id), tags: try body.takeTags())
            draft.ndpProxy = try body.option("enable_ndp_proxy", .truth)
            draft.gateway = try GatewayWish.take(&body, request, "create_router", on: draft)
            draft.routes = try RouteWish(&body, request, "create_router", on: draft)
            try await AvailabilityZones.check(draft.zoneHints, request)
            return draft
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in
                try Quotas.require(
                    "router", Router.self, project: draft.projectID, transaction, request.network.options)
                if let flavor = draft.flavor { try NetworkFlavor.check(flavor, transaction) }
                var router = Router(request, project: draft.projectID, name: draft.name, flavor: draft.flavor)
                draft.routes.apply(to: &router)
                router.description = draft.description
                router.adminStateUp = draft.adminStateUp
                router.zoneHints = draft.zoneHints
                router.tags = draft.tags
                if let gateway = draft.gateway { try router.lead(to: gateway, transaction, request) }
                router.ndpProxy = draft.ndpProxy ?? false
                try router.checkNDPProxy(
                    transaction, reason: "The request body not contain external gateway information")
                try transaction.insert(router)
                if !draft.tags.isEmpty { try Tag.set(transaction, router.id, draft.tags) }
                try transaction.touch(.router, router.id, request)
                return router
            }
        }
        return try await reply(request, made: made)
    }

    static func update(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        let router = try await change(request, found.id) { transaction, router throws(Fault) in
            var body = try request.body("router")
            router.name = try body.take("name", .string()) ?? router.name
            router.description = try body.take("description", .string()) ?? router.description
            router.adminStateUp = try body.take("admin_state_up", .truth) ?? router.adminStateUp
            if let gateway = try GatewayWish.take(&body, request, "update_router", on: router) {
                try router.lead(to: gateway, transaction, request)
            }
            router.ndpProxy = try body.option("enable_ndp_proxy", .truth) ?? router.ndpProxy
            try router.checkNDPProxy(transaction)
            if let routes = try SubnetRules.routes(&body, "routes") {
                try router.check(routes, transaction)
                router.routes = routes
            }
            try RouteWish(&body, request, "update_router", on: router).apply(to: &router)
            try body.end()
            try transaction.touch(.router, router.id, request)
        }
        return try await router.reply(request)
    }

    static func delete(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        let id = found.id
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let router = try transaction.one(Router.self, "id = \(id)", or: notFound(id))
            try router.checkConstraint(expected)
            try router.remove(transaction, request)
        }
        return .empty
    }

    /// Takes it away with its gateways; its interfaces keep it.
    func remove(_ transaction: Transaction, _ request: Request) throws(Fault) {
        let ports = try ports(transaction).filter { $0.deviceOwner == DeviceOwner.routerInterface }
        guard ports.isEmpty else {
            let names = ports.map(\.id).joined(separator: ", ")
            throw .neutron(409, "RouterInUse", "Router \(id) has ports still attached: \(names)")
        }
        var router = self
        try router.leaveGateways(transaction, request)
        try Tag.set(transaction, id, [])
        try transaction.delete(Router.self, "id = \(id)", or: Router.notFound(id))
        try transaction.touch(.router, id, request)
    }

    /// The router's own ports, interfaces and gateway.
    func ports(_ transaction: Transaction) throws(Fault) -> [Port] {
        try transaction.all(
            Port.self,
            """
            device_id = \(id) AND device_owner IN \([DeviceOwner.routerInterface, DeviceOwner.routerGateway]) \
            ORDER BY created_at, id
            """)
    }

    /// Routes lead to neighbours on the router's own networks.
    func check(_ routes: [RouteSpec], _ transaction: Transaction) throws(Fault) {
        guard !routes.isEmpty else { return }
        guard routes.count <= 30 else {
            throw .neutron(
                400, "RoutesExhausted",
                "Unable to complete operation for \(id). The number of routes exceeds the maximum 30.")
        }
        let entries = try ports(transaction).flatMap(\.fixedIPs.entries)
        let blocks = try transaction.all(Subnet.self, "id", in: entries.map(\.subnetID)).map(\.cidr)
        func words(_ route: RouteSpec) -> String {
            "[{'destination': '\(route.destination)', 'nexthop': '\(route.nextHop)'}]"
        }
        for route in routes {
            guard blocks.contains(where: { $0.contains(route.nextHop) }) else {
                throw .neutron(
                    400, "InvalidRoutes",
                    "Invalid format for routes: \(words(route)), the nexthop is not connected with router")
            }
            guard !entries.contains(where: { $0.address == route.nextHop }) else {
                throw .neutron(
                    400, "InvalidRoutes",
                    "Invalid format for routes: \(words(route)), the nexthop is used by router")
            }
        }
    }
}

// MARK: - Wire

extension Router {
    package static func extra(_ request: Request, _ rows: [Router]) async throws(Fault) -> Extra {
        let ports = try await request.database.all(
            Port.self, "device_id", in: rows.map(\.id), and: "device_owner = \(DeviceOwner.routerGateway)")
        let first = Set(rows.compactMap(\.gatewayPortID))
        return Extra(
            gateways: Dictionary(grouping: ports, by: \.deviceID).mapValues { ports in
                ports.sorted {
                    (first.contains($0.id) ? 0 : 1, $0.createdAt, $0.id) < (
                        first.contains($1.id) ? 0 : 1, $1.createdAt, $1.id
                    )
                }
            },
            zone: request.network.options.zone,
            seesHA: rows.first.map { request.may("get_router:ha", on: $0) } ?? false,
            policies: try await QoSBinding.policies(request.database, of: rows.map(\.id)))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("admin_state_up", adminStateUp)
        view.put("status", status)
        let gateways = extra.gateways[id] ?? []
        if let gateway = gateways.first(where: { $0.id == gatewayPortID }) {
            view.nest("external_gateway_info") {
                gateway.writeGateway(&$0)
                $0.put("enable_snat", enableSNAT)
                $0.put("qos_policy_id", extra.policies[id])
            }
        } else {
            view.put("external_gateway_info", String?.none)
        }
        view.list("external_gateways", gateways) { $1.writeGateway(&$0) }
        view.put("enable_snat", enableSNAT)
        view.put("enable_ndp_proxy", ndpProxy)
        view.put("enable_default_route_bfd", routeBFD)
        view.put("enable_default_route_ecmp", routeECMP)
        if extra.seesHA { view.put("ha", true) }
        view.put("flavor_id", flavorID)
        view.list("routes", routes) {
            $0.put("destination", $1.destination.description)
            $0.put("nexthop", $1.nextHop.description)
        }
        view.put("availability_zone_hints", zoneHints)
        view.put("availability_zones", zoneHints.isEmpty ? [extra.zone] : zoneHints)
        writeStandard(&view)
    }
}

extension Port {
    fileprivate func writeGateway(_ view: inout View) {
        view.put("network_id", networkID)
        view.list("external_fixed_ips", fixedIPs.entries) {
            $0.put("subnet_id", $1.subnetID)
            $0.put("ip_address", $1.address.description)
        }
    }
}
