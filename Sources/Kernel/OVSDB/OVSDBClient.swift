// SPDX-License-Identifier: Apache-2.0
package import Base
package import Observability
internal import Synchronization

/// A table to keep in the replica.
package struct OVSDBMonitor: Sendable, Hashable {
    package var table: String
    /// Nil: all of them.
    package var columns: [String]?
    /// Only rows for which any of these holds; empty: all rows.
    package var conditions: [OVSDBCondition]
    /// A key of `external_ids` to find rows by.
    package var index: String?

    package init(
        _ table: String, columns: [String]? = nil, where conditions: [OVSDBCondition] = [], index: String? = nil
    ) {
        self.table = table
        self.columns = columns
        self.conditions = conditions
        self.index = index
    }
}

/// A client of one database of an OVSDB server: transactions, and a replica of the monitored tables that follows the
/// server. It connects by itself, and again whenever the connection is lost; nothing is waited for without a deadline.
package final class OVSDBClient: Sendable {
    let core: OVSDBCore

    /// Several endpoints are the members of a cluster; the next is tried when one fails.
    package init(
        _ endpoints: [OVSDBEndpoint], database: String, monitors: [OVSDBMonitor] = [],
        log: Log = .silent
    ) {
        precondition(!endpoints.isEmpty, "an OVSDB client needs an endpoint")
        core = OVSDBCore(endpoints, database, monitors, log)
    }

    deinit { core.stop() }

    /// Starts the client's thread; a second call does nothing.
    package func start() { core.start() }
    /// Ends the thread and fails whatever is waited for.
    package func stop() { core.stop() }

    /// Serves until the task is cancelled.
    package func run() async {
        start()
        let (stream, ender) = AsyncStream<Void>.makeStream()
        await withTaskCancellationHandler {
            for await _ in stream {}
        } onCancel: {
            ender.finish()
        }
        stop()
    }

    /// The replica as it is now. Holding it is cheap and costs the client one copy of the tables that change meanwhile.
    package var replica: OVSDBReplica { core.state.withLock { $0.replica } }

    /// Whether the replica follows the server at this moment.
    package var isConnected: Bool { core.state.withLock { $0.phase == .live } }

    /// Returns once connected, with the replica filled.
    package func ready(within limit: Duration = .seconds(10)) async throws(Fault) {
        try await wait(within: limit, for: "a connection to \(core.endpoints[0])") { _ in true }
    }

    /// Returns once the replica satisfies the condition, 504 when it does not in time.
    @discardableResult
    package func wait(
        within limit: Duration, for what: String, until condition: @escaping @Sendable (OVSDBReplica) -> Bool
    ) async throws(Fault) -> OVSDBReplica {
        let answer = await withCheckedContinuation { continuation in
            core.add(OVSDBCore.Waiter(deadline: .after(limit), what: what, condition: condition, continuation))
        }
        return try answer.get()
    }

    /// Makes a transaction: all operations or none. A lost connection is a 503 fault, after which it may have been made
    /// or not: look at the replica.
    @discardableResult
    package func transact(
        _ operations: [OVSDBOperation], within limit: Duration = .seconds(10)
    ) async throws(Fault) -> [OVSDBResult] {
        let answer = await withCheckedContinuation { continuation in
            core.submit(operations, deadline: .after(limit), continuation)
        }
        return try answer.get()
    }

    /// Every change of the replica from now on, grouped by the server's transactions.
    package func changes() -> AsyncStream<[OVSDBChange]> { core.listen() }
}

/// A moment on the monotonic clock.
struct Deadline: Sendable, Comparable {
    let nanoseconds: UInt64

    static func after(_ duration: Duration) -> Deadline {
        Deadline(nanoseconds: Stopwatch.nanoseconds() + UInt64(max(0, duration.microseconds)) * 1000)
    }
    static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }
    var isPast: Bool { Stopwatch.nanoseconds() >= nanoseconds }
}
