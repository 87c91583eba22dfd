// SPDX-License-Identifier: Apache-2.0
import FederationSAML
import Identity
import Kernel
import Testing

/// Signed documents, and everything that only looks like one.
struct SAMLSignatureTests {
    static func name(_ assertion: XMLElement) -> String? {
        assertion.children.first { $0.name == "Subject" }?.children.first { $0.name == "NameID" }?.text
    }

    @Test("The assertion that was signed is read, in a response and in an envelope")
    func good() throws {
        let notary = try SAMLNotary()
        let response = SAMLNotary.response(try notary.assertion())
        #expect(Self.name(try notary.open(response)) == "ada")
        #expect(Self.name(try notary.open(SAMLNotary.envelope(response))) == "ada")
        #expect(Self.name(try notary.open("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + response)) == "ada")
    }

    @Test("A response may be signed as a whole, and the assertion as well")
    func whole() throws {
        let notary = try SAMLNotary()
        let algorithm = SAMLNotary.Draft().algorithm
        for inner in [SAMLNotary.text(SAMLNotary.Draft()), try notary.assertion()] {
            let text = SAMLNotary.response(SAMLNotary.template("_r1", algorithm) + inner)
            let signed = try notary.xml.sign(
                Array(text.utf8), key: notary.key, certificate: notary.certificate)
            #expect(Self.name(try notary.open(String(decoding: signed, as: UTF8.self))) == "ada")
            let changed = String(decoding: signed, as: UTF8.self).replacing(">ada<", with: ">eve<")
            #expect(throws: Fault.self) { try notary.open(changed) }
        }
    }

    @Test("A comment cuts no name short")
    func comments() throws {
        let notary = try SAMLNotary()
        var draft = SAMLNotary.Draft()
        draft.user = "admin@example.com.evil.test"
        let cut = try notary.assertion(draft).replacing("example.com.", with: "example.com<!-- x -->.")
        #expect(Self.name(try notary.open(SAMLNotary.response(cut))) == draft.user)
    }

    struct Forgery: Sendable, CustomTestStringConvertible {
        let name: String
        let make: @Sendable (_ notary: SAMLNotary, _ signed: String) throws -> String
        var testDescription: String { name }

        init(_ name: String, _ make: @escaping @Sendable (_ notary: SAMLNotary, _ signed: String) throws -> String) {
            self.name = name
            self.make = make
        }
    }

    /// An assertion about Eve that nobody signed.
    static func eve(id: String = "_evil", signature: String? = nil) -> String {
        var draft = SAMLNotary.Draft()
        draft.id = id
        draft.user = "eve"
        return SAMLNotary.text(draft, signature: signature)
    }

    /// The signature in a signed assertion.
    static func signature(of signed: String) -> String {
        let start = signed.firstRange(of: "<ds:Signature"), end = signed.firstRange(of: "</ds:Signature>")
        guard let start, let end else { return "" }
        return String(signed[start.lowerBound..<end.upperBound])
    }

    static let forgeries = [
        Forgery("not signed") { _, _ in SAMLNotary.response(eve()) },
        Forgery("changed after it was signed") { _, signed in
            SAMLNotary.response(signed.replacing(">ada<", with: ">eve<"))
        },
        Forgery("an attribute changed") { _, signed in
            SAMLNotary.response(signed.replacing(">dev<", with: ">admin<"))
        },
        Forgery("signed with another key") { _, _ in
            SAMLNotary.response(try SAMLNotary().assertion())
        },
        Forgery("a second assertion before the signed one") { _, signed in SAMLNotary.response(eve() + signed) },
        Forgery("a second assertion after the signed one") { _, signed in SAMLNotary.response(signed + eve()) },
        Forgery("the signed one hidden in the response's extensions") { _, signed in
            SAMLNotary.response(
                "<samlp:Extensions>\(signed)</samlp:Extensions>" + eve(signature: signature(of: signed)))
        },
        Forgery("the signed one inside the forged one's signature") { _, signed in
            let object = "<ds:Object>\(signed.replacing(signature(of: signed), with: ""))</ds:Object></ds:Signature>"
            return SAMLNotary.response(
                eve(signature: signature(of: signed).replacing("</ds:Signature>", with: object)))
        },
        Forgery("the signed one inside the forged one") { _, signed in
            SAMLNotary.response(
                eve(signature: signature(of: signed)).replacing(
                    "</saml:Assertion>",
                    with: signed.replacing(signature(of: signed), with: "") + "</saml:Assertion>"))
        },
        Forgery("the same id twice") { _, signed in SAMLNotary.response(eve(id: "_a1") + signed) },
        Forgery("another response around it") { _, signed in
            SAMLNotary.response(SAMLNotary.response(signed, id: "_r2") + eve())
        },
        Forgery("a signature that is about something else") { _, signed in
            SAMLNotary.response(eve(signature: signature(of: signed)))
        },
        Forgery("a signature about the whole document") { _, signed in
            SAMLNotary.response(signed.replacing("URI=\"#_a1\"", with: "URI=\"\""))
        },
        Forgery("an id that nothing signed carries") { _, signed in
            SAMLNotary.response(signed.replacing("ID=\"_a1\"", with: "ID=\"_a2\""))
        },
        Forgery("two things in an envelope") { _, signed in
            SAMLNotary.envelope(SAMLNotary.response(signed) + SAMLNotary.response(eve(), id: "_r2"))
        },
        Forgery("an entity in place of a name") { _, signed in
            "<!DOCTYPE r [<!ENTITY x \"eve\">]>" + SAMLNotary.response(signed.replacing(">ada<", with: ">&x;<"))
        },
        Forgery("a file of this machine") { _, signed in
            "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>"
                + SAMLNotary.response(signed.replacing(">ada<", with: ">&x;<"))
        },
        Forgery("a bomb of entities") { _, signed in
            "<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>"
                + SAMLNotary.response(signed)
        },
        Forgery("no XML") { _, _ in "SAMLResponse" },
        Forgery("nothing") { _, _ in "" },
        Forgery("half of it") { _, signed in String(SAMLNotary.response(signed).dropLast(200)) },
    ]

    @Test("What only looks signed is refused", arguments: forgeries)
    func forged(_ forgery: Forgery) throws {
        let notary = try SAMLNotary()
        let document = try forgery.make(notary, try notary.assertion())
        #expect(throws: Fault.self) { try notary.open(document) }
    }

    @Test("SHA-1 is taken only where it was agreed, and a secret is never a key")
    func algorithms() throws {
        let notary = try SAMLNotary()
        var draft = SAMLNotary.Draft()
        draft.algorithm = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
        let document = Array(SAMLNotary.response(try notary.assertion(draft)).utf8)
        #expect(throws: Fault.self) {
            try notary.xml.assertion(in: document, certificates: [notary.certificate], acceptsSHA1: false)
        }
        #expect(
            Self.name(
                try notary.xml.assertion(in: document, certificates: [notary.certificate], acceptsSHA1: true))
                == "ada")
        let mac = String(decoding: document, as: UTF8.self).replacing("#rsa-sha1", with: "#hmac-sha1")
        #expect(throws: Fault.self) {
            try notary.xml.assertion(in: Array(mac.utf8), certificates: [notary.certificate], acceptsSHA1: true)
        }
    }

    @Test("Documents that bring a document type are not parsed at all, whatever they hide it in")
    func documentTypes() throws {
        let xml = try XMLSecDocuments()
        for text in ["<!DOCTYPE a><a/>", "<!doctype a><a/>", "<?xml version=\"1.0\"?>\n<!DOCTYPE a SYSTEM \"x\"><a/>"] {
            #expect(throws: Fault.self) { try xml.parse(Array(text.utf8)) }
        }
        let wide = "<!DOCTYPE a><a/>".utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        #expect(throws: Fault.self) { try xml.parse([0xFF, 0xFE] + wide) }
        #expect(try xml.parse(Array("<a>b<![CDATA[c]]><!-- d -->e</a>".utf8)).text == "bce")
        let deep = String(repeating: "<a>", count: 100) + String(repeating: "</a>", count: 100)
        #expect(throws: Fault.self) { try xml.parse(Array(deep.utf8)) }
    }
}
