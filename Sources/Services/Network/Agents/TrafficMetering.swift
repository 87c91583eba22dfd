// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Reads what routers counted and adds it up under the labels, so that nothing is counted twice whenever a process or a
/// switch ends: how far each counter was read is written together with what was added.
package struct TrafficMetering: Sendable {
    private let service: NetworkService
    private let meter: any TrafficMeter
    private let metrics: Metrics
    /// The host that tells, as upstream's agents name theirs.
    private let host: String

    package init(_ service: NetworkService, _ meter: any TrafficMeter, _ metrics: Metrics, host: String) {
        self.service = service
        self.meter = meter
        self.metrics = metrics
        self.host = host
    }

    /// Runs until cancelled.
    package func run() async {
        var told = service.clock.now()
        await service.clock.every(service.options.meterInterval) {
            do throws(Fault) {
                try await measure()
                if service.clock.now() >= told + service.options.meterReport {
                    told = service.clock.now()
                    try await report()
                }
            } catch {
                service.log.warning("traffic could not be metered", ["error": error.message])
            }
        }
    }

    /// Reads all counters once.
    package func measure() async throws(Fault) {
        guard try await service.database.count(MeteringLabelRule.self) > 0 else { return }
        let (places, readings) = try await meter.readings()
        let now = service.clock.now()
        let added = try await service.database.transaction { transaction throws(Fault) in
            let grown = try TrafficMetering.grown(readings, places, transaction)
            guard !grown.isEmpty else { return [MeterTotal]() }
            let metered = try Metered(transaction)
            let projects = Dictionary(
                try transaction.all(Router.self, "id", in: Array(Set(grown.map(\.routerID)))).map {
                    ($0.id, $0.projectID)
                }, uniquingKeysWith: { $1 })
            var totals: [String: MeterTotal] = [:]
            for reading in grown {
                let project = projects[reading.routerID] ?? ""
                let labels = metered.labels(of: project, reading.region)
                for label in labels { totals[label.id, default: MeterTotal(label, now)].add(reading) }
                guard service.options.isMeterGranular else { continue }
                for share in TrafficShare.all(reading, under: labels, project: project, now) {
                    try share.write(transaction)
                }
            }
            for total in totals.values { try total.write(transaction) }
            return Array(totals.values)
        }
        for total in added { count(total) }
    }

    /// What came to the counters since they were last read. A counter that shows less than before began anew.
    private static func grown(
        _ readings: [MeterReading], _ places: [String], _ transaction: Transaction
    ) throws(Fault) -> [MeterReading] {
        var marks: [String: MeterMark] = [:]
        for mark in try transaction.all(MeterMark.self) { marks["\(mark.place) \(mark.counter)"] = mark }
        var grown: [MeterReading] = []
        for reading in readings {
            let mark = marks.removeValue(forKey: "\(reading.place) \(reading.counter)")
            guard mark?.packets != reading.packets || mark?.bytes != reading.bytes else { continue }
            let isAnew = mark.map { reading.packets < $0.packets || reading.bytes < $0.bytes } ?? true
            grown.append(
                MeterReading(
                    place: reading.place, counter: reading.counter, routerID: reading.routerID, region: reading.region,
                    packets: reading.packets - (isAnew ? 0 : mark?.packets ?? 0),
                    bytes: reading.bytes - (isAnew ? 0 : mark?.bytes ?? 0)))
            try transaction.delete(
                MeterMark.self, "place = \(reading.place) AND counter = \(reading.counter)")
            try transaction.insert(
                MeterMark(
                    place: reading.place, counter: reading.counter, packets: reading.packets, bytes: reading.bytes))
        }
        // Counters that are gone; those of a switch that did not answer may come back.
        for mark in marks.values where places.contains(mark.place) {
            try transaction.delete(MeterMark.self, "place = \(mark.place) AND counter = \(mark.counter)")
        }
        return grown.filter { $0.packets > 0 }
    }

    private func count(_ total: MeterTotal) {
        let labels: Metrics.Labels = ["label_id": total.labelID, "project_id": total.projectID]
        metrics.counter("apus_network_metered_bytes_total", "Bytes counted under metering labels.", labels)
            .add(total.bytes)
        metrics.counter("apus_network_metered_packets_total", "Packets counted under metering labels.", labels)
            .add(total.packets)
    }

    /// Tells what came under each label since it was last told: a sample `l3.meter`, with upstream's members.
    package func report() async throws(Fault) {
        let now = service.clock.now()
        if service.options.isMeterGranular { return try await reportShares(now) }
        let samples = try await service.database.transaction { transaction throws(Fault) in
            let totals = try transaction.all(MeterTotal.self, "1 = 1 ORDER BY label_id")
            try transaction.update(
                MeterTotal.self, set: "fresh_packets = 0, fresh_bytes = 0, told_at = \(now)", where: "1 = 1")
            return totals
        }
        for total in samples {
            var sample = sample(
                total.freshPackets, total.freshBytes, from: total.firstUpdate, to: total.lastUpdate,
                after: total.toldAt, now)
            sample["label_id"] = .string(total.labelID)
            sample["project_id"] = .string(total.projectID)
            service.log.info(
                "notification",
                ["event_type": "l3.meter", "label": total.labelID, "message": JSON.object(sample).text()])
        }
    }

    private func sample(
        _ packets: Int, _ bytes: Int, from first: Timestamp, to last: Timestamp, after told: Timestamp, _ now: Timestamp
    ) -> JSONObject {
        func seconds(_ moment: Timestamp) -> Int { Int(moment.microseconds / 1_000_000) }
        let numbers: [(String, Int)] = [
            ("pkts", packets), ("bytes", bytes), ("time", max(0, seconds(now) - seconds(told))),
            ("first_update", seconds(first)), ("last_update", seconds(last)),
        ]
        var sample = JSONObject(numbers.map { ($0, .integer(Int64($1))) })
        sample["host"] = .string(host)
        return sample
    }

    /// As `report`, by label, router, project and pairs of them.
    private func reportShares(_ now: Timestamp) async throws(Fault) {
        let (shares, labels) = try await service.database.transaction { transaction throws(Fault) in
            let shares = try transaction.all(TrafficShare.self, "1 = 1 ORDER BY resource_id")
            let labels = try transaction.all(MeteringLabel.self)
            try transaction.update(
                TrafficShare.self, set: "packets = 0, bytes = 0, told_at = \(now)", where: "1 = 1")
            try transaction.update(
                MeterTotal.self, set: "fresh_packets = 0, fresh_bytes = 0, told_at = \(now)", where: "1 = 1")
            return (shares, Dictionary(labels.map { ($0.id, $0) }, uniquingKeysWith: { $1 }))
        }
        for share in shares {
            var sample = sample(
                share.packets, share.bytes, from: share.firstUpdate, to: share.lastUpdate, after: share.toldAt, now)
            share.describe(&sample, labels)
            service.log.info(
                "notification",
                [
                    "event_type": "l3.meter.\(share.granularity)", "resource": share.resourceID,
                    "message": JSON.object(sample).text(),
                ])
        }
    }
}

/// How far a counter was read.
struct MeterMark: Record {
    static let table = "network_metering_marks"

    let place: String, counter: String
    let packets: Int, bytes: Int
}

/// What was counted under a label.
struct MeterTotal: Record {
    static let table = "network_metering_totals"

    let labelID: String, projectID: String
    var packets = 0, bytes = 0
    /// What nobody has been told of.
    var freshPackets = 0, freshBytes = 0
    let firstUpdate: Timestamp
    let lastUpdate: Timestamp
    let toldAt: Timestamp

    init(_ label: MeteringLabel, _ now: Timestamp) {
        labelID = label.id
        projectID = label.projectID
        firstUpdate = now
        lastUpdate = now
        toldAt = now
    }

    mutating func add(_ reading: MeterReading) {
        packets += reading.packets
        bytes += reading.bytes
        freshPackets += reading.packets
        freshBytes += reading.bytes
    }

    /// Adds itself to what is there.
    func write(_ transaction: Transaction) throws(Fault) {
        let known = try transaction.update(
            MeterTotal.self,
            set: """
                packets = packets + \(packets), bytes = bytes + \(bytes), last_update = \(lastUpdate),
                fresh_packets = fresh_packets + \(packets), fresh_bytes = fresh_bytes + \(bytes)
                """, where: "label_id = \(labelID)")
        if known == 0 { try transaction.insert(self) }
    }
}

extension MeterTotal: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 network metering totals
        CREATE TABLE network_metering_totals (
            label_id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, packets BIGINT NOT NULL,
            bytes BIGINT NOT NULL, fresh_packets BIGINT NOT NULL, fresh_bytes BIGINT NOT NULL,
            first_update BIGINT NOT NULL, last_update BIGINT NOT NULL, told_at BIGINT NOT NULL);
        CREATE TABLE network_metering_marks (
            place VARCHAR(255) NOT NULL, counter VARCHAR(64) NOT NULL, packets BIGINT NOT NULL, bytes BIGINT NOT NULL,
            PRIMARY KEY (place, counter))
        """
    ]
}
