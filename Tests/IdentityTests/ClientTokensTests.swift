// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Simulation
import Testing

struct ClientTokensTests {
    /// Made for these tests: C=CH, O=Apus, CN=client, emailAddress=c@x.test.
    static let certificate = """
        -----BEGIN CERTIFICATE-----
        MIIB4DCCAYegAwIBAgIUVAxnCOfbLZavdC4aVbyrKcyT0/UwCgYIKoZIzj0EAwIw
        RjELMAkGA1UEBhMCQ0gxDTALBgNVBAoMBEFwdXMxDzANBgNVBAMMBmNsaWVudDEX
        MBUGCSqGSIb3DQEJARYIY0B4LnRlc3QwHhcNMjYxMTIxMDUwMjUwWhcNMzYxMTE4
        MDUwMjUwWjBGMQswCQYDVQQGEwJDSDENMAsGA1UECgwEQXB1czEPMA0GA1UEAwwG
        Y2xpZW50MRcwFQYJKoZIhvcNAQkBFghjQHgudGVzdDBZMBMGByqGSM49AgEGCCqG
        SM49AwEHA0IABHe7OImQFW0qi1rxE+9j/TKad9lGiIATAGzboIUb0Knq8iiaKf0W
        wNC06TtCQXLRxWFL6lK1fvCjHdXijDUi+QCjUzBRMB0GA1UdDgQWBBTIX/eCJbZE
        CH9rRDUwVqRDhowHUTAfBgNVHSMEGDAWgBTIX/eCJbZECH9rRDUwVqRDhowHUTAP
        BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGjCwj21iNCvzqt5Xyfe
        b3LfczkAzQocAclgZOUMg/67AiBsM73PG5ZvzCESOFwdbJXfn8HQB8HKuxa23tqx
        CCBOXQ==
        -----END CERTIFICATE-----
        """
    static let thumbprint = "sUI0Yj68dY-hmgkyd2kJFeMRGWH_6NVxMcXYDkedjV0="

    struct Town {
        let cloud: IdentityCloud
        let admin: String, userID: String, project: String

        init() async throws {
            var options = IdentityOptions()
            options.delegation.certificateHeader = "X-Client-Cert"
            cloud = try await IdentityCloud(options)
            let answer = await cloud.call(
                "POST", "/v3/auth/tokens", IdentityCloud.login("admin", "secret", scope: IdentityCloud.adminProject))
            admin = answer.header("X-Subject-Token") ?? ""
            userID = answer["token"]["user"]?["id"]?.string ?? ""
            project = answer["token"]["project"]?["id"]?.string ?? ""
        }

        func ask(_ form: String, _ headers: [(String, String)] = [], peer: String = "127.0.0.1") async
            -> TestCloud.Answer
        {
            var all = HTTPHeaders()
            all.add("Host", "cloud.test:5000")
            all.add("Content-Type", "application/x-www-form-urlencoded")
            for (name, value) in headers { all.add(name, value) }
            var request = HTTPRequest(
                method: "POST", path: "/v3/OS-OAUTH2/token", headers: all,
                body: HTTPBody(bytes: Array(form.utf8)), tag: "identity")
            request.peer = peer
            return await TestCloud.read(await cloud.front.handle(request))
        }

        func credential() async -> (id: String, secret: String) {
            let body: JSON = ["application_credential": ["name": "robot", "secret": "s:1"]]
            let path = "/v3/users/\(userID)/application_credentials"
            let made = await cloud.call("POST", path, body, token: admin)["application_credential"]
            return (made["id"]?.string ?? "", "s:1")
        }
    }

    @Test("The secret of an application credential, in the form or as a password, gives a token")
    func secrets() async throws {
        let town = try await Town()
        let (id, secret) = await town.credential()
        let plain = await town.ask("grant_type=client_credentials&client_id=\(id)&client_secret=s%3A1")
        #expect(plain.status == 200)
        #expect(plain["token_type"] == "Bearer")
        #expect(plain["expires_in"] == 3600)
        let basic = "Basic " + Base64.encode(Array("\(id):\(secret)".utf8))
        let answer = await town.ask("grant_type=client_credentials", [("Authorization", basic)])
        let token = answer["access_token"].string ?? ""
        #expect(await town.cloud.call("GET", "/v3/auth/catalog", token: token).status == 200)
    }

    @Test(
        "What is wrong is said in OAuth's words",
        arguments: [
            ("", 400, "invalid_request"), ("grant_type=password", 400, "unsupported_grant_type"),
            ("grant_type=client_credentials", 401, "invalid_client"),
            ("grant_type=client_credentials&client_id=x&client_secret=y", 401, "invalid_client"),
        ])
    func refusals(form: String, status: Int, error: String) async throws {
        let answer = try await Town().ask(form)
        #expect(answer.status == status)
        #expect(answer["error"].string == error)
        #expect(answer["error_description"].string?.isEmpty == false)
        #expect((answer.header("WWW-Authenticate") != nil) == (status == 401))
    }

    @Test("A certificate that the mapping finds to be the client's gives a token that is bound to it")
    func certificates() async throws {
        let town = try await Town()
        let user = await town.cloud.make(
            "user",
            ["name": "client", "email": "c@x.test", "default_project_id": .string(town.project)], token: town.admin)
        let member = await town.cloud.role("member", token: town.admin)
        let grant = "/v3/projects/\(town.project)/users/\(user)/roles/\(member)"
        _ = await town.cloud.call("PUT", grant, token: town.admin)
        let form = "grant_type=client_credentials&client_id=\(user)"
        let header = ("X-Client-Cert", Percent.encode(Self.certificate))
        #expect(await town.ask(form, [header]).status == 401)
        let rules: JSON = [
            "mapping": [
                "rules": [
                    [
                        "local": [["user": ["name": "{0}", "email": "{1}"]]],
                        "remote": [
                            ["type": "SSL_CLIENT_SUBJECT_DN_CN"], ["type": "SSL_CLIENT_SUBJECT_DN_EMAILADDRESS"],
                            ["type": "SSL_CLIENT_ISSUER_DN_O", "any_one_of": ["Apus"]],
                        ],
                    ]
                ]
            ]
        ]
        let mapping = "/v3/OS-FEDERATION/mappings/oauth2_mapping"
        #expect(await town.cloud.call("PUT", mapping, rules, token: town.admin).status == 201)
        let answer = await town.ask(form, [header])
        #expect(answer.status == 200, "\(answer.json)")
        let token = answer["access_token"].string ?? ""
        let shown = await town.cloud.call(
            "GET", "/v3/auth/tokens", token: town.admin, headers: [("X-Subject-Token", token)])["token"]
        #expect(shown["oauth2_credential"]?["x5t#S256"]?.string == Self.thumbprint)
        #expect(shown["user"]?["name"] == "client")
        #expect(shown["project"]?["id"]?.string == town.project)
        #expect(await town.ask(form, [header], peer: "10.0.0.9").status == 401)
        let other = "grant_type=client_credentials&client_id=\(town.userID)"
        #expect(await town.ask(other, [header]).status == 401)
    }

    @Test("A certificate is read from whatever form a proxy gives it")
    func reading() throws {
        let plain = try #require(ClientCertificate(header: Self.certificate))
        #expect(plain.subject.map(\.type) == ["C", "O", "CN", "emailAddress"])
        #expect(plain.subject.map(\.value) == ["CH", "Apus", "client", "c@x.test"])
        #expect(plain.issuer == plain.subject)
        #expect(plain.thumbprint == Self.thumbprint)
        let joined = Self.certificate.split(separator: "\n").joined(separator: " ")
        #expect(ClientCertificate(header: joined) == plain)
        #expect(ClientCertificate(header: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----") == nil)
        #expect(ClientCertificate(header: "none") == nil)
    }
}
