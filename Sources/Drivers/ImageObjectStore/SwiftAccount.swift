// SPDX-License-Identifier: Apache-2.0
internal import Image
internal import Kernel
internal import Synchronization

/// An account of an OpenStack object store: the token it works with, renewed when it is refused, and the calls that
/// images need. All block.
final class SwiftAccount: Sendable {
    struct Session: Sendable {
        let token: String
        /// Where the account's containers are.
        let url: String
    }

    let settings: SwiftStoreSettings
    let streams: HTTPStreams
    private let client: HTTPClient
    private let session = Mutex<Session?>(nil)
    private static let patience = Duration.seconds(120)

    init(_ settings: SwiftStoreSettings) {
        self.settings = settings
        client = HTTPClient(
            threads: 1, authorities: settings.authorities, verifiesPeers: settings.verifiesPeers)
        streams = HTTPStreams(authorities: settings.authorities, verifiesPeers: settings.verifiesPeers)
    }

    /// The one in use; a refused one is replaced, unless another call did that already.
    func current(not refused: Session? = nil) throws(Fault) -> Session {
        if let known = session.withLock({ $0 }), known.token != refused?.token { return known }
        let fresh = settings.authVersion == "1" ? try tempauth() : try identity()
        session.withLock { $0 = fresh }
        return fresh
    }

    func send(
        _ method: String, _ path: String, query: [(String, String)] = [], headers: [(String, String)] = [],
        body: [UInt8] = []
    ) throws(Fault) -> HTTPClient.Reply {
        var session = try current()
        for _ in 0..<2 {
            let reply = try client.sendHere(
                method, SwiftAccount.url(session, path, query), headers: [("X-Auth-Token", session.token)] + headers,
                body: body, timeout: Self.patience)
            guard reply.status == 401 else { return reply }
            session = try current(not: session)
        }
        throw .unavailable("The object store refuses the account's token.")
    }

    func need(
        _ method: String, _ path: String, query: [(String, String)] = [], headers: [(String, String)] = [],
        body: [UInt8] = []
    ) throws(Fault) -> HTTPClient.Reply {
        let reply = try send(method, path, query: query, headers: headers, body: body)
        guard (200...299).contains(reply.status) else { throw SwiftAccount.fault(reply, "\(method) \(path)") }
        return reply
    }

    static func url(_ session: Session, _ path: String, _ query: [(String, String)] = []) -> String {
        let text = query.map { "\(Percent.encode($0.0))=\(Percent.encode($0.1))" }.joined(separator: "&")
        return "\(session.url)/\(Percent.encodePath(path))" + (text.isEmpty ? "" : "?\(text)")
    }

    static func fault(_ reply: HTTPClient.Reply, _ deed: String) -> Fault {
        switch reply.status {
        case 404: .notFound("Object store: \(deed): not found.")
        case 413, 507: .imageStoreFull
        case 403:
            .unavailable("Insufficient permissions on image storage media: object store: \(deed) is forbidden.")
        default: .unavailable("Object store: \(deed): status \(reply.status).")
        }
    }

    // MARK: Tokens

    /// The object store's own authentication, where there is no Identity.
    private func tempauth() throws(Fault) -> Session {
        let reply = try client.sendHere(
            "GET", settings.authAddress,
            headers: [("X-Auth-User", settings.user), ("X-Auth-Key", settings.key)], timeout: Self.patience)
        guard reply.status == 200, let token = reply.headers["X-Auth-Token"], let url = reply.headers["X-Storage-Url"]
        else { throw .unavailable("The object store gives no token (status \(reply.status)).") }
        return Session(token: token, url: settings.endpoint ?? url)
    }

    private func identity() throws(Fault) -> Session {
        let parts = settings.user.split(separator: ":", maxSplits: 1).map(String.init)
        let (project, user) = parts.count == 2 ? (parts[0], parts[1]) : ("service", settings.user)
        let body: JSON = [
            "auth": [
                "identity": [
                    "methods": ["password"],
                    "password": [
                        "user": [
                            "name": .string(user), "password": .string(settings.key),
                            "domain": ["id": .string(settings.userDomain)],
                        ]
                    ],
                ],
                "scope": [
                    "project": ["name": .string(project), "domain": ["id": .string(settings.projectDomain)]]
                ],
            ]
        ]
        var address = settings.authAddress
        while address.hasSuffix("/") { address.removeLast() }
        let base = address.hasSuffix("/v3") ? address : address + "/v3"
        let reply = try client.sendHere(
            "POST", base + "/auth/tokens", headers: [("Content-Type", "application/json")], body: body.bytes(),
            timeout: Self.patience)
        guard reply.status == 201, let token = reply.headers["X-Subject-Token"] else {
            throw .unavailable("Identity gives no token for the object store (status \(reply.status)).")
        }
        if let endpoint = settings.endpoint { return Session(token: token, url: endpoint) }
        guard let json = try? JSON.parse(reply.body, limits: .trusted), let url = endpoint(json["token"]?["catalog"])
        else { throw .unavailable("The catalogue has no \(settings.serviceType) endpoint.") }
        return Session(token: token, url: url)
    }

    private func endpoint(_ catalog: JSON?) -> String? {
        let interface = String(settings.endpointType.dropLast("URL".count))
        for service in catalog?.array ?? [] where service["type"]?.string == settings.serviceType {
            for endpoint in service["endpoints"]?.array ?? [] where endpoint["interface"]?.string == interface {
                if let region = settings.region, endpoint["region_id"]?.string != region { continue }
                return endpoint["url"]?.string
            }
        }
        return nil
    }
}
