// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The BGP agent: gives speakers that nobody hosts to itself, and has what they should tell be told, as soon as it
/// changes.
package struct RouteAnnouncer: Sendable {
    private let service: NetworkService
    private let advertiser: any RouteAdvertiser
    /// Floating addresses and routers come and go without a word to this loop.
    private static let period: Duration = .seconds(5)

    package init(_ service: NetworkService, _ advertiser: any RouteAdvertiser) {
        self.service = service
        self.advertiser = advertiser
    }

    /// Runs until cancelled.
    package func run() async {
        var told: [SpeakerSpec]?
        var complaint = ""
        while !Task.isCancelled {
            do throws(Fault) {
                told = try await once(told)
                if !complaint.isEmpty { service.log.info("BGP speaks again") }
                complaint = ""
            } catch {
                if complaint != error.message {
                    service.log.warning("BGP does not speak", ["error": error.message, "again_in_s": 5])
                }
                complaint = error.message
                told = nil
            }
            await service.announce.wait(atMost: RouteAnnouncer.period, service.clock)
        }
    }

    /// Tells what is to be told unless that was told already; answers what stands now.
    package func once(_ told: [SpeakerSpec]?) async throws(Fault) -> [SpeakerSpec] {
        let agent = try await beat()
        let speakers = try await specs(agent)
        guard speakers != told, told != nil || !speakers.isEmpty else { return speakers }
        do throws(Fault) {
            try await advertiser.speak(speakers)
            try await note("", agent)
        } catch {
            try await note(error.message, agent)
            throw error
        }
        service.log.info(
            "BGP routes announced",
            [
                "speakers": speakers.count, "peers": speakers.map(\.peers.count).reduce(0, +),
                "routes": speakers.map(\.routes.count).reduce(0, +),
            ])
        return speakers
    }

    private func note(_ complaint: String, _ agent: String) async throws(Fault) {
        _ = try await service.database.update(
            BGPAgent.self, set: "complaint = \(complaint)", where: "id = \(agent) AND complaint <> \(complaint)")
    }

    /// Writes down that this agent lives, and hosts whatever speaker nobody does (upstream's chance scheduler).
    private func beat() async throws(Fault) -> String {
        let (host, now, fresh) = (advertiser.host, service.clock.now(), service.ids.uuid())
        // Looked at first: most of the time there is nothing to write, and the writer is everybody's.
        let unhosted: SQL = "id NOT IN (SELECT speaker_id FROM network_bgp_hostings)"
        if let known = try await service.database.first(BGPAgent.self, "host = \(host)"),
            known.heartbeat + .seconds(30) > now,
            try await service.database.count(BGPSpeaker.self, unhosted) == 0
        {
            return known.id
        }
        return try await service.database.transaction { transaction throws(Fault) in
            let id: String
            if let known = try transaction.first(BGPAgent.self, "host = \(host)") {
                id = known.id
                // A heartbeat a row every five seconds would keep the disk awake.
                if known.heartbeat + .seconds(30) <= now {
                    try transaction.update(BGPAgent.self, set: "heartbeat = \(now)", where: "id = \(id)")
                }
            } else {
                id = fresh
                try transaction.insert(BGPAgent(id: id, host: host, heartbeat: now, complaint: "", began: now))
            }
            try list(id, host, now, transaction)
            for speaker in try transaction.all(BGPSpeaker.self, unhosted) {
                try transaction.insert(BGPHosting(speakerID: speaker.id, agentID: id))
            }
            return id
        }
    }

    /// Keeps the agent among all agents.
    private func list(_ id: String, _ host: String, _ now: Timestamp, _ transaction: Transaction) throws(Fault) {
        let known = try transaction.update(
            NetworkAgent.self, set: "heartbeat = \(now), is_alive = 1", where: "id = \(id)")
        guard known == 0 else { return }
        try transaction.insert(
            NetworkAgent(
                id: id, host: host, isGateway: false, tunnelAddresses: [], physicalNetworks: [], heartbeat: now,
                isAlive: true, adminStateUp: true, description: "", createdAt: now, kind: NetworkAgent.bgp))
    }

    private func specs(_ agent: String) async throws(Fault) -> [SpeakerSpec] {
        let database = service.database
        let speakers = try await database.all(
            BGPSpeaker.self, "id IN (SELECT speaker_id FROM network_bgp_hostings WHERE agent_id = \(agent)) ORDER BY id"
        )
        var specs: [SpeakerSpec] = []
        for speaker in speakers {
            let peers = try await database.all(
                BGPPeer.self,
                "id IN (SELECT peer_id FROM network_bgp_peerings WHERE speaker_id = \(speaker.id)) ORDER BY id")
            specs.append(
                SpeakerSpec(
                    id: speaker.id, localAS: speaker.localAS, version: speaker.ipVersion == 6 ? .v6 : .v4,
                    peers: peers.compactMap { peer in
                        IPAddress(peer.peerIP).map {
                            SpeakerSpec.Peer(
                                id: peer.id, address: $0, remoteAS: peer.remoteAS,
                                password: peer.authType == "md5" ? peer.password : nil)
                        }
                    },
                    routes: try await AdvertisedRoutes.of(speaker, database)))
        }
        return specs
    }
}
