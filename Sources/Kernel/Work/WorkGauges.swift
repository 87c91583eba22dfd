// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Observability
internal import SQL

/// How many operations are not over, by their state, for whoever watches: those of all processes on the database.
struct WorkGauges: Sendable {
    private static let states: [OperationRecord.State] = [.queued, .running, .undoing, .parked]
    private let gauges: [(state: OperationRecord.State, gauge: Gauge)]

    init(_ metrics: Metrics) {
        gauges = WorkGauges.states.map { state in
            let gauge = metrics.gauge(
                "apus_operations", "Operations that are not over; parked ones wait and hold no worker.",
                ["state": state.rawValue])
            return (state, gauge)
        }
    }

    func set(_ census: [OperationRecord.State: Int]) {
        for (state, gauge) in gauges { gauge.set(Double(census[state] ?? 0)) }
    }
}

extension Worker {
    /// Counts now and then.
    func count(_ gauges: WorkGauges) async {
        await queue.clock.every(.seconds(15)) {
            await attempt("count operations") { () async throws(Fault) in gauges.set(try await queue.census()) }
        }
    }
}

extension OperationQueue {
    /// Those that are neither done nor failed, by their state.
    func census() async throws(Fault) -> [OperationRecord.State: Int] {
        let rows = try await database.rows(
            """
            SELECT state, COUNT(*) AS number FROM work_operations
            WHERE \(sql: OperationRecord.unfinished) GROUP BY state
            """)
        let counts = rows.compactMap { row -> (OperationRecord.State, Int)? in
            guard let state = OperationRecord.State(rawValue: row.text("state") ?? "") else { return nil }
            return (state, row.int("number") ?? 0)
        }
        return Dictionary(uniqueKeysWithValues: counts)
    }
}
