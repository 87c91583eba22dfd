// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Which hosts have told of their servers' usage for the last audit period. Upstream's agents write such a log when
/// `instance_usage_audit` is on, which it is not by default; none of ours does, so no host has been heard.
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

    private static func report(
        _ name: String, before: Timestamp, _ request: Request
    ) async throws(Fault) -> Reply {
        let hosts = try await request.database.all(ComputeHost.self, "deleted_at IS NULL ORDER BY number").map(\.name)
        let (begin, end) = month(before: before)
        return .object(name) { view in
            view.put("period_beginning", begin)
            view.put("period_ending", end)
            view.put("num_hosts", hosts.count)
            view.put("num_hosts_done", 0)
            view.put("num_hosts_running", 0)
            view.put("num_hosts_not_run", hosts.count)
            view.put("hosts_not_run", hosts)
            view.put("total_instances", 0)
            view.put("total_errors", 0)
            view.put("overall_status", "\(hosts.isEmpty ? "ALL" : "0 of \(hosts.count)") hosts done. 0 errors.")
            view.put("log", JSON.object([:]))
        }
    }

    /// The last month that was over: upstream's default period.
    static func month(before: Timestamp) -> (begin: String, end: String) {
        let days = Int((before.microseconds - 1).quotientAndRemainder(dividingBy: 86_400_000_000).quotient)
        let (year, month, _) = Timestamp.date(days: days)
        let (lastYear, last) = month == 1 ? (year - 1, 12) : (year, month - 1)
        return (first(of: last, lastYear), first(of: month, year))
    }

    private static func first(of month: Int, _ year: Int) -> String {
        let digits = String(year)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits + (month < 10 ? "-0" : "-")
            + "\(month)-01 00:00:00"
    }
}
