// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What speaks BGP to the routers outside. Every call may be repeated: a second one changes nothing.
package protocol RouteAdvertiser: Sendable {
    /// The host that it speaks from, as agents are listed.
    var host: String { get }
    /// Speaks for exactly these from now on; sessions that did not change stay up. None ends every session.
    func speak(_ speakers: [SpeakerSpec]) async throws(Fault)
    /// How the sessions are, by peer.
    func sessions() async throws(Fault) -> [SessionFact]
}

/// A speaker with everything it tells and everybody it tells it to.
package struct SpeakerSpec: Sendable, Hashable {
    package struct Peer: Sendable, Hashable {
        package let id: String
        package let address: IPAddress
        package let remoteAS: Int
        package let password: String?

        package init(id: String, address: IPAddress, remoteAS: Int, password: String? = nil) {
            self.id = id
            self.address = address
            self.remoteAS = remoteAS
            self.password = password
        }
    }

    package let id: String
    package let localAS: Int
    package let version: IPVersion
    package let peers: [Peer]
    package let routes: [AdvertisedRoute]

    package init(id: String, localAS: Int, version: IPVersion, peers: [Peer], routes: [AdvertisedRoute]) {
        self.id = id
        self.localAS = localAS
        self.version = version
        self.peers = peers
        self.routes = routes
    }
}

/// A session as the daemon sees it.
package struct SessionFact: Sendable, Hashable {
    package let speakerID: String
    package let peerID: String
    package let isEstablished: Bool
    /// The daemon's own words for where it stands: `Connect`, `Active`, `Established`.
    package let state: String

    package init(speakerID: String, peerID: String, isEstablished: Bool, state: String) {
        self.speakerID = speakerID
        self.peerID = peerID
        self.isEstablished = isEstablished
        self.state = state
    }
}

/// Keeps what it was told, for clouds without a world outside.
package actor FakeRouteAdvertiser: RouteAdvertiser {
    package nonisolated let host: String
    package private(set) var speakers: [SpeakerSpec] = []
    /// How often it was told something.
    package private(set) var words = 0
    private var refusal: Fault?

    package init(host: String = "host-1") { self.host = host }

    /// Fails from now on; nil ends that.
    package func refuse(_ fault: Fault?) { refusal = fault }

    package func speak(_ speakers: [SpeakerSpec]) async throws(Fault) {
        if let refusal { throw refusal }
        self.speakers = speakers
        words += 1
    }

    package func sessions() async throws(Fault) -> [SessionFact] {
        speakers.flatMap { speaker in
            speaker.peers.map {
                SessionFact(speakerID: speaker.id, peerID: $0.id, isEstablished: true, state: "Established")
            }
        }
    }
}
