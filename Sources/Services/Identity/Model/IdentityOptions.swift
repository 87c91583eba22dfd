// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set about Identity, under keystone.conf's sections and names.
package struct IdentityOptions: Options {
    package static let section = "identity"

    /// One more doubles the time that a password takes to check.
    package var passwordRounds = 12
    package var defaultDomainID = "default"
    package var tokenLifetime = Duration.seconds(3600)
    /// How long after its end a service may still ask about a token.
    package var allowExpiredWindow = Duration.seconds(172_800)
    /// The domain not counted.
    package var projectDepthMax = 5
    /// Nil never locks anybody out.
    package var lockoutAttempts: Int?
    package var lockoutDuration = Duration.seconds(1800)
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

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        passwordRounds = read.int(
            "password_hash_rounds", default: passwordRounds, in: 4...16,
            help: "The cost of a password's bcrypt hash: one more doubles the time it takes to check.")
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
        read.section("security_compliance")
        let attempts = read.int(
            "lockout_failure_attempts", default: 0, in: 0...Int.max,
            help: "Wrong passwords in a row that lock a user out; 0 never does.")
        lockoutAttempts = attempts == 0 ? nil : attempts
        lockoutDuration = read.duration(
            "lockout_duration", default: lockoutDuration, atLeast: .seconds(1), help: "For how long.")
        domains = DomainConfigurationOptions(&read)
        limits = UnifiedLimitOptions(&read)
        catalog = CatalogOptions(&read)
        federation = FederationOptions(&read)
        delegation = DelegationOptions(&read)
    }
}
