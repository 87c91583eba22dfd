// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import Network
import OVSDB

/// Reads the counters of routers' policies from the flows of switches: a flow's cookie is the beginning of the UUID of
/// the logical flow that it comes from, and that one's hint the beginning of the policy's.
package struct OVNTrafficMeter: TrafficMeter {
    private let backend: OVNNetworkBackend
    private let switches: [String]
    private let pool: BlockingPool
    private let log: Log

    /// - Parameter switches: where integration bridges are managed, as `ovs-ofctl` names it: `unix:.../br-int.mgmt`.
    package init(_ backend: OVNNetworkBackend, switches: [String], pool: BlockingPool, log: Log = .silent) {
        self.backend = backend
        self.switches = switches
        self.pool = pool
        self.log = log
    }

    package func readings() async throws(Fault) -> (places: [String], readings: [MeterReading]) {
        let flows = try await backend.meterFlows()
        guard !flows.isEmpty else { return (switches, []) }
        var readings: [MeterReading] = []
        var places: [String] = []
        for place in switches {
            do throws(Fault) {
                var counts: [UInt32: (packets: Int, bytes: Int)] = [:]
                for table in Set(flows.map(\.table)).sorted() {
                    let argv = [
                        "ovs-ofctl", "--timeout=10", "-O", "OpenFlow15", "--no-names", "dump-flows", place,
                        "table=\(table)",
                    ]
                    let output = try await Subprocess.run(argv, timeout: .seconds(15), on: pool)
                    guard output.status == 0 else { throw .unavailable(output.complaint) }
                    counts.merge(FlowCounts.parse(output.text)) { ($0.packets + $1.packets, $0.bytes + $1.bytes) }
                }
                places.append(place)
                readings += flows.compactMap { flow in
                    counts[flow.cookie].map { flow.reading(at: place, packets: $0.packets, bytes: $0.bytes) }
                }
            } catch {
                log.warning("a switch did not tell its counters", ["switch": place, "error": error.message])
            }
        }
        return (places, readings)
    }
}

/// A logical flow that counts for a router.
struct MeterFlow: Sendable {
    /// OVN's controller puts the tables of ingress pipelines behind its own eight.
    static let firstTable = 8

    let uuid: String
    let table: Int
    let routerID: String
    let region: MeterRegion
    /// What a frame has beside the packet.
    let overhead: Int

    var cookie: UInt32 { UInt32(uuid.prefix(8), radix: 16) ?? 0 }

    func reading(at place: String, packets: Int, bytes: Int) -> MeterReading {
        MeterReading(
            place: place, counter: uuid, routerID: routerID, region: region, packets: packets,
            bytes: max(0, bytes - packets * overhead))
    }
}

extension OVNNetworkBackend {
    /// The logical flows of the policies that count.
    func meterFlows() async throws(Fault) -> [MeterFlow] {
        try await northbound.ready()
        var policies: [String: OVSDBRow] = [:]
        for row in northbound.replica.rows("Logical_Router_Policy") {
            guard row["external_ids"][Translator.meterRouter] != nil else { continue }
            policies["\(row.uuid.prefix(8)) \(row["match"].string ?? "")"] = row
        }
        guard !policies.isEmpty else { return [] }
        let stage: OVSDBValue = ["stage-name": "lr_in_policy"]
        let found = try await southbound.transact([
            .select(
                table: "Logical_Flow", where: [OVSDBCondition("external_ids", .includes, stage)],
                columns: ["_uuid", "table_id", "match", "external_ids"])
        ])
        return (found.first?.rows ?? []).compactMap { flow in
            let hint = flow["external_ids"]?["stage-hint"] ?? ""
            guard let policy = policies["\(hint) \(flow["match"]?.string ?? "")"],
                let router = policy["external_ids"][Translator.meterRouter],
                let region = policy["external_ids"][Translator.meterRegion].flatMap({ MeterRegion($0) }),
                let uuid = flow["_uuid"]?.uuid, let table = flow["table_id"]?.integer
            else { return nil }
            return MeterFlow(
                uuid: uuid, table: MeterFlow.firstTable + table, routerID: router, region: region, overhead: 14)
        }
    }
}

/// Packets and bytes by cookie, of what `ovs-ofctl dump-flows` prints.
package enum FlowCounts {
    package static func parse(_ text: String) -> [UInt32: (packets: Int, bytes: Int)] {
        var counts: [UInt32: (packets: Int, bytes: Int)] = [:]
        for line in text.split(separator: "\n") {
            var values: [Substring: Substring] = [:]
            for part in line.split(separator: ",", maxSplits: 6) {
                let pair = part.split(separator: "=", maxSplits: 1)
                guard pair.count == 2 else { continue }
                values[pair[0].drop { $0 == " " }] = pair[1]
            }
            guard let cookie = values["cookie"].flatMap({ UInt32($0.dropFirst(2), radix: 16) }),
                let packets = values["n_packets"].flatMap({ Int($0) }),
                let bytes = values["n_bytes"].flatMap({ Int($0) })
            else { continue }
            let before = counts[cookie] ?? (0, 0)
            counts[cookie] = (before.packets + packets, before.bytes + bytes)
        }
        return counts
    }
}
