// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Writes down how a balancer is doing: the operating status of each part, and the figures of its listeners.
struct ReportWriter: Sendable {
    private let database: Database

    init(_ room: LoadBalancerService) { database = room.database }

    func write(_ report: BalancerReport, _ id: String) async throws(Fault) {
        guard let balancer = try await database.first(LoadBalancer.self, "id = \(id)") else { return }
        let forest = try await Forest(database, of: [id])
        let changes = OperatingView(balancer, forest.staying, report).changes
        let rows = try await database.all(ListenerStatistics.self, "load_balancer_id = \(id)")
        let figures = ReportWriter.figures(rows, report, balancer)
        guard !changes.isEmpty || !figures.isEmpty else { return }
        try await database.transaction { transaction throws(Fault) in
            for (table, part, status) in changes {
                try transaction.execute(
                    "UPDATE \(raw: table) SET operating_status = \(status) WHERE id = \(part)")
            }
            for row in figures {
                guard try transaction.count(Listener.self, "id = \(row.listenerID)") > 0 else { continue }
                try transaction.delete(ListenerStatistics.self, "listener_id = \(row.listenerID)")
                try transaction.insert(row)
            }
        }
    }

    /// The rows that differ from what is written.
    private static func figures(
        _ rows: [ListenerStatistics], _ report: BalancerReport, _ balancer: LoadBalancer
    ) -> [ListenerStatistics] {
        report.listeners.sorted { $0.key < $1.key }.compactMap { listener, figures in
            let (before, run) = (rows.first { $0.listenerID == listener }, report.runs[listener] ?? report.run)
            var row =
                before
                ?? ListenerStatistics(
                    listenerID: listener, loadBalancerID: balancer.id, run: run, past: Figures(),
                    present: Figures())
            row.take(figures, run: run)
            return before?.present == row.present && before?.run == row.run ? nil : row
        }
    }
}

/// The operating status of every part of a balancer, from what its provider says of members and listeners.
struct OperatingView {
    /// Table, row and new status of what differs from what is written.
    private(set) var changes: [(table: String, id: String, status: OperatingStatus)] = []

    init(_ balancer: LoadBalancer, _ forest: Forest, _ report: BalancerReport) {
        var worst: OperatingStatus = balancer.enabled ? .online : .offline
        for pool in forest.pools {
            let status = status(of: pool, forest, report)
            note(Pool.table, pool.id, pool.operatingStatus, status)
            if worst != .offline, status == .error || (status == .degraded && worst == .online) { worst = status }
            if let monitor = forest.monitor(of: pool) {
                note(
                    HealthMonitor.table, monitor.id, monitor.operatingStatus, monitor.enabled ? .online : .offline)
            }
        }
        for listener in forest.listeners {
            let isOn = listener.enabled && balancer.enabled
            let status: OperatingStatus =
                !isOn ? .offline : report.full.contains(listener.id) ? .degraded : .online
            note(Listener.table, listener.id, listener.operatingStatus, status)
            if status == .degraded, worst == .online { worst = .degraded }
        }
        for policy in forest.policies {
            note(L7Policy.table, policy.id, policy.operatingStatus, policy.enabled ? .online : .offline)
        }
        for rule in forest.rules {
            note(L7Rule.table, rule.id, rule.operatingStatus, rule.enabled ? .online : .offline)
        }
        note(LoadBalancer.table, balancer.id, balancer.operatingStatus, worst)
    }

    private mutating func note(
        _ table: String, _ id: String, _ before: OperatingStatus, _ now: OperatingStatus
    ) {
        if before != now { changes.append((table, id, now)) }
    }

    private mutating func status(of pool: Pool, _ forest: Forest, _ report: BalancerReport) -> OperatingStatus {
        let isWatched = forest.monitor(of: pool)?.enabled == true
        var found: [OperatingStatus] = []
        for member in forest.members(of: pool) {
            let status: OperatingStatus =
                switch report.members[member.id] {
                case .up: .online
                case .down: .error
                case .draining: .draining
                case .disabled: .offline
                case .unchecked: .noMonitor
                case nil: member.enabled ? (isWatched ? .offline : .noMonitor) : .offline
                }
            note(Member.table, member.id, member.operatingStatus, status)
            found.append(status)
        }
        // Nobody looks at a pool that no listener sends to.
        let isServed =
            forest.listeners.contains { $0.defaultPoolID == pool.id }
            || forest.policies.contains { $0.redirectPoolID == pool.id }
        guard pool.enabled, isServed else { return .offline }
        let counted = found.filter { $0 != .offline && $0 != .draining }
        if !counted.isEmpty, counted.allSatisfy({ $0 == .error }) { return .error }
        return counted.contains(.error) ? .degraded : .online
    }
}
