// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A router outside that speakers talk to.
package struct BGPPeer: PlainNoun {
    package static let table = "network_bgp_peers"
    package static let noun = "bgp_peer"
    package static let plural = "bgp_peers"
    package static let collection = "bgp-peers"

    package let id: String, projectID: String
    var name: String
    let peerIP: String
    let remoteAS: Int
    let authType: String
    /// Never shown.
    var password: String?

    package typealias Extra = Nothing
}

extension BGPPeer: Resource {
    package static let routes: [Route] = [
        .get("/bgp-peers", "List BGP peers", of: OwnScope.from, allow: .anyone("list_bgp_peers"), index),
        .post(
            "/bgp-peers", "Create BGP peers", of: drafts, allow: .rule("create_bgp_peer", NetworkRules.admin), create),
        .get("/bgp-peers/{id}", "Show BGP peer", of: visible, allow: .rule("get_bgp_peer", NetworkRules.admin), show),
        .put(
            "/bgp-peers/{id}", "Update BGP peer", of: visible, allow: .rule("update_bgp_peer", NetworkRules.admin),
            update),
        .delete(
            "/bgp-peers/{id}", "Delete BGP peer", of: visible, allow: .rule("delete_bgp_peer", NetworkRules.admin),
            delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network bgp peers
        CREATE TABLE network_bgp_peers (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            peer_ip VARCHAR(64) NOT NULL, remote_as BIGINT NOT NULL, auth_type VARCHAR(16) NOT NULL,
            password VARCHAR(255))
        """
    ]

    package static let filters: [Filter] = [
        .text("name"), .text("peer_ip"), .number("remote_as"), .text("auth_type"), .text("project_id"),
        .text("tenant_id", "project_id"), .text("id"),
    ]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "BgpPeerNotFound", "BGP peer \(id) could not be found.")
    }
}

extension BGPPeer {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<BGPPeer> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let peer = BGPPeer(
                id: request.ids.uuid(), projectID: try body.takeProject(request),
                name: try body.take("name", .string()) ?? "",
                peerIP: try body.need("peer_ip", .address).description,
                remoteAS: try body.need("remote_as", .asNumber),
                authType: try body.need("auth_type", .among("none", "md5")),
                password: try body.option("password", .secret))
            guard peer.authType != "md5" || peer.password?.isEmpty == false else {
                throw .neutron(
                    400, "InvalidBgpPeerMd5Authentication", "A password must be supplied when using auth_type md5.")
            }
            return peer
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<BGPPeer>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for peer in drafts.items { try transaction.insert(peer) }
        }
        return try await reply(request, made: drafts.items)
    }

    static func update(_ request: Request, _ found: BGPPeer) async throws(Fault) -> Reply {
        let announce = request.network.announce
        let peer = try await change(request, found.id) { transaction, peer throws(Fault) in
            var body = try request.body("bgp_peer")
            peer.name = try body.take("name", .string()) ?? peer.name
            let password = try body.option("password", .secret)
            try body.end()
            if let password {
                guard peer.authType != "none" else {
                    throw .neutron(404, "BgpPeerNotAuthenticated", "BGP peer \(peer.id) not authenticated.")
                }
                peer.password = password
            }
            transaction.afterCommit { announce.signal() }
        }
        return try await peer.reply(request)
    }

    static func delete(_ request: Request, _ found: BGPPeer) async throws(Fault) -> Reply {
        let announce = request.network.announce
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(BGPPeer.self, "id = \(found.id)", or: notFound(found.id))
            try transaction.delete(BGPPeering.self, "peer_id = \(found.id)")
            transaction.afterCommit { announce.signal() }
        }
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("peer_ip", peerIP)
        view.put("remote_as", remoteAS)
        view.put("auth_type", authType)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}

extension Format where Value == String {
    /// TCP's MD5 option takes 80 bytes (RFC 2385 as Linux has it); quotes and line ends would end a daemon's string.
    fileprivate static var secret: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string else { throw Misfit("'\(value.bare)' is not a valid string") }
            guard text.utf8.count <= 80 else { throw Misfit("a password has 80 bytes at the most") }
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }) else {
                throw Misfit("a password is of printable ASCII characters without quotes and backslashes")
            }
            return text
        }
    }
}
