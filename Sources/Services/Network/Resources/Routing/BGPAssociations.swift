// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which peers a speaker talks to.
struct BGPPeering: Record {
    static let table = "network_bgp_peerings"
    let speakerID: String, peerID: String
}

/// The external networks whose routers a speaker tells of.
struct BGPGateway: Record {
    static let table = "network_bgp_gateways"
    let speakerID: String, networkID: String
}

/// The calls that join speakers to peers and networks, and what a speaker tells because of them.
package enum BGPAssociations: Resource {
    package static let routes: [Route] = [
        .put(
            "/bgp-speakers/{id}/add_bgp_peer", "Add BGP peer to speaker", of: BGPSpeaker.visible,
            allow: .rule("add_bgp_peer", NetworkRules.admin), addPeer),
        .put(
            "/bgp-speakers/{id}/remove_bgp_peer", "Remove BGP peer from speaker", of: BGPSpeaker.visible,
            allow: .rule("remove_bgp_peer", NetworkRules.admin), removePeer),
        .put(
            "/bgp-speakers/{id}/add_gateway_network", "Add gateway network to BGP speaker", of: BGPSpeaker.visible,
            allow: .rule("add_gateway_network", NetworkRules.admin), addNetwork),
        .put(
            "/bgp-speakers/{id}/remove_gateway_network", "Remove gateway network from BGP speaker",
            of: BGPSpeaker.visible, allow: .rule("remove_gateway_network", NetworkRules.admin), removeNetwork),
        .get(
            "/bgp-speakers/{id}/get_advertised_routes", "List advertised routes", of: BGPSpeaker.visible,
            allow: .rule("get_advertised_routes", NetworkRules.admin), advertised),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network bgp associations
        CREATE TABLE network_bgp_peerings (
            speaker_id VARCHAR(36) NOT NULL, peer_id VARCHAR(36) NOT NULL, PRIMARY KEY (speaker_id, peer_id));
        CREATE TABLE network_bgp_gateways (
            speaker_id VARCHAR(36) NOT NULL, network_id VARCHAR(36) NOT NULL, PRIMARY KEY (speaker_id, network_id))
        """
    ]
}

// MARK: - Handlers

extension BGPAssociations {
    private static func addPeer(_ request: Request, _ speaker: BGPSpeaker) async throws(Fault) -> Reply {
        let id = try asked(request, "bgp_peer_id")
        try await change(request) { transaction throws(Fault) in
            let peer = try transaction.one(BGPPeer.self, "id = \(id)", or: BGPPeer.notFound(id))
            let known = try transaction.all(
                BGPPeer.self, "id IN (SELECT peer_id FROM network_bgp_peerings WHERE speaker_id = \(speaker.id))")
            guard !known.contains(where: { $0.peerIP == peer.peerIP }) else {
                throw .neutron(
                    409, "DuplicateBgpPeerIpException",
                    "BGP Speaker \(speaker.id) is already configured to peer with a BGP Peer at \(peer.peerIP), it "
                        + "cannot peer with BGP Peer \(id).")
            }
            try transaction.insert(BGPPeering(speakerID: speaker.id, peerID: id))
        }
        return .bare { $0.put("bgp_peer_id", id) }
    }

    private static func removePeer(_ request: Request, _ speaker: BGPSpeaker) async throws(Fault) -> Reply {
        let id = try asked(request, "bgp_peer_id")
        try await change(request) { transaction throws(Fault) in
            try transaction.delete(
                BGPPeering.self, "speaker_id = \(speaker.id) AND peer_id = \(id)",
                or: .neutron(
                    404, "BgpSpeakerPeerNotAssociated",
                    "BGP peer \(id) is not associated with BGP speaker \(speaker.id)."))
        }
        return .bare { $0.put("bgp_peer_id", id) }
    }

    private static func addNetwork(_ request: Request, _ speaker: BGPSpeaker) async throws(Fault) -> Reply {
        let id = try asked(request, "network_id")
        try await change(request) { transaction throws(Fault) in
            _ = try transaction.one(Network.self, "id = \(id)", or: Network.notFound(id))
            try transaction.insert(
                BGPGateway(speakerID: speaker.id, networkID: id),
                or: .neutron(
                    409, "BgpSpeakerNetworkBindingError",
                    "Network \(id) is already bound to BgpSpeaker \(speaker.id)."))
        }
        return .bare { $0.put("network_id", id) }
    }

    private static func removeNetwork(_ request: Request, _ speaker: BGPSpeaker) async throws(Fault) -> Reply {
        let id = try asked(request, "network_id")
        try await change(request) { transaction throws(Fault) in
            try transaction.delete(
                BGPGateway.self, "speaker_id = \(speaker.id) AND network_id = \(id)",
                or: .neutron(
                    404, "BgpSpeakerNetworkNotAssociated",
                    "Network \(id) is not associated with BGP speaker \(speaker.id)."))
        }
        return .bare { $0.put("network_id", id) }
    }

    private static func advertised(_ request: Request, _ speaker: BGPSpeaker) async throws(Fault) -> Reply {
        let routes = try await AdvertisedRoutes.of(speaker, request.database)
        return .list(
            "advertised_routes",
            routes.map { route in
                { view in
                    view.put("destination", route.destination.description)
                    view.put("next_hop", route.nextHop.description)
                }
            })
    }

    /// The one member that these calls have.
    private static func asked(_ request: Request, _ name: String) throws(Fault) -> String {
        guard request.json?.object != nil else {
            throw .badResource("bgp-speaker", "\(name) must be specified")
        }
        var body = try request.body()
        let value = body.takeRest()[name]
        guard let value, !value.isNull else { throw .badResource("bgp-speaker", "\(name) must be specified") }
        guard case .string(let id) = value, Hex.isUUID(id) else {
            throw .badResource("bgp-speaker", "'\(value.bare)' is not a valid UUID")
        }
        return id
    }

    private static func change(
        _ request: Request, _ edit: @escaping @Sendable (Transaction) throws(Fault) -> Void
    ) async throws(Fault) {
        let announce = request.network.announce
        try await request.database.transaction { transaction throws(Fault) in
            try edit(transaction)
            transaction.afterCommit { announce.signal() }
        }
    }
}
