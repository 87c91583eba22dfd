// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Observability
internal import SQL
internal import Synchronization

extension Worker {
    /// An operation that may run, and the place it gets.
    private struct Ready {
        var record: OperationRecord
        var isLong = false
        var isParked = false
    }

    /// Takes what may run: what was parked and is woken, what a process left behind, and the first unfinished operation
    /// of each subject. When there is none, also the next time that one wakes.
    func claim() async -> ([OperationRecord], nextWake: Timestamp?) {
        let busy = running.withLock { $0 }
        let long = busy.values.count { $0 }
        let (short, rest) = (width - (busy.count - long), width - long)
        guard short > 0 || rest > 0 else { return ([], nil) }
        let now = queue.clock.now()
        let (name, until, names) = (name, now + lease, kinds.keys.sorted())
        do {
            let (claimed, next) = try await queue.database.transaction { transaction throws(Fault) in
                var claimed: [Ready] = []
                let ready = try Self.ready(short: short, long: rest, names, now, transaction)
                for var one in ready where busy[one.record.id] == nil {
                    let (fence, state) = (one.record.fence + 1, one.record.state)
                    let taken = try transaction.update(
                        OperationRecord.self,
                        set: "owner = \(name), fence = \(fence), lease_until = \(until), state = \(state)",
                        where: "id = \(one.record.id) AND fence = \(one.record.fence)")
                    guard taken == 1 else { continue }
                    if one.isParked {
                        try transaction.delete(ParkedOperation.self, "operation_id = \(one.record.id)")
                    }
                    (one.record.owner, one.record.fence) = (name, fence)
                    claimed.append(one)
                }
                return (claimed, try claimed.isEmpty ? Self.nextWake(after: now, transaction) : nil)
            }
            running.withLock { running in
                for one in claimed { running[one.record.id] = one.isLong }
            }
            return (claimed.map(\.record), next)
        } catch {
            log.error("operations could not be claimed", ["error": error.description])
            try? await queue.clock.sleep(.seconds(1))
            return ([], nil)
        }
    }

    /// However many wait, only as many are read as there is room for.
    private static func ready(
        short: Int, long: Int, _ kinds: [String], _ now: Timestamp, _ transaction: Transaction
    ) throws(Fault) -> [Ready] {
        var ready: [Ready] = []
        if long > 0 {
            let waiting: SQL = "topic = \(ParkedOperation.place) AND wake_at > \(now) AND kind IN \(kinds)"
            ready += try parked(waiting + " ORDER BY position LIMIT \(long)", isLong: true, transaction)
        }
        guard short > 0 else { return ready }
        // However many are woken at once, others get their turn.
        let due: SQL = "wake_at <= \(now) AND kind IN \(kinds) ORDER BY wake_at LIMIT \(max(1, short / 2))"
        ready += try parked(due, isLong: false, transaction)
        var left = short - ready.count { !$0.isLong }
        if left > 0 {
            let abandoned = try transaction.all(
                OperationRecord.self,
                """
                state IN ('running', 'undoing') AND lease_until <= \(now) AND kind IN \(kinds)
                ORDER BY position LIMIT \(left)
                """)
            ready += abandoned.map { Ready(record: $0) }
            left -= abandoned.count
        }
        guard left > 0 else { return ready }
        let queued = try transaction.all(
            OperationRecord.self,
            """
            state = 'queued' AND kind IN \(kinds) AND NOT EXISTS (
                SELECT 1 FROM work_operations earlier
                WHERE earlier.subject = work_operations.subject AND earlier.position < work_operations.position
                AND earlier.state IN ('queued', 'running', 'undoing', 'parked'))
            ORDER BY position LIMIT \(left)
            """)
        return ready + queued.map { Ready(record: $0.resuming(.running)) }
    }

    /// Operations that are parked and shall be no longer; what they go on with is their state.
    private static func parked(
        _ which: SQL, isLong: Bool, _ transaction: Transaction
    ) throws(Fault) -> [Ready] {
        let parked = try transaction.all(ParkedOperation.self, which)
        guard !parked.isEmpty else { return [] }
        let records = try transaction.all(OperationRecord.self, "id", in: parked.map(\.operationID))
        return parked.compactMap { parked in
            records.first { $0.id == parked.operationID }.map {
                Ready(record: $0.resuming(parked.resumes), isLong: isLong, isParked: true)
            }
        }
    }

    private static func nextWake(after now: Timestamp, _ transaction: Transaction) throws(Fault) -> Timestamp? {
        let row = try transaction.rows(
            "SELECT MIN(wake_at) FROM work_parked WHERE wake_at > \(now) AND wake_at < \(ParkedOperation.late)"
        ).first
        return row?[0].integer.map { Timestamp(microseconds: $0) }
    }
}

extension OperationRecord {
    fileprivate func resuming(_ state: State) -> OperationRecord {
        var record = self
        record.state = state
        return record
    }
}
