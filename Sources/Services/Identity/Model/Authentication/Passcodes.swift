// SPDX-License-Identifier: Apache-2.0
internal import Kernel

extension IdentityService {
    /// The user whose one-time password this is. Each is good for one login: who has watched it being typed cannot use
    /// it again.
    func authenticate(_ reference: NameReference, passcode: String, _ request: Request) async throws(Fault) -> User {
        guard let user = try await find(reference) else { throw .unauthorized() }
        let (now, compliance) = (request.now, options.compliance)
        let domains = try await database.count(
            Project.self, "id = \(user.domainID) AND is_domain = 1 AND enabled = 1")
        guard user.seen(at: now, compliance).enabled, domains > 0, !user.isLocked(at: now, compliance) else {
            throw .unauthorized()
        }
        guard try await redeem(passcode, of: user, at: now) else {
            // Six digits are soon tried, so wrong ones count like wrong passwords.
            try await recordFailure(user, at: now)
            throw .unauthorized()
        }
        try await recordSuccess(user, at: now)
        return user
    }

    private func redeem(_ passcode: String, of user: User, at now: Timestamp) async throws(Fault) -> Bool {
        let present = OneTimePassword.window(now)
        let all = try await database.all(Credential.self, "user_id = \(user.id) AND type = 'totp' ORDER BY id")
        for credential in all {
            guard let secret = Base32.decode(credential.blob(credentialKeys)), !secret.isEmpty else { continue }
            for window in (present - Int64(options.tokens.earlierPasscodes))...present {
                guard HMAC.isSame(OneTimePassword.passcode(secret: secret, window: window), passcode) else { continue }
                // Of two at the same time one is told no: the row decides.
                let taken = try await database.update(
                    Credential.self, set: "last_window = \(window)",
                    where: "id = \(credential.id) AND (last_window IS NULL OR last_window < \(window))")
                if taken == 1 { return true }
            }
        }
        return false
    }
}
