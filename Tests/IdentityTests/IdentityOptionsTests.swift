// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel
import Testing

struct IdentityOptionsTests {
    private func load(_ text: String) throws(ConfigurationErrors) -> IdentityOptions {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [IdentityOptions.self])[
                IdentityOptions.self]
    }

    @Test("keystone.conf's names reach what they configure")
    func reading() throws {
        let options = try load(
            """
            max_project_tree_depth = 3
            [identity]
            password_hash_rounds = 4
            default_domain_id = corp
            [token]
            expiration = 2h
            allow_expired_window = 60
            [security_compliance]
            lockout_failure_attempts = 6
            lockout_duration = 10m
            """)
        #expect(options.passwordRounds == 4 && options.defaultDomainID == "corp" && options.projectDepthMax == 3)
        #expect(options.tokenLifetime == .seconds(7200) && options.allowExpiredWindow == .seconds(60))
        #expect(options.compliance.lockoutAttempts == 6 && options.compliance.lockoutDuration == .seconds(600))
    }

    @Test("Left alone, everything is as the type has it")
    func defaults() throws {
        let (read, made) = (try load(""), IdentityOptions())
        #expect(read.passwordRounds == made.passwordRounds && read.tokenLifetime == made.tokenLifetime)
        #expect(read.compliance.lockoutAttempts == nil && read.projectDepthMax == made.projectDepthMax)
    }

    @Test("Fewer rounds than bcrypt has are refused")
    func rounds() {
        #expect(throws: ConfigurationErrors.self) { try load("[identity]\npassword_hash_rounds = 3") }
    }
}
