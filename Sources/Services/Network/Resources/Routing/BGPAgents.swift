// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A host that speaks BGP for speakers (neutron-dynamic-routing's agent).
package struct BGPAgent: PlainNoun {
    package static let table = "network_bgp_agents"
    package static let noun = "agent"
    package static let plural = "agents"

    package let id: String
    let host: String
    var heartbeat: Timestamp
    /// What it said when it was last asked; empty while all is well.
    var complaint: String
    let began: Timestamp

    static let type = "BGP dynamic routing agent"
    static let binary = "bird"
    static let topic = "bgp_dragent"

    package var projectID: String { "" }
    package typealias Extra = Nothing
}

/// Which agent speaks for a speaker. An agent may speak for several, unlike upstream's, for its daemon can.
struct BGPHosting: Record {
    static let table = "network_bgp_hostings"
    let speakerID: String, agentID: String
}

extension BGPAgent: Resource {
    package static let routes: [Route] = [
        .get(
            "/bgp-speakers/{id}/bgp-dragents", "List BGP agents of a speaker", of: BGPSpeaker.visible,
            allow: .rule("list_dragent_hosting_bgp_speaker", NetworkRules.admin), ofSpeaker),
        .get(
            "/agents/{id}/bgp-drinstances", "List BGP speakers of an agent", of: Anything.from,
            allow: .rule("list_bgp_speaker_on_dragent", NetworkRules.admin), speakers),
        .post(
            "/agents/{id}/bgp-drinstances", "Add BGP speaker to agent", of: Anything.from,
            allow: .rule("add_bgp_speaker_to_dragent", NetworkRules.admin), add),
        .delete(
            "/agents/{id}/bgp-drinstances/{speaker_id}", "Remove BGP speaker from agent", of: Anything.from,
            allow: .rule("remove_bgp_speaker_from_dragent", NetworkRules.admin), remove),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network bgp agents
        CREATE TABLE network_bgp_agents (
            id VARCHAR(36) PRIMARY KEY, host VARCHAR(255) NOT NULL UNIQUE, heartbeat BIGINT NOT NULL,
            complaint TEXT NOT NULL, began BIGINT NOT NULL);
        CREATE TABLE network_bgp_hostings (
            speaker_id VARCHAR(36) NOT NULL, agent_id VARCHAR(36) NOT NULL, PRIMARY KEY (speaker_id, agent_id))
        """
    ]

    package static let filters: [Filter] = [.text("host"), .text("id")]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "AgentNotFound", "Agent \(id) could not be found.")
    }
}

// MARK: - Handlers

extension BGPAgent {
    private static func ofSpeaker(_ request: Request, _ speaker: BGPSpeaker) async throws(Fault) -> Reply {
        let agents = try await request.database.all(
            BGPAgent.self, "id IN (SELECT agent_id FROM network_bgp_hostings WHERE speaker_id = \(speaker.id))")
        return .list("agents", agents.map { agent in { agent.write(&$0, Nothing()) } })
    }

    private static func speakers(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let id = request["id"]
        _ = try await request.database.one(BGPAgent.self, "id = \(id)", or: notFound(id))
        let speakers = try await request.database.all(
            BGPSpeaker.self, "id IN (SELECT speaker_id FROM network_bgp_hostings WHERE agent_id = \(id))")
        let extra = try await BGPSpeaker.extra(request, speakers)
        return .list("bgp_speakers", speakers.map { speaker in { speaker.write(&$0, extra) } })
    }

    private static func add(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let (id, announce) = (request["id"], request.network.announce)
        var body = try request.body()
        let speaker = try body.need("bgp_speaker_id", .id)
        try body.end()
        try await request.database.transaction { transaction throws(Fault) in
            _ = try transaction.one(
                BGPAgent.self, "id = \(id)",
                or: .neutron(404, "DrAgentInvalid", "BgpDrAgent \(id) is invalid or has been disabled."))
            _ = try transaction.one(BGPSpeaker.self, "id = \(speaker)", or: BGPSpeaker.notFound(speaker))
            try transaction.insert(
                BGPHosting(speakerID: speaker, agentID: id),
                or: .neutron(
                    409, "DrAgentAssociationError", "BgpDrAgent \(id) is already associated to a BGP speaker."))
            transaction.afterCommit { announce.signal() }
        }
        return .json(.null)
    }

    private static func remove(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let (id, speaker, announce) = (request["id"], request["speaker_id"], request.network.announce)
        try await request.database.transaction { transaction throws(Fault) in
            _ = try transaction.one(BGPAgent.self, "id = \(id)", or: notFound(id))
            try transaction.delete(
                BGPHosting.self, "speaker_id = \(speaker) AND agent_id = \(id)",
                or: .neutron(
                    404, "DrAgentNotHostingBgpSpeaker",
                    "BGP speaker \(speaker) is not hosted by the BgpDrAgent \(id)."))
            transaction.afterCommit { announce.signal() }
        }
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("agent_type", BGPAgent.type)
        view.put("binary", BGPAgent.binary)
        view.put("host", host)
        view.put("topic", BGPAgent.topic)
        view.put("availability_zone", String?.none)
        view.put("admin_state_up", true)
        view.put("alive", heartbeat + .seconds(75) > view.request.now)
        view.put("created_at", began.agentTime)
        view.put("started_at", began.agentTime)
        view.put("heartbeat_timestamp", heartbeat.agentTime)
        view.put("description", complaint)
        view.put("resources_synced", Bool?.none)
        view.nest("configurations") { _ in }
    }
}
