// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// A log has no rows of its own: it marks the rules of its groups.
extension LogSpec: Translated {
    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] { [] }

    func feeds(_ graph: TopologyGraph) -> [Piece] {
        guard accepted else { return [] }
        return (groups ?? Array(graph.topology.securityGroups.keys)).map { Piece(.securityGroup($0)) }
    }
}

extension Translator {
    private static let meter = "acl_log_meter"

    /// The columns of an access rule that say whether its traffic is logged, and under which name.
    func logColumns(accepting group: String) -> [String: OVSDBValue] {
        logColumns(logs.first { $0.accepted && ($0.groups?.contains(group) ?? true) })
    }

    /// The same of the rules that drop what nobody lets pass.
    var dropLogColumns: [String: OVSDBValue] { logColumns(logs.first(where: \.dropped)) }

    private var logs: [LogSpec] { topology.table(LogSpec.self).values.sorted { $0.id < $1.id } }

    private func logColumns(_ log: LogSpec?) -> [String: OVSDBValue] {
        guard let log else { return ["log": false, "name": .empty, "severity": .empty, "meter": .empty] }
        return [
            "log": true, "name": .string("neutron-\(log.id)"), "severity": "info", "meter": .string(Translator.meter),
        ]
    }

    /// What keeps a flood of packets from becoming a flood of lines; there while anything is logged.
    var meterRows: [NBRow] {
        guard !topology.table(LogSpec.self).isEmpty else { return [] }
        let meter = NBRow(
            "Meter", Translator.meter,
            ["name": .string(Translator.meter), "unit": "pktps", "fair": true])
        let band = NBRow(
            "Meter_Band", Translator.meter,
            ["action": "drop", "rate": .integer(options.logRate), "burst_size": .integer(options.logBurst)],
            in: [(meter.key, "bands")])
        return [meter, band]
    }
}
