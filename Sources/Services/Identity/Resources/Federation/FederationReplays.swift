// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What proved somebody once and must not do so again: assertions and logins, until they would have ended by
/// themselves.
struct FederationReplay: Record {
    static let table = "identity_federation_replays"

    /// A digest: what was used is as long as its maker likes.
    let id: String
    let endsAt: Timestamp
}

extension FederationReplay: Resource {
    static let routes: [Route] = []

    static let migrations: [Migration] = [
        """
        2026-11-21 identity federation replays
        CREATE TABLE identity_federation_replays (id VARCHAR(64) NOT NULL PRIMARY KEY, ends_at BIGINT NOT NULL);
        CREATE INDEX identity_federation_replays_end ON identity_federation_replays (ends_at);
        """
    ]

    /// Marks something as used; 401 when it was before.
    static func use(_ what: String, until end: Timestamp, _ request: Request) async throws(Fault) {
        let (record, now) = (FederationReplay(id: Digest.hex(.sha256, what), endsAt: end), request.now)
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(FederationReplay.self, "ends_at < \(now)")
            try transaction.insert(record, or: .unauthorized())
        }
    }
}
