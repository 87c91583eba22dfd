// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Synchronization
import Testing

/// Logging in by OpenID Connect, and everything that must not be one.
struct OpenIDLoginTests {
    @Test(
        "A browser goes, comes back with a code, and hands the dashboard a token",
        arguments: ["RS256", "PS256", "ES256"])
    func browser(algorithm: String) async throws {
        let town = try await FederatedTown()
        let left = await town.leave()
        #expect(left.status == 302 && left.state.count > 20 && left.nonce.count > 20)
        let text = try town.issuer.sign(town.issuer.claims(town.cloud.clock.now(), nonce: left.nonce), algorithm)
        town.issuer.state.withLock { $0.token = ["id_token": .string(text), "access_token": "at"] }
        let back = await town.comeBack(left.cookie, state: left.state)
        #expect(back.status == 200)
        let page = String(decoding: back.bytes, as: UTF8.self)
        #expect(page.contains("action=\"\(FederatedTown.dashboard)\" method=\"post\""))
        let rest = page.split(separator: "name=\"token\" id=\"token\" value=\"").last ?? ""
        let token = String(rest.prefix { $0 != "\"" })
        let shown = await town.cloud.call(
            "GET", "/v3/auth/tokens", token: town.admin, headers: [("X-Subject-Token", token)])
        #expect(shown["token"]["methods"] == ["openid"])
        let user = shown["token"]["user"] ?? [:]
        #expect(user["name"] == "ada@example.com")
        #expect(
            user["OS-FEDERATION"]
                == [
                    "groups": [["id": .string(town.group)]], "identity_provider": ["id": "acme"],
                    "protocol": ["id": "openid"],
                ])
        #expect(user["password_expires_at"] == nil && shown["token"]["roles"] == nil)
        // The form carries what was promised: the code's challenge and the client's proof.
        let form = town.issuer.state.withLock { $0.forms.first { $0.contains("grant_type") } ?? "" }
        #expect(form.contains("code_verifier=") && form.contains("redirect_uri=http%3A%2F%2Fcloud.test%3A5000"))
    }

    @Test("A login works once, for the browser that left, with the state it left with, and not for ever")
    func binding() async throws {
        let town = try await FederatedTown()
        func prepare(_ nonce: String) throws {
            let text = try town.issuer.sign(town.issuer.claims(town.cloud.clock.now(), nonce: nonce))
            town.issuer.state.withLock { $0.token = ["id_token": .string(text)] }
        }
        let left = await town.leave()
        try prepare(left.nonce)
        #expect(await town.comeBack("", state: left.state).status == 401)
        #expect(await town.comeBack(left.cookie, state: "other").status == 401)
        let other = await town.leave()
        #expect(await town.comeBack(left.cookie, state: other.state).status == 401)
        let forged = left.cookie.split(separator: "=")[0] + "=" + String(other.cookie.split(separator: "=")[1])
        #expect(await town.comeBack(forged, state: left.state).status == 401)
        #expect(await town.comeBack(left.cookie, state: left.state, more: "&iss=https://evil.test").status == 401)
        #expect(await town.comeBack(left.cookie, state: left.state).status == 200)
        #expect(await town.comeBack(left.cookie, state: left.state).status == 401)
        let late = await town.leave()
        town.cloud.clock.advance(.seconds(601))
        try prepare(late.nonce)
        #expect(await town.comeBack(late.cookie, state: late.state).status == 401)
    }

    @Test("The browser is sent to no page that the operator did not name")
    func redirects() async throws {
        let town = try await FederatedTown()
        let path = "/v3/auth/OS-FEDERATION/websso/openid"
        let none = await town.cloud.call("GET", path)
        #expect(none.status == 400)
        #expect(none["error"]["message"] == "Request must have an origin query parameter")
        for page in [
            "https://evil.test/auth/websso/", FederatedTown.dashboard + "x", "https://horizon.test.evil.test/",
            "https://horizon.test/auth/websso/?next=//evil.test", "javascript:alert(1)",
        ] {
            let answer = await town.cloud.call("GET", path + "?origin=" + Percent.encode(page))
            #expect(answer.status == 401, "\(page)")
            #expect(answer.header("Location") == nil)
        }
    }

    struct Forgery: Sendable, CustomTestStringConvertible {
        let name: String
        var change: [String: JSON] = [:]
        var algorithm = "RS256"
        var key: String?
        var nonce: String?
        var testDescription: String { name }
    }

    static let now: Int64 = 1_800_000_000

    @Test(
        "No ID token but the right one proves anybody",
        arguments: [
            Forgery(name: "for another client", change: ["aud": "other"]),
            Forgery(name: "for two, without saying who asked", change: ["aud": ["apus", "other"]]),
            Forgery(name: "asked for by another", change: ["aud": ["apus", "other"], "azp": "other"]),
            Forgery(name: "of another issuer", change: ["iss": "https://idp.test/"]),
            Forgery(name: "expired", change: ["exp": .integer(now - 61)]),
            Forgery(name: "without an end", change: ["exp": .null]),
            Forgery(name: "not yet valid", change: ["nbf": .integer(now + 120)]),
            Forgery(name: "from the future", change: ["iat": .integer(now + 120)]),
            Forgery(name: "from long ago", change: ["iat": .integer(now - 7200)]),
            Forgery(name: "without a date", change: ["iat": .null]),
            Forgery(name: "about nobody", change: ["sub": .null]),
            Forgery(name: "of another login", nonce: "other"),
            Forgery(name: "of no login", change: ["nonce": .null]),
            Forgery(name: "with another access token's hash", change: ["at_hash": "AAAA"]),
            Forgery(name: "unsigned", algorithm: "none"),
            Forgery(name: "signed with the public key as a secret", algorithm: "HS256"),
            Forgery(name: "signed with a key nobody knows", key: "other"),
            Forgery(name: "by one key in the name of another", key: "ec"),
        ])
    func forged(_ forgery: Forgery) async throws {
        let town = try await FederatedTown()
        let left = await town.leave()
        let claims = town.issuer.claims(
            town.cloud.clock.now(), nonce: forgery.nonce ?? left.nonce, forgery.change)
        let text = try town.issuer.sign(claims, forgery.algorithm, key: forgery.key)
        town.issuer.state.withLock { $0.token = ["id_token": .string(text), "access_token": "at"] }
        #expect(await town.comeBack(left.cookie, state: left.state).status == 401)
    }

    @Test("A changed token is none, and neither is another user's description")
    func changed() async throws {
        let town = try await FederatedTown()
        let left = await town.leave()
        let now = town.cloud.clock.now()
        let good = try town.issuer.sign(town.issuer.claims(now, nonce: left.nonce))
        let bad = town.issuer.claims(now, nonce: left.nonce, ["sub": "admin"])
        let parts = good.split(separator: ".")
        let text = "\(parts[0]).\(Base64URL.encode(bad.bytes())).\(parts[2])"
        town.issuer.state.withLock { $0.token = ["id_token": .string(text)] }
        #expect(await town.comeBack(left.cookie, state: left.state).status == 401)
        let next = await town.leave()
        let fine = try town.issuer.sign(town.issuer.claims(now, nonce: next.nonce))
        town.issuer.state.withLock {
            $0.token = ["id_token": .string(fine), "access_token": "at"]
            $0.userinfo = ["sub": "u2", "groups": ["admin"]]
        }
        #expect(await town.comeBack(next.cookie, state: next.state).status == 401)
    }

    @Test("New keys are asked for when a token needs them, but not for every token that is rubbish")
    func rotation() async throws {
        let town = try await FederatedTown("bearer = jwt")
        let now = town.cloud.clock.now()
        let claims: JSON = [
            "iss": .string(FakeIssuer.name), "aud": "apus", "sub": "u1", "exp": .integer(now.seconds + 3000),
            "email": "ada@example.com", "groups": ["dev"],
        ]
        #expect(await town.bring(try town.issuer.sign(claims)).status == 201)
        town.issuer.state.withLock { $0.keys = [town.issuer.rsaKey(id: "next")] }
        let next = try town.issuer.sign(claims, key: "next")
        func fetches() -> Int { town.issuer.state.withLock { $0.asked.filter { $0 == "/keys" }.count } }
        let before = fetches()
        for _ in 0..<5 { #expect(await town.bring(next).status == 401) }
        #expect(fetches() == before)
        town.cloud.clock.advance(.seconds(31))
        #expect(await town.bring(next).status == 201)
        #expect(fetches() == before + 1)
        // The old key's name is no longer known.
        #expect(await town.bring(try town.issuer.sign(claims)).status == 401)
    }

    @Test("An access token is believed when its signature and its audience are right, and an ID token is none")
    func bearer() async throws {
        let town = try await FederatedTown("bearer = jwt")
        let now = town.cloud.clock.now()
        let claims: JSONObject = [
            "iss": .string(FakeIssuer.name), "aud": "apus", "sub": "u1", "exp": .integer(now.seconds + 300),
            "email": "ada@example.com", "groups": ["dev"],
        ]
        let answer = await town.bring(try town.issuer.sign(.object(claims)))
        #expect(answer.status == 201 && answer.header("X-Subject-Token") != nil)
        for (name, value) in [
            ("aud", JSON.string("other")), ("iss", "https://evil.test"), ("exp", .integer(now.seconds - 100)),
            ("exp", .null), ("nonce", "n"), ("typ", "ID"), ("sub", .null),
        ] {
            var changed = claims
            changed[name] = value.isNull ? nil : value
            #expect(await town.bring(try town.issuer.sign(.object(changed))).status == 401, "\(name)")
        }
        #expect(await town.bring("rubbish").status == 401)
        let path = FederatedTown.base + "/identity_providers/acme/protocols/openid/auth"
        let plain = await town.cloud.call(
            "GET", path, headers: [("OIDC-sub", "u1"), ("HTTP_OIDC_ISS", FakeIssuer.name)])
        #expect(plain.status == 401 && plain.header("WWW-Authenticate")?.hasPrefix("Bearer") == true)
    }

    @Test("The provider is asked about an access token, where it was agreed so")
    func introspection() async throws {
        let town = try await FederatedTown("bearer = introspection\nbearer_audience = cloud")
        #expect(await town.bring("at").status == 401)
        let now = town.cloud.clock.now().seconds
        var answer: JSONObject = [
            "active": true, "sub": "u1", "aud": "cloud", "email": "ada@example.com", "groups": ["dev"],
            "exp": .integer(now + 100),
        ]
        func says(_ object: JSONObject) { town.issuer.state.withLock { $0.introspection = .object(object) } }
        says(answer)
        let token = await town.bring("at")
        #expect(token.status == 201)
        #expect(token["token"]["user"]?["OS-FEDERATION"]?["groups"]?.array?.count == 1)
        answer["aud"] = "elsewhere"
        says(answer)
        #expect(await town.bring("at").status == 401)
        answer["aud"] = "cloud"
        answer["exp"] = .integer(now - 100)
        says(answer)
        #expect(await town.bring("at").status == 401)
        let off = try await FederatedTown()
        #expect(await off.bring("at").status == 401)
    }

    @Test(
        "What is agreed with a provider is read whole or refused by line",
        arguments: [
            ("[oidc acme]\n", "a section is"), ("[oidc a b]\nissuer = https://x\nbase_url = https://c\n", "client_id"),
            ("[oidc a b]\nissuer = http://x.test\nclient_id = a\nbase_url = https://c\n", "no https address"),
            ("[oidc a b]\nisuer = https://x\n", "isuer"),
            ("[oidc a b]\nissuer = http://localhost@evil.test\nclient_id=a\nbase_url=https://c\n", "no https address"),
            ("[oidc a b]\nissuer=https://x\nclient_id=a\nbase_url=https://c\nalgorithms=HS256\n", "HS256"),
            ("[saml2 a b]\nbase_url = https://c\n", "entity_id"),
        ])
    func agreements(text: String, complaint: String) {
        let fault = #expect(throws: Fault.self) {
            try RelyingParties(text: text, name: "file", read: { _ throws(Fault) in [] })
        }
        #expect(fault?.message.contains(complaint) == true, "\(fault?.message ?? "")")
    }
}
