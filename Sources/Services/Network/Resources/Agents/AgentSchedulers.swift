// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which agent serves which network's DHCP: none does, for every host answers for itself. Upstream's OVN says the same.
package enum AgentSchedulers: Resource {
    package static let routes: [Route] = [
        .get(
            "/agents/{id}/dhcp-networks", "List networks that a DHCP agent serves", of: NetworkAgent.visible,
            allow: .rule("get_dhcp-networks", NetworkRules.admin), networks),
        .post(
            "/agents/{id}/dhcp-networks", "Give a network to a DHCP agent", of: NetworkAgent.visible,
            allow: .rule("create_dhcp-network", NetworkRules.admin), add),
        .delete(
            "/agents/{id}/dhcp-networks/{network}", "Take a network from a DHCP agent", of: NetworkAgent.visible,
            allow: .rule("delete_dhcp-network", NetworkRules.admin), remove),
        .get(
            "/networks/{id}/dhcp-agents", "List DHCP agents that serve a network", of: Network.visible,
            allow: .rule("get_dhcp-agents", NetworkRules.admin), agents),
    ]

    private static func networks(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        .list("networks", [])
    }

    private static func agents(_ request: Request, _ network: Network) async throws(Fault) -> Reply {
        .list("agents", [])
    }

    private static func add(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        var body = try request.body()
        _ = try body.need("network_id", .id)
        try body.end()
        throw .neutron(
            404, "InvalidDHCPAgent", "Agent \(agent.id) is not a valid DHCP Agent or has been disabled")
    }

    private static func remove(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        throw .neutron(
            409, "NetworkNotHostedByDhcpAgent",
            "The network \(request["network"]) is not hosted by the DHCP agent \(agent.id).")
    }
}
