// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A host as the back end last saw it, shown as the OVN controller that runs there; or who speaks BGP on a host.
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
    /// Empty for a controller of OVN.
    var kind = ""
    /// How far the host's controller had come when it was last seen to come further.
    var progress = 0
    /// Whether its switch promises packets in Placement.
    var promisesPackets = false

    static let bgp = "bgp"
    /// Who is silent so long is taken for dead (upstream's `agent_down_time`).
    static let patience = Duration.seconds(75)

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
            createdAt, zones, kind, progress, promisesPackets
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
        """
        2026-11-30 network agents of several kinds
        ALTER TABLE network_agents ADD COLUMN kind VARCHAR(16) NOT NULL DEFAULT '';
        ALTER TABLE network_agents ADD COLUMN progress BIGINT NOT NULL DEFAULT 0
        """,
        """
        2026-11-30 network agents that promise packets
        ALTER TABLE network_agents ADD COLUMN promises_packets INTEGER NOT NULL DEFAULT 0
        """,
    ]

    package static let filters: [Filter] = [
        .text("host"), .truth("alive", "is_alive"), .truth("admin_state_up"),
        .other("agent_type") { values in
            var kinds: [SQL] = []
            if values.contains(gatewayType) { kinds.append("kind = '' AND is_gateway = 1") }
            if values.contains(hostType) { kinds.append("kind = '' AND is_gateway = 0") }
            if values.contains(BGPAgent.type) { kinds.append("kind = \(bgp)") }
            return kinds.isEmpty ? "1 = 0" : kinds.joined(" OR ")
        },
        .other("binary") { values in
            let kinds = [("ovn-controller", ""), (BGPAgent.binary, bgp)].filter { values.contains($0.0) }.map(\.1)
            return kinds.isEmpty ? "1 = 0" : "kind IN \(kinds)"
        },
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
        guard !agent.isAlive || !agent.kind.isEmpty else {
            throw .badResource("agent", "OVN agents cannot be deleted while their host is alive")
        }
        // The back end first: a row that goes while the host stays there would come back.
        if agent.kind.isEmpty { try await (request.network.backend as? any HostWatch)?.forget(host: agent.id) }
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(NetworkAgent.self, "id = \(agent.id)", or: notFound(agent.id))
            guard agent.kind == bgp else { return }
            try transaction.delete(BGPAgent.self, "id = \(agent.id)")
            try transaction.delete(BGPHosting.self, "agent_id = \(agent.id)")
        }
        return .empty
    }

    private func zone(_ extra: Extra) -> String? {
        if kind == NetworkAgent.bgp { return nil }
        return zones.isEmpty ? extra.zone : zones.split(separator: ":").joined(separator: ", ")
    }

    private var type: String {
        kind == NetworkAgent.bgp
            ? BGPAgent.type : isGateway ? NetworkAgent.gatewayType : NetworkAgent.hostType
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        let isController = kind.isEmpty
        view.put("agent_type", type)
        view.put("binary", isController ? "ovn-controller" : BGPAgent.binary)
        view.put("host", host)
        view.put("topic", isController ? "n/a" : BGPAgent.topic)
        view.put("availability_zone", zone(extra))
        view.put("admin_state_up", adminStateUp)
        view.put("alive", isAlive)
        view.put("created_at", createdAt.agentTime)
        view.put("started_at", createdAt.agentTime)
        view.put("heartbeat_timestamp", heartbeat.agentTime)
        view.put("description", description)
        view.put("resources_synced", Bool?.none)
        view.nest("configurations") {
            guard isController else { return }
            $0.put("chassis_name", id)
            $0.put("bridge-mappings", physicalNetworks.joined(separator: ","))
            $0.put("tunneling_ip", tunnelAddresses.first)
        }
    }
}

extension Timestamp {
    /// `2026-11-20 10:00:00`: agents' times are written so, unlike all others of the service.
    var agentTime: String { String(iso8601.dropLast()).replacing("T", with: " ") }
}
