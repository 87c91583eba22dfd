// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a signed assertion says, once it is sure that it was made for this cloud, now, and about this login.
struct SAMLLogin: Sendable {
    let assertion: Assertion
    /// What it is called by its maker, and until when it could be used again.
    let id: String
    let endsAt: Timestamp
}

extension SAMLProvider {
    /// - Parameters:
    ///   - question: what the assertion must be the answer to; nil for one that was not asked for.
    ///   - recipient: the address that it was brought to.
    func read(
        _ signed: XMLElement, answering question: String?, at recipient: String, now: Timestamp
    ) throws(Fault) -> SAMLLogin {
        guard signed.namespace == SAML.assertion, signed.name == "Assertion",
            signed.attributes["Version"] == "2.0", let id = signed.attributes["ID"], !id.isEmpty,
            signed.all(SAML.assertion, "Issuer").count == 1,
            signed.first(SAML.assertion, "Issuer")?.text.trimmedOfSpace == entityID,
            question != nil || settings.acceptsUnsolicited
        else { throw .unauthorized() }
        try requireConditions(signed, wasAsked: question != nil, now)
        let endsAt = try confirmation(signed, question, recipient, now)
        guard let statement = signed.first(SAML.assertion, "AuthnStatement") else { throw .unauthorized() }
        if let text = statement.attributes["SessionNotOnOrAfter"] {
            guard let end = Timestamp(text), end + settings.slack > now else { throw .unauthorized() }
        }
        return SAMLLogin(
            assertion: attributes(signed), id: "saml \(entityID) \(id)", endsAt: endsAt + settings.slack)
    }

    private func requireConditions(_ signed: XMLElement, wasAsked: Bool, _ now: Timestamp) throws(Fault) {
        let all = signed.all(SAML.assertion, "Conditions")
        guard all.count <= 1 else { throw .unauthorized() }
        let conditions = all.first
        if let text = conditions?.attributes["NotBefore"] {
            guard let begin = Timestamp(text), begin <= now + settings.slack else { throw .unauthorized() }
        }
        if let text = conditions?.attributes["NotOnOrAfter"] {
            guard let end = Timestamp(text), end + settings.slack > now else { throw .unauthorized() }
        }
        let known = ["AudienceRestriction", "OneTimeUse", "ProxyRestriction"]
        // A condition that is not understood is one that is not met (SAML core, 2.5.1).
        guard conditions?.children.allSatisfy({ $0.namespace == SAML.assertion && known.contains($0.name) }) ?? true
        else { throw .unauthorized() }
        let audiences = conditions?.all(SAML.assertion, "AudienceRestriction") ?? []
        // Another cloud names no audience, but the address that its users are to bring the assertion to.
        guard !audiences.isEmpty || !wasAsked else { throw .unauthorized() }
        for restriction in audiences {
            let names = restriction.all(SAML.assertion, "Audience").map { $0.text.trimmedOfSpace }
            guard names.contains(settings.entityID) else { throw .unauthorized() }
        }
    }

    /// The bearer may bring it: here, now, and in answer to what was asked.
    private func confirmation(
        _ signed: XMLElement, _ question: String?, _ recipient: String, _ now: Timestamp
    ) throws(Fault) -> Timestamp {
        let subjects = signed.all(SAML.assertion, "Subject")
        guard subjects.count == 1 else { throw .unauthorized() }
        for confirmation in subjects[0].all(SAML.assertion, "SubjectConfirmation") {
            guard confirmation.attributes["Method"] == SAML.bearer,
                let terms = confirmation.first(SAML.assertion, "SubjectConfirmationData"),
                terms.attributes["Recipient"] == recipient, terms.attributes["InResponseTo"] == question,
                terms.attributes["NotBefore"] == nil,
                let end = terms.attributes["NotOnOrAfter"].flatMap({ Timestamp($0) }), end + settings.slack > now
            else { continue }
            return end
        }
        throw .unauthorized()
    }

    /// Attributes by their names, their friendly names, and the names that mod_auth_mellon gives them.
    private func attributes(_ signed: XMLElement) -> Assertion {
        var found: [String: [String]] = [:]
        for statement in signed.all(SAML.assertion, "AttributeStatement") {
            for attribute in statement.all(SAML.assertion, "Attribute") {
                let values = attribute.all(SAML.assertion, "AttributeValue").map { $0.text.trimmedOfSpace }
                for name in Set([attribute.attributes["Name"], attribute.attributes["FriendlyName"]]) {
                    if let name { found[name, default: []] += values }
                }
            }
        }
        var attributes: [String: String] = [:]
        for (name, values) in found {
            attributes[name] = values.joined(separator: ";")
            attributes["MELLON_" + name] = values.joined(separator: ";")
        }
        // Last, so that no attribute can pass for what the provider did not say about itself.
        let subject = signed.first(SAML.assertion, "Subject")?.first(SAML.assertion, "NameID")?.text.trimmedOfSpace
        let user = subject.flatMap { $0.isEmpty ? nil : $0 }
        for name in ["MELLON_NAME_ID", "REMOTE_USER"] { attributes[name] = user }
        for name in ["MELLON_IDP", "Shib-Identity-Provider"] { attributes[name] = entityID }
        return Assertion(attributes: attributes, remoteUser: user)
    }
}
