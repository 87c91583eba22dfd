// SPDX-License-Identifier: Apache-2.0
import FederationSAML
import Identity
import Kernel

/// A SAML identity provider of the tests: a key, a certificate, and assertions as a test wants them.
final class SAMLNotary: Sendable {
    static let entityID = "https://idp.test/saml"
    static let base = "http://cloud.test:5000/v3/OS-FEDERATION/identity_providers/acme/protocols/saml2/saml2"
    static let now = Timestamp(seconds: 1_800_000_000)

    let xml: XMLSecDocuments
    let key: String
    let certificate: String

    init() throws {
        xml = try XMLSecDocuments()
        let folder = try FileSystem.makeTemporaryDirectory("apus-notary")
        defer { FileSystem.remove(folder) }
        let made = try Subprocess.runBlocking(
            [
                "/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder + "/key",
                "-out", folder + "/certificate", "-days", "7", "-subj", "/CN=idp.test",
            ], timeout: .seconds(60))
        guard made.status == 0 else { throw Fault.internalError(made.complaint) }
        key = FileSystem.text(folder + "/key") ?? ""
        certificate = FileSystem.text(folder + "/certificate") ?? ""
    }

    var signing: SAMLSigning { SAMLSigning(key: key, certificate: certificate) }

    var metadata: String {
        let bare = certificate.split(separator: "\n").dropFirst().dropLast().joined()
        return """
            <md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="\(Self.entityID)">
            <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
            <md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>
            <ds:X509Certificate>\(bare)</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>
            <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
            Location="https://idp.test/sso"/></md:IDPSSODescriptor></md:EntityDescriptor>
            """
    }

    /// What can be wrong with an assertion.
    struct Draft: Sendable {
        var id = "_a1"
        var issuer = SAMLNotary.entityID
        var user = "ada"
        var audience: String? = "https://cloud.test/saml"
        var recipient = SAMLNotary.base + "/acs"
        var question: String? = "_q"
        var end = "2027-01-15T08:05:00Z"
        var begin = "2027-01-15T07:59:00Z"
        var conditions = ""
        var algorithm = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
        var statement = #"<saml:AuthnStatement AuthnInstant="2027-01-15T08:00:00Z"/>"#
        var method = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
    }

    static func template(_ id: String, _ algorithm: String) -> String {
        """
        <ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>\
        <ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>\
        <ds:SignatureMethod Algorithm="\(algorithm)"/><ds:Reference URI="#\(id)"><ds:Transforms>\
        <ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>\
        <ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/></ds:Transforms>\
        <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference>\
        </ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>
        """
    }

    static func text(_ draft: Draft, signature: String? = nil) -> String {
        let audience = draft.audience.map {
            "<saml:AudienceRestriction><saml:Audience>\($0)</saml:Audience></saml:AudienceRestriction>"
        }
        let question = draft.question.map { " InResponseTo=\"\($0)\"" } ?? ""
        return """
            <saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="\(draft.id)" Version="2.0" \
            IssueInstant="2027-01-15T08:00:00Z"><saml:Issuer>\(draft.issuer)</saml:Issuer>\(signature ?? "")\
            <saml:Subject><saml:NameID>\(draft.user)</saml:NameID>\
            <saml:SubjectConfirmation Method="\(draft.method)"><saml:SubjectConfirmationData \
            NotOnOrAfter="\(draft.end)" Recipient="\(draft.recipient)"\(question)/></saml:SubjectConfirmation>\
            </saml:Subject><saml:Conditions NotBefore="\(draft.begin)" NotOnOrAfter="\(draft.end)">\
            \(audience ?? "")\(draft.conditions)</saml:Conditions>\(draft.statement)\
            <saml:AttributeStatement><saml:Attribute Name="urn:oid:mail" FriendlyName="mail">\
            <saml:AttributeValue>ada@example.com</saml:AttributeValue></saml:Attribute>\
            <saml:Attribute Name="groups"><saml:AttributeValue>dev</saml:AttributeValue>\
            <saml:AttributeValue>ops</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>\
            </saml:Assertion>
            """
    }

    func assertion(_ draft: Draft = Draft()) throws -> String {
        let text = Self.text(draft, signature: Self.template(draft.id, draft.algorithm))
        return String(decoding: try xml.sign(Array(text.utf8), key: key, certificate: certificate), as: UTF8.self)
    }

    static func response(_ content: String, id: String = "_r1") -> String {
        """
        <samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" ID="\(id)" Version="2.0">\
        <samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>\
        \(content)</samlp:Response>
        """
    }

    static func envelope(_ content: String) -> String {
        """
        <soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header/>\
        <soap:Body>\(content)</soap:Body></soap:Envelope>
        """
    }

    func open(_ document: String) throws(Fault) -> XMLElement {
        try xml.assertion(in: Array(document.utf8), certificates: [certificate], acceptsSHA1: false)
    }
}
