// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Something that the bus is to be told, kept until it was: written by the transaction that did it. Logins change
/// nothing, and are written by themselves.
struct IdentityNotice: Record {
    static let table = "identity_notices"

    /// In the order it is told.
    let number: Int
    /// JSON, as it is sent.
    let message: String
    let createdAt: Timestamp

    static func keep(_ message: JSON, at now: Timestamp, _ transaction: Transaction) throws(Fault) {
        let newest = try transaction.rows("SELECT COALESCE(MAX(number), 0) AS newest FROM identity_notices").first
        try transaction.insert(
            IdentityNotice(number: (newest?.int("newest") ?? 0) + 1, message: message.text(), createdAt: now))
    }
}

extension IdentityNotice: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 identity notices
        CREATE TABLE identity_notices (
            number BIGINT NOT NULL PRIMARY KEY, message TEXT NOT NULL, created_at BIGINT NOT NULL)
        """
    ]
}
