// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Where SAML assertions are brought: by browsers in a form, by clients in a SOAP envelope. A client then has a cookie
/// for the one call that gives it a token.
struct FederationSession: Record {
    static let table = "identity_federation_sessions"

    /// A digest of what the cookie holds.
    let id: String
    let idpID: String
    let protocolID: String
    let attributes: [String: String]
    let remoteUser: String?
    let endsAt: Timestamp
}

extension FederationSession: Resource {
    static let routes: [Route] = [
        .open("POST", path + "/acs", "Bring a browser's SAML assertion", payload: .stream, fromBrowser),
        .open("POST", path + "/ecp", "Bring a client's SAML assertion", status: 303, payload: .stream, fromClient),
        .open("GET", path + "/metadata", "Show this cloud to a SAML identity provider", describe),
    ]

    private static let path = FederationProtocol.path + "/{protocol_id}/saml2"

    static let migrations: [Migration] = [
        """
        2026-11-21 identity federation sessions
        CREATE TABLE identity_federation_sessions (
            id VARCHAR(64) NOT NULL PRIMARY KEY, idp_id VARCHAR(64) NOT NULL, protocol_id VARCHAR(64) NOT NULL,
            attributes TEXT NOT NULL, remote_user TEXT, ends_at BIGINT NOT NULL);
        """
    ]

    static let cookie = "apus-federation"
    private static let life = Duration.seconds(300)
    private static let limit = 1 << 20

    // MARK: Browsers

    /// What the provider said, brought by the browser that asked: only it has the cookie.
    static func fromBrowser(_ request: Request) async throws(Fault) -> Reply {
        let provider = try provider(request)
        let body = try await request.http.body.collect(limit: limit)
        let form = Dictionary(
            QueryString.parse(String(decoding: body, as: UTF8.self)) ?? [], uniquingKeysWith: { first, _ in first })
        guard let state = form["RelayState"], let text = form["SAMLResponse"],
            let document = Base64.decode(text.filter { !$0.isWhitespace }),
            let sealed = Cookie.read(PendingLogin.cookieName(state), request),
            let login = PendingLogin(sealed, request.identity.credentialKeys, at: request.now),
            login.state == state, login.providerID == provider.key.providerID,
            login.protocolID == provider.key.protocolID
        else { throw .unauthorized() }
        let said = try await read(
            document, provider, answering: login.requestID, at: provider.consumer, request)
        let token = try await request.identity.logIn(
            from: provider.key.providerID, by: provider.key.protocolID, said.assertion, request)
        try FederationAuth.requireTrust(in: login.origin, request)
        let ended = Cookie(name: login.cookieName, value: "", life: .zero)
        return FederationPages.handOver(token.text, to: login.origin)
            .header("Set-Cookie", ended.header(secure: provider.isSecure, crossesSites: true))
    }

    // MARK: Clients

    /// What another cloud says about its user: nobody asked, so it must name this very address and works once.
    static func fromClient(_ request: Request) async throws(Fault) -> Reply {
        let provider = try provider(request)
        let document = try await request.http.body.collect(limit: limit)
        let said = try await read(document, provider, answering: nil, at: provider.clientConsumer, request)
        let secret = Base64URL.encode(request.ids.bytes(32))
        let (key, now) = (provider.key, request.now)
        let session = FederationSession(
            id: Digest.hex(.sha256, secret), idpID: key.providerID, protocolID: key.protocolID,
            attributes: said.assertion.attributes, remoteUser: said.assertion.remoteUser,
            endsAt: min(said.endsAt, now + life))
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(FederationSession.self, "ends_at < \(now)")
            try transaction.insert(session)
        }
        let cookie = Cookie(name: cookie, value: secret, life: life)
        return Reply.empty.header("Location", provider.authentication)
            .header("Set-Cookie", cookie.header(secure: provider.isSecure)).header("Cache-Control", "no-store")
    }

    /// What somebody proved a moment ago; it is worth one token.
    static func take(_ key: RelyingParties.Key, _ request: Request) async throws(Fault) -> Assertion {
        guard let secret = Cookie.read(cookie, request) else { throw .unauthorized() }
        let (id, now) = (Digest.hex(.sha256, secret), request.now)
        let session = try await request.database.transaction { transaction throws(Fault) in
            let session = try transaction.one(
                FederationSession.self,
                """
                id = \(id) AND idp_id = \(key.providerID) AND protocol_id = \(key.protocolID) AND ends_at > \(now)
                """, or: .unauthorized())
            try transaction.delete(FederationSession.self, "id = \(id)")
            return session
        }
        return Assertion(attributes: session.attributes, remoteUser: session.remoteUser)
    }

    static func describe(_ request: Request) async throws(Fault) -> Reply {
        Reply.body(.bytes(Array(try provider(request).description.utf8)), type: "text/xml")
    }

    private static func provider(_ request: Request) throws(Fault) -> SAMLProvider {
        guard let provider = request.identity.saml[request.federationKey] else { throw .unauthorized() }
        return provider
    }

    /// The assertion in a document, if it is signed, for us, now, and was not brought before.
    private static func read(
        _ document: [UInt8], _ provider: SAMLProvider, answering question: String?, at recipient: String,
        _ request: Request
    ) async throws(Fault) -> SAMLLogin {
        guard let xml = request.identity.doors.xml else { throw .unauthorized() }
        let login: SAMLLogin
        do {
            let signed = try xml.assertion(
                in: document, certificates: provider.certificates, acceptsSHA1: provider.settings.acceptsSHA1)
            login = try provider.read(signed, answering: question, at: recipient, now: request.now)
        } catch {
            request.log.warning(
                "a SAML assertion was refused", ["identity_provider": provider.key.providerID, "why": error.message])
            throw .unauthorized()
        }
        try await FederationReplay.use(login.id, until: login.endsAt, request)
        return login
    }
}

extension SAMLProvider {
    var isSecure: Bool { settings.baseURL.hasPrefix("https:") }

    /// Where the cookie is turned into a token.
    var authentication: String {
        settings.baseURL + "/OS-FEDERATION/identity_providers/" + Percent.encode(key.providerID) + "/protocols/"
            + Percent.encode(key.protocolID) + "/auth"
    }
}
