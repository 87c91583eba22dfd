// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Synchronization

/// An OpenID Connect provider in the test's own process. What it signs is signed by the openssl program.
final class FakeIssuer: Sendable {
    static let name = "https://idp.test"

    /// What it answers besides its metadata, and what it was asked.
    struct State: Sendable {
        var keys: [JSON] = []
        var token: JSON = [:]
        var userinfo: JSON?
        var introspection: JSON = ["active": false]
        var asked: [String] = []
        var forms: [String] = []
    }

    let state = Mutex(State())
    private let folder: String

    init() throws {
        folder = try FileSystem.makeTemporaryDirectory("apus-issuer")
        try run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path("rsa"))
        try run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path("ec"))
        state.withLock { $0.keys = [rsaKey(), ecKey()] }
    }

    deinit { FileSystem.remove(folder) }

    private func path(_ name: String) -> String { folder + "/" + name + ".pem" }

    @discardableResult
    private func run(_ words: String..., input: [UInt8]? = nil) throws(Fault) -> [UInt8] {
        let output = try Subprocess.runBlocking(["/usr/bin/openssl"] + words, input: input, timeout: .seconds(60))
        guard output.status == 0 else { throw .internalError(output.complaint) }
        return output.stdout
    }

    // MARK: Keys

    func rsaKey(id: String = "rsa") -> JSON {
        let text = (try? run("rsa", "-in", path("rsa"), "-noout", "-modulus")) ?? []
        let hex = String(decoding: text, as: UTF8.self).dropFirst("Modulus=".count).filter(\.isHexDigit)
        let modulus = Base64URL.encode(Hex.decode(String(hex)) ?? [])
        return ["kty": "RSA", "kid": .string(id), "n": .string(modulus), "e": "AQAB", "use": "sig"]
    }

    func ecKey() -> JSON {
        let point = ((try? run("pkey", "-in", path("ec"), "-pubout", "-outform", "DER")) ?? []).suffix(64)
        return [
            "kty": "EC", "crv": "P-256", "kid": "ec", "x": .string(Base64URL.encode(Array(point.prefix(32)))),
            "y": .string(Base64URL.encode(Array(point.suffix(32)))),
        ]
    }

    // MARK: Tokens

    func sign(_ claims: JSON, _ algorithm: String = "RS256", key: String? = nil) throws -> String {
        let isCurve = algorithm.hasPrefix("ES")
        let header: JSON = ["alg": .string(algorithm), "kid": .string(key ?? (isCurve ? "ec" : "rsa"))]
        let text = Base64URL.encode(header.bytes()) + "." + Base64URL.encode(claims.bytes())
        let input = Array(text.utf8)
        let signature: [UInt8]
        switch algorithm {
        case "none": signature = []
        case "HS256":
            // The public key's text taken for a secret: the oldest trick.
            let secret = Hex.encode(try run("pkey", "-in", path("rsa"), "-pubout"))
            signature = try run(
                "dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:" + secret, "-binary", input: input)
        case "PS256":
            signature = try run(
                "dgst", "-sha256", "-sign", path("rsa"), "-sigopt", "rsa_padding_mode:pss", "-sigopt",
                "rsa_pss_saltlen:-1", "-binary", input: input)
        case "ES256":
            signature = FakeIssuer.plain(try run("dgst", "-sha256", "-sign", path("ec"), "-binary", input: input))
        default: signature = try run("dgst", "-sha256", "-sign", path("rsa"), "-binary", input: input)
        }
        return text + "." + Base64URL.encode(signature)
    }

    /// DER's two integers as two numbers of 32 bytes.
    private static func plain(_ encoded: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var at = 2
        for _ in 0..<2 {
            let count = Int(encoded[at + 1])
            let digits = encoded[(at + 2)..<(at + 2 + count)].drop { $0 == 0 }
            out += Array(repeating: 0, count: 32 - digits.count) + digits
            at += 2 + count
        }
        return out
    }

    /// An ID token as it should be, changed as a test wants.
    func claims(_ now: Timestamp, nonce: String, _ change: [String: JSON] = [:]) -> JSON {
        var claims: JSONObject = [
            "iss": .string(FakeIssuer.name), "aud": "apus", "sub": "u1", "exp": .integer(now.seconds + 300),
            "iat": .integer(now.seconds), "nonce": .string(nonce), "email": "ada@example.com",
            "groups": ["dev", "ops"],
        ]
        for (name, value) in change { claims[name] = value.isNull ? nil : value }
        return .object(claims)
    }

    // MARK: Answers

    var channel: FakeBackChannel {
        FakeBackChannel { [self] _, url, _, body in
            let answer: JSON = state.withLock { state in
                let path = String(url.dropFirst(FakeIssuer.name.count))
                state.asked.append(path)
                state.forms.append(body)
                switch path {
                case "/.well-known/openid-configuration":
                    return [
                        "issuer": .string(FakeIssuer.name), "authorization_endpoint": "https://idp.test/login",
                        "token_endpoint": "https://idp.test/token", "jwks_uri": "https://idp.test/keys",
                        "userinfo_endpoint": "https://idp.test/userinfo",
                        "introspection_endpoint": "https://idp.test/introspect",
                    ]
                case "/keys": return ["keys": .array(state.keys)]
                case "/token": return state.token
                case "/userinfo": return state.userinfo ?? ["sub": "u1", "name": "Ada"]
                default: return state.introspection
                }
            }
            return BackChannelReply(status: 200, body: answer.bytes())
        }
    }

    static func parties(_ more: String = "") throws -> RelyingParties {
        try RelyingParties(
            text: """
                [oidc acme openid]
                base_url = http://cloud.test:5000/v3
                issuer = https://idp.test
                client_id = apus
                client_secret = word
                \(more)
                """, name: "parties.conf", read: { path throws(Fault) in throw .notFound(path) })
    }
}

/// A cloud that has agreed with the issuer, and what a browser does in it.
struct FederatedTown {
    let issuer: FakeIssuer
    let cloud: IdentityCloud
    let admin: String
    let group: String
    static let base = "/v3/OS-FEDERATION"
    static let dashboard = "https://horizon.test/auth/websso/"

    init(_ more: String = "", rules: JSON? = nil) async throws {
        issuer = try FakeIssuer()
        var options = IdentityOptions()
        options.federation.trustedDashboards = [Self.dashboard]
        cloud = try await IdentityCloud(
            options, doors: try FederationDoors(parties: try FakeIssuer.parties(more), channel: issuer.channel))
        admin = await cloud.token()
        group = await cloud.make("group", ["name": "dev", "domain_id": "default"], token: admin)
        let own: JSON = [
            [
                "local": [["user": ["id": "{0}", "name": "{1}"]], ["groups": "{2}", "domain": ["id": "default"]]],
                "remote": [
                    ["type": "OIDC-sub"], ["type": "HTTP_OIDC_EMAIL"],
                    ["type": "OIDC-groups", "whitelist": ["dev", "ops"]],
                ],
            ]
        ]
        await put("mappings/people", ["mapping": ["rules": rules ?? own]])
        await put(
            "identity_providers/acme",
            ["identity_provider": ["enabled": true, "remote_ids": [.string(FakeIssuer.name)]]])
        await put(
            "identity_providers/acme/protocols/openid",
            ["protocol": ["mapping_id": "people", "remote_id_attribute": "HTTP_OIDC_ISS"]])
    }

    @discardableResult
    func put(_ path: String, _ body: JSON) async -> TestCloud.Answer {
        await cloud.call("PUT", Self.base + "/" + path, body, token: admin)
    }

    /// The first step of a browser: where it is sent, its cookie, and what it carries.
    func leave() async -> (cookie: String, state: String, nonce: String, status: Int) {
        let answer = await cloud.call(
            "GET", "/v3/auth/OS-FEDERATION/websso/openid?origin=" + Percent.encode(Self.dashboard))
        let query = (answer.header("Location") ?? "").split(separator: "?").last.map(String.init) ?? ""
        let fields = Dictionary(QueryString.parse(query) ?? [], uniquingKeysWith: { $1 })
        let cookie = (answer.header("Set-Cookie") ?? "").split(separator: ";").first.map(String.init) ?? ""
        return (cookie, fields["state"] ?? "", fields["nonce"] ?? "", answer.status)
    }

    func comeBack(_ cookie: String, state: String, more: String = "") async -> TestCloud.Answer {
        await cloud.call(
            "GET",
            "/v3/auth/OS-FEDERATION/identity_providers/acme/protocols/openid/oidc/redirect"
                + "?code=c&state=\(state)\(more)",
            headers: [("Cookie", "other=1; " + cookie)])
    }

    func bring(_ accessToken: String) async -> TestCloud.Answer {
        await cloud.call(
            "POST", Self.base + "/identity_providers/acme/protocols/openid/auth",
            headers: [("Authorization", "Bearer " + accessToken)])
    }
}
