// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which hosts carry which routers. Where a router is, is computed (decision 39), so nobody sends one anywhere.
package enum RouterAgents: Resource {
    private static let admin = NetworkRules.admin

    package static let routes: [Route] = [
        .get(
            "/routers/{id}/l3-agents", "List agents that host a router", of: Router.visible,
            allow: .rule("get_l3-agents", admin), agents),
        .get(
            "/agents/{id}/l3-routers", "List routers that an agent hosts", of: NetworkAgent.visible,
            allow: .rule("get_l3-routers", admin), routers),
        .post(
            "/agents/{id}/l3-routers", "Schedule router to agent", of: NetworkAgent.visible,
            allow: .rule("create_l3-router", admin), schedule),
        .delete(
            "/agents/{id}/l3-routers/{router}", "Remove router from agent", of: NetworkAgent.visible,
            allow: .rule("delete_l3-router", admin), remove),
    ]

    private static func hosts(_ request: Request, _ router: Router) async -> [String] {
        guard let port = router.gatewayPortID else { return [] }
        return await (request.network.backend as? any GatewayPlacement)?.gatewayHosts(of: port) ?? []
    }

    private static func agents(_ request: Request, _ router: Router) async throws(Fault) -> Reply {
        let hosts = await hosts(request, router)
        let known = try await request.database.all(NetworkAgent.self, "id", in: hosts)
        let agents = hosts.compactMap { host in known.first { $0.id == host } }
        let extra = try await NetworkAgent.extra(request, agents)
        return .list(
            "agents",
            agents.enumerated().map { place, agent in
                { view in
                    agent.write(&view, extra)
                    view.put("ha_state", place == 0 ? "active" : "standby")
                    view.put("ha_chassis_priority", hosts.count - place)
                }
            })
    }

    private static func routers(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        var hosted: [Router] = []
        for router in try await request.database.all(Router.self, "gateway_port_id IS NOT NULL ORDER BY id")
        where await hosts(request, router).contains(agent.id) {
            hosted.append(router)
        }
        let extra = try await Router.extra(request, hosted)
        return .list("routers", hosted.map { router in { router.write(&$0, extra) } })
    }

    private static func schedule(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        var body = try request.body()
        let id = try body.need("router_id", .id)
        body.ignore("tenant_id", "project_id")
        try body.end()
        let router = try await request.database.one(Router.self, "id = \(id)", or: Router.notFound(id))
        throw unscheduled(router)
    }

    private static func remove(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        let id = request["router"]
        let router = try await request.database.one(Router.self, "id = \(id)", or: Router.notFound(id))
        throw unscheduled(router)
    }

    private static func unscheduled(_ router: Router) -> Fault {
        .neutron(
            409, "RouterDoesntSupportScheduling", "Router \(router.id) does not support agent scheduling.")
    }
}
