// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A machine that runs servers, as its agent last reported it. `/os-services` is about the reporting, `/os-hypervisors`
/// about the machine.
struct ComputeHost: Record {
    static let table = "compute_hosts"

    /// Also the id of its resource provider in Placement.
    let id: String
    let serviceID: String
    /// Counts hosts; what clients before 2.53 call `id`.
    private(set) var number: Int
    let name: String
    var resources: HostResources
    var isDisabled: Bool
    var disabledReason: String?
    var isForcedDown: Bool
    /// Servers that failed to start here since the last that did.
    var failedBuilds = 0
    var reportedAt: Timestamp
    let createdAt: Timestamp
    var updatedAt: Timestamp
    var deletedAt: Timestamp?

    func isUp(at now: Timestamp, within limit: Duration) -> Bool {
        !isForcedDown && now - reportedAt <= limit
    }

    func numbered(_ number: Int) -> ComputeHost {
        var host = self
        host.number = number
        return host
    }

    static let migrations: [Migration] = [
        """
        2026-11-21 compute hosts
        CREATE TABLE compute_hosts (
            id VARCHAR(36) NOT NULL PRIMARY KEY, service_id VARCHAR(36) NOT NULL, number INTEGER NOT NULL,
            name VARCHAR(255) NOT NULL UNIQUE, resources TEXT NOT NULL, is_disabled INTEGER NOT NULL,
            disabled_reason VARCHAR(255), is_forced_down INTEGER NOT NULL, reported_at BIGINT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, deleted_at BIGINT)
        """,
        """
        2026-11-21 compute hosts count failed builds
        ALTER TABLE compute_hosts ADD COLUMN failed_builds INTEGER NOT NULL DEFAULT 0
        """,
    ]
}
