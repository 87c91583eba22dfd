// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which traffic a label counts, or with `excluded` leaves out. Blocks are compared with the addresses that guests
/// have, as upstream's agent does behind its translation of addresses.
package struct MeteringLabelRule: PlainNoun {
    package static let table = "network_metering_label_rules"
    package static let noun = "metering_label_rule"
    package static let plural = "metering_label_rules"
    package static let collection = "metering-label-rules"

    package let id: String
    /// The label's.
    package let projectID: String
    let meteringLabelID: String
    let direction: String
    let excluded: Bool
    /// Deprecated upstream: the source of what leaves, the destination of what comes in.
    let remoteIPPrefix: String?
    let sourceIPPrefix: String?
    let destinationIPPrefix: String?

    package typealias Extra = Nothing

    /// Nil for a rule that no packet fits.
    var region: MeterRegion? {
        guard let direction = TrafficDirection(rawValue: direction) else { return nil }
        if let remote = remoteIPPrefix.flatMap({ CIDR(loose: $0) }) {
            return direction == .egress
                ? MeterRegion(direction, source: remote) : MeterRegion(direction, destination: remote)
        }
        return MeterRegion(
            direction, source: sourceIPPrefix.flatMap { CIDR(loose: $0) },
            destination: destinationIPPrefix.flatMap { CIDR(loose: $0) })
    }
}

extension MeteringLabelRule: Resource {
    package static let routes: [Route] = [
        .get(
            "/metering/metering-label-rules", "List metering label rules", of: OwnScope.from,
            allow: .anyone("list_metering_label_rules"), index),
        .post(
            "/metering/metering-label-rules", "Create metering label rule", of: drafts,
            allow: .rule("create_metering_label_rule", NetworkRules.adminOrManager), create),
        .get(
            "/metering/metering-label-rules/{id}", "Show metering label rule", of: visible,
            allow: .rule("get_metering_label_rule", NetworkRules.adminOrReader), show),
        .delete(
            "/metering/metering-label-rules/{id}", "Delete metering label rule", of: visible,
            allow: .rule("delete_metering_label_rule", NetworkRules.adminOrManager), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network metering label rules
        CREATE TABLE network_metering_label_rules (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, metering_label_id VARCHAR(36) NOT NULL,
            direction VARCHAR(7) NOT NULL, excluded INTEGER NOT NULL, remote_ip_prefix VARCHAR(64),
            source_ip_prefix VARCHAR(64), destination_ip_prefix VARCHAR(64));
        CREATE INDEX network_metering_rules_by_label ON network_metering_label_rules (metering_label_id)
        """
    ]

    package static let filters: [Filter] = [
        .text("metering_label_id"), .text("direction"), .truth("excluded"), .text("remote_ip_prefix"),
        .text("source_ip_prefix"), .text("destination_ip_prefix"), .text("id"),
    ]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "MeteringLabelRuleNotFound", "Metering label rule '\(id)' does not exist.")
    }
}

// MARK: - Handlers

extension MeteringLabelRule {
    /// Whose the rule is is known once its label is: until then it is as the body says, or the caller's.
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<MeteringLabelRule> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in
            let project = try body.takeProject(request)
            let id = try body.need("metering_label_id", .id)
            let label = try await request.database.first(
                MeteringLabel.self, "id = \(id) AND (\(sql: request.scope(MeteringLabel.self)))")
            let rule = MeteringLabelRule(
                id: request.ids.uuid(), projectID: label?.projectID ?? project, meteringLabelID: id,
                direction: try body.need("direction", .among("ingress", "egress")),
                excluded: try body.take("excluded", .truth) ?? false,
                remoteIPPrefix: try body.option("remote_ip_prefix", .looseCIDR).map(\.description),
                sourceIPPrefix: try body.option("source_ip_prefix", .meteredBlock),
                destinationIPPrefix: try body.option("destination_ip_prefix", .meteredBlock))
            try rule.check()
            if label == nil { throw MeteringLabel.notFound(id) }
            return rule
        }
    }

    private func check() throws(Fault) {
        guard remoteIPPrefix == nil || (sourceIPPrefix == nil && destinationIPPrefix == nil) else {
            throw .neutron(
                400, "Invalid",
                "Cannot use 'remote-ip-prefix' in conjunction with 'source-ip-prefix' or 'destination-ip-prefix'.")
        }
        guard remoteIPPrefix != nil || sourceIPPrefix != nil || destinationIPPrefix != nil else {
            throw .neutron(
                400, "Invalid",
                "You must define at least one of the following parameters 'remote_ip_prefix', or 'source_ip_prefix' "
                    + "or 'destination_ip_prefix'.")
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<MeteringLabelRule>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for rule in drafts.items {
                let label = try transaction.one(
                    MeteringLabel.self, "id = \(rule.meteringLabelID)",
                    or: MeteringLabel.notFound(rule.meteringLabelID))
                try rule.refuseOverlap(transaction)
                try transaction.insert(rule)
                try transaction.touch(MeteringSpec.kind, label.place, request)
            }
            try Metered(transaction).requireBounds()
        }
        return try await reply(request, made: drafts.items)
    }

    private func refuseOverlap(_ transaction: Transaction) throws(Fault) {
        guard let remote = remoteIPPrefix.flatMap({ CIDR(loose: $0) }) else { return }
        let others = try transaction.all(
            MeteringLabelRule.self,
            "metering_label_id = \(meteringLabelID) AND direction = \(direction) AND excluded = \(excluded)")
        guard !others.compactMap({ $0.remoteIPPrefix.flatMap { CIDR(loose: $0) } }).contains(where: remote.overlaps)
        else {
            throw .neutron(
                409, "MeteringLabelRuleOverlaps",
                "Metering label rule with remote_ip_prefix '\(remote)' overlaps another.")
        }
    }

    static func delete(_ request: Request, _ rule: MeteringLabelRule) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(MeteringLabelRule.self, "id = \(rule.id)", or: notFound(rule.id))
            if let label = try transaction.first(MeteringLabel.self, "id = \(rule.meteringLabelID)") {
                try transaction.touch(MeteringSpec.kind, label.place, request)
            }
        }
        return .empty
    }
}

// MARK: - Wire

extension MeteringLabelRule {
    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("metering_label_id", meteringLabelID)
        view.put("direction", direction)
        view.put("excluded", excluded)
        view.put("remote_ip_prefix", remoteIPPrefix)
        view.put("source_ip_prefix", sourceIPPrefix)
        view.put("destination_ip_prefix", destinationIPPrefix)
    }
}

extension Format where Value == String {
    /// A block or a bare address; kept as it was written.
    fileprivate static var meteredBlock: Format {
        Format { value, _ throws(Misfit) in
            guard let text = value.string, CIDR(loose: text) != nil else {
                throw Misfit("'\(value.bare)' does not appear to be an IPv4 or IPv6 interface")
            }
            return text
        }
    }
}
