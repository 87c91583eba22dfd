// SPDX-License-Identifier: Apache-2.0
internal import Base

/// A change of the schema as text, next to the noun it concerns: a first line "2026-11-20 keypairs", then statements,
/// each ended by a semicolon at the end of a line. Never edited once applied, never about a Swift type.
package struct Migration: Sendable, Hashable, ExpressibleByStringLiteral {
    package let text: String

    package init(_ text: String) { self.text = text }
    package init(stringLiteral text: String) { self.init(text) }

    /// Checked and in the order to apply: by date; within a day as given.
    static func steps(_ migrations: [Migration]) throws(Fault) -> [MigrationStep] {
        var steps: [MigrationStep] = []
        var seen: [String: String] = [:]
        for migration in migrations {
            let step = try MigrationStep(migration.text)
            if let checksum = seen.updateValue(step.checksum, forKey: step.name) {
                guard checksum == step.checksum else {
                    throw .internalError("Two different migrations are named '\(step.name)'.")
                }
                continue
            }
            steps.append(step)
        }
        return steps.enumerated().sorted { ($0.element.date, $0.offset) < ($1.element.date, $1.offset) }.map(\.element)
    }

    /// "2026-11-20 keypairs": how it is known once applied.
    package var name: String { text.split(separator: "\n").first.map(String.init) ?? "" }

    static func prepare(_ transaction: Transaction) throws(Fault) {
        try transaction.execute(
            """
            CREATE TABLE IF NOT EXISTS schema_migrations (
                name VARCHAR(255) NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL, checksum VARCHAR(64) NOT NULL)
            """)
    }
}

/// A migration taken apart.
struct MigrationStep: Sendable {
    let date: String
    let name: String
    let statements: [String]
    let checksum: String

    init(_ text: String) throws(Fault) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(MigrationStep.trimmed)
        while let last = lines.last, last.isEmpty { lines.removeLast() }
        lines = Array(lines.drop { $0.isEmpty })
        guard let title = lines.first, title.utf8.count > 11,
            Timestamp(title.prefix(10)) != nil, title.dropFirst(10).hasPrefix(" ")
        else { throw .internalError("A migration begins with '2026-11-20 name', not with '\(lines.first ?? "")'.") }
        date = String(title.prefix(10))
        name = title
        checksum = MigrationStep.checksum(lines.joined(separator: "\n"))
        statements = MigrationStep.statements(lines.dropFirst())
    }

    /// Checks and applies within one transaction, so that two processes starting together do it once. Gives whether it
    /// was new.
    func apply(_ transaction: Transaction, at now: Timestamp) throws(Fault) -> Bool {
        let known = try transaction.rows("SELECT checksum FROM schema_migrations WHERE name = \(name)").first
        if let known {
            guard known[0].text == checksum else {
                throw .internalError(
                    "The migration '\(name)' was changed after it was applied. Restore its text and add a new one.")
            }
            return false
        }
        do {
            for statement in statements { try transaction.execute(SQL(text: statement)) }
        } catch { throw Fault(error.status, code: error.code, "Migration '\(name)': \(error.message)") }
        try stamp(transaction, at: now)
        return true
    }

    /// Notes that it was applied, unless that is known.
    func stamp(_ transaction: Transaction, at now: Timestamp) throws(Fault) {
        guard try transaction.rows("SELECT 1 FROM schema_migrations WHERE name = \(name)").isEmpty else { return }
        try transaction.execute(
            """
            INSERT INTO schema_migrations (name, applied_at, checksum) VALUES (\(name), \(now), \(checksum))
            """)
    }

    private static func statements(_ lines: ArraySlice<String>) -> [String] {
        var statements: [String] = []
        var statement: [String] = []
        func end() {
            if statement.contains(where: { !$0.isEmpty }) { statements.append(statement.joined(separator: "\n")) }
            statement = []
        }
        for line in lines where !line.drop(while: \.isWhitespace).hasPrefix("--") {
            statement.append(line.hasSuffix(";") ? String(line.dropLast()) : line)
            if line.hasSuffix(";") { end() }
        }
        end()
        return statements
    }

    /// FNV-1a of 64 bits: it guards against a slip, not against an attacker, who could write the table anyhow.
    private static func checksum(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return Hex.encode((0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * UInt64($0))) })
    }

    private static func trimmed(_ line: Substring) -> String {
        var line = line
        while let last = line.last, last.isWhitespace { line.removeLast() }
        return String(line)
    }
}
