// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Which hosts have told of their servers' usage for the last audit period (`UsageAuditor`).
enum UsageAudits: Resource {
    static let routes: [Route] = [
        .get(
            "/os-instance_usage_audit_log", "List usage audits", of: Anything.from,
            allow: .adminOnly("os-instance-usage-audit-log:list")
        ) { request, _ async throws(Fault) in
            try await report("instance_usage_audit_logs", before: request.now, request)
        },
        .get(
            "/os-instance_usage_audit_log/{before_timestamp}", "List usage audits before a moment", of: Anything.from,
            allow: .adminOnly("os-instance-usage-audit-log:show")
        ) { request, _ async throws(Fault) in
            let text = request["before_timestamp"]
            // Exactly `YYYY-MM-DD hh:mm:ss`, with or without a fraction.
            guard text.count >= 19, text.dropFirst(10).first == " ", let before = Timestamp(text) else {
                throw .badRequest("Invalid timestamp for date \(text)")
            }
            return try await report("instance_usage_audit_log", before: before, request)
        },
    ]

    static let migrations: [Migration] = [UsageAudit.migration]

    private static func report(
        _ name: String, before: Timestamp, _ request: Request
    ) async throws(Fault) -> Reply {
        let hosts = try await request.database.all(ComputeHost.self, "deleted_at IS NULL ORDER BY number").map(\.name)
        let (begin, end) = request.compute.options.notifications.auditPeriod.last(before: before)
        let told = try await request.database.all(
            UsageAudit.self, "period_beginning = \(begin) AND period_ending = \(end) ORDER BY host")
        let done = Set(told.filter { $0.state == "DONE" }.map(\.host))
        let missing = hosts.filter { host in !told.contains { $0.host == host } }
        let errors = told.reduce(0) { $0 + $1.errors }
        let share = done.count == hosts.count ? "ALL" : "\(done.count) of \(hosts.count)"
        return .object(name) { view in
            view.put("period_beginning", text(begin))
            view.put("period_ending", text(end))
            view.put("num_hosts", hosts.count)
            view.put("num_hosts_done", done.count)
            view.put("num_hosts_running", told.count { $0.state == "RUNNING" })
            view.put("num_hosts_not_run", missing.count)
            view.put("hosts_not_run", missing)
            view.put("total_instances", told.reduce(0) { $0 + $1.items })
            view.put("total_errors", errors)
            view.put("overall_status", "\(share) hosts done. \(errors) errors.")
            view.nest("log") { view in
                for audit in told {
                    view.nest(named: audit.host) {
                        $0.put("state", audit.state)
                        $0.put("instances", audit.items)
                        $0.put("errors", audit.errors)
                        $0.put("message", audit.message)
                    }
                }
            }
        }
    }

    private static func text(_ moment: Timestamp) -> String {
        String(moment.iso8601Naive.replacing("T", with: " ").prefix(19))
    }
}
