// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about acting for somebody: `[trust]`, `[oauth1]`, `[oauth2]`.
package struct DelegationOptions: Sendable {
    package var allowsRedelegation = false
    /// How long a chain of trusts may be.
    package var redelegationsMax = 3
    /// Zero is for ever.
    package var requestTokenLifetime = Duration.seconds(28_800)
    package var accessTokenLifetime = Duration.seconds(86_400)

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section("trust")
        allowsRedelegation = read.bool(
            "allow_redelegation", default: allowsRedelegation,
            help: "Whether whoever was trusted may trust others with the same.")
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
    }
}
