// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct OAuthTokensTests {
    /// A consumer that signs as RFC 5849 says, put together here from the parts by hand.
    struct Consumer {
        let cloud: IdentityCloud
        let admin: String, userID: String, project: String
        let key: String, secret: String

        init() async throws {
            cloud = try await IdentityCloud()
            let answer = await cloud.call(
                "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
            admin = answer.header("X-Subject-Token") ?? ""
            userID = answer["token"]["user"]?["id"]?.string ?? ""
            project = answer["token"]["project"]?["id"]?.string ?? ""
            let made = await cloud.call(
                "POST", "/v3/OS-OAUTH1/consumers", ["consumer": ["description": "d", "more": 1]], token: admin)
            key = made["consumer"]["id"]?.string ?? ""
            secret = made["consumer"]["secret"]?.string ?? ""
        }

        func call(
            _ path: String, _ more: [String: String], tokenSecret: String = "", method: String = "HMAC-SHA1",
            age: Int64 = 0, body: JSON? = nil
        ) async -> TestCloud.Answer {
            var members = [
                "oauth_consumer_key": key, "oauth_nonce": "123456", "oauth_signature_method": method,
                "oauth_timestamp": "\(cloud.clock.now().seconds - age)", "oauth_version": "1.0",
            ]
            members.merge(more) { $1 }
            let list = members.sorted { $0.key < $1.key }
                .map { Percent.encode($0.key) + "=" + Percent.encode($0.value) }
            let base =
                "POST&" + Percent.encode("http://cloud.test:5000" + path) + "&"
                + Percent.encode(list.joined(separator: "&"))
            let signing = Percent.encode(secret) + "&" + Percent.encode(tokenSecret)
            let algorithm: Digest.Algorithm = method == "HMAC-SHA256" ? .sha256 : .sha1
            members["oauth_signature"] =
                method == "PLAINTEXT"
                ? signing : Base64.encode(HMAC.bytes(algorithm, key: Array(signing.utf8), Array(base.utf8)))
            let header =
                "OAuth realm=\"\", "
                + members.map { "\($0.key)=\"\(Percent.encode($0.value))\"" }.joined(separator: ", ")
            return await cloud.call(
                "POST", path, body, headers: [("Authorization", header), ("Requested-Project-Id", project)])
        }

        func ask(method: String = "HMAC-SHA1") async -> TestCloud.Answer {
            await call("/v3/OS-OAUTH1/request_token", ["oauth_callback": "oob"], method: method)
        }

        static func read(_ answer: TestCloud.Answer) -> (id: String, secret: String) {
            let pairs = QueryString.parse(String(decoding: answer.bytes, as: UTF8.self)) ?? []
            func value(_ name: String) -> String { pairs.first { $0.0 == name }?.1 ?? "" }
            return (value("oauth_token"), value("oauth_token_secret"))
        }

        func agree(_ id: String, role: String = "member") async -> TestCloud.Answer {
            await cloud.call(
                "PUT", "/v3/OS-OAUTH1/authorize/" + id, ["roles": [["name": .string(role)]]], token: admin)
        }

        /// All three steps: the access token and its secret.
        func fetch() async -> (id: String, secret: String) {
            let (id, secret) = Self.read(await ask())
            let verifier = await agree(id)["token"]["oauth_verifier"]?.string ?? ""
            return Self.read(
                await call(
                    "/v3/OS-OAUTH1/access_token", ["oauth_token": id, "oauth_verifier": verifier],
                    tokenSecret: secret))
        }
    }

    @Test("A signature of the RFC's making is right, whatever it is made with")
    func signatures() async throws {
        let consumer = try await Consumer()
        for method in ["HMAC-SHA1", "HMAC-SHA256", "PLAINTEXT"] {
            let answer = await consumer.ask(method: method)
            #expect(answer.status == 201, "\(method) \(answer.json)")
            #expect(answer.header("Content-Type") == "application/x-www-form-urlencoded")
            #expect(Consumer.read(answer).id.count == 32)
        }
    }

    @Test("A consumer asks, the user agrees, the consumer fetches, once")
    func steps() async throws {
        let consumer = try await Consumer()
        let (id, secret) = Consumer.read(await consumer.ask())
        let step: [String: String] = ["oauth_token": id]
        let path = "/v3/OS-OAUTH1/access_token"
        var more = step
        more["oauth_verifier"] = "abcdefgh"
        #expect(await consumer.call(path, more, tokenSecret: secret).status == 401)
        #expect(await consumer.agree(id, role: "service").status == 401)
        #expect(await consumer.agree(id, role: "magic").status == 404)
        let verifier = await consumer.agree(id)["token"]["oauth_verifier"]?.string ?? ""
        #expect(verifier.count == 8)
        #expect(await consumer.call(path, more, tokenSecret: secret).status == 401)
        more["oauth_verifier"] = verifier
        #expect(await consumer.call(path, more, tokenSecret: "wrong").status == 401)
        #expect(await consumer.call(path, more, tokenSecret: secret).status == 201)
        #expect(await consumer.call(path, more, tokenSecret: secret).status == 404)
        let list = "/v3/users/\(consumer.userID)/OS-OAUTH1/access_tokens"
        let tokens = await consumer.cloud.call("GET", list, token: consumer.admin)["access_tokens"]
        #expect(tokens.array?.count == 1)
        #expect(tokens[0]?["project_id"]?.string == consumer.project)
        let one = list + "/" + (tokens[0]?["id"]?.string ?? "")
        let roles = await consumer.cloud.call("GET", one + "/roles", token: consumer.admin)["roles"]
        #expect(roles.array?.names() == ["member"])
        let role = roles[0]?["id"]?.string ?? ""
        #expect(await consumer.cloud.call("GET", one + "/roles/" + role, token: consumer.admin).status == 200)
        #expect(await consumer.cloud.call("GET", one + "/roles/none", token: consumer.admin).status == 404)
        #expect(await consumer.cloud.call("DELETE", one, token: consumer.admin).status == 204)
        #expect(await consumer.cloud.call("GET", one, token: consumer.admin).status == 404)
    }

    @Test("An access token logs in with the roles agreed to, until it is taken back")
    func login() async throws {
        let consumer = try await Consumer()
        let (id, secret) = await consumer.fetch()
        let body: JSON = ["auth": ["identity": ["methods": ["oauth1"], "oauth1": [:]]]]
        let path = "/v3/auth/tokens"
        #expect(await consumer.call(path, ["oauth_token": id], tokenSecret: "wrong", body: body).status == 401)
        let answer = await consumer.call(path, ["oauth_token": id], tokenSecret: secret, body: body)
        #expect(answer.status == 201, "\(answer.json)")
        let token = answer["token"]
        #expect(token["methods"] == ["oauth1"])
        #expect(token["roles"]?.array?.names().sorted() == ["member", "reader"])
        #expect(token["project"]?["id"]?.string == consumer.project)
        #expect(token["OS-OAUTH1"] == ["access_token_id": .string(id), "consumer_id": .string(consumer.key)])
        let text = answer.header("X-Subject-Token") ?? ""
        #expect(await consumer.cloud.call("GET", "/v3/auth/catalog", token: text).status == 200)
        let again: JSON = ["auth": ["identity": ["methods": ["token"], "token": ["id": .string(text)]]]]
        #expect(await consumer.cloud.call("POST", path, again).status == 403)
        let own = "/v3/users/\(consumer.userID)/OS-OAUTH1/access_tokens/" + id
        #expect(await consumer.cloud.call("DELETE", own, token: consumer.admin).status == 204)
        #expect(await consumer.cloud.call("GET", "/v3/auth/catalog", token: text).status == 401)
    }

    @Test("What is missing, old or unknown is refused")
    func refusals() async throws {
        let consumer = try await Consumer()
        let path = "/v3/OS-OAUTH1/request_token"
        #expect(await consumer.cloud.call("POST", path).status == 400)
        let silent = await consumer.call(path, [:])
        #expect(silent["error"]["message"]?.string?.contains("Missing callback URI") == true)
        let old = await consumer.call(path, ["oauth_callback": "oob"], age: 601)
        #expect(old.status == 400)
        #expect(old["error"]["message"]?.string?.contains("Timestamp") == true)
        let stranger = await consumer.call(path, ["oauth_consumer_key": "none", "oauth_callback": "oob"])
        #expect(stranger.status == 404)
        let magic = await consumer.call(path, ["oauth_callback": "oob"], method: "MAGIC")
        #expect(magic.status == 400)
        #expect(await consumer.cloud.call("GET", path).status == 405)
    }

    @Test("A consumer's secret is shown once and never changed, and its tokens go with it")
    func consumers() async throws {
        let consumer = try await Consumer()
        let path = "/v3/OS-OAUTH1/consumers/" + consumer.key
        let shown = await consumer.cloud.call("GET", path, token: consumer.admin)["consumer"]
        #expect(shown["secret"] == nil)
        #expect(shown["more"] == 1)
        let change: JSON = ["consumer": ["description": "e"]]
        #expect(
            await consumer.cloud.call("PATCH", path, change, token: consumer.admin)["consumer"]["description"] == "e")
        let secret: JSON = ["consumer": ["secret": "x"]]
        #expect(await consumer.cloud.call("PATCH", path, secret, token: consumer.admin).status == 400)
        let (id, _) = Consumer.read(await consumer.ask())
        #expect(await consumer.cloud.call("DELETE", path, token: consumer.admin).status == 204)
        #expect(await consumer.cloud.call("GET", path, token: consumer.admin).status == 404)
        #expect(await consumer.agree(id).status == 404)
    }
}
