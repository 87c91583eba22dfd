// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The names of SAML 2.0.
enum SAML {
    static let assertion = "urn:oasis:names:tc:SAML:2.0:assertion"
    static let response = "urn:oasis:names:tc:SAML:2.0:protocol"
    static let metadata = "urn:oasis:names:tc:SAML:2.0:metadata"
    static let signature = "http://www.w3.org/2000/09/xmldsig#"
    static let redirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
    static let post = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
    static let paos = "urn:oasis:names:tc:SAML:2.0:bindings:PAOS"
    static let bearer = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
}

/// A SAML identity provider as its metadata describes it, and what this cloud is to it.
struct SAMLProvider: Sendable {
    let settings: SAMLSettings
    let key: RelyingParties.Key
    let entityID: String
    /// Where a browser is sent to log in; nil when only other clouds' users come from there.
    let login: String?
    let certificates: [String]

    init(_ settings: SAMLSettings, _ key: RelyingParties.Key, _ xml: any SignedXML) throws(Fault) {
        self.settings = settings
        self.key = key
        let root = try xml.parse(settings.metadata)
        guard let entity = SAMLProvider.entity(root), let name = entity.attributes["entityID"],
            let role = entity.first(SAML.metadata, "IDPSSODescriptor")
        else { throw .badRequest("\(settings.metadataFile) describes no SAML identity provider.") }
        entityID = name
        login = role.all(SAML.metadata, "SingleSignOnService").first { $0.attributes["Binding"] == SAML.redirect }?
            .attributes["Location"].flatMap { RelyingParties.isSafe($0) ? $0 : nil }
        certificates = role.all(SAML.metadata, "KeyDescriptor").filter {
            $0.attributes["use"].map { $0 == "signing" } ?? true
        }.flatMap(SAMLProvider.certificates)
        guard !certificates.isEmpty else {
            throw .badRequest("\(settings.metadataFile) has no certificate to check signatures with.")
        }
    }

    /// The one provider of a file, which may be a list with a single member.
    private static func entity(_ root: XMLElement) -> XMLElement? {
        if root.namespace == SAML.metadata, root.name == "EntityDescriptor" { return root }
        let all = root.all(SAML.metadata, "EntityDescriptor").filter {
            $0.first(SAML.metadata, "IDPSSODescriptor") != nil
        }
        return all.count == 1 ? all[0] : nil
    }

    private static func certificates(_ descriptor: XMLElement) -> [String] {
        let texts = descriptor.all(SAML.signature, "KeyInfo").flatMap { $0.all(SAML.signature, "X509Data") }
            .flatMap { $0.all(SAML.signature, "X509Certificate") }.map { $0.text.filter { !$0.isWhitespace } }
        return texts.compactMap { text in Base64.decode(text).map { SAMLProvider.pem(Base64.encode($0)) } }
    }

    static func pem(_ text: String) -> String {
        var lines: [Substring] = []
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(rest.prefix(64))
            rest = rest.dropFirst(64)
        }
        return "-----BEGIN CERTIFICATE-----\n" + lines.joined(separator: "\n") + "\n-----END CERTIFICATE-----\n"
    }

    // MARK: This cloud's addresses

    private var base: String {
        settings.baseURL + "/OS-FEDERATION/identity_providers/" + Percent.encode(key.providerID) + "/protocols/"
            + Percent.encode(key.protocolID) + "/saml2"
    }
    /// Where browsers bring what the provider says.
    var consumer: String { base + "/acs" }
    /// Where clients do.
    var clientConsumer: String { base + "/ecp" }

    /// What the provider is told about this cloud.
    var description: String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <md:EntityDescriptor xmlns:md="\(SAML.metadata)" entityID="\(XMLText.escaped(settings.entityID))">
        <md:SPSSODescriptor AuthnRequestsSigned="false" WantAssertionsSigned="true" \
        protocolSupportEnumeration="\(SAML.response)">
        <md:AssertionConsumerService Binding="\(SAML.post)" Location="\(XMLText.escaped(consumer))" index="0" \
        isDefault="true"/>
        <md:AssertionConsumerService Binding="\(SAML.paos)" Location="\(XMLText.escaped(clientConsumer))" index="1"/>
        </md:SPSSODescriptor>
        </md:EntityDescriptor>

        """
    }

    // MARK: Asking

    /// Where the browser is sent to log in, with the question that the answer must be to.
    func loginAddress(_ login: PendingLogin, at now: Timestamp) throws(Fault) -> String {
        guard let address = self.login else { throw .unauthorized() }
        let seconds = Timestamp(seconds: now.seconds).iso8601
        let request = """
            <samlp:AuthnRequest xmlns:samlp="\(SAML.response)" xmlns:saml="\(SAML.assertion)" \
            ID="\(login.requestID)" Version="2.0" IssueInstant="\(seconds)" \
            Destination="\(XMLText.escaped(address))" ProtocolBinding="\(SAML.post)" \
            AssertionConsumerServiceURL="\(XMLText.escaped(consumer))">\
            <saml:Issuer>\(XMLText.escaped(settings.entityID))</saml:Issuer>\
            <samlp:NameIDPolicy AllowCreate="true"/></samlp:AuthnRequest>
            """
        let question = Percent.encode(Base64.encode(XMLText.deflated(Array(request.utf8))))
        return address + (address.contains("?") ? "&" : "?") + "SAMLRequest=" + question + "&RelayState="
            + Percent.encode(login.state)
    }
}

extension PendingLogin {
    /// What SAML calls the question; an id begins with no digit.
    var requestID: String { "_" + Digest.hex(.sha256, nonce).prefix(40) }
}

/// XML written by hand.
enum XMLText {
    /// For text and attributes; what XML cannot hold is left out.
    static func escaped(_ text: String) -> String {
        let allowed = text.unicodeScalars.filter { $0.value >= 32 || [9, 10, 13].contains($0.value) }
        return FederationPages.escaped(String(String.UnicodeScalarView(allowed)))
    }

    /// As RFC 1951 has bytes that were not made smaller: blocks of at most 65535 each.
    static func deflated(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        var rest = bytes[...]
        repeat {
            let part = rest.prefix(65_535)
            rest = rest.dropFirst(65_535)
            let count = UInt16(part.count)
            out += [
                rest.isEmpty ? 1 : 0, UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8),
            ]
            out += part
        } while !rest.isEmpty
        return out
    }
}
