// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Counts every change that could alter who can serve a request, in the transaction that makes it, and remembers the
/// trees that the last ones were in. It is how an index knows, by one look at the database, that it is out of date.
enum Revision: Resource {
    static let routes: [Route] = []

    static let migrations: [Migration] = [
        """
        2026-11-21 placement revision
        CREATE TABLE placement_revision (id INTEGER PRIMARY KEY, revision BIGINT NOT NULL);
        INSERT INTO placement_revision (id, revision) VALUES (1, 0);
        CREATE TABLE placement_changes (
            slot INTEGER PRIMARY KEY, revision BIGINT NOT NULL, root_id VARCHAR(36) NOT NULL);
        CREATE INDEX placement_changes_revision ON placement_changes (revision)
        """
    ]

    /// How many changes are remembered; whoever is further behind reads everything again.
    static let remembered = 4096
    /// Stands for all trees.
    static let everything = "*"

    static let query: SQL = "SELECT revision FROM placement_revision WHERE id = 1"

    static func present(_ rows: [Row]) throws(Fault) -> Int {
        guard let revision = rows.first?[0].int else {
            throw .internalError("The table placement_revision has lost its row.")
        }
        return revision
    }

    /// Counts a change in each of these trees. The row of the count is held until the transaction ends, so that nobody
    /// sees a later change before an earlier one.
    static func count(_ roots: some Collection<String>, _ transaction: Transaction) throws(Fault) {
        guard !roots.isEmpty else { return }
        try transaction.execute("UPDATE placement_revision SET revision = revision + \(roots.count) WHERE id = 1")
        var revision = try present(transaction.rows(query))
        for root in roots {
            let slot = revision % remembered
            let changed = try transaction.execute(
                "UPDATE placement_changes SET revision = \(revision), root_id = \(root) WHERE slot = \(slot)")
            if changed == 0 {
                try transaction.execute(
                    "INSERT INTO placement_changes (slot, revision, root_id) VALUES (\(slot), \(revision), \(root))")
            }
            revision -= 1
        }
    }
}
