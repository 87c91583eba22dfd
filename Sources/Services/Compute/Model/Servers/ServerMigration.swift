// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A server's move from host to host, or to another size: upstream's migration record. While it is open, its id is the
/// consumer in Placement that holds what the server had before.
struct ServerMigration: Record {
    static let table = "compute_migrations"

    /// Upstream's names.
    enum Kind: String, Codable, Sendable, CaseIterable {
        case migration, resize, evacuation
        case live = "live-migration"
    }

    enum Status: String, Codable, Sendable, CaseIterable {
        case accepted, queued, preparing, running, done, failed, completed, cancelled, error
        case preMigrating = "pre-migrating", migrating, postMigrating = "post-migrating", finished
        case confirming, confirmed, reverting, reverted

        /// After these nothing is held and nothing follows.
        static let closed: [Status] = [.failed, .completed, .cancelled, .error, .confirmed, .reverted]
        /// A live migration that can be watched.
        static let underWay: [Status] = [.queued, .preparing, .running, .postMigrating]
    }

    /// Upstream's `uuid`.
    let id: String
    /// Counts migrations; upstream's `id`.
    private(set) var number: Int
    let serverID: String
    let projectID: String
    let userID: String
    let kind: Kind
    var status: Status
    let source: String
    /// Nil until it is chosen.
    var dest: String?
    var destIP: String?
    let oldFlavor: FlavorSnapshot
    let newFlavor: FlavorSnapshot
    /// What the server was before.
    let oldState: VMState
    let oldPower: Int
    let oldDiskConfig: String
    /// What it is to be after, when that is not what it was.
    var newState: VMState?
    var progress: JourneyProgress?
    /// What the server had of its host's cells and devices, and what is set aside for it where it goes.
    var oldNUMA: GuestNUMA?
    var oldDevices: [HostDevice] = []
    var newNUMA: GuestNUMA?
    var newDevices: [HostDevice] = []
    let createdAt: Timestamp
    var updatedAt: Timestamp?

    var isOpen: Bool { !Status.closed.contains(status) }
    var staysOnHost: Bool { source == dest }

    init(
        _ kind: Kind, of server: Server, id: String, to flavor: FlavorSnapshot? = nil, status: Status, by user: String,
        at now: Timestamp
    ) {
        self.id = id
        number = 0
        serverID = server.id
        projectID = server.projectID
        userID = user
        self.kind = kind
        self.status = status
        source = server.host ?? ""
        oldFlavor = server.flavor
        newFlavor = flavor ?? server.flavor
        oldState = server.vmState
        oldPower = server.powerState
        oldDiskConfig = server.diskConfig
        createdAt = now
    }

    /// Writes a new one under the next number.
    func insert(_ transaction: Transaction) throws(Fault) {
        var copy = self
        copy.number = try transaction.nextNumber(ServerMigration.self)
        try transaction.insert(copy)
    }

    static let migrations: [Migration] = [
        """
        2026-11-30 compute migrations
        CREATE TABLE compute_migrations (
            id VARCHAR(36) NOT NULL PRIMARY KEY, number BIGINT NOT NULL UNIQUE, server_id VARCHAR(36) NOT NULL,
            project_id VARCHAR(64) NOT NULL, user_id VARCHAR(64) NOT NULL, kind VARCHAR(16) NOT NULL,
            status VARCHAR(16) NOT NULL, source VARCHAR(255) NOT NULL, dest VARCHAR(255), dest_ip VARCHAR(255),
            old_flavor TEXT NOT NULL, new_flavor TEXT NOT NULL, old_state VARCHAR(32) NOT NULL,
            old_power INTEGER NOT NULL, old_disk_config VARCHAR(8) NOT NULL, new_state VARCHAR(32), progress TEXT,
            created_at BIGINT NOT NULL, updated_at BIGINT);
        CREATE INDEX compute_migrations_server ON compute_migrations (server_id, status);
        CREATE INDEX compute_migrations_status ON compute_migrations (status);
        CREATE INDEX compute_migrations_created ON compute_migrations (created_at, number)
        """,
        """
        2026-11-30 compute migrations hold places on hosts
        ALTER TABLE compute_migrations ADD COLUMN old_numa TEXT;
        ALTER TABLE compute_migrations ADD COLUMN old_devices TEXT NOT NULL DEFAULT '[]';
        ALTER TABLE compute_migrations ADD COLUMN new_numa TEXT;
        ALTER TABLE compute_migrations ADD COLUMN new_devices TEXT NOT NULL DEFAULT '[]'
        """,
    ]
}

extension ServerMigration {
    /// Those of a server that are not over.
    static func open(_ server: String) -> SQL {
        "server_id = \(server) AND status NOT IN \(Status.closed.map(\.rawValue)) ORDER BY number"
    }

    /// Moves to another status; the ones it may be in at that are `from`, or any.
    @discardableResult
    static func enter(
        _ status: Status, _ id: String, from: [Status] = [], _ now: Timestamp, _ transaction: Transaction
    ) throws(Fault) -> Bool {
        let condition: SQL = from.isEmpty ? "" : " AND status IN \(from.map(\.rawValue))"
        let count = try transaction.update(
            ServerMigration.self, set: "status = \(status), updated_at = \(now)", where: "id = \(id)" + condition)
        return count == 1
    }

    /// The column's text of a snapshot.
    static func text(_ value: some Encodable) throws(Fault) -> String {
        do { return try JSON.encode(value).text() } catch {
            throw .internalError("a migration could not be stored: \(error)")
        }
    }
}
