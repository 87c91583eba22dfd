// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about Identity, under keystone.conf's sections and names.
package struct IdentityOptions: Options {
    package static let section = "identity"

    /// One more of bcrypt's doubles the time that a password takes to check; nil is the algorithm's own number.
    package var passwordRounds: Int?
    package var passwords = PasswordOptions()
    package var compliance = SecurityCompliance()
    package var tokens = TokenOptions()
    package var defaultDomainID = "default"
    package var tokenLifetime = Duration.seconds(3600)
    /// How long after its end a service may still ask about a token.
    package var allowExpiredWindow = Duration.seconds(172_800)
    /// The domain not counted.
    package var projectDepthMax = 5
    package var domains = DomainConfigurationOptions()
    package var limits = UnifiedLimitOptions()
    package var catalog = CatalogOptions()
    package var federation = FederationOptions()

    /// Where users and groups are kept, but for domains that say otherwise.
    package var driver = Driver.sql
    /// Whether the cloud's one directory has its own ids shown as they are.
    package var keepsDirectoryIDs = true
    /// For how long tokens are judged by what a directory said.
    package var directoryCacheTime = Duration.seconds(60)

    package enum Driver: String, CaseIterable, Sendable { case sql, ldap }
    package var delegation = DelegationOptions()
    package var notifications = NotificationOptions()

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        let rounds: Int? = read.text(
            "password_hash_rounds", "whole number of 4 or more",
            help: "The cost of a password's hash: one more of bcrypt's (12 when unset, 31 at most) doubles the time it "
                + "takes to check; pbkdf2 has 25000."
        ) { Int($0).flatMap { (4...10_000_000).contains($0) ? $0 : nil } }
        defaultDomainID = read.string(
            "default_domain_id", default: defaultDomainID,
            help: "Where users and projects go whose request names no domain.")
        driver = read.choice(
            "driver", default: driver,
            help: "Where users and groups are kept, but for domains that have a driver of their own; ldap is told "
                + "where by [ldap], is about the default domain and is only read.")
        directoryCacheTime = read.duration(
            "cache_time", default: directoryCacheTime, atLeast: .seconds(1),
            help: "How long tokens are judged by what a directory said about their user before it is asked again.")
        read.section("identity_mapping")
        keepsDirectoryIDs = read.bool(
            "backward_compatible_ids", default: keepsDirectoryIDs,
            help: "Whether clients see the directory's own ids of users and groups when [identity] driver is ldap; "
                + "else, and in domains with a driver of their own, a digest of them.")
        read.section("token")
        tokenLifetime = read.duration(
            "expiration", default: tokenLifetime, atLeast: .seconds(1), help: "How long a token lives.")
        allowExpiredWindow = read.duration(
            "allow_expired_window", default: allowExpiredWindow,
            help: "How long after its end a token may still be asked about by a service that carries on work begun "
                + "with it.")
        read.section(INI.defaultSection)
        projectDepthMax = read.int(
            "max_project_tree_depth", default: projectDepthMax, in: 1...100,
            help: "How deep projects may be nested, their domain not counted.")
        tokens = TokenOptions(&read)
        compliance = SecurityCompliance(&read)
        passwords = PasswordOptions(&read)
        passwordRounds = rounds
        if passwords.algorithm == .bcrypt || passwords.algorithm == .bcryptSHA256, let rounds, rounds > 31 {
            passwordRounds = 31
            read.refuse("password_hash_rounds: bcrypt takes 31 at most.")
        }
        domains = DomainConfigurationOptions(&read)
        limits = UnifiedLimitOptions(&read)
        catalog = CatalogOptions(&read)
        federation = FederationOptions(&read)
        delegation = DelegationOptions(&read)
        notifications = NotificationOptions(&read)
    }
}
