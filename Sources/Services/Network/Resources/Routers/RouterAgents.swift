// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which hosts carry which routers. Where a router is, is computed (decision 39), until an administrator says where it
/// shall be: from then on the hosts are those that were named, each with its priority.
package enum RouterAgents: Resource {
    private static let admin = NetworkRules.admin

    package static let routes: [Route] = [
        .get(
            "/routers/{id}/l3-agents", "List agents that host a router", of: Router.visible,
            allow: .rule("get_l3-agents", admin), agents),
        .get(
            "/agents/{id}/l3-routers", "List routers that an agent hosts", of: controller,
            allow: .rule("get_l3-routers", admin), routers),
        .post(
            "/agents/{id}/l3-routers", "Schedule router to agent", of: controller,
            allow: .rule("create_l3-router", admin), schedule),
        .put(
            "/agents/{id}/l3-routers/{router}", "Update a router's priority on an agent", of: controller,
            allow: .rule("update_l3-router", admin), update),
        .delete(
            "/agents/{id}/l3-routers/{router}", "Remove router from agent", of: controller,
            allow: .rule("delete_l3-router", admin), remove),
    ]

    private static func invalid(_ id: String) -> Fault {
        .neutron(404, "InvalidL3Agent", "Agent \(id) is not a L3 Agent or has been disabled")
    }

    /// A host's agent; who speaks BGP carries no router.
    private static func controller(_ request: Request) async throws(Fault) -> NetworkAgent {
        let id = request["id"]
        guard request.may("get_agent", on: Anything()) else { throw NetworkAgent.notFound(id) }
        return try await request.database.one(NetworkAgent.self, "id = \(id) AND kind = ''", or: invalid(id))
    }

    /// The hosts of a router's gateway with their priorities, the highest first.
    private static func hosts(_ request: Request, _ router: Router) async -> [GatewayHost] {
        if let named = router.hosts { return GatewayHost.read(named) }
        guard let port = router.gatewayPortID else { return [] }
        let computed = await (request.network.backend as? any GatewayPlacement)?.gatewayHosts(of: port) ?? []
        return computed.enumerated().map { GatewayHost(id: $1, priority: computed.count - $0) }
    }

    // MARK: Listing

    private static func agents(_ request: Request, _ router: Router) async throws(Fault) -> Reply {
        let hosts = await hosts(request, router)
        let known = try await request.database.all(NetworkAgent.self, "id", in: hosts.map(\.id))
        let extra = try await NetworkAgent.extra(request, known)
        let carriers = hosts.compactMap { host in known.first { $0.id == host.id }.map { ($0, host.priority) } }
        return .list(
            "agents",
            carriers.enumerated().map { place, carrier in
                { view in
                    carrier.0.write(&view, extra)
                    view.put("ha_state", place == 0 ? "active" : "standby")
                    view.put("ha_chassis_priority", carrier.1)
                }
            })
    }

    private static func routers(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        var hosted: [Router] = []
        for router in try await request.database.all(Router.self, "gateway_port_id IS NOT NULL ORDER BY id")
        where await hosts(request, router).contains(where: { $0.id == agent.id }) {
            hosted.append(router)
        }
        let extra = try await Router.extra(request, hosted)
        return .list("routers", hosted.map { router in { router.write(&$0, extra) } })
    }

    // MARK: Changing

    private static func schedule(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        var body = try request.body()
        let id = try body.need("router_id", .id)
        let asked = try priority(&body)
        body.ignore("tenant_id", "project_id")
        try body.end()
        try await change(request, id) { router, hosts, transaction throws(Fault) in
            guard !hosts.contains(where: { $0.id == agent.id }) else {
                throw .neutron(
                    409, "RouterHostedByL3Agent",
                    "The router \(id) has been already hosted by the L3 Agent \(agent.id).")
            }
            guard let network = router.gatewayNetworkID,
                let outside = try transaction.first(Network.self, "id = \(network)"),
                outside.physicalNetwork.map(agent.physicalNetworks.contains) ?? true
            else { throw invalid(agent.id) }
            let next = asked ?? (hosts.map(\.priority).min() ?? most + 1) - 1
            guard next >= 0 else { throw outOfRange }
            try free(next, hosts)
            hosts.append(GatewayHost(id: agent.id, priority: next))
        }
        return .json(.null)
    }

    private static func update(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        var body = try request.body()
        let asked = try priority(&body)
        try body.end()
        guard let asked else { return .json(.null) }
        try await change(request, request["router"]) { router, hosts, transaction throws(Fault) in
            guard let place = hosts.firstIndex(where: { $0.id == agent.id }) else { throw unhosted(router, agent) }
            try free(asked, hosts)
            hosts[place].priority = asked
        }
        return .json(.null)
    }

    private static func remove(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        try await change(request, request["router"]) { router, hosts, transaction throws(Fault) in
            guard let place = hosts.firstIndex(where: { $0.id == agent.id }) else { throw unhosted(router, agent) }
            hosts.remove(at: place)
        }
        return .empty
    }

    /// Names a router's hosts from now on: those it has, changed.
    private static func change(
        _ request: Request, _ id: String,
        _ edit: @escaping @Sendable (Router, inout [GatewayHost], Transaction) throws(Fault) -> Void
    ) async throws(Fault) {
        let found = try await request.database.one(Router.self, "id = \(id)", or: Router.notFound(id))
        let computed = await hosts(request, found)
        _ = try await Router.change(request, id) { transaction, router throws(Fault) in
            var hosts = router.hosts.map { GatewayHost.read($0) } ?? computed
            try edit(router, &hosts, transaction)
            router.hosts = GatewayHost.text(hosts)
            try transaction.touch(.router, id, request)
        }
    }

    // MARK: Priorities

    /// How many hosts a gateway has that nobody placed (upstream's `MAX_GW_CHASSIS`).
    private static let most = 5
    private static var outOfRange: Fault {
        .neutron(400, "InvalidHAChassisPriority", "HA Chassis priority must be between 0 and 32767")
    }

    private static func priority(_ body: inout Body) throws(Fault) -> Int? {
        guard let asked = try body.option("ha_chassis_priority", .whole(Int(Int32.min)...Int(Int32.max))) else {
            return nil
        }
        guard (0...32_767).contains(asked) else { throw outOfRange }
        return asked
    }

    private static func free(_ priority: Int, _ hosts: [GatewayHost]) throws(Fault) {
        guard hosts.contains(where: { $0.priority == priority }) else { return }
        throw .neutron(
            409, "HAChassisPriorityAlreadyAssigned", "HA Chassis priority \(priority) is already assigned")
    }

    private static func unhosted(_ router: Router, _ agent: NetworkAgent) -> Fault {
        .neutron(
            409, "RouterNotHostedByL3Agent", "The router \(router.id) is not hosted by the L3 Agent \(agent.id).")
    }
}

extension GatewayHost {
    /// From a router's column: `c1=5 c2=4`, the highest first.
    static func read(_ text: String) -> [GatewayHost] {
        text.split(separator: " ").compactMap { part in
            guard let sign = part.lastIndex(of: "="), let priority = Int(part[part.index(after: sign)...]) else {
                return nil
            }
            return GatewayHost(id: String(part[..<sign]), priority: priority)
        }.sorted { ($0.priority, $1.id) > ($1.priority, $0.id) }
    }

    static func text(_ hosts: [GatewayHost]) -> String {
        hosts.sorted { $0.priority > $1.priority }.map { "\($0.id)=\($0.priority)" }.joined(separator: " ")
    }
}
