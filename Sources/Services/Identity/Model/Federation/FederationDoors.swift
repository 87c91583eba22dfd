// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What Identity is opened with to speak to identity providers itself, and to be one.
package struct FederationDoors: Sendable {
    let parties: RelyingParties
    let channel: (any BackChannel)?
    let xml: (any SignedXML)?
    let signing: SAMLSigning?
    /// The SAML providers, their metadata read.
    let saml: [RelyingParties.Key: SAMLProvider]

    /// Refuses agreements that cannot be kept: metadata that says too little, SAML without XML.
    package init(
        parties: RelyingParties, channel: (any BackChannel)? = nil, xml: (any SignedXML)? = nil,
        signing: SAMLSigning? = nil
    ) throws(Fault) {
        self.parties = parties
        self.channel = channel
        self.xml = xml
        self.signing = signing
        var saml: [RelyingParties.Key: SAMLProvider] = [:]
        for (key, settings) in parties.saml {
            guard let xml else { throw .badRequest("SAML is agreed with \(key.providerID), but nothing reads it.") }
            saml[key] = try SAMLProvider(settings, key, xml)
        }
        self.saml = saml
    }

    /// The same for a cloud that takes nobody.
    package init(xml: (any SignedXML)? = nil, signing: SAMLSigning? = nil) {
        parties = RelyingParties()
        channel = nil
        saml = [:]
        self.xml = xml
        self.signing = signing
    }

    /// The providers of OpenID Connect, each with what is remembered of it.
    func openID(_ clock: any WallClock) -> [RelyingParties.Key: OpenIDProvider] {
        guard let channel else { return [:] }
        return parties.openID.mapValues { OpenIDProvider($0, channel, clock: clock) }
    }
}
