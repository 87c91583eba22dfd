// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about tokens, receipts and the keys under both.
package struct TokenOptions: Sendable {
    package enum Provider: String, Sendable, CaseIterable { case fernet, jws }

    package var provider = Provider.fernet
    /// Whether tokens can be taken back one by one.
    package var canRevoke = true
    package var canRescope = true
    /// How much longer than any token lives a revocation is remembered.
    package var revocationBuffer = Duration.seconds(1800)
    package var receiptLifetime = Duration.seconds(300)
    /// The methods that are open, in the order of their bits in tokens.
    package var methods = TokenPayload.methods
    /// How many passcodes before the present one are taken.
    package var earlierPasscodes = 1
    /// How old a request signed with EC2 keys may be.
    package var signatureLifetime = Duration.seconds(15 * 60)
    package var external = ExternalOptions()
    package var keys = KeyOptions()

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("token")
        provider = read.choice(
            "provider", default: provider,
            help: "What tokens are: Fernet's, which only their maker can read, or signed.")
        canRevoke = read.bool(
            "revoke_by_id", default: canRevoke, help: "Whether tokens can be taken back one by one.")
        canRescope = read.bool(
            "allow_rescope_scoped_token", default: canRescope,
            help: "Whether a token with a scope is good for one with another.")
        read.section("revoke")
        revocationBuffer = read.duration(
            "expiration_buffer", default: revocationBuffer,
            help: "How much longer than any token lives a revocation is remembered.")
        read.section("receipt")
        receiptLifetime = read.duration(
            "expiration", default: receiptLifetime,
            help: "How long somebody has for the next factor, where one is not enough.")
        read.section("auth")
        methods = read.list(
            "methods", default: methods,
            help: "Ways to log in; add totp for one-time passwords. Their order is written into tokens: only append.")
        external = ExternalOptions(&read)
        read.section("totp")
        earlierPasscodes = read.int(
            "included_previous_windows", default: earlierPasscodes, in: 0...10,
            help: "How many one-time passwords before the present one are taken, for slow hands and clocks.")
        read.section("credential")
        signatureLifetime = .seconds(
            60
                * read.int(
                    "auth_ttl", default: 15, in: 1...1_000_000,
                    help: "How many minutes old a request may be that is signed with EC2 keys."))
        keys = KeyOptions(&read)
    }
}

/// Logins that something in front of this has checked. Nobody is believed unless the operator names them.
package struct ExternalOptions: Sendable {
    /// Addresses whose word on who somebody is counts. None by default.
    package var proxies: [String] = []
    package var userHeader = "X-Remote-User"
    package var domainHeader: String?

    package init() {}

    init(_ read: inout OptionReader) {
        proxies = read.list(
            "external_trusted_proxies",
            help: "Addresses of proxies that have checked who their clients are and pass the name on; they must remove "
                + "the header from what clients send. None is believed by default.")
        userHeader = read.string(
            "external_user_header", default: userHeader, help: "The header in which a trusted proxy names the user.")
        domainHeader = read.string(
            "external_domain_header",
            help: "The header in which it names the user's domain; unset, all are in the default domain.")
    }
}

/// Where keys are kept. What is not set is below the data directory, and made when it is missing.
package struct KeyOptions: Sendable {
    package var tokenDirectory: String?
    package var tokenKeysMax = 3
    package var receiptDirectory: String?
    package var receiptKeysMax = 3
    package var credentialDirectory: String?
    package var algorithm = JWSAlgorithm.es256
    package var acceptedAlgorithms = [JWSAlgorithm.es256]
    package var privateDirectory: String?
    package var publicDirectory: String?

    package init() {}

    init(_ read: inout OptionReader) {
        read.section("fernet_tokens")
        tokenDirectory = read.string("key_repository", help: "The directory of the keys of Fernet tokens.")
        tokenKeysMax = read.int(
            "max_active_keys", default: 3, in: 1...1000,
            help: "How many keys a rotation leaves: tokens made with others end.")
        read.section("fernet_receipts")
        receiptDirectory = read.string("key_repository", help: "The directory of the keys of receipts.")
        receiptKeysMax = read.int("max_active_keys", default: 3, in: 1...1000, help: "How many keys a rotation leaves.")
        read.section("credential")
        credentialDirectory = read.string(
            "key_repository", help: "The directory of the keys that credentials are encrypted with.")
        read.section("jwt_tokens")
        algorithm = read.choice("jws_algorithm", default: algorithm, help: "How signed tokens are signed.")
        acceptedAlgorithms = read.list(
            "jws_accepted_algorithms", default: acceptedAlgorithms.map(\.rawValue),
            help: "The signatures that are believed: \(JWSAlgorithm.allCases.map(\.rawValue).joined(separator: ", "))."
        ).compactMap { JWSAlgorithm(rawValue: $0) }
        if acceptedAlgorithms.isEmpty { read.refuse("jws_accepted_algorithms names none that is known.") }
        privateDirectory = read.string(
            "jws_private_key_repository", help: "The directory of private.pem, which signs tokens.")
        publicDirectory = read.string(
            "jws_public_key_repository", help: "The directory of the public keys of all nodes.")
    }
}
