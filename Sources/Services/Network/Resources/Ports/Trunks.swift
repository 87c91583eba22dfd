// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A port that carries other ports inside itself, each under a tag of its own.
package struct Trunk: Noun {
    package static let table = "network_trunks"
    package static let noun = "trunk"
    package static let plural = "trunks"

    package let id: String, projectID: String, portID: String
    var name: String
    package var description: String
    var adminStateUp: Bool
    /// Follows the port that carries the others.
    var status: String
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable { let subports: [String: [Subport]] }
}

/// A port inside a trunk.
package struct Subport: Record {
    package static let table = "network_subports"
    let portID: String, trunkID: String, parentID: String, segmentationType: String, segmentationID: Int

    func write(_ view: inout View) {
        view.put("segmentation_id", segmentationID)
        view.put("segmentation_type", segmentationType)
        view.put("port_id", portID)
    }
}

extension Trunk: Resource {
    package static let routes: [Route] =
        [
            .get("/trunks", "List trunks", of: OwnScope.from, allow: .anyone("list_trunks"), index),
            .post(
                "/trunks", "Create trunks", of: drafts, allow: .rule("create_trunk", NetworkRules.adminOrMember), create
            ),
            .get(
                "/trunks/{id}", "Show trunk", of: visible, allow: .rule("get_trunk", NetworkRules.adminOrReader), show),
            .put(
                "/trunks/{id}", "Update trunk", of: visible,
                allow: .rule("update_trunk", NetworkRules.adminOrMember), update),
            .delete(
                "/trunks/{id}", "Delete trunk", of: visible,
                allow: .rule("delete_trunk", NetworkRules.adminOrMember), delete),
            .get(
                "/trunks/{id}/get_subports", "List subports of trunk", of: visible,
                allow: .rule("get_subports", NetworkRules.adminOrReader), listSubports),
            .put(
                "/trunks/{id}/add_subports", "Add subports to trunk", of: visible,
                allow: .rule("add_subports", NetworkRules.adminOrMember), addSubports),
            .put(
                "/trunks/{id}/remove_subports", "Remove subports from trunk", of: visible,
                allow: .rule("remove_subports", NetworkRules.adminOrMember), removeSubports),
        ] + tagRoutes(read: NetworkRules.adminOrReader, write: NetworkRules.adminOrMember)

    package static let migrations: [Migration] = [
        """
        2026-11-29 network trunks
        CREATE TABLE network_trunks (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, port_id VARCHAR(36) NOT NULL,
            name VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL, admin_state_up INTEGER NOT NULL,
            status VARCHAR(16) NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL);
        CREATE UNIQUE INDEX network_trunks_by_port ON network_trunks (port_id);
        CREATE TABLE network_subports (
            port_id VARCHAR(36) PRIMARY KEY, trunk_id VARCHAR(36) NOT NULL, parent_id VARCHAR(36) NOT NULL,
            segmentation_type VARCHAR(32) NOT NULL, segmentation_id INTEGER NOT NULL);
        CREATE UNIQUE INDEX network_subports_once
            ON network_subports (trunk_id, segmentation_type, segmentation_id);
        CREATE INDEX network_subports_by_parent ON network_subports (parent_id)
        """
    ]

    package static let filters = Filter.standard([
        .text("name"), .truth("admin_state_up"), .text("status"), .text("port_id"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "TrunkNotFound", "Trunk \(id) could not be found.")
    }

    struct Draft: ProjectOwned {
        let projectID: String, portID: String, name: String, description: String, adminStateUp: Bool
        let subports: [SubportDraft]
        let tags: [String]
    }
}

// MARK: - Handlers

extension Trunk {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let project = try body.takeProject(request)
            return Draft(
                projectID: project, portID: try body.need("port_id", .id),
                name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string()) ?? "",
                adminStateUp: try body.take("admin_state_up", .truth) ?? true,
                subports: try SubportRules.complete(try SubportDraft.list(&body) ?? []), tags: try body.takeTags())
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in try insert(transaction, draft, request) }
        }
        return try await reply(request, made: made)
    }

    private static func insert(
        _ transaction: Transaction, _ draft: Draft, _ request: Request
    ) throws(Fault) -> Trunk {
        try Quotas.require("trunk", Trunk.self, project: draft.projectID, transaction, request.network.options)
        let visible: SQL = request.seesAll ? "1 = 1" : Port.scope(request.project)
        let parent = try transaction.one(
            Port.self, "id = \(draft.portID) AND (\(sql: visible))", or: Port.notFound(draft.portID))
        try SubportRules.checkUnused(parent.id, transaction)
        let trunk = Trunk(
            id: request.ids.uuid(), projectID: draft.projectID, portID: parent.id, name: draft.name,
            description: draft.description, adminStateUp: draft.adminStateUp, status: status(of: parent),
            tags: draft.tags, createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
        try transaction.insert(trunk)
        if !draft.tags.isEmpty { try Tag.set(transaction, trunk.id, draft.tags) }
        try SubportRules.add(draft.subports, to: trunk, parent, transaction, request)
        return trunk
    }

    /// A trunk carries traffic when its port does.
    static func status(of parent: Port) -> String { parent.status == "ACTIVE" ? "ACTIVE" : "DOWN" }

    static func update(_ request: Request, _ found: Trunk) async throws(Fault) -> Reply {
        let trunk = try await change(request, found.id) { _, trunk throws(Fault) in
            var body = try request.body("trunk")
            for name in ["sub_ports", "port_id", "project_id", "tenant_id", "status", "id"] where body.has(name) {
                throw .httpBadRequest("Cannot update read-only attribute \(name)")
            }
            trunk.name = try body.take("name", .string()) ?? trunk.name
            trunk.description = try body.take("description", .string()) ?? trunk.description
            trunk.adminStateUp = try body.take("admin_state_up", .truth) ?? trunk.adminStateUp
            try body.end()
        }
        return try await trunk.reply(request)
    }

    static func delete(_ request: Request, _ found: Trunk) async throws(Fault) -> Reply {
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let trunk = try transaction.one(Trunk.self, "id = \(found.id)", or: notFound(found.id))
            try trunk.checkConstraint(expected)
            try trunk.checkManaged()
            let inside = try transaction.all(Subport.self, "trunk_id = \(trunk.id)")
            try SubportRules.remove(inside, transaction, request)
            try Tag.set(transaction, trunk.id, [])
            try transaction.delete(Trunk.self, "id = \(trunk.id)", or: notFound(trunk.id))
        }
        return .empty
    }

    private func checkManaged() throws(Fault) {
        guard adminStateUp else {
            throw .neutron(409, "TrunkDisabled", "Trunk \(id) is currently disabled.")
        }
    }

    private static func listSubports(_ request: Request, _ trunk: Trunk) async throws(Fault) -> Reply {
        let inside = try await extra(request, [trunk]).subports[trunk.id] ?? []
        return .bare { view in view.list("sub_ports", inside) { $1.write(&$0) } }
    }

    private static func asked(_ request: Request) throws(Fault) -> [SubportDraft] {
        var body = try request.body()
        guard let asked = try SubportDraft.list(&body) else {
            throw .invalidInput("Invalid data format for subports: 'None' is not a list")
        }
        try body.end()
        return asked
    }

    private static func addSubports(_ request: Request, _ found: Trunk) async throws(Fault) -> Reply {
        let asked = try asked(request)
        let trunk = try await change(request, found.id) { transaction, trunk throws(Fault) in
            let parent = try transaction.one(Port.self, "id = \(trunk.portID)", or: Port.notFound(trunk.portID))
            try SubportRules.check(asked, for: trunk, parent, transaction, request)
            try trunk.checkManaged()
            try SubportRules.add(asked, to: trunk, parent, transaction, request, checked: true)
        }
        return try await trunk.bare(request)
    }

    private static func removeSubports(_ request: Request, _ found: Trunk) async throws(Fault) -> Reply {
        let asked = try asked(request)
        let trunk = try await change(request, found.id) { transaction, trunk throws(Fault) in
            try trunk.checkManaged()
            let inside = try transaction.all(Subport.self, "trunk_id = \(trunk.id)")
            let leaving = try asked.mapping { draft throws(Fault) in
                guard let subport = inside.first(where: { $0.portID == draft.portID }) else {
                    throw .neutron(
                        404, "SubPortNotFound",
                        "SubPort \(draft.portID) on trunk \(trunk.id) could not be found.")
                }
                return subport
            }
            try SubportRules.remove(leaving, transaction, request)
        }
        return try await trunk.bare(request)
    }

    /// Actions are answered without the noun around it.
    private func bare(_ request: Request) async throws(Fault) -> Reply {
        let extra = try await Trunk.extra(request, [self])
        return .bare { write(&$0, extra) }
    }
}

// MARK: - Wire

extension Trunk {
    package static func extra(_ request: Request, _ rows: [Trunk]) async throws(Fault) -> Extra {
        let inside = try await request.database.all(Subport.self, "trunk_id", in: rows.map(\.id))
        return Extra(
            subports: Dictionary(grouping: inside.sorted { $0.segmentationID < $1.segmentationID }) { $0.trunkID })
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("port_id", portID)
        view.put("admin_state_up", adminStateUp)
        view.put("status", status)
        view.list("sub_ports", extra.subports[id] ?? []) { $1.write(&$0) }
        writeStandard(&view)
    }
}

extension Trunk {
    /// What is inside those of the ports that are trunks.
    static func carried(_ database: Database, _ ports: [Port]) async throws(Fault) -> [String: Port.Carried] {
        // Clouds without trunks pay for one look.
        guard try await database.count(Trunk.self) > 0 else { return [:] }
        let trunks = try await database.all(Trunk.self, "port_id", in: ports.map(\.id))
        let inside = try await database.all(Subport.self, "trunk_id", in: trunks.map(\.id))
        let macs = Dictionary(
            try await database.all(Port.self, "id", in: inside.map(\.portID)).map { ($0.id, $0.macAddress.description) }
        ) { first, _ in first }
        return Dictionary(
            trunks.map { trunk in
                let own = inside.filter { $0.trunkID == trunk.id }.sorted { $0.segmentationID < $1.segmentationID }
                return (trunk.portID, Port.Carried(trunk: trunk.id, inside: own.map { ($0, macs[$0.portID] ?? "") }))
            }
        ) { first, _ in first }
    }
}

extension Port.Carried {
    func write(_ view: inout View) {
        view.nest("trunk_details") { view in
            view.put("trunk_id", trunk)
            view.list("sub_ports", inside) { view, entry in
                entry.subport.write(&view)
                view.put("mac_address", entry.mac)
            }
        }
    }
}
