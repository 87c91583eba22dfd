// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import LoadBalancer
package import OVSDB

/// Balancers made of OVN's own load balancing: every host spreads by itself, without a process. Rows carry a mark of
/// their own, so that the networks' comparison leaves them alone, and a balancer is one transaction.
package struct OVNBalancers: LoadBalancerProvider {
    package var abilities: ProviderAbilities { .ovn }
    private let northbound: OVSDBClient
    private let southbound: OVSDBClient

    package init(northbound: [OVSDBEndpoint], southbound: [OVSDBEndpoint], log: Log = .silent) {
        self.northbound = OVSDBClient(
            northbound, database: "OVN_Northbound", monitors: BalancerRows.monitors, log: log)
        self.southbound = OVSDBClient(
            southbound, database: "OVN_Southbound",
            monitors: [
                OVSDBMonitor("Service_Monitor", columns: ["ip", "port", "protocol", "logical_port", "status"])
            ], log: log)
        self.northbound.start()
        self.southbound.start()
    }

    package func put(_ balancer: BalancerSpec) async throws(Fault) {
        try await northbound.ready()
        let rows = BalancerRows(northbound.replica)
        let operations = rows.operations(balancer)
        guard !operations.isEmpty else { return }
        try await northbound.transact(operations + [.comment("apus load balancer")], within: .seconds(20))
    }

    package func remove(_ balancer: String) async throws(Fault) {
        try await northbound.ready()
        let gone = BalancerRows(northbound.replica).present(balancer)
        guard !gone.isEmpty else { return }
        let rows = BalancerRows(northbound.replica)
        try await northbound.transact(gone.flatMap { rows.deletion($0) }, within: .seconds(20))
    }

    package func present() async throws(Fault) -> Set<String> {
        try await northbound.ready()
        return Set(northbound.replica.rows("Load_Balancer").compactMap { $0["external_ids"][BalancerRows.mark] })
    }

    /// Nil when anything of it is missing, also its places on switches and routers, which come and go by themselves.
    package func report(_ balancer: String) async throws(Fault) -> BalancerReport? {
        try await northbound.ready()
        let rows = BalancerRows(northbound.replica)
        let present = rows.present(balancer)
        guard !present.isEmpty, rows.isPlaced(present) else { return nil }
        try await southbound.ready()
        var report = BalancerReport(run: "ovn")
        let monitors = Array(southbound.replica.rows("Service_Monitor"))
        for row in present { read(row, monitors, &report) }
        return report
    }

    private func read(_ row: OVSDBRow, _ monitors: [OVSDBRow], _ report: inout BalancerReport) {
        let ids = row["external_ids"].pairs
        let isWatched = !row["health_check"].isEmpty
        for (key, place) in ids where key.hasPrefix("member:") {
            let member = String(key.dropFirst("member:".count))
            guard place != "disabled" else {
                report.members[member] = .disabled
                continue
            }
            let parts = BalancerRows.split(place)
            let monitor = monitors.first {
                $0["ip"].string == parts.address && $0["port"].integer == parts.port
                    && $0["protocol"].string == row["protocol"].string
            }
            guard isWatched, let monitor, row["ip_port_mappings"][parts.address] != nil else {
                report.members[member] = .unchecked
                continue
            }
            switch monitor["status"].string {
            case "online": report.members[member] = .up
            case "offline", "error": report.members[member] = .down
            default: break
            }
        }
        for key in ids.keys where key.hasPrefix("listener:") {
            report.listeners[String(key.dropFirst("listener:".count))] = Figures()
        }
    }
}
