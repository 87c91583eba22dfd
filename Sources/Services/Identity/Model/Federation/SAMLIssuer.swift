// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What this cloud signs with as an identity provider, in PEM.
package struct SAMLSigning: Sendable {
    let key: String, certificate: String

    package init(key: String, certificate: String) {
        self.key = key
        self.certificate = certificate
    }

    /// The certificate's bytes in base 64, as metadata has them.
    var bare: String {
        certificate.split(separator: "\n").drop { !$0.hasPrefix("-----BEGIN CERTIFICATE") }.dropFirst()
            .prefix { !$0.hasPrefix("-----END") }.joined()
    }
}

/// This cloud as an identity provider: what it says about a user to another cloud.
struct SAMLIssuer: Sendable {
    let options: SAMLOptions
    let signing: SAMLSigning
    let entityID: String
    let xml: any SignedXML

    /// Who a user is here, as the attributes of an assertion.
    struct Subject: Sendable {
        let user: String
        var attributes: [(name: String, values: [String])]
    }

    /// The response with the signed assertion about somebody, for one address alone.
    func response(
        about subject: Subject, to recipient: String, at now: Timestamp, ids: any Identifiers
    ) throws(Fault) -> String {
        let signed = try assertion(about: subject, to: recipient, at: now, ids: ids)
        let moment = Timestamp(seconds: now.seconds).iso8601
        return """
            <samlp:Response xmlns:samlp="\(SAML.response)" ID="_\(ids.hex())" Version="2.0" \
            IssueInstant="\(moment)" Destination="\(XMLText.escaped(recipient))">\
            <saml:Issuer xmlns:saml="\(SAML.assertion)" \
            Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">\(XMLText.escaped(entityID))</saml:Issuer>\
            <samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>\
            \(signed)</samlp:Response>
            """
    }

    /// The same in the envelope that enhanced clients carry.
    func envelope(_ response: String, relayState: String) -> String {
        """
        <soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header>\
        <ecp:RelayState xmlns:ecp="urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp" soap:mustUnderstand="1" \
        soap:actor="http://schemas.xmlsoap.org/soap/actor/next">\(XMLText.escaped(relayState))</ecp:RelayState>\
        </soap:Header><soap:Body>\(response)</soap:Body></soap:Envelope>
        """
    }

    private func assertion(
        about subject: Subject, to recipient: String, at now: Timestamp, ids: any Identifiers
    ) throws(Fault) -> String {
        let id = "_" + ids.hex()
        let start = Timestamp(seconds: now.seconds)
        let (moment, end) = (start.iso8601, (start + options.assertionLife).iso8601)
        let statements = subject.attributes.map { attribute in
            let values = attribute.values.map { value in
                "<saml:AttributeValue>\(XMLText.escaped(value))</saml:AttributeValue>"
            }
            return "<saml:Attribute Name=\"\(attribute.name)\">\(values.joined())</saml:Attribute>"
        }
        let document = """
            <saml:Assertion xmlns:saml="\(SAML.assertion)" ID="\(id)" Version="2.0" IssueInstant="\(moment)">\
            <saml:Issuer Format="urn:oasis:names:tc:SAML:2.0:nameid-format:entity">\
            \(XMLText.escaped(entityID))</saml:Issuer>\(template(id))\
            <saml:Subject><saml:NameID>\(XMLText.escaped(subject.user))</saml:NameID>\
            <saml:SubjectConfirmation Method="\(SAML.bearer)"><saml:SubjectConfirmationData NotOnOrAfter="\(end)" \
            Recipient="\(XMLText.escaped(recipient))"/></saml:SubjectConfirmation></saml:Subject>\
            <saml:AuthnStatement AuthnInstant="\(moment)" SessionIndex="\(ids.hex())" SessionNotOnOrAfter="\(end)">\
            <saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password\
            </saml:AuthnContextClassRef><saml:AuthenticatingAuthority>\(XMLText.escaped(entityID))\
            </saml:AuthenticatingAuthority></saml:AuthnContext></saml:AuthnStatement>\
            <saml:AttributeStatement>\(statements.joined())</saml:AttributeStatement></saml:Assertion>
            """
        let signed = try xml.sign(Array(document.utf8), key: signing.key, certificate: signing.certificate)
        return String(decoding: signed, as: UTF8.self)
    }

    private func template(_ id: String) -> String {
        let canonical = "http://www.w3.org/2001/10/xml-exc-c14n#"
        return """
            <ds:Signature xmlns:ds="\(SAML.signature)"><ds:SignedInfo>\
            <ds:CanonicalizationMethod Algorithm="\(canonical)"/>\
            <ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>\
            <ds:Reference URI="#\(id)"><ds:Transforms>\
            <ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>\
            <ds:Transform Algorithm="\(canonical)"/></ds:Transforms>\
            <ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue/></ds:Reference>\
            </ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo><ds:X509Data/></ds:KeyInfo></ds:Signature>
            """
    }

    /// What other clouds are told about this one.
    var metadata: String {
        let lang = "xml:lang=\"\(XMLText.escaped(options.language))\""
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <md:EntityDescriptor xmlns:md="\(SAML.metadata)" entityID="\(XMLText.escaped(entityID))">\
            <md:IDPSSODescriptor protocolSupportEnumeration="\(SAML.response)"><md:KeyDescriptor use="signing">\
            <ds:KeyInfo xmlns:ds="\(SAML.signature)"><ds:X509Data><ds:X509Certificate>\(signing.bare)\
            </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\
            <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:transient</md:NameIDFormat>\
            <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:URI" \
            Location="\(XMLText.escaped(options.endpoint ?? entityID))"/></md:IDPSSODescriptor><md:Organization>\
            <md:OrganizationName \(lang)>\(XMLText.escaped(options.organizationName))</md:OrganizationName>\
            <md:OrganizationDisplayName \(lang)>\(XMLText.escaped(options.organizationDisplayName))\
            </md:OrganizationDisplayName>\
            <md:OrganizationURL \(lang)>\(XMLText.escaped(options.organizationURL))</md:OrganizationURL>\
            </md:Organization></md:EntityDescriptor>

            """
    }
}
