// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where routers meet networks: ports that are plugged into a router, and the routes that lead on from there.
package enum RouterInterfaces: Resource {
    package static let routes: [Route] = [
        .put(
            "/routers/{id}/add_router_interface", "Add interface to router", of: Router.visible,
            allow: .rule("add_router_interface", NetworkRules.adminOrMember), add),
        .put(
            "/routers/{id}/remove_router_interface", "Remove interface from router", of: Router.visible,
            allow: .rule("remove_router_interface", NetworkRules.adminOrMember), remove),
        .put(
            "/routers/{id}/add_extraroutes", "Add routes to router", of: Router.visible,
            allow: .rule("add_extraroutes", NetworkRules.adminOrMember), addRoutes),
        .put(
            "/routers/{id}/remove_extraroutes", "Remove routes from router", of: Router.visible,
            allow: .rule("remove_extraroutes", NetworkRules.adminOrMember), removeRoutes),
    ]

    private struct Asked: Sendable {
        let subnetID: String?
        let portID: String?

        init(_ request: Request, adding: Bool) throws(Fault) {
            guard request.json != nil else {
                throw .badResource("router", "Either subnet_id or port_id must be specified")
            }
            var body = try request.body()
            subnetID = try body.option("subnet_id", .id)
            portID = try body.option("port_id", .id)
            _ = body.takeRest()
            guard subnetID != nil || portID != nil else {
                throw .badResource("router", "Either subnet_id or port_id must be specified")
            }
            guard !adding || subnetID == nil || portID == nil else {
                throw .badResource("router", "Cannot specify both subnet-id and port-id")
            }
        }
    }

    private static func reply(_ router: Router, _ port: Port, _ subnets: [String]) -> Reply {
        .bare {
            $0.put("id", router.id)
            $0.put("project_id", port.projectID)
            $0.put("tenant_id", port.projectID)
            $0.put("port_id", port.id)
            $0.put("network_id", port.networkID)
            $0.put("subnet_id", subnets.last)
            $0.put("subnet_ids", subnets)
        }
    }

    /// The router changed with its interfaces.
    private static func touch(_ router: Router, _ transaction: Transaction, _ request: Request) throws(Fault) {
        try Router.bump(transaction, router.id, at: request.now)
        try transaction.touch(.router, router.id, request)
    }
}

// MARK: - Adding

extension RouterInterfaces {
    private static func add(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        let asked = try Asked(request, adding: true)
        let (port, subnets) = try await request.database.transaction { transaction throws(Fault) in
            let router = try transaction.one(Router.self, "id = \(found.id)", or: Router.notFound(found.id))
            let made =
                if let id = asked.portID {
                    try plug(port: id, router, transaction, request)
                } else {
                    try plug(subnet: asked.subnetID ?? "", router, transaction, request)
                }
            try touch(router, transaction, request)
            return made
        }
        return reply(found, port, subnets)
    }

    private static func checkMode(_ subnet: Subnet) throws(Fault) {
        guard subnet.ipVersion == 6, subnet.ipv6RAMode == nil, subnet.ipv6AddressMode != nil else { return }
        throw .badResource(
            "router",
            "IPv6 subnet \(subnet.id) configured to receive RAs from an external router cannot be added to Neutron "
                + "Router.")
    }

    private static func plug(
        port id: String, _ router: Router, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> (Port, [String]) {
        var port = try transaction.one(
            Port.self, "id = \(id) AND (\(sql: request.scope(Port.self)))", or: Port.notFound(id))
        guard port.deviceID.isEmpty else {
            throw .neutron(
                409, "PortInUse",
                "Unable to complete operation on port \(id) for network \(port.networkID). Port already has an "
                    + "attached device \(port.deviceID).")
        }
        guard !port.fixedIPs.isEmpty else {
            throw .badResource("router", "Router port must have at least one fixed IP")
        }
        let subnets = try transaction.all(Subnet.self, "id", in: port.fixedIPs.entries.map(\.subnetID))
        for subnet in subnets { try checkMode(subnet) }
        guard subnets.filter({ $0.ipVersion == 4 }).count < 2 else {
            throw .badResource("router", "Cannot have multiple IPv4 subnets on router port")
        }
        try router.checkOverlap(with: subnets, transaction)
        port.deviceID = router.id
        port.deviceOwner = DeviceOwner.routerInterface
        port.status = "ACTIVE"
        port.revisionNumber += 1
        port.updatedAt = request.now
        try transaction.replace(port, where: "id = \(id)", or: Port.notFound(id))
        try transaction.touch(.port, id, request)
        return (port, subnets.map(\.id))
    }

    static func plug(
        subnet id: String, _ router: Router, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> (Port, [String]) {
        let subnet = try transaction.one(
            Subnet.self, "id = \(id) AND (\(sql: request.scope(Subnet.self)))", or: Subnet.notFound(id))
        guard let gateway = subnet.gatewayIP else {
            throw .badResource("router", "Subnet for router interface must have a gateway IP")
        }
        guard subnet.projectID == request.project || request.seesAll else {
            throw .badResource(
                "router",
                "Cannot add interface to router because subnet \(id) is not owned by project making the request")
        }
        try checkMode(subnet)
        try router.checkOverlap(with: [subnet], transaction)
        let network = try transaction.one(
            Network.self, "id = \(subnet.networkID)", or: Network.notFound(subnet.networkID))
        let wish = AskedIP(subnetID: id, address: gateway)
        if subnet.ipVersion == 6, var port = try interface(of: router, on: network.id, transaction) {
            // One port carries all IPv6 blocks of a network.
            let book = try AddressBook(transaction, network: network.id, request.ids)
            let more = try book.assign([wish], to: port.id, mac: port.macAddress, owner: port.deviceOwner)
            port.fixedIPs.entries += more.entries
            port.revisionNumber += 1
            port.updatedAt = request.now
            try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            try transaction.touch(.port, port.id, request)
            return (port, [id])
        }
        let port = try PortWish(
            projectID: router.projectID, deviceID: router.id, deviceOwner: DeviceOwner.routerInterface,
            fixedIPs: [wish], status: "ACTIVE"
        ).make(transaction, network, request)
        return (port, [id])
    }

    /// The router's port with IPv6 addresses on a network, if it has one.
    private static func interface(
        of router: Router, on network: String, _ transaction: Transaction
    ) throws(Fault) -> Port? {
        try router.ports(transaction).first {
            $0.networkID == network && $0.deviceOwner == DeviceOwner.routerInterface && $0.fixedIPs.first(.v6) != nil
        }
    }
}

// MARK: - Removing

extension RouterInterfaces {
    private static func remove(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        let asked = try Asked(request, adding: false)
        let (port, subnets) = try await request.database.transaction { transaction throws(Fault) in
            let router = try transaction.one(Router.self, "id = \(found.id)", or: Router.notFound(found.id))
            let ports = try router.ports(transaction).filter { $0.deviceOwner == DeviceOwner.routerInterface }
            let gone =
                if let id = asked.portID {
                    try unplug(port: id, subnet: asked.subnetID, router, ports, transaction, request)
                } else {
                    try unplug(subnet: asked.subnetID ?? "", router, ports, transaction, request)
                }
            try touch(router, transaction, request)
            return gone
        }
        return reply(found, port, subnets)
    }

    private static func unplug(
        port id: String, subnet: String?, _ router: Router, _ ports: [Port], _ transaction: Transaction,
        _ request: Request
    ) throws(Fault) -> (Port, [String]) {
        guard let port = ports.first(where: { $0.id == id }) else {
            throw .neutron(
                404, "RouterInterfaceNotFound", "Router \(router.id) does not have an interface with id \(id)")
        }
        let subnets = port.fixedIPs.entries.map(\.subnetID)
        if let subnet, !subnets.contains(subnet) {
            throw .neutron(
                400, "SubnetMismatchForPort", "Subnet on port \(id) does not match the requested subnet \(subnet).")
        }
        for subnet in try transaction.all(Subnet.self, "id", in: subnets) {
            try checkUnused(router, subnet, transaction)
        }
        try port.remove(transaction, request)
        return (port, subnets)
    }

    private static func unplug(
        subnet id: String, _ router: Router, _ ports: [Port], _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> (Port, [String]) {
        let subnet = try transaction.one(Subnet.self, "id = \(id)", or: Subnet.notFound(id))
        guard let port = ports.first(where: { $0.fixedIPs.holds(subnet: id) }) else {
            throw .neutron(
                404, "RouterInterfaceNotFoundForSubnet", "Router \(router.id) has no interface on subnet \(id)")
        }
        try checkUnused(router, subnet, transaction)
        if port.fixedIPs.entries.count > 1 {
            try port.drop(subnet: id, transaction, request)
        } else {
            try port.remove(transaction, request)
        }
        return (port, [id])
    }

    /// Floating addresses and routes keep the interface that they need.
    private static func checkUnused(
        _ router: Router, _ subnet: Subnet, _ transaction: Transaction
    ) throws(Fault) {
        let floating = try transaction.all(FloatingIP.self, "router_id = \(router.id)")
        let forwarded = try transaction.all(PortForwarding.self, "floating_id", in: floating.map(\.id))
        let ends = floating.map { ($0.portID, $0.fixedIPAddress) } + forwarded.map { ($0.portID, $0.fixedIPAddress) }
        for case let (port?, fixed?) in ends {
            guard let address = IPAddress(fixed), subnet.cidr.contains(address),
                try transaction.count(HeldAddress.self, "port_id = \(port) AND subnet_id = \(subnet.id)") > 0
            else { continue }
            throw .neutron(
                409, "RouterInterfaceInUseByFloatingIP",
                "Router interface for subnet \(subnet.id) on router \(router.id) cannot be deleted, as it is required "
                    + "by one or more floating IPs.")
        }
        if try NDPProxy.isUsed(router.id, subnet.cidr, transaction) {
            throw .neutron(
                409, "RouterInterfaceInUseByNDPProxy",
                "Unable to remove subnet \(subnet.id) from router \(router.id), There are one or more ndp proxies "
                    + "still in use on the subnet.")
        }
        if router.routes.contains(where: { subnet.cidr.contains($0.nextHop) }) {
            throw .neutron(
                409, "RouterInterfaceInUseByRoute",
                "Router interface for subnet \(subnet.id) on router \(router.id) cannot be deleted, as it is required "
                    + "by one or more routes.")
        }
    }
}

// MARK: - Routes

extension RouterInterfaces {
    private static func asked(_ request: Request) throws(Fault) -> [RouteSpec] {
        var body = try request.body("router")
        let routes = try SubnetRules.routes(&body, "routes") ?? []
        try body.end()
        return routes
    }

    private static func addRoutes(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        let more = try asked(request)
        let router = try await Router.change(request, found.id) { transaction, router throws(Fault) in
            let routes = router.routes + more.filter { !router.routes.contains($0) }
            try router.check(routes, transaction)
            router.routes = routes
            try transaction.touch(.router, router.id, request)
        }
        return try await router.reply(request)
    }

    private static func removeRoutes(_ request: Request, _ found: Router) async throws(Fault) -> Reply {
        let fewer = try asked(request)
        let router = try await Router.change(request, found.id) { transaction, router throws(Fault) in
            router.routes.removeAll { fewer.contains($0) }
            try transaction.touch(.router, router.id, request)
        }
        return try await router.reply(request)
    }
}
