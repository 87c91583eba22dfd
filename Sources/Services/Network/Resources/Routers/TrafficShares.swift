// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What was counted, told apart by label, router, project and pairs of them (upstream's `granular_traffic_data`).
struct TrafficShare: Record {
    static let table = "network_metering_shares"

    /// `router-ID-label-ID`, as upstream names it.
    let resourceID: String
    /// `label`, `router`, `project`, `label_router` or `label_project`.
    let granularity: String
    let labelID: String, routerID: String, projectID: String
    /// What nobody has been told of.
    var packets = 0, bytes = 0
    let firstUpdate: Timestamp
    let lastUpdate: Timestamp
    let toldAt: Timestamp

    private init(_ granularity: String, label: String = "", router: String = "", project: String, _ now: Timestamp) {
        self.granularity = granularity
        (labelID, routerID, projectID) = (label, router, project)
        let places = granularity.hasSuffix("router") ? ["router-\(router)"] : []
        let projects = granularity.hasSuffix("project") ? ["project-\(project)"] : []
        resourceID = (places + projects + (label.isEmpty ? [] : ["label-\(label)"])).joined(separator: "-")
        firstUpdate = now
        lastUpdate = now
        toldAt = now
    }

    /// The shares that a reading is in: under each label once, and of the router and its project for every label.
    static func all(
        _ reading: MeterReading, under labels: [MeteringLabel], project: String, _ now: Timestamp
    ) -> [TrafficShare] {
        labels.flatMap { label in
            let owner = label.shared ? "all" : label.projectID
            return [
                TrafficShare("label", label: label.id, project: owner, now),
                TrafficShare("label_router", label: label.id, router: reading.routerID, project: project, now),
                TrafficShare("label_project", label: label.id, project: project, now),
                TrafficShare("router", router: reading.routerID, project: project, now),
                TrafficShare("project", project: project, now),
            ].map { share in
                var share = share
                share.packets = reading.packets
                share.bytes = reading.bytes
                return share
            }
        }
    }

    /// Adds itself to what is there.
    func write(_ transaction: Transaction) throws(Fault) {
        let known = try transaction.update(
            TrafficShare.self,
            set: "packets = packets + \(packets), bytes = bytes + \(bytes), last_update = \(lastUpdate)",
            where: "resource_id = \(resourceID)")
        if known == 0 { try transaction.insert(self) }
    }

    /// The members that only its kind has, as upstream's.
    func describe(_ sample: inout JSONObject, _ labels: [String: MeteringLabel]) {
        sample["resource_id"] = .string(resourceID)
        sample["project_id"] = .string(projectID)
        if !routerID.isEmpty { sample["router_id"] = .string(routerID) }
        guard !labelID.isEmpty else { return }
        sample["label_id"] = .string(labelID)
        sample["label_name"] = .string(labels[labelID]?.name ?? labelID)
        sample["label_shared"] = labels[labelID].map { .bool($0.shared) } ?? .null
    }
}

extension TrafficShare: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 network metering shares
        CREATE TABLE network_metering_shares (
            resource_id VARCHAR(512) PRIMARY KEY, granularity VARCHAR(16) NOT NULL, label_id VARCHAR(36) NOT NULL,
            router_id VARCHAR(36) NOT NULL, project_id VARCHAR(255) NOT NULL, packets BIGINT NOT NULL,
            bytes BIGINT NOT NULL, first_update BIGINT NOT NULL, last_update BIGINT NOT NULL, told_at BIGINT NOT NULL)
        """
    ]
}
