// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a browser carries while it is at the identity provider, sealed: only the one that left can come back.
struct PendingLogin: Sendable {
    let state: String, nonce: String, verifier: String, origin: String, providerID: String, protocolID: String

    static let life = Duration.seconds(600)

    init(origin: String, key: RelyingParties.Key, ids: any Identifiers) {
        state = Base64URL.encode(ids.bytes(24))
        nonce = Base64URL.encode(ids.bytes(24))
        verifier = Base64URL.encode(ids.bytes(32))
        self.origin = origin
        providerID = key.providerID
        protocolID = key.protocolID
    }

    /// Nil for anything that was not sealed here for this purpose in the last minutes.
    init?(_ sealed: String, _ keys: FernetKeys, at now: Timestamp) {
        guard let message = keys.decrypt(sealed), message.issuedAt + PendingLogin.life > now,
            let parsed = try? JSON.parse(message.payload), parsed["purpose"] == "login",
            let state = parsed["state"]?.string, let nonce = parsed["nonce"]?.string,
            let verifier = parsed["verifier"]?.string, let origin = parsed["origin"]?.string,
            let providerID = parsed["provider"]?.string, let protocolID = parsed["protocol"]?.string
        else { return nil }
        self.state = state
        self.nonce = nonce
        self.verifier = verifier
        self.origin = origin
        self.providerID = providerID
        self.protocolID = protocolID
    }

    func sealed(_ keys: FernetKeys, at now: Timestamp) -> String {
        let document: JSON = [
            "purpose": "login", "state": .string(state), "nonce": .string(nonce), "verifier": .string(verifier),
            "origin": .string(origin), "provider": .string(providerID), "protocol": .string(protocolID),
        ]
        return keys.encrypt(document.bytes(), at: now)
    }

    /// Each login has its own, so that two in one browser do not meet.
    var cookieName: String { PendingLogin.cookieName(state) }
    static func cookieName(_ state: String) -> String { "apus-login-" + Digest.hex(.sha256, state).prefix(16) }
}

extension OpenIDProvider {
    /// Where the browser is sent to log in.
    func loginAddress(_ login: PendingLogin, redirect: String) async throws(Fault) -> String {
        var fields = [
            ("response_type", "code"), ("client_id", settings.clientID), ("redirect_uri", redirect),
            ("scope", settings.scope), ("state", login.state), ("nonce", login.nonce),
        ]
        if settings.usesPKCE {
            let challenge = Digest.bytes(.sha256, Array(login.verifier.utf8))
            fields += [("code_challenge", Base64URL.encode(challenge)), ("code_challenge_method", "S256")]
        }
        let address = try await whereabouts().authorization
        let query = fields.map { $0.0 + "=" + Percent.encode($0.1) }.joined(separator: "&")
        return address + (address.contains("?") ? "&" : "?") + query
    }

    /// What the provider says about whoever brought the code.
    func redeem(code: String, _ login: PendingLogin, redirect: String, at now: Timestamp) async throws(Fault)
        -> Assertion
    {
        var fields = [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect)]
        if settings.usesPKCE { fields.append(("code_verifier", login.verifier)) }
        let answer = try await form(try await whereabouts().token, fields)
        guard let text = answer["id_token"]?.string else { throw .unauthorized() }
        let token = try await claims(of: text)
        try requireIdentity(token, nonce: login.nonce, at: now)
        var claims = token.claims
        if let access = answer["access_token"]?.string {
            try requireHash(of: access, in: token)
            if let more = try await userinfo(access) {
                // Somebody else's answer must not be taken for this user's (OpenID Connect Core, 5.3.2).
                guard more["sub"] == claims["sub"] else { throw .unauthorized() }
                for (name, value) in more where claims[name] == nil { claims[name] = value }
            }
        }
        return assertion(claims)
    }

    /// OpenID Connect Core, 3.1.3.7.
    private func requireIdentity(_ token: SignedToken, nonce: String, at now: Timestamp) throws(Fault) {
        try requireTimes(token.claims, at: now)
        let audience = SignedToken.audience(token.claims)
        let party = token.claims["azp"]
        guard token.claims["iss"]?.string == settings.issuer, audience.contains(settings.clientID),
            party == nil ? audience.count == 1 : party?.string == settings.clientID,
            token.claims["nonce"]?.string == nonce, token.claims["sub"]?.string?.isEmpty == false,
            token.time("exp") != nil, let issued = token.time("iat"), issued <= now + settings.slack,
            issued + PendingLogin.life + settings.slack > now
        else { throw .unauthorized() }
    }

    private func requireTimes(_ claims: JSONObject, at now: Timestamp) throws(Fault) {
        if claims["exp"] != nil {
            guard let ends = SignedToken.time(claims["exp"]), ends + settings.slack > now else { throw .unauthorized() }
        }
        if claims["nbf"] != nil {
            guard let begins = SignedToken.time(claims["nbf"]), begins <= now + settings.slack else {
                throw .unauthorized()
            }
        }
    }

    /// The access token is the one that came with the ID token (3.1.3.8), where that says so.
    private func requireHash(of access: String, in token: SignedToken) throws(Fault) {
        guard let expected = token.claims["at_hash"]?.string else { return }
        let kinds: [String: Digest.Algorithm] = ["256": .sha256, "384": .sha384, "512": .sha512]
        guard let kind = kinds[String(token.algorithm.suffix(3))] else { throw .unauthorized() }
        let digest = Digest.bytes(kind, Array(access.utf8))
        guard Base64URL.encode(Array(digest[..<(digest.count / 2)])) == expected else { throw .unauthorized() }
    }

    // MARK: Access tokens that clients bring

    /// What an access token says about its bearer, once the provider or its signature vouches for it.
    func bearer(_ text: String, at now: Timestamp) async throws(Fault) -> Assertion {
        var claims: JSONObject
        switch settings.bearer {
        case .off: throw .unauthorized()
        case .introspection:
            guard let address = try await whereabouts().introspection else {
                throw .unavailable("The identity provider has no address to ask about access tokens.")
            }
            let answer = try await form(address, [("token", text), ("token_type_hint", "access_token")])
            guard answer["active"] == true, let found = answer.object else { throw .unauthorized() }
            claims = found
            claims["active"] = nil
            if let issuer = claims["iss"] { guard issuer.string == settings.issuer else { throw .unauthorized() } }
            if let wanted = settings.bearerAudience {
                guard SignedToken.audience(claims).contains(wanted) || claims["client_id"]?.string == wanted else {
                    throw .unauthorized()
                }
            }
            claims["iss"] = .string(settings.issuer)
        case .jwt:
            let token = try await self.claims(of: text)
            // An ID token is for its client alone, and no proof of what its bearer may do.
            guard token.claims["nonce"] == nil, token.claims["at_hash"] == nil, token.claims["typ"] != "ID",
                token.claims["iss"]?.string == settings.issuer, token.time("exp") != nil,
                SignedToken.audience(token.claims).contains(settings.bearerAudience ?? settings.clientID)
            else { throw .unauthorized() }
            claims = token.claims
        }
        try requireTimes(claims, at: now)
        guard claims["sub"]?.string?.isEmpty == false || claims["username"] != nil else { throw .unauthorized() }
        if let more = try? await userinfo(text), more["sub"] != nil, more["sub"] == claims["sub"] {
            for (name, value) in more where claims[name] == nil { claims[name] = value }
        }
        return assertion(claims)
    }

    // MARK: What the mapping sees

    /// Claims under the names that mod_auth_openidc and WSGI give them.
    private func assertion(_ claims: JSONObject) -> Assertion {
        var attributes: [String: String] = [:]
        for (name, value) in claims {
            guard let text = text(value) else { continue }
            attributes[settings.claimPrefix + name] = text
            let plain = (settings.claimPrefix + name).uppercased().map { character in
                character.isASCII && (character.isLetter || character.isNumber) ? character : "_"
            }
            attributes["HTTP_" + String(plain)] = text
        }
        let user = claims[settings.remoteUserClaim]?.string ?? claims["sub"]?.string
        if let user { attributes["REMOTE_USER"] = user }
        return Assertion(attributes: attributes, remoteUser: user)
    }

    private func text(_ value: JSON) -> String? {
        switch value {
        case .null: nil
        case .string(let text): text
        case .bool(let truth): truth ? "1" : "0"
        case .integer(let number): "\(number)"
        case .double(let number): "\(number)"
        case .array(let items): items.compactMap(text).joined(separator: settings.claimDelimiter)
        case .object: value.text()
        }
    }
}
