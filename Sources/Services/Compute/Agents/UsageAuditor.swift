// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells of the usage of each host's servers once a period is over: `instance.exists` for every one that was there in
/// it. Off unless an operator asks for it.
package struct UsageAuditor: Sendable {
    private let room: ComputeService
    private let interval: Duration

    package init(_ room: ComputeService, interval: Duration = .seconds(60)) {
        self.room = room
        self.interval = interval
    }

    package func run() async {
        guard room.options.notifications.auditsUsage else { return }
        await room.clock.every(interval) {
            do throws(Fault) { try await audit() } catch {
                room.log.warning("usage is told later", ["error": error.description])
            }
        }
    }

    /// Tells what was not told of the last period; a host's servers and the note of it become durable together.
    package func audit() async throws(Fault) {
        let now = room.clock.now()
        let (begin, end) = room.options.notifications.auditPeriod.last(before: now)
        let told = try await room.database.all(
            UsageAudit.self, "period_beginning = \(begin) AND period_ending = \(end)"
        ).map(\.host)
        let notices = room.notices
        for host in room.hosts.names where !told.contains(host) {
            let watch = Stopwatch()
            try await room.database.transaction { transaction throws(Fault) in
                let servers = try transaction.all(
                    Server.self,
                    """
                    host = \(host) AND launched_at < \(end) AND (terminated_at IS NULL OR terminated_at > \(begin))
                    ORDER BY number
                    """)
                let notes = ServerNotices(notices, transaction)
                for server in servers { try notes.exists(server, nil, begin, end) }
                let tenths = watch.elapsed.milliseconds / 100
                try transaction.insert(
                    UsageAudit(
                        host: host, periodBeginning: begin, periodEnding: end, state: "DONE", items: servers.count,
                        errors: 0,
                        message: "Instance usage audit ran for host \(host), \(servers.count) instances in "
                            + "\(tenths / 10).\(tenths % 10) seconds."
                    ), or: .conflict("The usage of \(host) was told already."))
            }
        }
    }
}

/// That a host's usage was told for a period.
struct UsageAudit: Record {
    static let table = "compute_usage_audits"

    let host: String
    let periodBeginning: Timestamp
    let periodEnding: Timestamp
    /// `RUNNING` or `DONE`; ours are always done.
    let state: String
    let items: Int
    let errors: Int
    let message: String

    static let migration: Migration = """
        2026-11-30 compute usage audits
        CREATE TABLE compute_usage_audits (
            host VARCHAR(255) NOT NULL, period_beginning BIGINT NOT NULL, period_ending BIGINT NOT NULL,
            state VARCHAR(16) NOT NULL, items INTEGER NOT NULL, errors INTEGER NOT NULL, message TEXT NOT NULL,
            PRIMARY KEY (period_beginning, period_ending, host))
        """
}
