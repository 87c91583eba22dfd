// SPDX-License-Identifier: Apache-2.0
import Base
import JSON
import SQL
import Testing

/// An engine that the store suite runs on. A new engine is one more line in `all`.
struct Store: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let open: @Sendable () throws -> Database

    static let all: [Store] = [
        Store(testDescription: "SQLite") { try Database.temporary() }
    ]

    func ready() async throws -> Database {
        let database = try open()
        try await database.migrate(Store.migrations)
        return database
    }

    static let migrations: [Migration] = [
        """
        2026-11-20 samples
        CREATE TABLE samples (
            id VARCHAR(36) NOT NULL PRIMARY KEY, user_id VARCHAR(64), kind VARCHAR(16) NOT NULL,
            "order" BIGINT NOT NULL, size BIGINT, ratio DOUBLE PRECISION NOT NULL, is_public BOOLEAN NOT NULL,
            created_at BIGINT NOT NULL, deleted_at BIGINT, host_ips TEXT NOT NULL, extra TEXT, tree TEXT NOT NULL,
            secret BLOB NOT NULL, place TEXT);
        CREATE UNIQUE INDEX samples_order ON samples (user_id, "order");
        """,
        """
        2026-11-20 counters
        CREATE TABLE counters (id VARCHAR(36) NOT NULL PRIMARY KEY, value BIGINT NOT NULL, generation BIGINT NOT NULL)
        """,
    ]
}

/// One property of each sort that a record may have.
struct Sample: Record, Equatable {
    static let table = "samples"
    enum Kind: String, Codable { case plain, fancy }
    struct Place: Codable, Equatable { var zone: String, racks: [Int] }

    var id: String
    var userID: String?
    var kind: Kind = .plain
    var order = 0
    var size: Int?
    var ratio = 0.5
    var isPublic = false
    var createdAt = Timestamp(seconds: 1)
    var deletedAt: Timestamp?
    var hostIPs: [String] = []
    var extra: [String: String]?
    var tree: JSON = .null
    var secret: [UInt8] = []
    var place: Place?
}

struct Counter: Record, Equatable {
    static let table = "counters"
    var id: String, value = 0, generation = 0
}

/// The fault that a call ends in.
func fault(_ body: () async throws -> some Any) async -> Fault? {
    do { _ = try await body() } catch { return error as? Fault }
    return nil
}
