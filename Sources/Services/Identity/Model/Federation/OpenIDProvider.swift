// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// An OpenID Connect provider as this cloud knows it: where it answers, and the keys it signs with now.
actor OpenIDProvider {
    /// Where a provider answers, from its own metadata.
    struct Addresses: Sendable {
        let authorization: String, token: String, keys: String
        let userinfo: String?, introspection: String?
    }

    nonisolated let settings: OpenIDSettings
    private let channel: any BackChannel
    private let clock: any WallClock
    private var addresses: (value: Addresses, at: Timestamp)?
    private var keys: (value: [WebKey], at: Timestamp)?

    private static let memory = Duration.seconds(3600)
    /// How often a token signed with an unknown key may make us ask for the keys again.
    private static let patience = Duration.seconds(30)

    init(_ settings: OpenIDSettings, _ channel: any BackChannel, clock: any WallClock) {
        self.settings = settings
        self.channel = channel
        self.clock = clock
    }

    func whereabouts() async throws(Fault) -> Addresses {
        if let addresses, addresses.at + OpenIDProvider.memory > clock.now() { return addresses.value }
        let document = try await document("GET", settings.metadataURL)
        guard document["issuer"]?.string == settings.issuer else {
            throw .unavailable("The metadata at \(settings.metadataURL) is another issuer's.")
        }
        func address(_ name: String) -> String? {
            document[name]?.string.flatMap { RelyingParties.isSafe($0) ? $0 : nil }
        }
        guard let authorization = address("authorization_endpoint"), let token = address("token_endpoint"),
            let keys = address("jwks_uri")
        else { throw .unavailable("The metadata at \(settings.metadataURL) lacks an address, or one is not https.") }
        let found = Addresses(
            authorization: authorization, token: token, keys: keys, userinfo: address("userinfo_endpoint"),
            introspection: address("introspection_endpoint"))
        addresses = (found, clock.now())
        return found
    }

    /// The claims of a token that one of the provider's keys signed; nothing else about it is checked here.
    func claims(of text: String) async throws(Fault) -> SignedToken {
        guard let token = SignedToken(text), settings.algorithms.contains(token.algorithm) else {
            throw .unauthorized()
        }
        let now = clock.now()
        if let keys, keys.at + OpenIDProvider.memory > now {
            if isSigned(token, keys.value) { return token }
            // Keys are rotated; but whoever sends rubbish must not make us ask each time.
            let isKnown = token.keyID.map { id in keys.value.contains { $0.keyID == id } } ?? false
            guard !isKnown, keys.at + OpenIDProvider.patience <= now else { throw .unauthorized() }
        }
        let fresh = WebKey.set(try await document("GET", try await whereabouts().keys))
        keys = (fresh, now)
        guard isSigned(token, fresh) else { throw .unauthorized() }
        return token
    }

    private func isSigned(_ token: SignedToken, _ keys: [WebKey]) -> Bool {
        keys.contains { key in
            (token.keyID == nil || key.keyID == nil || key.keyID == token.keyID)
                && token.isSigned(by: key, algorithms: settings.algorithms)
        }
    }

    // MARK: Asking

    /// A form sent to the provider by this cloud as its client.
    func form(_ url: String, _ fields: [(String, String)]) async throws(Fault) -> JSON {
        var fields = fields
        var headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")]
        switch settings.clientAuthentication {
        case .basic:
            let name = Percent.encode(settings.clientID) + ":" + Percent.encode(settings.clientSecret)
            headers.append(("Authorization", "Basic " + Base64.encode(Array(name.utf8))))
        case .post: fields += [("client_id", settings.clientID), ("client_secret", settings.clientSecret)]
        case .none: fields.append(("client_id", settings.clientID))
        }
        let body = fields.map { Percent.encode($0.0) + "=" + Percent.encode($0.1) }.joined(separator: "&")
        return try await document("POST", url, headers, Array(body.utf8))
    }

    /// What the provider tells about the bearer of an access token.
    func userinfo(_ accessToken: String) async throws(Fault) -> JSONObject? {
        guard settings.asksUserinfo, let url = try await whereabouts().userinfo else { return nil }
        let headers = [("Authorization", "Bearer " + accessToken), ("Accept", "application/json")]
        return try await document("GET", url, headers).object
    }

    private func document(
        _ method: String, _ url: String, _ headers: [(String, String)] = [("Accept", "application/json")],
        _ body: [UInt8] = []
    ) async throws(Fault) -> JSON {
        let reply = try await channel.ask(method, url, headers: headers, body: body)
        guard (200..<300).contains(reply.status) else {
            // A code or a token that the provider refuses proves nobody; that it does not answer is another matter.
            if (400..<500).contains(reply.status) { throw .unauthorized() }
            throw .unavailable("The identity provider answered \(reply.status) at \(url).")
        }
        guard let parsed = try? JSON.parse(reply.body), parsed.object != nil else {
            throw .unavailable("The identity provider's answer at \(url) is no JSON.")
        }
        return parsed
    }
}
