// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Coming in from an identity provider: for clients with a token of the provider's, for browsers by its login page.
enum FederationAuth: Resource {
    static let routes: [Route] =
        ["GET", "POST"].flatMap { method in
            [
                Route.open(
                    method, FederationProtocol.path + "/{protocol_id}/auth", "Authenticate from identity provider",
                    status: 201, payload: .stream, authenticate),
                Route.open(
                    method, "/auth/OS-FEDERATION/websso/{protocol_id}", "Log a browser in", payload: .stream, choose),
                Route.open(
                    method, sso + "/websso", "Log a browser in from identity provider", payload: .stream, start),
            ]
        } + [.open("GET", sso + "/oidc/redirect", "Come back from an OpenID Connect provider", finish)]

    private static let sso = "/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}"

    // MARK: Clients

    static func authenticate(_ request: Request) async throws(Fault) -> Reply {
        let key = request.federationKey
        let assertion = try await assertion(key, request)
        let token = try await request.identity.logIn(
            from: key.providerID, by: key.protocolID, assertion, request)
        return try await AuthTokens.answer(token, request)
    }

    private static func assertion(_ key: RelyingParties.Key, _ request: Request) async throws(Fault) -> Assertion {
        if request.identity.saml[key] != nil { return try await FederationSession.take(key, request) }
        guard let provider = request.identity.openID[key] else {
            request.log.warning(
                "nothing is agreed with an identity provider",
                ["identity_provider": key.providerID, "protocol": key.protocolID])
            throw .unauthorized()
        }
        let words = (request.header("Authorization") ?? "").split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bearer" else {
            var fault = Fault.unauthorized()
            fault.headers["WWW-Authenticate"] = "Bearer realm=\"\(Percent.encode(key.providerID))\""
            throw fault
        }
        return try await provider.bearer(String(words[1]), at: request.now)
    }

    // MARK: Browsers

    /// The protocol alone was named: its one provider, or a page to choose from.
    static func choose(_ request: Request) async throws(Fault) -> Reply {
        let origin = try trustedOrigin(request)
        let protocolID = request["protocol_id"]
        let reachable = request.identity.doors.parties.providers(by: protocolID)
        let known = try await request.database.all(
            IdentityProvider.self,
            """
            id IN \(reachable) AND enabled = 1 AND id IN
            (SELECT idp_id FROM identity_federation_protocols WHERE id = \(protocolID)) ORDER BY id
            """)
        if known.count == 1 {
            return try await start(
                RelyingParties.Key(providerID: known[0].id, protocolID: protocolID), origin, request)
        }
        guard !known.isEmpty else { throw .unauthorized() }
        let end = "/protocols/" + Percent.encode(protocolID) + "/websso?origin=" + Percent.encode(origin)
        return FederationPages.choice(
            known.map { provider in
                let address = "/auth/OS-FEDERATION/identity_providers/" + Percent.encode(provider.id) + end
                return (provider.description ?? provider.id, request.endpoint + address)
            })
    }

    static func start(_ request: Request) async throws(Fault) -> Reply {
        try await start(request.federationKey, try trustedOrigin(request), request)
    }

    private static func start(
        _ key: RelyingParties.Key, _ origin: String, _ request: Request
    ) async throws(Fault) -> Reply {
        let login = PendingLogin(origin: origin, key: key, ids: request.ids)
        if let provider = request.identity.saml[key] {
            return FederationPages.redirect(to: try provider.loginAddress(login, at: request.now))
                .header("Set-Cookie", login.cookie(request).header(secure: provider.isSecure, crossesSites: true))
        }
        guard let provider = request.identity.openID[key] else { throw .unauthorized() }
        let address = try await provider.loginAddress(login, redirect: provider.settings.redirect(key))
        return FederationPages.redirect(to: address)
            .header("Set-Cookie", login.cookie(request).header(secure: provider.settings.baseURL.hasPrefix("https:")))
    }

    /// The browser is back with a code. Only the one that left has the cookie, and it works once.
    static func finish(_ request: Request) async throws(Fault) -> Reply {
        let key = request.federationKey
        guard let provider = request.identity.openID[key], let state = request.query("state"),
            let sealed = Cookie.read(PendingLogin.cookieName(state), request),
            let login = PendingLogin(sealed, request.identity.credentialKeys, at: request.now),
            login.state == state, login.providerID == key.providerID, login.protocolID == key.protocolID,
            // RFC 9207: a provider that names itself must be the one that was asked.
            request.query("iss").map({ $0 == provider.settings.issuer }) ?? true
        else { throw .unauthorized() }
        guard let code = request.query("code") else {
            request.log.warning(
                "an identity provider let nobody in",
                ["identity_provider": key.providerID, "error": request.query("error") ?? "no code"])
            throw .unauthorized()
        }
        try await FederationReplay.use("login " + state, until: request.now + PendingLogin.life, request)
        let assertion = try await provider.redeem(
            code: code, login, redirect: provider.settings.redirect(key), at: request.now)
        let token = try await request.identity.logIn(
            from: key.providerID, by: key.protocolID, assertion, request)
        try requireTrust(in: login.origin, request)
        let ended = Cookie(name: login.cookieName, value: "", life: .zero)
        return FederationPages.handOver(token.text, to: login.origin)
            .header("Set-Cookie", ended.header(secure: provider.settings.baseURL.hasPrefix("https:")))
    }

    // MARK: Dashboards

    /// Where the browser is to be sent with its token; only pages that the operator named.
    private static func trustedOrigin(_ request: Request) throws(Fault) -> String {
        guard let origin = request.query("origin"), !origin.isEmpty else {
            throw .badRequest("Request must have an origin query parameter")
        }
        try requireTrust(in: origin, request)
        return origin
    }

    static func requireTrust(in origin: String, _ request: Request) throws(Fault) {
        let trusted = request.identity.options.federation.trustedDashboards.map(lowercasedHost)
        guard trusted.contains(origin) else {
            request.log.warning("a page is not a trusted dashboard", ["origin": origin])
            throw .unauthorized()
        }
    }

    private static func lowercasedHost(_ url: String) -> String {
        let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count > 2, parts[1].isEmpty else { return url }
        let head = [parts[0].lowercased(), "", parts[2].lowercased()]
        return (head + parts.dropFirst(3).map(String.init)).joined(separator: "/")
    }
}

extension PendingLogin {
    func cookie(_ request: Request) -> Cookie {
        Cookie(
            name: cookieName, value: sealed(request.identity.credentialKeys, at: request.now),
            life: PendingLogin.life)
    }
}

extension Request {
    var federationKey: RelyingParties.Key {
        RelyingParties.Key(providerID: self["idp_id"], protocolID: self["protocol_id"])
    }
}

extension OpenIDSettings {
    /// Where the provider sends browsers back to; each has its own, so that one cannot pass for another.
    func redirect(_ key: RelyingParties.Key) -> String {
        baseURL + "/auth/OS-FEDERATION/identity_providers/" + Percent.encode(key.providerID) + "/protocols/"
            + Percent.encode(key.protocolID) + "/oidc/redirect"
    }
}

extension Token {
    /// The methods as tokens show them: somebody from a provider came by its protocol.
    var methods: [String] {
        guard let federation = payload.federation else { return payload.methods }
        return payload.methods.map { $0 == "mapped" ? federation.protocolID : $0 }
    }
}

extension TokenPayload.Federation {
    func write(_ view: inout View) {
        view.nest("OS-FEDERATION") {
            $0.list("groups", groupIDs) { $0.put("id", $1) }
            $0.nest("identity_provider") { $0.put("id", identityProvider) }
            $0.nest("protocol") { $0.put("id", protocolID) }
        }
    }
}
