// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A host as the back end last saw it; shown as the OVN controller that runs there.
package struct NetworkAgent: Noun {
    package static let table = "network_agents"
    package static let noun = "agent"
    package static let plural = "agents"

    package let id: String
    var host: String
    var isGateway: Bool
    var tunnelAddresses: [String]
    var physicalNetworks: [String]
    var heartbeat: Timestamp
    var isAlive: Bool
    var adminStateUp: Bool
    package var description: String
    package let createdAt: Timestamp
    /// The availability zones that it names, parted by colons.
    var zones = ""

    package var projectID: String { "" }
    package var tags: [String] {
        get { [] }
        set {}
    }
    package var updatedAt: Timestamp {
        get { heartbeat }
        set {}
    }
    package var revisionNumber: Int {
        get { 0 }
        set {}
    }

    package struct Extra: Sendable { let zone: String }

    private enum CodingKeys: String, CodingKey {
        case id, host, isGateway, tunnelAddresses, physicalNetworks, heartbeat, isAlive, adminStateUp, description,
            createdAt, zones
    }
}

extension NetworkAgent: Resource {
    package static let routes: [Route] = [
        .get(
            "/agents", "List agents", of: OwnScope.from,
            allow: .anyone("list_agents"), index),
        .get("/agents/{id}", "Show agent", of: visible, allow: .rule("get_agent", "rule:admin_only"), show),
        .put(
            "/agents/{id}", "Update agent", of: visible, allow: .rule("update_agent", "rule:admin_only"), update),
        .delete(
            "/agents/{id}", "Delete agent", of: visible, allow: .rule("delete_agent", "rule:admin_only"), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 network agents
        CREATE TABLE network_agents (
            id VARCHAR(64) PRIMARY KEY, host VARCHAR(255) NOT NULL, is_gateway INTEGER NOT NULL,
            tunnel_addresses TEXT NOT NULL, physical_networks TEXT NOT NULL, heartbeat BIGINT NOT NULL,
            is_alive INTEGER NOT NULL, admin_state_up INTEGER NOT NULL, description VARCHAR(255) NOT NULL,
            created_at BIGINT NOT NULL)
        """,
        """
        2026-11-30 network agents' zones
        ALTER TABLE network_agents ADD COLUMN zones VARCHAR(255) NOT NULL DEFAULT ''
        """,
    ]

    package static let filters: [Filter] = [
        .text("host"), .truth("alive", "is_alive"), .truth("admin_state_up"),
        .other("agent_type") { values in
            var kinds: [SQL] = []
            if values.contains(gatewayType) { kinds.append("is_gateway = 1") }
            if values.contains(hostType) { kinds.append("is_gateway = 0") }
            return kinds.isEmpty ? "1 = 0" : kinds.joined(" OR ")
        },
        .other("binary") { $0.contains("ovn-controller") ? "1 = 1" : "1 = 0" },
        .other("availability_zone") { _ in "1 = 1" }, .text("description"), .text("id"),
    ]

    private static let gatewayType = "OVN Controller Gateway agent"
    private static let hostType = "OVN Controller agent"

    /// Hosts are no project's; the rule alone says who sees them.
    package static func scope(_ project: String) -> SQL { "1 = 1" }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "AgentNotFound", "Agent \(id) could not be found.")
    }
}

extension NetworkAgent {
    package static func extra(_ request: Request, _ rows: [NetworkAgent]) async throws(Fault) -> Extra {
        Extra(zone: request.network.options.zone)
    }

    private static func update(_ request: Request, _ found: NetworkAgent) async throws(Fault) -> Reply {
        var body = try request.body("agent")
        var agent = found
        agent.description = try body.option("description", .string()) ?? agent.description
        agent.adminStateUp = try body.take("admin_state_up", .truth) ?? agent.adminStateUp
        try body.end()
        try await request.database.replace(agent, where: "id = \(agent.id)", or: notFound(agent.id))
        return try await agent.reply(request)
    }

    private static func delete(_ request: Request, _ agent: NetworkAgent) async throws(Fault) -> Reply {
        guard !agent.isAlive else {
            throw .badResource("agent", "OVN agents cannot be deleted while their host is alive")
        }
        try await request.database.delete(NetworkAgent.self, "id = \(agent.id)", or: notFound(agent.id))
        return .empty
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("agent_type", isGateway ? NetworkAgent.gatewayType : NetworkAgent.hostType)
        view.put("binary", "ovn-controller")
        view.put("host", host)
        view.put("topic", "n/a")
        view.put("availability_zone", zones.isEmpty ? extra.zone : zones.split(separator: ":").joined(separator: ", "))
        view.put("admin_state_up", adminStateUp)
        view.put("alive", isAlive)
        view.put("created_at", createdAt)
        view.put("started_at", createdAt)
        view.put("heartbeat_timestamp", heartbeat)
        view.put("description", description)
        view.put("resources_synced", Bool?.none)
        view.nest("configurations") {
            $0.put("chassis_name", id)
            $0.put("bridge-mappings", physicalNetworks.joined(separator: ","))
            $0.put("tunneling_ip", tunnelAddresses.first)
        }
    }
}
