// SPDX-License-Identifier: Apache-2.0
import FederationSAML
import Identity
import Kernel
import Simulation
import Testing

/// A cloud that takes users of a SAML provider, and what browsers and other clouds bring it.
struct SAMLTown {
    let notary: SAMLNotary
    let cloud: IdentityCloud
    let admin: String
    static let acs = "/v3/OS-FEDERATION/identity_providers/acme/protocols/saml2/saml2/acs"
    static let ecp = "/v3/OS-FEDERATION/identity_providers/acme/protocols/saml2/saml2/ecp"
    static let auth = "/v3/OS-FEDERATION/identity_providers/acme/protocols/saml2/auth"

    init(_ more: String = "", entityID: String = SAMLNotary.entityID, metadata: String? = nil) async throws {
        notary = try SAMLNotary()
        let file = Array((metadata ?? notary.metadata).utf8)
        var options = IdentityOptions()
        options.federation.trustedDashboards = [FederatedTown.dashboard]
        let parties = try RelyingParties(
            text: """
                [saml2 acme saml2]
                base_url = http://cloud.test:5000/v3
                entity_id = https://cloud.test/saml
                metadata_file = idp.xml
                \(more)
                """, name: "parties.conf", read: { _ throws(Fault) in file })
        cloud = try await IdentityCloud(options, doors: try FederationDoors(parties: parties, xml: notary.xml))
        admin = await cloud.token()
        let rules: JSON = [
            [
                "local": [["user": ["name": "{0}"]]],
                "remote": [["type": "MELLON_NAME_ID"], ["type": "MELLON_IDP", "any_one_of": [.string(entityID)]]],
            ]
        ]
        let base = FederatedTown.base
        _ = await cloud.call("PUT", base + "/mappings/people", ["mapping": ["rules": rules]], token: admin)
        _ = await cloud.call(
            "PUT", base + "/identity_providers/acme",
            ["identity_provider": ["enabled": true, "remote_ids": [.string(entityID)]]], token: admin)
        _ = await cloud.call(
            "PUT", base + "/identity_providers/acme/protocols/saml2",
            ["protocol": ["mapping_id": "people", "remote_id_attribute": "MELLON_IDP"]], token: admin)
    }

    /// Where a browser is sent: its cookie, its state, and the id of the question.
    func leave() async -> (cookie: String, state: String, question: String) {
        let answer = await cloud.call(
            "GET", "/v3/auth/OS-FEDERATION/websso/saml2?origin=" + Percent.encode(FederatedTown.dashboard))
        let query = (answer.header("Location") ?? "").split(separator: "?").last.map(String.init) ?? ""
        let fields = Dictionary(QueryString.parse(query) ?? [], uniquingKeysWith: { $1 })
        // One stored block: five bytes, then the text.
        let text = (Base64.decode(fields["SAMLRequest"] ?? "") ?? []).dropFirst(5)
        let question = (try? notary.xml.parse(Array(text)))?.attributes["ID"] ?? ""
        let cookie = (answer.header("Set-Cookie") ?? "").split(separator: ";").first.map(String.init) ?? ""
        return (cookie, fields["RelayState"] ?? "", question)
    }

    func post(_ document: String, state: String, cookie: String) async -> TestCloud.Answer {
        let form =
            "SAMLResponse=" + Percent.encode(Base64.encode(Array(document.utf8))) + "&RelayState="
            + Percent.encode(state)
        return await cloud.send(
            "POST", Self.acs, Array(form.utf8), type: "application/x-www-form-urlencoded",
            headers: [("Cookie", cookie)])
    }

    /// What another cloud's client does: bring the envelope, then have the token.
    func bring(_ envelope: String) async -> TestCloud.Answer {
        let brought = await cloud.send("POST", Self.ecp, Array(envelope.utf8), type: "application/vnd.paos+xml")
        guard brought.status == 303 else { return brought }
        let cookie = (brought.header("Set-Cookie") ?? "").split(separator: ";").first.map(String.init) ?? ""
        return await cloud.call("GET", Self.auth, headers: [("Cookie", cookie)])
    }
}

extension IdentityCloud {
    func send(
        _ method: String, _ path: String, _ bytes: [UInt8], type: String, headers: [(String, String)] = []
    ) async -> TestCloud.Answer {
        var all = HTTPHeaders()
        all.add("Host", "cloud.test:5000")
        all.add("Content-Type", type)
        for (name, value) in headers { all.add(name, value) }
        let request = HTTPRequest(
            method: method, path: path, headers: all, body: HTTPBody(bytes: bytes), tag: "identity")
        return await TestCloud.read(await front.handle(request))
    }
}

struct SAMLLoginTests {
    @Test("A browser asks, brings the answer, and hands the dashboard a token, once")
    func browser() async throws {
        let town = try await SAMLTown()
        let left = await town.leave()
        #expect(left.question.hasPrefix("_") && !left.state.isEmpty)
        var draft = SAMLNotary.Draft()
        draft.question = left.question
        let document = SAMLNotary.response(try town.notary.assertion(draft))
        #expect(await town.post(document, state: left.state, cookie: "").status == 401)
        #expect(await town.post(document, state: "other", cookie: left.cookie).status == 401)
        let back = await town.post(document, state: left.state, cookie: left.cookie)
        #expect(back.status == 200)
        let page = String(decoding: back.bytes, as: UTF8.self)
        #expect(page.contains("action=\"\(FederatedTown.dashboard)\""))
        let token = String((page.split(separator: "id=\"token\" value=\"").last ?? "").prefix { $0 != "\"" })
        let shown = await town.cloud.call(
            "GET", "/v3/auth/tokens", token: town.admin, headers: [("X-Subject-Token", token)])
        #expect(shown["token"]["user"]?["name"] == "ada" && shown["token"]["methods"] == ["saml2"])
        #expect(await town.post(document, state: left.state, cookie: left.cookie).status == 401)
    }

    static let other = "https://other.test"

    struct Flaw: Sendable, CustomTestStringConvertible {
        let name: String
        let change: @Sendable (inout SAMLNotary.Draft) -> Void
        var testDescription: String { name }

        init(_ name: String, _ change: @escaping @Sendable (inout SAMLNotary.Draft) -> Void) {
            self.name = name
            self.change = change
        }
    }

    @Test(
        "An assertion with a good signature is still refused",
        arguments: [
            Flaw("of another provider") { $0.issuer = other }, Flaw("for another cloud") { $0.audience = other },
            Flaw("for nobody in particular") { $0.audience = nil },
            Flaw("for two audiences at once") {
                $0.conditions =
                    "<saml:AudienceRestriction><saml:Audience>\(other)</saml:Audience></saml:AudienceRestriction>"
            },
            Flaw("for another address") { $0.recipient = other },
            Flaw("for this cloud's other address") { $0.recipient = SAMLNotary.base + "/ecp" },
            Flaw("in answer to another question") { $0.question = "_other" },
            Flaw("in answer to no question") { $0.question = nil },
            Flaw("expired") { $0.end = "2027-01-15T07:58:00Z" },
            Flaw("not yet valid") { $0.begin = "2027-01-15T08:30:00Z" },
            Flaw("under a condition that nobody understands") { $0.conditions = "<x:Moon xmlns:x=\"urn:x\"/>" },
            Flaw("of somebody who did not log in") { $0.statement = "" },
            Flaw("of a session that is over") {
                $0.statement =
                    #"<saml:AuthnStatement AuthnInstant="x" SessionNotOnOrAfter="2027-01-15T07:00:00Z"/>"#
            },
            Flaw("for the holder of a key") { $0.method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key" },
        ])
    func flawed(_ flaw: Flaw) async throws {
        let town = try await SAMLTown()
        let left = await town.leave()
        var draft = SAMLNotary.Draft()
        draft.question = left.question
        flaw.change(&draft)
        let document = SAMLNotary.response(try town.notary.assertion(draft))
        #expect(await town.post(document, state: left.state, cookie: left.cookie).status == 401)
    }

    @Test("Another cloud's user brings an assertion that nobody asked for, where that was agreed, and only once")
    func unsolicited() async throws {
        var draft = SAMLNotary.Draft()
        draft.question = nil
        draft.audience = nil
        draft.recipient = SAMLNotary.base + "/ecp"
        let closed = try await SAMLTown()
        let refused = SAMLNotary.envelope(SAMLNotary.response(try closed.notary.assertion(draft)))
        #expect(await closed.bring(refused).status == 401)
        let town = try await SAMLTown("unsolicited = true")
        let envelope = SAMLNotary.envelope(SAMLNotary.response(try town.notary.assertion(draft)))
        let token = await town.bring(envelope)
        #expect(token.status == 201)
        #expect(token["token"]["user"]?["OS-FEDERATION"]?["protocol"]?["id"] == "saml2")
        #expect(await town.bring(envelope).status == 401)
        #expect(await town.cloud.call("GET", SAMLTown.auth).status == 401)
        #expect(
            await town.cloud.call("GET", SAMLTown.auth, headers: [("Cookie", "apus-federation=made-up")]).status
                == 401)
        draft.id = "_a2"
        draft.question = "_q"
        let answer = SAMLNotary.envelope(SAMLNotary.response(try town.notary.assertion(draft)))
        #expect(await town.bring(answer).status == 401)
    }

    @Test("A provider is told what this cloud is, and its own metadata must say enough")
    func metadata() async throws {
        let town = try await SAMLTown()
        let path = "/v3/OS-FEDERATION/identity_providers/acme/protocols/saml2/saml2/metadata"
        let answer = await town.cloud.call("GET", path)
        let tree = try town.notary.xml.parse(answer.bytes)
        #expect(answer.header("Content-Type") == "text/xml" && tree.attributes["entityID"] == "https://cloud.test/saml")
        let none = town.notary.metadata.replacing("signing", with: "encryption")
        await #expect(throws: Fault.self) { try await SAMLTown(metadata: none) }
        await #expect(throws: Fault.self) { try await SAMLTown(metadata: "<a/>") }
    }
}
