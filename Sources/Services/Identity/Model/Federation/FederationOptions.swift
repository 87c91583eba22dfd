// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What an operator may set about federation, under keystone.conf's `[federation]` and `[saml]`.
package struct FederationOptions: Sendable {
    /// Only attributes whose names begin so reach the mapping.
    package var assertionPrefix = ""
    /// The attribute that says which provider speaks, where a protocol names no other.
    package var remoteIDAttribute: String?
    package var trustedDashboards: [String] = []
    package var authorizationLife = Duration.zero
    package var mappingSchemaVersion = "1.0"
    /// The file with what is agreed with each identity provider; read by whoever opens the room.
    package var relyingPartyFile: String?
    package var relayStatePrefix = "ss:mem:"
    package var saml = SAMLOptions()

    package init() {}

    init(_ read: inout OptionReader) {
        self.init()
        read.section("federation")
        assertionPrefix = read.string(
            "assertion_prefix", default: assertionPrefix,
            help: "Only attributes of assertions whose names begin so reach the mapping.")
        remoteIDAttribute = read.string(
            "remote_id_attribute",
            help: "The attribute that names the identity provider (HTTP_OIDC_ISS, MELLON_IDP) where the protocol "
                + "has none of its own.")
        trustedDashboards = read.list(
            "trusted_dashboard",
            help: "The pages, parted by commas, that a browser may be sent back to with a token: "
                + "https://horizon.example.com/auth/websso/.")
        let minutes = read.int(
            "default_authorization_ttl", default: 0, in: 0...10_000_000,
            help: "For how many minutes memberships taken from an assertion hold without another one; 0: not at all.")
        authorizationLife = .seconds(minutes * 60)
        mappingSchemaVersion = read.choice(
            "attribute_mapping_default_schema_version", of: MappingSchema.versions, default: mappingSchemaVersion,
            help: "The schema of mappings that name none.")
        relyingPartyFile = read.string(
            "relying_parties",
            help: "A file with a section per identity provider and protocol that is spoken without a web server in "
                + "front: [oidc IDP PROTOCOL] or [saml2 IDP PROTOCOL].")
        saml = SAMLOptions(&read)
        relayStatePrefix = read.string(
            "relay_state_prefix", default: relayStatePrefix,
            help: "What the RelayState of assertions for other clouds begins with.")
    }
}

/// This cloud as an identity provider for others: `[saml]`.
package struct SAMLOptions: Sendable {
    package var assertionLife = Duration.seconds(3600)
    package var certificateFile: String?
    package var keyFile: String?
    package var entityID: String?
    package var endpoint: String?
    package var language = "en"
    package var organizationName = "SAML Identity Provider"
    package var organizationDisplayName = "OpenStack SAML Identity Provider"
    package var organizationURL = "https://example.com/"

    package init() {}

    init(_ read: inout OptionReader) {
        self.init()
        read.section("saml")
        assertionLife = read.duration(
            "assertion_expiration_time", default: assertionLife, atLeast: .seconds(1),
            help: "How long an assertion made for another cloud is valid.")
        certificateFile = read.string("certfile", help: "The certificate that other clouds check assertions with.")
        keyFile = read.string("keyfile", help: "The private key that assertions for other clouds are signed with.")
        entityID = read.string(
            "idp_entity_id",
            help: "This cloud's name as an identity provider: https://cloud.example.com/v3/OS-FEDERATION/saml2/idp.")
        endpoint = read.string(
            "idp_sso_endpoint",
            help: "The single sign-on address in its metadata: https://cloud.example.com/v3/OS-FEDERATION/saml2/sso.")
        language = read.string("idp_lang", default: language, help: "The language of the organization's names.")
        organizationName = read.string(
            "idp_organization_name", default: organizationName, help: "Whose identity provider it is.")
        organizationDisplayName = read.string(
            "idp_organization_display_name", default: organizationDisplayName, help: "The same for people to read.")
        organizationURL = read.string(
            "idp_organization_url", default: organizationURL, help: "The organization's page.")
    }
}
