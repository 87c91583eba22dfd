// SPDX-License-Identifier: Apache-2.0
import Kernel

/// SSH and X.509 keypairs that servers boot with. A keypair belongs to a user, never to a project.
struct Keypair: Record {
    static let table = "compute_key_pairs"
    enum Kind: String, Codable, Sendable, CaseIterable { case ssh, x509 }

    let userID: String
    let name: String
    let type: Kind
    let publicKey: String
    let fingerprint: String
    /// Counts keypairs; shown as `id` in details.
    let number: Int
    let createdAt: Timestamp

    static let migrations: [Migration] = [
        """
        2026-11-21 compute keypairs
        CREATE TABLE compute_key_pairs (
            user_id VARCHAR(64) NOT NULL, name VARCHAR(255) NOT NULL, type VARCHAR(4) NOT NULL,
            public_key TEXT NOT NULL, fingerprint VARCHAR(95) NOT NULL, number BIGINT NOT NULL,
            created_at BIGINT NOT NULL, PRIMARY KEY (user_id, name))
        """
    ]
}
