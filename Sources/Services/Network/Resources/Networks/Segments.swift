// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// One way in which a network leaves the machine. Every network has one; those on several physical networks have more.
package struct Segment: Noun {
    package static let table = "network_ways"
    package static let noun = "segment"
    package static let plural = "segments"

    package let id: String
    let networkID: String
    var name: String
    package var description: String
    let networkType: String
    let physicalNetwork: String?
    let segmentationID: Int?
    /// Whether it is the one that the network was made with, which its own row holds as well.
    let isFirst: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package var projectID: String { "" }
    package typealias Extra = Nothing

    private enum CodingKeys: String, CodingKey {
        case id, networkID, name, description, networkType, physicalNetwork, segmentationID, isFirst, tags, createdAt,
            updatedAt, revisionNumber
    }

    init(
        _ wish: SegmentWish, _ type: String, number: Int?, of network: String, isFirst: Bool = false, name: String = "",
        description: String = "", _ request: Request
    ) {
        id = request.ids.uuid()
        networkID = network
        self.name = name
        self.description = description
        networkType = type
        physicalNetwork = wish.physicalNetwork
        segmentationID = number
        self.isFirst = isFirst
        tags = []
        createdAt = request.now
        updatedAt = request.now
        revisionNumber = 0
    }
}

extension Segment: Resource {
    package static let routes: [Route] =
        [
            .get("/segments", "List segments", of: OwnScope.from, allow: .anyone("list_segments"), index),
            .post(
                "/segments", "Create segments", of: drafts, allow: .rule("create_segment", NetworkRules.admin), create),
            .get("/segments/{id}", "Show segment", of: visible, allow: .rule("get_segment", NetworkRules.admin), show),
            .put(
                "/segments/{id}", "Update segment", of: visible, allow: .rule("update_segment", NetworkRules.admin),
                update),
            .delete(
                "/segments/{id}", "Delete segment", of: visible, allow: .rule("delete_segment", NetworkRules.admin),
                delete),
        ] + tagRoutes(read: NetworkRules.admin, write: NetworkRules.admin)

    package static let migrations: [Migration] = [
        """
        2026-11-29 network segments' rows
        CREATE TABLE network_ways (
            id VARCHAR(36) PRIMARY KEY, network_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, network_type VARCHAR(32) NOT NULL, physical_network VARCHAR(64),
            segmentation_id INTEGER, is_first INTEGER NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE INDEX network_ways_by_network ON network_ways (network_id);
        INSERT INTO network_ways
            SELECT id, id, '', '', network_type, physical_network, segmentation_id, 1, '[]', created_at, updated_at, 0
            FROM network_networks
        """
    ]

    package static let filters = Filter.standard([
        .text("name"), .text("network_id"), .text("network_type"), .text("physical_network"),
        .number("segmentation_id"),
    ]).filter { !["project_id", "tenant_id"].contains($0.name) }

    package static func scope(_ project: String) -> SQL { "1 = 1" }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "SegmentNotFound", "Segment \(id) could not be found.")
    }

    struct Draft: PolicyTarget {
        let network: String, name: String, description: String
        let wish: SegmentWish

        func policyAttribute(_ name: String) -> JSON? { nil }
    }
}

// MARK: - Handlers

extension Segment {
    private static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let draft = Draft(
                network: try body.need("network_id", .id), name: try body.option("name", .string()) ?? "",
                description: try body.option("description", .string()) ?? "",
                wish: SegmentWish(
                    type: try body.need("network_type", .string(32)),
                    physicalNetwork: try body.option("physical_network", .string(64)),
                    number: try body.option("segmentation_id", .whole(0...Int(Int32.max)))))
            body.ignore("project_id", "tenant_id")
            try draft.wish.check(request.network.options)
            return draft
        }
    }

    private static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in
                let network = try transaction.one(
                    Network.self, "id = \(draft.network)", or: Network.notFound(draft.network))
                let type = draft.wish.type ?? ""
                let number = try draft.wish.claim(
                    transaction, type, network: network.id, project: network.projectID, request.network.options)
                let segment = Segment(
                    draft.wish, type, number: number, of: network.id, name: draft.name, description: draft.description,
                    request)
                try transaction.insert(segment)
                try Network.bump(transaction, network.id, at: request.now)
                try transaction.touch(.network, network.id, request)
                return segment
            }
        }
        return try await reply(request, made: made)
    }

    private static func update(_ request: Request, _ found: Segment) async throws(Fault) -> Reply {
        let segment = try await change(request, found.id) { _, segment throws(Fault) in
            var body = try request.body(noun)
            for name in ["network_id", "network_type", "physical_network", "segmentation_id", "id"] where body.has(name)
            {
                throw .httpBadRequest("Cannot update read-only attribute \(name)")
            }
            segment.name = try body.option("name", .string()) ?? segment.name
            segment.description = try body.option("description", .string()) ?? segment.description
            try body.end()
        }
        return try await segment.reply(request)
    }

    private static func delete(_ request: Request, _ found: Segment) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            let segment = try transaction.one(Segment.self, "id = \(found.id)", or: notFound(found.id))
            let subnets = try transaction.all(Subnet.self, "segment_id = \(segment.id)").map(\.id)
            guard subnets.isEmpty else {
                throw inUse(
                    segment.id, "The segment is still associated with subnet(s) \(subnets.joined(separator: ", "))")
            }
            guard !segment.isFirst else {
                throw inUse(segment.id, "The network was made with it, and goes with it")
            }
            try SegmentWish.release(transaction, segment.networkType, segment.physicalNetwork, segment.segmentationID)
            try Tag.set(transaction, segment.id, [])
            try transaction.delete(Segment.self, "id = \(segment.id)", or: notFound(segment.id))
            try Network.bump(transaction, segment.networkID, at: request.now)
            try transaction.touch(.network, segment.networkID, request)
        }
        return .empty
    }

    private static func inUse(_ id: String, _ reason: String) -> Fault {
        .neutron(409, "SegmentInUse", "Segment '\(id)' cannot be deleted: \(reason).")
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("network_id", networkID)
        view.put("name", name.isEmpty ? nil : name)
        view.put("network_type", networkType)
        view.put("physical_network", physicalNetwork)
        view.put("segmentation_id", segmentationID)
        view.put("description", description.isEmpty && isFirst ? nil : description)
        view.put("created_at", createdAt)
        view.put("updated_at", updatedAt)
        view.put("revision_number", revisionNumber)
    }

    func writeProvider(_ view: inout View) {
        view.put("provider:network_type", networkType)
        view.put("provider:physical_network", physicalNetwork)
        view.put("provider:segmentation_id", segmentationID)
    }
}

// MARK: - Of networks

extension Segment {
    /// The `segments` of a network as asked for, which exclude a single one.
    static func wishes(
        _ body: inout Body, _ request: Request, after first: SegmentWish, on target: some PolicyTarget
    ) throws(Fault) -> [SegmentWish] {
        guard body.peek("segments")?.isNull == false else {
            body.ignore("segments")
            return []
        }
        guard request.may("create_network:segments", on: target) else {
            throw request.index.envelope.refusal("create_network:segments")
        }
        guard first.isEmpty else {
            throw .neutron(
                400, "SegmentsSetInConjunctionWithProviders",
                "Segments and provider values cannot both be set.")
        }
        var wishes: [SegmentWish] = []
        for var entry in try body.takeObjects("segments") ?? [] {
            let wish = SegmentWish(
                type: try entry.option("provider:network_type", .string(32)),
                physicalNetwork: try entry.option("provider:physical_network", .string(64)),
                number: try entry.option("provider:segmentation_id", .whole(0...Int(Int32.max))))
            try entry.end()
            try wish.check(request.network.options)
            wishes.append(wish)
        }
        return wishes
    }

    /// Writes down the segments of a new network.
    static func insert(
        _ network: Network, _ more: ArraySlice<SegmentWish>, _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        let first = SegmentWish(physicalNetwork: network.physicalNetwork)
        try transaction.insert(
            Segment(
                first, network.networkType, number: network.segmentationID, of: network.id, isFirst: true, request))
        let options = request.network.options
        for wish in more {
            let type = wish.type ?? options.tenantTypes[0]
            let number = try wish.claim(transaction, type, network: network.id, project: network.projectID, options)
            try transaction.insert(Segment(wish, type, number: number, of: network.id, request))
        }
    }

    static func forget(_ transaction: Transaction, network: String) throws(Fault) {
        try transaction.delete(Segment.self, "network_id = \(network)")
    }

    /// The segments of those networks that have more than one, the first one first.
    static func several(_ database: Database, _ networks: [String]) async throws(Fault) -> [String: [Segment]] {
        guard try await database.count(Segment.self, "is_first = 0") > 0 else { return [:] }
        let all = try await database.all(Segment.self, "network_id", in: networks)
        return Dictionary(grouping: all, by: \.networkID).filter { $0.value.count > 1 }.mapValues { segments in
            segments.sorted { ($0.isFirst ? 0 : 1, $0.createdAt, $0.id) < ($1.isFirst ? 0 : 1, $1.createdAt, $1.id) }
        }
    }

    var provider: SwitchProvider {
        switch (networkType, physicalNetwork) {
        case ("flat", let physical?): .flat(physicalNetwork: physical)
        case ("vlan", let physical?): .vlan(physicalNetwork: physical, id: segmentationID ?? 0)
        default: .overlay
        }
    }
}
