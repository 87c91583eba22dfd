// SPDX-License-Identifier: Apache-2.0
package import Kernel
import Network
import OVSDB

/// Makes switches forget the connections of outer addresses that ended or moved, as Neutron's layer 3 agent does: OVN
/// itself keeps a tracked connection with whoever had the address before.
package struct ConnectionSweep: Sendable {
    private let backend: OVNNetworkBackend
    private let switches: [String]
    private let pool: BlockingPool
    private let clock: any WallClock
    private let log: Log
    private static let triesMax = 5

    /// - Parameter switches: where integration bridges are managed, as `ovs-ofctl` names it: `unix:.../br-int.mgmt`.
    package init(
        _ backend: OVNNetworkBackend, switches: [String], pool: BlockingPool, clock: any WallClock,
        log: Log = .silent
    ) {
        self.backend = backend
        self.switches = switches
        self.pool = pool
        self.clock = clock
        self.log = log
    }

    /// Sweeps whenever something ended, until cancelled.
    package func run() async {
        let changes = backend.northbound.changes()
        await sweepAll()
        for await batch in changes where batch.contains(where: { $0.table == "NB_Global" }) { await sweepAll() }
    }

    private func sweepAll() async {
        for attempt in 1...ConnectionSweep.triesMax {
            do throws(Fault) {
                try await sweep(isLast: attempt == ConnectionSweep.triesMax)
                return
            } catch {
                log.warning("connections of ended addresses could not be ended", ["error": error.message])
            }
            guard (try? await clock.sleep(.seconds(attempt))) != nil else { return }
        }
    }

    /// Ends what is marked as ended now.
    /// - Parameter isLast: whether switches that do not answer are given up.
    package func sweep(isLast: Bool = false) async throws(Fault) {
        let marks = backend.endMarks()
        guard !marks.isEmpty else { return }
        // Before the hosts follow the change, a forgotten connection would come back as it was.
        do throws(Fault) { try await backend.settle(within: .seconds(10)) } catch {
            log.warning("a host does not follow the network changes", ["error": error.message])
        }
        let keys = try await backend.datapathKeys(Set(marks.keys.map(\.device)))
        var unheard: Fault?
        // Flows that a switch has cached may bring a busy connection back once.
        for round in 1...2 {
            for place in switches {
                do throws(Fault) { try await forget(marks.keys, keys, at: place) } catch { unheard = error }
            }
            if round == 1 { try? await clock.sleep(.seconds(1)) }
        }
        if let unheard, !isLast { throw unheard }
        try await backend.strike(marks)
    }

    private func forget(
        _ ends: some Collection<TranslationEnd>, _ keys: [String: Int], at place: String
    ) async throws(Fault) {
        var zones: [Int: Set<Int>] = [:]
        for table in [0, 65] {
            let text = try await control(["-O", "OpenFlow15", "--no-names", "dump-flows", place, "table=\(table)"])
            zones.merge(TrackingZones.parse(text)) { $0.union($1) }
        }
        for end in ends {
            guard let key = keys[end.device] else { continue }
            var tuple = "\(end.address.version == .v4 ? "ct_nw_dst" : "ct_ipv6_dst")=\(end.address)"
            if let port = end.port { tuple += ",ct_nw_proto=\(end.protocolNumber),ct_tp_dst=\(port)" }
            for zone in (zones[key] ?? []).sorted() {
                try await control(["-O", "OpenFlow15", "ct-flush", place, "zone=\(zone)", tuple])
                guard end.endsOutgoing else { continue }
                try await control(["-O", "OpenFlow15", "ct-flush", place, "zone=\(zone)", "", tuple])
            }
        }
    }

    @discardableResult
    private func control(_ argv: [String]) async throws(Fault) -> String {
        let output = try await Subprocess.run(
            ["ovs-ofctl", "--timeout=10"] + argv, timeout: .seconds(15), on: pool)
        guard output.status == 0 else { throw .unavailable(output.complaint) }
        return output.text
    }
}

/// The zones that a switch tracks connections in, by the key of the router or network: its flows set them when a packet
/// comes from a port.
package enum TrackingZones {
    package static func parse(_ text: String) -> [Int: Set<Int>] {
        var zones: [Int: Set<Int>] = [:]
        for line in text.split(separator: "\n") {
            guard let cut = line.firstRange(of: "actions=") else { continue }
            let actions = line[cut.upperBound...]
            guard
                let key = number(actions, "set_field:", "->metadata")
                    ?? number(line[..<cut.lowerBound], "metadata=", "")
            else { continue }
            for register in ["reg11", "reg12", "reg13"] {
                if let zone = number(actions, "set_field:", "->\(register)"), zone != 0 {
                    zones[key, default: []].insert(zone)
                }
            }
        }
        return zones
    }

    /// The last number between two marks: `set_field:0x5->reg13`.
    private static func number(_ text: Substring, _ before: String, _ after: String) -> Int? {
        var found: Int?
        for part in text.split(separator: ",").flatMap({ $0.split(separator: "(") }) {
            guard part.hasPrefix(before), after.isEmpty || part.contains(after) else { continue }
            let digits = part.dropFirst(before.count).prefix { $0.isHexDigit || $0 == "x" }
            found = digits.hasPrefix("0x") ? Int(digits.dropFirst(2), radix: 16) : Int(digits)
        }
        return found
    }
}

extension OVNNetworkBackend {
    /// What the switches were not told yet, with its mark.
    nonisolated func endMarks() -> [TranslationEnd: String] {
        var marks: [TranslationEnd: String] = [:]
        for row in northbound.replica.rows("NB_Global") {
            for (key, mark) in row["external_ids"].pairs {
                if let end = TranslationEnd(key) { marks[end] = mark }
            }
        }
        return marks
    }

    /// Takes marks back, unless they were set anew meanwhile.
    func strike(_ marks: [TranslationEnd: String]) async throws(Fault) {
        let pairs = Dictionary(uniqueKeysWithValues: marks.map { ($0.key.description, $0.value) })
        try await northbound.transact([
            .mutate(
                table: "NB_Global", where: [OVSDBCondition("nb_cfg", .greaterOrEqual, 0)],
                [OVSDBMutation("external_ids", .delete, .strings(pairs))])
        ])
    }

    /// The keys of routers and switches in packets, by the UUID of their northbound rows.
    func datapathKeys(_ devices: Set<String>) async throws(Fault) -> [String: Int] {
        let all = [OVSDBCondition("tunnel_key", .greaterOrEqual, 1)]
        let found = try await southbound.transact([
            .select(table: "Datapath_Binding", where: all, columns: ["tunnel_key", "external_ids"])
        ])
        var keys: [String: Int] = [:]
        for row in found.first?.rows ?? [] {
            let ids = row["external_ids"]
            guard
                let device = ids?["logical-router"] ?? ids?["logical-switch"], devices.contains(device)
            else { continue }
            keys[device] = row["tunnel_key"]?.integer
        }
        return keys
    }
}
