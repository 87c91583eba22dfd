// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import Simulation
import Testing

struct NetworkLogsTests {
    @Test("A log names a group and a port that belong together, and is told while it is enabled")
    func logs() async throws {
        let cloud = try await NetworkCloud()
        let group = try await cloud.make("security_group", "/security-groups", ["name": "web"], as: .admin())
        let log = try await cloud.make(
            "log", "/log/logs",
            ["resource_type": "security_group", "resource_id": .string(group.id), "event": "ACCEPT"], as: .admin())
        try await cloud.sync()
        let spec = await cloud.backend.topology.table(LogSpec.self)[log.id]
        #expect(spec?.groups == [group.id] && spec?.accepted == true && spec?.dropped == false)
        #expect(await cloud.call("PUT", "/log/logs/\(log.id)", ["log": ["enabled": false]], as: .admin()).status == 200)
        try await cloud.sync()
        #expect(await cloud.backend.topology.table(LogSpec.self)[log.id] == nil)
        let network = try await cloud.network(as: .admin())
        let port = try await cloud.port(network, as: .admin())
        let apart = await cloud.call(
            "POST", "/log/logs",
            [
                "log": [
                    "resource_type": "security_group", "resource_id": .string(group.id), "target_id": .string(port.id),
                ]
            ], as: .admin())
        #expect(apart.type == "InvalidResourceConstraint")
        #expect(await cloud.call("POST", "/log/logs", ["log": ["resource_type": "cat"]], as: .admin()).status == 400)
        #expect(
            await cloud.call("GET", "/log/loggable-resources", as: .admin())["loggable_resources"][0]?.text("type")
                == "security_group")
    }

    @Test("Networks get their numbers from their project's range, then from shared ones; a used range stays")
    func ranges() async throws {
        let cloud = try await NetworkCloud()
        let range = try await cloud.make(
            "network_segment_range", "/network_segment_ranges",
            ["name": "r", "shared": true, "network_type": "geneve", "minimum": 5000, "maximum": 5001], as: .admin())
        #expect(range["available"] == [5000, 5001])
        let network = try await cloud.network()
        let shown = await cloud.call("GET", "/networks/\(network)", as: .admin())["network"]
        #expect(shown["provider:segmentation_id"] == 5000)
        let path = "/network_segment_ranges/\(range.id)"
        #expect(await cloud.call("DELETE", path, as: .admin()).type == "NetworkSegmentRangeReferencedByProject")
        let overlap = await cloud.call(
            "POST", "/network_segment_ranges",
            [
                "network_segment_range": [
                    "name": "o", "network_type": "geneve", "minimum": 5001, "maximum": 6000,
                ]
            ], as: .admin())
        #expect(overlap.type == "NetworkSegmentRangeOverlaps")
        _ = try await cloud.network()
        let third = await cloud.call("POST", "/networks", ["network": ["name": "full"]])
        #expect(third.status == 503)
        #expect(await cloud.call("GET", path).status == 404)
    }

    @Test("An audit mends what somebody else changed, and counts it")
    func audit() async throws {
        let cloud = try await NetworkCloud()
        _ = try await cloud.network()
        try await cloud.sync()
        let network = try #require(await cloud.backend.topology.networks.keys.first)
        try await cloud.backend.apply(TopologyChange(remove: [.network(network)]))
        let metrics = Metrics()
        await cloud.service.sync.auditOnce(DriftGauges(metrics))
        #expect(await cloud.backend.topology.networks[network] != nil)
        let text = String(decoding: metrics.exposition(), as: UTF8.self)
        #expect(text.contains("apus_network_drift_rows{change=\"inserted\"} 1"))
        #expect(text.contains("apus_network_audits_total 1"))
    }
}
