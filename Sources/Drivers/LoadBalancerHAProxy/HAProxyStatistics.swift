// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer

/// HAProxy's table of figures (management guide, 9.1): a row per frontend, backend and server. What else was asked for
/// stands before it.
struct HAProxyStatistics {
    private var rows: [[String: Substring]] = []

    init(_ text: String) {
        var columns: [Substring] = []
        for line in text.split(separator: "\n") {
            let cells = line.split(separator: ",", omittingEmptySubsequences: false)
            if line.hasPrefix("# ") {
                columns = cells
                columns[0] = columns[0].dropFirst(2)
            } else if !columns.isEmpty, cells.count >= columns.count {
                rows.append(Dictionary(zip(columns, cells).map { (String($0), $1) }) { first, _ in first })
            }
        }
    }

    func report(run: String) -> BalancerReport {
        var report = BalancerReport(run: run)
        for row in rows {
            let (owner, name) = (String(row["pxname"] ?? ""), String(row["svname"] ?? ""))
            switch name {
            case "FRONTEND":
                func number(_ column: String) -> Int { Int(row[column] ?? "") ?? 0 }
                report.listeners[owner] = Figures(
                    bytesIn: number("bin"), bytesOut: number("bout"), activeConnections: number("scur"),
                    totalConnections: number("stot"), requestErrors: number("ereq"))
                if row["status"] == "FULL" { report.full.insert(owner) }
            case "BACKEND": break
            default: report.members[name] = worse(report.members[name], health(row))
            }
        }
        return report
    }

    /// The members that datagrams are not sent to. Who has not been looked at yet by this process is as it was before.
    func down(_ spec: BalancerSpec, before: Set<String>) -> Set<String> {
        let watched = Set(
            spec.pools.filter { $0.protocol.isDatagram && $0.monitor != nil }.flatMap(\.members).map(\.id))
        let found = rows.compactMap { row -> String? in
            guard let name = row["svname"].map(String.init), watched.contains(name) else { return nil }
            return (row["check_status"] == "INI" ? before.contains(name) : health(row) == .down) ? name : nil
        }
        return Set(found)
    }

    private func health(_ row: [String: Substring]) -> BalancerReport.Health {
        let status = row["status"] ?? ""
        if status.hasPrefix("MAINT") { return .disabled }
        if status.hasPrefix("DRAIN") || row["weight"] == "0" { return status.hasPrefix("DOWN") ? .down : .draining }
        if status.hasPrefix("no check") { return .unchecked }
        return status.hasPrefix("UP") || status.hasPrefix("NOLB") ? .up : .down
    }

    /// A member that several listeners look at is down when any of them finds it so.
    private func worse(_ one: BalancerReport.Health?, _ other: BalancerReport.Health) -> BalancerReport.Health {
        one == .down ? .down : other
    }
}
