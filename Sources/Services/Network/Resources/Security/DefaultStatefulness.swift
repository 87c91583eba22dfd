// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Whether new security groups are stateful when nobody says: for one project, or for all that say nothing.
package struct DefaultStatefulness: PlainNoun {
    package static let table = "network_default_statefulness"
    package static let noun = "security_groups_default_statefulness"
    package static let plural = "security_groups_default_statefulness"
    package static let collection = "security-groups-default-statefulness"

    package let id: String
    /// Empty for the whole cloud's.
    package let projectID: String
    var stateful: Bool

    private enum CodingKeys: String, CodingKey { case id, projectID, stateful }

    package typealias Extra = Nothing
}

extension DefaultStatefulness: Resource {
    package static let routes: [Route] = [
        .get(
            "/security-groups-default-statefulness", "List security groups' default statefulness", of: OwnScope.from,
            allow: .anyone("list_security_groups_default_statefulness"), index),
        .post(
            "/security-groups-default-statefulness", "Create security groups' default statefulness", of: draft,
            allow: .rule("create_security_groups_default_statefulness", NetworkRules.adminOrManager), create),
        .get(
            "/security-groups-default-statefulness/{id}", "Show security groups' default statefulness", of: visible,
            allow: .rule("get_security_groups_default_statefulness", NetworkRules.adminOrReader), show),
        .put(
            "/security-groups-default-statefulness/{id}", "Update security groups' default statefulness",
            of: visible, allow: .rule("update_security_groups_default_statefulness", NetworkRules.adminOrManager),
            update),
        .delete(
            "/security-groups-default-statefulness/{id}", "Delete security groups' default statefulness",
            of: visible, allow: .rule("delete_security_groups_default_statefulness", NetworkRules.adminOrManager),
            delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network default statefulness
        CREATE TABLE network_default_statefulness (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, stateful INTEGER NOT NULL);
        CREATE UNIQUE INDEX network_default_statefulness_once ON network_default_statefulness (project_id)
        """
    ]

    package static let filters: [Filter] = [.text("project_id"), .truth("stateful"), .text("id")]

    package static func notFound(_ id: String) -> Fault {
        .neutron(
            404, "SecurityGroupDefaultStatefulnessNotFound",
            "Security group default statefulness \(id) could not be found.")
    }

    /// What a project's new groups are.
    static func holds(_ transaction: Transaction, project: String) throws(Fault) -> Bool {
        let rows = try transaction.all(DefaultStatefulness.self, "project_id IN (\(project), '')")
        return (rows.first { $0.projectID == project } ?? rows.first)?.stateful ?? true
    }
}

extension DefaultStatefulness {
    private static func draft(_ request: Request) async throws(Fault) -> DefaultStatefulness {
        var body = try request.body(noun)
        let named = try body.option("project_id", .string())
        let older = try body.option("tenant_id", .string())
        let stateful = try body.take("stateful", .truth) ?? true
        try body.end()
        return DefaultStatefulness(id: request.ids.uuid(), projectID: named ?? older ?? "", stateful: stateful)
    }

    private static func create(_ request: Request, _ draft: DefaultStatefulness) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            let whose = draft.projectID.isEmpty ? "system-wide" : draft.projectID
            try transaction.insert(
                draft,
                or: .neutron(
                    409, "SecurityGroupDefaultStatefulnessAlreadyExists",
                    "A security group default statefulness setting already exists for project '\(whose)'."))
        }
        return try await draft.reply(request)
    }

    private static func update(_ request: Request, _ found: DefaultStatefulness) async throws(Fault) -> Reply {
        let changed = try await change(request, found.id) { _, row throws(Fault) in
            var body = try request.body(noun)
            row.stateful = try body.take("stateful", .truth) ?? row.stateful
            try body.end()
        }
        return try await changed.reply(request)
    }

    private static func delete(_ request: Request, _ found: DefaultStatefulness) async throws(Fault) -> Reply {
        try await request.database.delete(DefaultStatefulness.self, "id = \(found.id)", or: notFound(found.id))
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("project_id", projectID.isEmpty ? nil : projectID)
        view.put("stateful", stateful)
    }
}
