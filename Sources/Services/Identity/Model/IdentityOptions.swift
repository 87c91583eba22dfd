// SPDX-License-Identifier: Apache-2.0

/// What an operator may set about Identity, under upstream's sections and names.
package struct IdentityOptions: Sendable {
    /// `[identity] password_hash_rounds`: one more doubles the time that a password takes to check.
    package var passwordRounds = 12
    /// `[identity] default_domain_id`: where users and projects go whose request names no domain.
    package var defaultDomainID = "default"
    /// `[token] expiration`.
    package var tokenLifetime = Duration.seconds(3600)
    /// `[token] allow_expired_window`: how long after its end a service may still ask about a token.
    package var allowExpiredWindow = Duration.seconds(172_800)
    /// `[DEFAULT] max_project_tree_depth`, the domain included.
    package var projectDepthMax = 5
    /// `[security_compliance] lockout_failure_attempts`; nil never locks anybody out.
    package var lockoutAttempts: Int?
    /// `[security_compliance] lockout_duration`.
    package var lockoutDuration = Duration.seconds(1800)

    package init() {}
}
