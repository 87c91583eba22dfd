// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A name under which traffic is counted that a project's routers forward to and from outside; a shared label counts
/// at everybody's (the extension `metering`).
package struct MeteringLabel: PlainNoun {
    package static let table = "network_metering_labels"
    package static let noun = "metering_label"
    package static let plural = "metering_labels"
    package static let collection = "metering-labels"

    package let id: String, projectID: String
    let name: String
    package var description: String
    let shared: Bool

    package typealias Extra = Nothing
}

extension MeteringLabel: Resource {
    package static let routes: [Route] = [
        .get(
            "/metering/metering-labels", "List metering labels", of: OwnScope.from,
            allow: .anyone("list_metering_labels"), index),
        .post(
            "/metering/metering-labels", "Create metering label", of: drafts,
            allow: .rule("create_metering_label", NetworkRules.adminOrManager), create),
        .get(
            "/metering/metering-labels/{id}", "Show metering label", of: visible,
            allow: .rule("get_metering_label", NetworkRules.adminOrReader), show),
        .delete(
            "/metering/metering-labels/{id}", "Delete metering label", of: visible,
            allow: .rule("delete_metering_label", NetworkRules.adminOrManager), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network metering labels
        CREATE TABLE network_metering_labels (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(1024) NOT NULL, shared INTEGER NOT NULL);
        CREATE INDEX network_metering_labels_by_project ON network_metering_labels (project_id)
        """
    ]

    package static let filters: [Filter] = [
        .text("name"), .text("description"), .truth("shared"), .text("project_id"), .text("tenant_id", "project_id"),
        .text("id"),
    ]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "MeteringLabelNotFound", "Metering label '\(id)' does not exist.")
    }
}

// MARK: - Handlers

extension MeteringLabel {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<MeteringLabel> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            MeteringLabel(
                id: request.ids.uuid(), projectID: try body.takeProject(request),
                name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string(1024)) ?? "",
                shared: try body.take("shared", .truth) ?? false)
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<MeteringLabel>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for label in drafts.items { try transaction.insert(label) }
        }
        return try await reply(request, made: drafts.items)
    }

    static func delete(_ request: Request, _ label: MeteringLabel) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(MeteringLabel.self, "id = \(label.id)", or: notFound(label.id))
            try transaction.delete(MeteringLabelRule.self, "metering_label_id = \(label.id)")
            try transaction.delete(MeterTotal.self, "label_id = \(label.id)")
            try transaction.touch(MeteringSpec.kind, label.place, request)
        }
        return .empty
    }

    /// Whose routers it counts at.
    var place: String { shared ? MeteringSpec.everybody : projectID }
}

// MARK: - Wire

extension MeteringLabel {
    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("shared", shared)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}

extension MeteringSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [MeteringSpec] {
        let labels = Dictionary(
            try await reader.database.all(MeteringLabel.self).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        var regions: [String: Set<MeterRegion>] = [:]
        for rule in try await reader.database.all(MeteringLabelRule.self) {
            guard let place = labels[rule.meteringLabelID]?.place, ids?.contains(place) != false,
                let region = rule.region
            else { continue }
            regions[place, default: []].insert(region)
        }
        return regions.map { MeteringSpec(id: $0.key, regions: $0.value) }
    }
}
