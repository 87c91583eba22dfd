// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Something that the bus is to be told, kept until it was: written by the transaction that did it. Logins change
/// nothing, and are written by themselves.
struct IdentityNotice: OutboxRow {
    static let table = "identity_notices"

    /// In the order it is told.
    let number: Int
    /// JSON, as it is sent.
    let message: String
    let createdAt: Timestamp

    private enum CodingKeys: String, CodingKey { case number, message, createdAt }

    var json: JSON? { try? JSON.parse(Array(message.utf8), limits: .trusted) }
    var event: String { json?["event_type"]?.string ?? "" }

    static func keep(_ message: JSON, at now: Timestamp, _ transaction: Transaction) throws(Fault) {
        try transaction.insert(
            IdentityNotice(
                number: try transaction.nextNumber(IdentityNotice.self), message: message.text(), createdAt: now))
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
