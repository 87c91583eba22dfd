// SPDX-License-Identifier: Apache-2.0
package import Base
package import Observability
package import SQL

/// Something that others are to be told: a row that was written by the transaction that did it.
package protocol OutboxRow: Record {
    /// In the order it is told.
    var number: Int { get }
    /// What an operator knows it by: `identity.project.created`.
    var event: String { get }
}

/// Tells what is in a table, in the order it happened in. What was told goes, so nothing is left out when a process
/// ends, and something may be told twice.
package struct Outbox<Row: OutboxRow>: Sendable {
    package typealias Teller = @Sendable (Row) async throws(Fault) -> Void

    private let database: Database
    private let clock: any WallClock
    private let log: Log
    private let what: String
    private let retriesMax: Int?
    private let tell: Teller
    private static var portion: Int { 200 }

    /// - Parameters:
    ///   - what: as the log calls them: `notifications of Identity`.
    ///   - retriesMax: how often one is tried again before it is given up; nil is for ever.
    ///   - tell: returns once others have it.
    package init(
        _ database: Database, _ clock: any WallClock, _ log: Log, of what: String, retriesMax: Int?,
        tell: @escaping Teller
    ) {
        self.database = database
        self.clock = clock
        self.log = log
        self.what = what
        self.retriesMax = retriesMax
        self.tell = tell
    }

    /// Runs until cancelled.
    package func run() async {
        var outage = Outage()
        await clock.every(.seconds(1)) { await attempt(&outage) }
    }

    /// One pass, unless nobody listened a moment ago.
    package func attempt(_ outage: inout Outage) async {
        guard outage.isOver(clock.now()) else { return }
        do throws(Fault) {
            try await pass()
            if outage.end() { log.info("\(what) are taken again") }
        } catch {
            if outage.goesOn(clock.now()) { log.warning("\(what) wait for the bus", ["error": error.description]) }
            if let retriesMax, outage.failures > retriesMax { await giveUp(error) }
        }
    }

    /// Tells all that happened and was not told yet, oldest first.
    package func pass() async throws(Fault) {
        while true {
            let some = try await database.all(Row.self, "1 = 1 ORDER BY number LIMIT \(Self.portion)")
            var (last, problem): (Int?, Fault?)
            for row in some {
                do throws(Fault) { try await tell(row) } catch {
                    problem = error
                    break
                }
                last = row.number
            }
            if let last { try await database.delete(Row.self, "number <= \(last)") }
            if let problem { throw problem }
            guard some.count == Self.portion else { return }
        }
    }

    /// Drops the oldest, which an operator said is not worth more tries.
    private func giveUp(_ reason: Fault) async {
        guard let oldest = try? await database.first(Row.self, "1 = 1 ORDER BY number") else { return }
        log.error("one of the \(what) is given up", ["event_type": oldest.event, "error": reason.description])
        _ = try? await database.delete(Row.self, "number = \(oldest.number)")
    }
}
