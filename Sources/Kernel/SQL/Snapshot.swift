// SPDX-License-Identifier: Apache-2.0
package import Base

/// Reads that all see the database as it was at one moment, whatever is written meanwhile.
package struct Snapshot {
    private let session: Session

    init(_ session: Session) { self.session = session }

    package func rows(_ query: SQL) throws(Fault) -> [Row] { try session.rows(query) }

    package func all<R: Record>(_ type: R.Type, _ condition: SQL = "") throws(Fault) -> [R] {
        try session.all(type, condition)
    }
}

extension Database {
    /// Runs a closure over one moment of the database, where this engine reads; writers do not wait for it.
    package func snapshot<T: Sendable>(
        _ body: @escaping @Sendable (Snapshot) throws(Fault) -> T
    ) async throws(Fault) -> T {
        try await engine.read { connection throws(Fault) in
            do throws(EngineError) {
                try connection.run(connection.dialect.beginSnapshot)
            } catch { throw error.fault }
            // Nothing was written: ending it either way is the same, and a failure to end shows at the next beginning.
            defer { try? connection.run("ROLLBACK") }
            return try body(Snapshot(Session(connection)))
        }
    }
}
