// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells routers outside, over BGP, which way floating addresses and routed project networks are
/// (neutron-dynamic-routing's API). It only speaks: what peers say back is not taken over.
package struct BGPSpeaker: PlainNoun {
    package static let table = "network_bgp_speakers"
    package static let noun = "bgp_speaker"
    package static let plural = "bgp_speakers"
    package static let collection = "bgp-speakers"

    package let id: String, projectID: String
    var name: String
    let localAS: Int
    let ipVersion: Int
    var advertiseFloatingIPHostRoutes: Bool
    var advertiseTenantNetworks: Bool

    package struct Extra: Sendable {
        let peers: [String: [String]]
        let networks: [String: [String]]
    }
}

extension BGPSpeaker: Resource {
    package static let routes: [Route] = [
        .get("/bgp-speakers", "List BGP speakers", of: OwnScope.from, allow: .anyone("list_bgp_speakers"), index),
        .post(
            "/bgp-speakers", "Create BGP speakers", of: drafts,
            allow: .rule("create_bgp_speaker", NetworkRules.admin), create),
        .get(
            "/bgp-speakers/{id}", "Show BGP speaker", of: visible,
            allow: .rule("get_bgp_speaker", NetworkRules.admin), show),
        .put(
            "/bgp-speakers/{id}", "Update BGP speaker", of: visible,
            allow: .rule("update_bgp_speaker", NetworkRules.admin), update),
        .delete(
            "/bgp-speakers/{id}", "Delete BGP speaker", of: visible,
            allow: .rule("delete_bgp_speaker", NetworkRules.admin), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network bgp speakers
        CREATE TABLE network_bgp_speakers (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            local_as BIGINT NOT NULL, ip_version INTEGER NOT NULL,
            advertise_floating_ip_host_routes INTEGER NOT NULL, advertise_tenant_networks INTEGER NOT NULL)
        """
    ]

    package static let filters: [Filter] = [
        .text("name"), .number("local_as"), .number("ip_version"), .truth("advertise_floating_ip_host_routes"),
        .truth("advertise_tenant_networks"), .text("project_id"), .text("tenant_id", "project_id"), .text("id"),
    ]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "BgpSpeakerNotFound", "BGP speaker \(id) could not be found.")
    }
}

// MARK: - Handlers

extension BGPSpeaker {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<BGPSpeaker> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let project = try body.takeProject(request)
            let version = try body.need("ip_version", .whole(0...Int.max))
            guard version == 4 || version == 6 else {
                throw .httpBadRequest("Invalid input for ip_version. Reason: '\(version)' is not in [4, 6].")
            }
            return BGPSpeaker(
                id: request.ids.uuid(), projectID: project, name: try body.take("name", .string()) ?? "",
                localAS: try body.need("local_as", .asNumber), ipVersion: version,
                advertiseFloatingIPHostRoutes: try body.take("advertise_floating_ip_host_routes", .truth) ?? true,
                advertiseTenantNetworks: try body.take("advertise_tenant_networks", .truth) ?? true)
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<BGPSpeaker>) async throws(Fault) -> Reply {
        let announce = request.network.announce
        try await request.database.transaction { transaction throws(Fault) in
            for speaker in drafts.items { try transaction.insert(speaker) }
            transaction.afterCommit { announce.signal() }
        }
        return try await reply(request, made: drafts.items)
    }

    static func update(_ request: Request, _ found: BGPSpeaker) async throws(Fault) -> Reply {
        let announce = request.network.announce
        let speaker = try await change(request, found.id) { transaction, speaker throws(Fault) in
            var body = try request.body("bgp_speaker")
            speaker.name = try body.take("name", .string()) ?? speaker.name
            speaker.advertiseFloatingIPHostRoutes =
                try body.take("advertise_floating_ip_host_routes", .truth) ?? speaker.advertiseFloatingIPHostRoutes
            speaker.advertiseTenantNetworks =
                try body.take("advertise_tenant_networks", .truth) ?? speaker.advertiseTenantNetworks
            try body.end()
            transaction.afterCommit { announce.signal() }
        }
        return try await speaker.reply(request)
    }

    static func delete(_ request: Request, _ found: BGPSpeaker) async throws(Fault) -> Reply {
        let announce = request.network.announce
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(BGPSpeaker.self, "id = \(found.id)", or: notFound(found.id))
            try transaction.delete(BGPPeering.self, "speaker_id = \(found.id)")
            try transaction.delete(BGPGateway.self, "speaker_id = \(found.id)")
            try transaction.delete(BGPHosting.self, "speaker_id = \(found.id)")
            transaction.afterCommit { announce.signal() }
        }
        return .empty
    }
}

// MARK: - Wire

extension BGPSpeaker {
    package static func extra(_ request: Request, _ rows: [BGPSpeaker]) async throws(Fault) -> Extra {
        let ids = rows.map(\.id)
        let peerings = try await request.database.all(BGPPeering.self, "speaker_id", in: ids)
        let gateways = try await request.database.all(
            BGPGateway.self, "speaker_id", in: ids, and: "network_id IN (SELECT id FROM network_networks)")
        return Extra(
            peers: Dictionary(grouping: peerings, by: \.speakerID).mapValues { $0.map(\.peerID).sorted() },
            networks: Dictionary(grouping: gateways, by: \.speakerID).mapValues { $0.map(\.networkID).sorted() })
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("local_as", localAS)
        view.put("ip_version", ipVersion)
        view.put("advertise_floating_ip_host_routes", advertiseFloatingIPHostRoutes)
        view.put("advertise_tenant_networks", advertiseTenantNetworks)
        view.put("peers", extra.peers[id] ?? [])
        view.put("networks", extra.networks[id] ?? [])
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}

extension Format where Value == Int {
    /// Of four bytes (RFC 6793), as the extension `bgp_4byte_asn` has it.
    static var asNumber: Format { .whole(1...4_294_967_295) }
}
