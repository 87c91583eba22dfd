// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about acting for somebody: `[trust]`, `[oauth1]`, `[oauth2]`.
package struct DelegationOptions: Sendable {
    /// How long a chain of trusts may be.
    package var redelegationsMax = 3
    /// Zero is for ever.
    package var requestTokenLifetime = Duration.seconds(28_800)
    package var accessTokenLifetime = Duration.seconds(86_400)

    package var clientMethods = ["tls_client_auth", "client_secret_basic"]
    /// The mapping that says which certificate is whose.
    package var certificateMappingID = "oauth2_mapping"
    /// The header that a TLS proxy hands certificates over in; nil believes nobody.
    package var certificateHeader: String?
    package var certificateProxies = ["127.0.0.1", "::1"]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("trust")
        redelegationsMax = read.int(
            "max_redelegation_count", default: redelegationsMax, in: 0...1000,
            help: "How often what a trust gives may be handed on.")
        read.section("oauth1")
        requestTokenLifetime = read.duration(
            "request_token_duration", default: requestTokenLifetime,
            help: "How long a user has to authorize an OAuth request token; 0 is for ever.")
        accessTokenLifetime = read.duration(
            "access_token_duration", default: accessTokenLifetime,
            help: "How long an OAuth access token lives; 0 is for ever.")
        read.section("oauth2")
        clientMethods = read.list(
            "oauth2_authn_methods", default: clientMethods,
            help: "How OAuth 2.0 clients may prove who they are: tls_client_auth, client_secret_basic.")
        for method in clientMethods where !["tls_client_auth", "client_secret_basic"].contains(method) {
            read.refuse("oauth2_authn_methods: '\(method)' is neither tls_client_auth nor client_secret_basic.")
        }
        certificateMappingID = read.string(
            "oauth2_cert_dn_mapping_id", default: certificateMappingID,
            help: "The mapping whose rules say which user a client certificate stands for.")
        certificateHeader = read.string(
            "client_certificate_header",
            help: "The header in which a TLS proxy hands over the client certificate it has checked, in PEM, plain or "
                + "percent-encoded (nginx: $ssl_client_escaped_cert). Unset, certificates are not taken.")
        certificateProxies = read.list(
            "client_certificate_proxies", default: certificateProxies,
            help: "The addresses of the proxies that are believed to have checked it.")
    }
}
