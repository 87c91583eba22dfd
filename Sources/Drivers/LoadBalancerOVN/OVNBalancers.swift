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
                OVSDBMonitor("Service_Monitor", columns: ["ip", "port", "protocol", "logical_port", "status"]),
                OVSDBMonitor("Chassis", columns: ["name", "external_ids", "other_config"]),
            ], log: log)
        self.northbound.start()
        self.southbound.start()
    }

    package func put(_ balancer: BalancerSpec) async throws(Fault) {
        let operations = try await rows().operations(balancer)
        guard !operations.isEmpty else { return }
        try await northbound.transact(operations + [.comment("apus load balancer")], within: .seconds(20))
    }

    package func remove(_ balancer: String) async throws(Fault) {
        let operations = try await rows().removal(balancer)
        guard !operations.isEmpty else { return }
        try await northbound.transact(operations, within: .seconds(20))
    }

    package func present() async throws(Fault) -> Set<String> { try await rows().balancers }

    private func rows() async throws(Fault) -> BalancerRows {
        try await northbound.ready()
        try await southbound.ready()
        var hosts: [String: [String]] = [:]
        for chassis in southbound.replica.rows("Chassis") {
            // Newer controllers write to other_config, older ones to external_ids.
            let key = "ovn-bridge-mappings"
            let mappings = chassis["other_config"][key] ?? chassis["external_ids"][key] ?? ""
            for mapping in mappings.split(separator: ",") {
                guard let network = mapping.split(separator: ":").first else { continue }
                hosts[String(network), default: []].append(chassis["name"].string ?? "")
            }
        }
        return BalancerRows(northbound.replica, hosts: hosts)
    }

    /// Nil when anything of it is missing, also its places on switches and routers, which come and go by themselves.
    package func report(_ balancer: String) async throws(Fault) -> BalancerReport? {
        let rows = try await rows()
        let present = rows.present(balancer)
        guard !present.isEmpty, rows.isPlaced(present) else { return nil }
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
            guard place != "disabled", place != "draining" else {
                report.members[member] = place == "disabled" ? .disabled : .draining
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
