// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A password that a user had before, kept so that it is not taken up again too soon.
struct PastPassword: Record {
    static let table = "identity_past_passwords"

    static let migrations: [Migration] = [
        """
        2026-11-21 identity past passwords
        CREATE TABLE identity_past_passwords (
            user_id VARCHAR(64) NOT NULL, position INTEGER NOT NULL, password_hash VARCHAR(255) NOT NULL,
            PRIMARY KEY (user_id, position));
        ALTER TABLE identity_users ADD COLUMN password_is_own INTEGER;
        ALTER TABLE identity_users ADD COLUMN created_at BIGINT;
        ALTER TABLE identity_users ADD COLUMN last_active_at BIGINT;
        """
    ]

    let userID: String
    /// Counts up: the greatest is the last one before the present.
    let position: Int
    let passwordHash: String
}

/// What an account's options, its habits and the operator's demands amount to.
extension User {
    func has(_ option: String) -> Bool { options[option]?.bool == true }

    func isLocked(at now: Timestamp, _ compliance: SecurityCompliance) -> Bool {
        guard let attempts = compliance.lockoutAttempts, failedCount >= attempts, let failedAt,
            !has("ignore_lockout_failure_attempts")
        else { return false }
        return failedAt + compliance.lockoutDuration > now
    }

    func isPasswordExpired(at now: Timestamp) -> Bool {
        guard let ends = passwordExpiresAt, !has("ignore_password_expiry") else { return false }
        return ends <= now
    }

    /// Whether the user stayed away for so long that the account counts as disabled.
    func isInactive(at now: Timestamp, _ compliance: SecurityCompliance) -> Bool {
        guard let days = compliance.inactiveDaysMax, let last = lastActiveAt ?? createdAt,
            !has("ignore_user_inactivity")
        else { return false }
        return now.day - last.day >= days
    }

    /// The user as seen now: one that stayed away for too long is disabled, whatever was stored.
    func seen(at now: Timestamp, _ compliance: SecurityCompliance) -> User {
        guard enabled, isInactive(at: now, compliance) else { return self }
        var user = self
        user.enabled = false
        return user
    }

    /// What enabling an account forgives.
    mutating func welcome(at now: Timestamp, _ compliance: SecurityCompliance) {
        guard enabled else { return }
        if compliance.inactiveDaysMax != nil { lastActiveAt = now }
        failedCount = 0
        failedAt = nil
    }

    /// - Parameter isOwn: whether the user chose it, and not an administrator.
    mutating func setPassword(_ hash: String?, isOwn: Bool, at now: Timestamp, _ compliance: SecurityCompliance) {
        passwordHash = hash
        passwordSetAt = hash.map { _ in now }
        passwordIsOwn = isOwn
        passwordExpiresAt = nil
        guard hash != nil else { return }
        if let days = compliance.passwordDays, !has("ignore_password_expiry") {
            passwordExpiresAt = Timestamp(seconds: now.seconds) + .seconds(days * 86_400)
        }
        if !isOwn, compliance.changesFirstPassword, !has("ignore_change_password_upon_first_use") {
            passwordExpiresAt = now
        }
    }

    /// Refuses a user's own change of password that comes too soon, or at all.
    func requireChangeable(at now: Timestamp, _ compliance: SecurityCompliance) throws(Fault) {
        guard !has("lock_password") else {
            throw .badRequest(
                "You cannot change your password at this time due to password policy disallowing password changes. "
                    + "Please contact your administrator to reset your password.")
        }
        guard passwordIsOwn == true, let set = passwordSetAt else { return }
        let days = compliance.passwordDaysMin
        let free = set + .seconds(days * 86_400)
        guard now < free else { return }
        throw .badRequest(
            "You cannot change your password at this time due to the minimum password age. Once you change your "
                + "password, it must be used for \(days) day(s) before it can be changed. Please try again in "
                + "\((free.seconds - now.seconds) / 86_400) day(s) or contact your administrator to reset "
                + "your password."
        )
    }
}

extension IdentityService {
    /// Refuses a password that the user had lately.
    func requireUnused(_ password: String, by user: User) async throws(Fault) {
        let count = options.compliance.uniquePasswords
        guard count > 0 else { return }
        let past = try await database.all(
            PastPassword.self, "user_id = \(user.id) ORDER BY position DESC LIMIT \(count - 1)")
        for hash in [user.passwordHash].compactMap({ $0 }) + past.map(\.passwordHash) {
            guard try await passwords.verify(password, hash) else { continue }
            throw .badRequest(
                "The new password cannot be identical to a previous password. The total number which includes the new "
                    + "password must be unique is \(count).")
        }
    }
}

extension Transaction {
    /// Keeps the hash that a new one takes the place of, and no more of them than the operator looks at.
    func keepPast(_ old: User, _ compliance: SecurityCompliance) throws(Fault) {
        guard let hash = old.passwordHash else { return }
        let last = try first(PastPassword.self, "user_id = \(old.id) ORDER BY position DESC LIMIT 1")?.position ?? 0
        try insert(PastPassword(userID: old.id, position: last + 1, passwordHash: hash))
        let kept = max(1, compliance.uniquePasswords)
        try delete(PastPassword.self, "user_id = \(old.id) AND position <= \(last + 1 - kept)")
    }
}

extension Timestamp {
    fileprivate var day: Int { Int(seconds / 86_400) }
}
