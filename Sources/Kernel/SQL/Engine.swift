// SPDX-License-Identifier: Apache-2.0
package import Base

/// A database engine: SQLite today. It opens connections and says how it wants its SQL; everything above is shared.
package protocol Engine: AnyObject, Sendable {
    var dialect: Dialect { get }
    /// The one connection that writes. Opened once; used on the writer's thread only.
    func openWriter() throws(Fault) -> any EngineConnection
    /// Runs a query where this engine reads: SQLite inline on the calling thread, a networked one on a pool of its own.
    func read<T: Sendable>(
        _ body: @escaping @Sendable (any EngineConnection) throws(Fault) -> T
    ) async throws(Fault) -> T
    /// What is wrong with the stored data; nothing when it is sound.
    func integrityCheck() async throws(Fault) -> [String]
    /// How many reading connections are open.
    var readersOpen: Int { get }
    /// Closes the readers; the writer's connection is closed after them.
    func close()
}

/// A connection of one thread, with its statements kept prepared.
package protocol EngineConnection: AnyObject {
    var dialect: Dialect { get }
    /// Whether a transaction is open: some failures (disk full) end it behind our back.
    var isInTransaction: Bool { get }
    /// The statement for this text, ready to be bound.
    func statement(_ text: String) throws(EngineError) -> any EngineStatement
    /// Runs statements that take no values and give no rows.
    func run(_ text: String) throws(EngineError)
    /// What the row coders learned about each type on this connection.
    var plans: PlanCache { get }
    func close()
}

/// A prepared statement. Columns are read by number from the row that the last `step` reached.
package protocol EngineStatement: AnyObject {
    /// The column names; they may change when the schema does, and `shape` with them.
    var columns: [String] { get }
    var shape: Int { get }
    /// What the row decoder learned about this statement's columns.
    var plan: RowPlan? { get set }
    func bind(_ values: [SQLValue]) throws(EngineError)
    func step() throws(EngineError) -> Bool
    /// Ends the statement's work, so that the connection lets go of its snapshot.
    func reset()
    /// How many rows the statement changed.
    var changes: Int { get }

    func kind(_ column: Int32) -> SQLKind
    func integer(_ column: Int32) -> Int64
    func real(_ column: Int32) -> Double
    func text(_ column: Int32) -> String
    /// Whether the column's text is this, without making a string of it.
    func isText(_ column: Int32, _ text: String) -> Bool
    func blob(_ column: Int32) -> [UInt8]
}

/// The stored kind of a column in the current row.
package enum SQLKind: Sendable { case null, integer, real, text, blob }

extension EngineStatement {
    package func value(_ column: Int32) -> SQLValue {
        switch kind(column) {
        case .null: .null
        case .integer: .integer(integer(column))
        case .real: .real(real(column))
        case .text: .text(text(column))
        case .blob: .blob(blob(column))
        }
    }
}

/// How an engine writes names and how much it takes at once.
package struct Dialect: Sendable {
    package let name: String
    /// The mark around names: `"` in SQLite and PostgreSQL; MariaDB is put into ANSI_QUOTES mode or uses a backtick.
    package let mark: String
    /// What opens a transaction that will write.
    package let begin: String
    /// What opens a transaction that only reads, all of it from one moment.
    package let beginSnapshot: String
    /// How many values one statement may bind.
    package let valuesMax: Int

    package init(
        name: String, mark: String = "\"", begin: String = "BEGIN", beginSnapshot: String = "BEGIN", valuesMax: Int
    ) {
        self.name = name
        self.mark = mark
        self.begin = begin
        self.beginSnapshot = beginSnapshot
        self.valuesMax = valuesMax
    }

    package static let ansi = Dialect(name: "ansi", valuesMax: 30_000)

    package func quote(_ name: String) -> String {
        // Hardly a name has anything to double, and looking byte by byte is soon done.
        let isPlain = name.utf8.allSatisfy { $0 != mark.utf8.first }
        return mark + (isPlain ? name : name.replacing(mark, with: mark + mark)) + mark
    }
}

extension String {
    fileprivate func replacing(_ mark: String, with other: String) -> String {
        split(separator: mark, omittingEmptySubsequences: false).joined(separator: other)
    }
}

/// A failure below the verbs, sorted by what the caller can do about it.
package struct EngineError: Error, Sendable, Equatable {
    package enum Kind: Sendable {
        /// A unique or primary key is taken.
        case conflict
        /// Busy, full, damaged, read-only: nothing in the request is wrong.
        case unavailable
        /// A mistake of ours: the SQL, the schema, the values.
        case failure
    }

    package let kind: Kind
    package let message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    package var fault: Fault {
        switch kind {
        case .conflict: .conflict("Duplicate entry")
        case .unavailable: .unavailable(message, retryAfter: 1)
        case .failure: .internalError(message)
        }
    }
}
