// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What operators do with Identity's rows and keys from the command line: `keystone-manage`'s chores.
package struct IdentityAdministration: Sendable {
    private let database: Database?
    private let keys: IdentityKeys?
    private let options: IdentityOptions
    private let clock: any WallClock

    package init(database: Database?, keys: IdentityKeys?, options: IdentityOptions, clock: any WallClock) {
        self.database = database
        self.keys = keys
        self.options = options
        self.clock = clock
    }

    private func ground() throws(Fault) -> (Database, FernetKeys) {
        guard let database, let keys else { throw .internalError("this needs a database and keys") }
        return (database, keys.credentials.keys)
    }

    // MARK: Credentials

    /// Refuses a rotation while a credential is under an older key: two rotations later it would be lost.
    package func requireMigratedCredentials() async throws(Fault) {
        let (database, keys) = try ground()
        let primary = keys.keys.first?.fingerprint ?? ""
        guard try await database.count(Credential.self, "key_hash IS NULL OR key_hash <> \(primary)") > 0 else {
            return
        }
        throw .conflict(
            "Unable to rotate credential keys because not all credentials are encrypted with the primary key. Please "
                + "make sure all credentials have been encrypted with the primary key using `apus identity "
                + "credential_migrate`.")
    }

    /// Encrypts what is under older keys with the newest.
    /// - Returns: how many there were.
    package func migrateCredentials() async throws(Fault) -> Int {
        let (database, keys) = try ground()
        let primary = keys.keys.first?.fingerprint ?? ""
        let now = clock.now()
        let old = try await database.all(Credential.self, "key_hash IS NULL OR key_hash <> \(primary)")
        for credential in old {
            guard let message = keys.decrypt(credential.encryptedBlob) else {
                throw .internalError(
                    "Credential \(credential.id) could not be decrypted: none of the keys fits. Bring back the key "
                        + "it was encrypted with.")
            }
            let fresh = keys.encrypt(message.payload, at: now)
            // Only what was read is replaced: the owner may have written another meanwhile.
            _ = try await database.update(
                Credential.self, set: "encrypted_blob = \(fresh), key_hash = \(primary)",
                where: "id = \(credential.id) AND encrypted_blob = \(credential.encryptedBlob)")
        }
        return old.count
    }

    // MARK: Trusts

    /// Forgets trusts that were deleted, or ended before a moment.
    package func flushTrusts(
        projectID: String?, trustorID: String?, trusteeID: String?, before time: Timestamp
    ) async throws(Fault) -> Int {
        let (database, _) = try ground()
        var condition: SQL = "(deleted_at IS NOT NULL OR (expires_at IS NOT NULL AND expires_at < \(time)))"
        if let projectID { condition = condition + " AND project_id = \(projectID)" }
        if let trustorID { condition = condition + " AND trustor_user_id = \(trustorID)" }
        if let trusteeID { condition = condition + " AND trustee_user_id = \(trusteeID)" }
        return try await database.delete(Trust.self, condition)
    }

    // MARK: Doctor

    /// What asks for trouble, in sentences with a way out.
    package func symptoms(_ places: KeyPlaces, _ ids: any Identifiers) -> [String] {
        var found: [String] = []
        let tokens = places.tokens(ids), credentials = places.credentials(ids)
        if places.provider == .fernet { found += symptoms(tokens, "tokens", "fernet_setup") }
        found += symptoms(places.receipts(ids), "receipts", "receipt_setup")
        found += symptoms(credentials, "credentials", "credential_setup")
        if places.provider == .jws {
            do throws(Fault) {
                _ = try places.signing.load(options.tokens.keys.algorithm, accepted: [.es256])
            } catch {
                found.append(error.message)
            }
        }
        if tokens.directory == credentials.directory {
            found.append(
                "Tokens and credentials have the same keys: a rotation for the one takes away what the other needs. "
                    + "Point [credential] key_repository and [fernet_tokens] key_repository to different places.")
        }
        if options.compliance.passwordRegex != nil, options.compliance.passwordRegexDescription == nil {
            found.append(
                "[security_compliance] password_regex is set and password_regex_description is not: nobody whose "
                    + "password is refused learns why.")
        }
        return found
    }

    private func symptoms(_ repository: FernetRepository, _ kind: String, _ verb: String) -> [String] {
        do throws(Fault) {
            _ = try repository.load()
            return []
        } catch {
            return ["The keys of \(kind) cannot be used: \(error.message) `apus identity \(verb)` makes them."]
        }
    }
}
