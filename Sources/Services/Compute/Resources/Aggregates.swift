// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Hosts grouped by the operator; one with `availability_zone` in its metadata makes a zone.
struct Aggregate: Record {
    static let table = "compute_aggregates"

    let id: Int
    let uuid: String
    var name: String
    var metadata: [String: String]
    var hosts: [String]
    let createdAt: Timestamp
    var updatedAt: Timestamp?

    static let migrations: [Migration] = [
        """
        2026-11-21 compute aggregates
        CREATE TABLE compute_aggregates (
            id INTEGER NOT NULL PRIMARY KEY, uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL UNIQUE,
            metadata TEXT NOT NULL, hosts TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT)
        """
    ]
}
