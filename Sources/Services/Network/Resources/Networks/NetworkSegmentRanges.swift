// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Numbers that networks of one kind are given, of one project or of all.
package struct NetworkSegmentRange: Noun {
    package static let table = "network_segment_ranges"
    package static let noun = "network_segment_range"
    package static let plural = "network_segment_ranges"
    package static let collection = "network-segment-ranges"

    package let id: String
    /// Empty for a shared one.
    package let projectID: String
    var name: String
    package var description: String
    let shared: Bool
    let networkType: String
    let physicalNetwork: String
    var minimum: Int
    var maximum: Int
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    /// Who has which number, by range.
    package struct Extra: Sendable { let used: [String: [(number: Int, project: String)]] }
}

extension NetworkSegmentRange: Resource {
    /// Upstream's reference writes the path with underscores, and its code answers under hyphens.
    package static let routes: [Route] = routes(under: collection) + routes(under: plural)

    private static func routes(under place: String) -> [Route] {
        let own: [Route] = [
            .get(
                "/\(place)", "List network segment ranges", of: OwnScope.from,
                allow: .anyone("list_network_segment_ranges"), index),
            .post(
                "/\(place)", "Create network segment ranges", of: drafts,
                allow: .rule("create_network_segment_range", NetworkRules.admin), create),
            .get(
                "/\(place)/{id}", "Show network segment range", of: visible,
                allow: .rule("get_network_segment_range", NetworkRules.admin), show),
            .put(
                "/\(place)/{id}", "Update network segment range", of: visible,
                allow: .rule("update_network_segment_range", NetworkRules.admin), update),
            .delete(
                "/\(place)/{id}", "Delete network segment range", of: visible,
                allow: .rule("delete_network_segment_range", NetworkRules.admin), delete),
        ]
        return own + tagRoutes(read: NetworkRules.admin, write: NetworkRules.admin, under: place)
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 network segment ranges
        CREATE TABLE network_segment_ranges (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, shared INTEGER NOT NULL, network_type VARCHAR(32) NOT NULL,
            physical_network VARCHAR(64) NOT NULL, minimum INTEGER NOT NULL, maximum INTEGER NOT NULL,
            tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL)
        """
    ]

    package static let filters = Filter.standard([
        .text("name"), .truth("shared"), .text("network_type"), .text("physical_network"), .number("minimum"),
        .number("maximum"), .other("default") { $0.contains { Format<Bool>.truth($0) == true } ? "1 = 0" : "1 = 1" },
    ])

    package static func scope(_ project: String) -> SQL { "project_id = \(project) OR shared = 1" }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "NetworkSegmentRangeNotFound", "Network Segment Range \(id) could not be found.")
    }
}

// MARK: - Handlers

extension NetworkSegmentRange {
    private static func drafts(_ request: Request) async throws(Fault) -> Drafts<NetworkSegmentRange> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            try body.refuseReadOnly("id", "default", "used", "available")
            let shared = try body.take("shared", .truth) ?? true
            let project = try body.takeProject(request)
            let type = try body.need("network_type", .among("vlan", "vxlan", "gre", "geneve"))
            guard type != "gre" else {
                throw .neutron(
                    400, "NetworkSegmentRangeNetTypeNotSupported",
                    "Network type \(type) does not support network segment ranges.")
            }
            let physical = try body.option("physical_network", .string(64)) ?? ""
            let range = NetworkSegmentRange(
                id: request.ids.uuid(), projectID: shared ? "" : project, name: try body.take("name", .string()) ?? "",
                description: try body.take("description", .string()) ?? "", shared: shared, networkType: type,
                physicalNetwork: type == "vlan" ? physical : "",
                minimum: try body.need("minimum", .whole(1...4_294_967_295)),
                maximum: try body.need("maximum", .whole(1...4_294_967_295)), tags: try body.takeTags(),
                createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
            try range.check()
            return range
        }
    }

    private func check() throws(Fault) {
        let limit = networkType == "vlan" ? 4094 : 16_777_215
        if networkType == "vlan" {
            for number in [minimum, maximum] where !(1...limit).contains(number) {
                throw .invalidInput(
                    "Invalid network VLAN range: '\(minimum):\(maximum)' - '\(number) is not a valid VLAN tag'.",
                    type: "NetworkVlanRangeError")
            }
            guard minimum <= maximum else {
                throw .invalidInput(
                    "Invalid network VLAN range: '\(minimum):\(maximum)' - 'End of VLAN range is less than start of "
                        + "VLAN range'.", type: "NetworkVlanRangeError")
            }
            return
        }
        for number in [minimum, maximum] where number > limit {
            throw .invalidInput(
                "Invalid network tunnel range: '\(minimum):\(maximum)' - \(number) is not a valid \(networkType) "
                    + "identifier.", type: "NetworkTunnelRangeError")
        }
        guard minimum <= maximum else {
            throw .invalidInput(
                "Invalid network tunnel range: '\(minimum):\(maximum)' - End of tunnel range is less than start of "
                    + "tunnel range.", type: "NetworkTunnelRangeError")
        }
    }

    private func checkOverlap(_ transaction: Transaction) throws(Fault) {
        let others = try transaction.all(
            NetworkSegmentRange.self,
            """
            network_type = \(networkType) AND physical_network = \(physicalNetwork) AND id <> \(id) \
            AND minimum <= \(maximum) AND maximum >= \(minimum) ORDER BY id
            """)
        guard others.isEmpty else {
            throw .neutron(
                409, "NetworkSegmentRangeOverlaps",
                "Network segment range overlaps with range(s) with id \(others.map(\.id).joined(separator: ", "))")
        }
    }

    private static func create(
        _ request: Request, _ drafts: Drafts<NetworkSegmentRange>
    ) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for range in drafts.items {
                try range.checkOverlap(transaction)
                try transaction.insert(range)
                if !range.tags.isEmpty { try Tag.set(transaction, range.id, range.tags) }
            }
        }
        return try await reply(request, made: drafts.items)
    }

    /// The numbers of the range that networks have.
    private func taken(_ transaction: Transaction) throws(Fault) -> [Int] {
        try transaction.rows(
            """
            SELECT segmentation_id FROM network_segments WHERE network_type = \(networkType) \
            AND physical_network = \(physicalNetwork) AND segmentation_id BETWEEN \(minimum) AND \(maximum)
            """
        ).compactMap { $0[0].int }
    }

    private static func update(_ request: Request, _ found: NetworkSegmentRange) async throws(Fault) -> Reply {
        let range = try await change(request, found.id) { transaction, range throws(Fault) in
            let taken = try range.taken(transaction)
            var body = try request.body(noun)
            for name in [
                "network_type", "physical_network", "shared", "project_id", "default", "used", "available", "id",
            ]
            where body.has(name) {
                throw .httpBadRequest("Cannot update read-only attribute \(name)")
            }
            range.name = try body.take("name", .string()) ?? range.name
            range.description = try body.take("description", .string()) ?? range.description
            range.minimum = try body.take("minimum", .whole(1...4_294_967_295)) ?? range.minimum
            range.maximum = try body.take("maximum", .whole(1...4_294_967_295)) ?? range.maximum
            try body.end()
            guard taken.allSatisfy({ $0 >= range.minimum && $0 <= range.maximum }) else { throw referenced(range.id) }
            try range.check()
            try range.checkOverlap(transaction)
        }
        return try await range.reply(request)
    }

    private static func delete(_ request: Request, _ found: NetworkSegmentRange) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            let range = try transaction.one(NetworkSegmentRange.self, "id = \(found.id)", or: notFound(found.id))
            guard try range.taken(transaction).isEmpty else { throw referenced(range.id) }
            try Tag.set(transaction, range.id, [])
            try transaction.delete(NetworkSegmentRange.self, "id = \(range.id)", or: notFound(range.id))
        }
        return .empty
    }

    private static func referenced(_ id: String) -> Fault {
        .neutron(
            409, "NetworkSegmentRangeReferencedByProject",
            "Network Segment Range \(id) is referenced by one or more project networks.")
    }

    /// The ranges that a project's networks get their numbers from, its own first; nil leaves it to the options.
    static func ranges(
        _ transaction: Transaction, _ type: String, _ physical: String, project: String
    ) throws(Fault) -> [ClosedRange<Int>]? {
        let rows = try transaction.all(
            NetworkSegmentRange.self,
            """
            network_type = \(type) AND physical_network = \(physical) AND (project_id = \(project) OR shared = 1) \
            ORDER BY shared, minimum
            """)
        return rows.isEmpty ? nil : rows.map { $0.minimum...$0.maximum }
    }
}

// MARK: - Wire

extension NetworkSegmentRange {
    package static func extra(_ request: Request, _ rows: [NetworkSegmentRange]) async throws(Fault) -> Extra {
        var used: [String: [(number: Int, project: String)]] = [:]
        for range in rows {
            let segments = try await request.database.rows(
                """
                SELECT s.segmentation_id, n.project_id FROM network_segments s JOIN network_networks n \
                ON n.id = s.network_id WHERE s.network_type = \(range.networkType) \
                AND s.physical_network = \(range.physicalNetwork) \
                AND s.segmentation_id BETWEEN \(range.minimum) AND \(range.maximum) ORDER BY s.segmentation_id
                """)
            used[range.id] = segments.compactMap { row in
                row[0].int.map { ($0, row[1].text ?? "") }
            }
        }
        return Extra(used: used)
    }

    package func write(_ view: inout View, _ extra: Extra) {
        let used = extra.used[id] ?? []
        view.put("id", id)
        view.put("name", name)
        view.put("default", false)
        view.put("shared", shared)
        view.put("network_type", networkType)
        view.put("physical_network", physicalNetwork)
        view.put("minimum", minimum)
        view.put("maximum", maximum)
        view.nest("used") { view in
            for (number, project) in used { view.put(named: "\(number)", project) }
        }
        let taken = Set(used.map(\.number))
        view.put("available", (minimum...maximum).filter { !taken.contains($0) })
        writeStandard(&view)
    }
}
