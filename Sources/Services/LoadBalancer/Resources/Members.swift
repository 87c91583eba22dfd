// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Who answers: an address and a port that a pool sends to.
package struct Member: InnerPart {
    package static let table = "load_balancer_members"
    package static let noun = "member"
    package static let plural = "members"
    package static let title = "Member"
    package static let ruleName = "member"
    package static let kin: Set<Forest.Kind> = []
    package typealias Outer = Pool
    package static let (outerTitle, outerColumn) = (Pool.title, "pool_id")

    package var id: String, projectID: String, loadBalancerID: String, poolID: String
    package var outerID: String { poolID }
    var name: String
    package var provisioningStatus: ProvisioningStatus
    package var operatingStatus: OperatingStatus
    var enabled: Bool
    var address: String, protocolPort: Int, weight: Int, backup: Bool
    var subnetID: String?, monitorAddress: String?, monitorPort: Int?, vnicType: String
    package var tags: [String]
    package var createdAt: Timestamp
    package var updatedAt: Timestamp?
}

extension Member: Resource {
    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/pools/{id}/members") { path in
        [
            .get(path, "List members", of: around, allow: .read("member:get_all"), listed),
            .post(path, "Create a member", of: MemberDraft.drafted, allow: .write("member:post"), create),
            .put(
                path, "Batch update members", of: around, allow: .write("member:put"), MemberBatch.update,
                status: 202),
            .get(path + "/{member}", "Show member details", of: within, allow: .read("member:get_one"), show),
            .put(path + "/{member}", "Update a member", of: within, allow: .write("member:put"), update),
            .delete(path + "/{member}", "Remove a member", of: within, allow: .write("member:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer members
        CREATE TABLE load_balancer_members (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, load_balancer_id VARCHAR(36) NOT NULL,
            pool_id VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL, provisioning_status VARCHAR(16) NOT NULL,
            operating_status VARCHAR(16) NOT NULL, enabled INTEGER NOT NULL, address VARCHAR(64) NOT NULL,
            protocol_port INTEGER NOT NULL, weight INTEGER NOT NULL, backup INTEGER NOT NULL, subnet_id VARCHAR(36),
            monitor_address VARCHAR(64), monitor_port INTEGER, vnic_type VARCHAR(64) NOT NULL, tags TEXT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT);
        CREATE INDEX load_balancer_members_by_balancer ON load_balancer_members (load_balancer_id);
        CREATE INDEX load_balancer_members_by_pool ON load_balancer_members (pool_id)
        """
    ]

    package static let filters = PartFilter.standing([
        .text("name"), .text("address"), .text("ip_address", "address"), .number("protocol_port"), .number("weight"),
        .truth("backup"), .text("subnet_id"), .text("pool_id"), .text("monitor_address"), .number("monitor_port"),
        .truth("admin_state_up", "enabled"), .truth("enabled"),
    ])
}

// MARK: - Handlers

extension Member {
    static func create(_ request: Request, _ draft: Drafted<MemberDraft>) async throws(Fault) -> Reply {
        let (member, balancer, named) = (draft.item, draft.balancer, request["id"])
        try await member.lookUp(request, balancer)
        let id = request.ids.uuid()
        try await request.database.transaction { transaction throws(Fault) in
            try Quotas.require(Member.self, balancer.projectID, transaction, request)
            let pool = try transaction.one(Pool.self, "id = \(named)", or: Pool.notFound(named))
            guard pool.provisioningStatus != .pendingDelete else { throw .immutable("Pool", pool.id) }
            let isWatched = try transaction.count(HealthMonitor.self, "pool_id = \(pool.id)") > 0
            try member.insert(transaction, id: id, pool, isWatched: isWatched, balancer, request)
            try transaction.touch(balancer.id, try touched(transaction, pool.id), request)
        }
        return try await reply(request, id: id)
    }

    static func touched(_ transaction: Transaction, _ pool: String) throws(Fault) -> Touched {
        Touched(listeners: try transaction.listeners(ofPool: pool), pools: [pool])
    }

    static func update(_ request: Request, _ found: Member) async throws(Fault) -> Reply {
        let body = try request.body("member")
        try await change(request, found.id) { transaction, row throws(Fault) in
            var body = body
            try MemberDraft.read(&body, &row)
            try body.finish("member_.member")
            return try touched(transaction, row.poolID)
        }
        return try await reply(request, id: found.id)
    }

    static func delete(_ request: Request, _ found: Member) async throws(Fault) -> Reply {
        try await leave(request, found.id) { transaction, row throws(Fault) in
            try touched(transaction, row.poolID)
        }
        return .empty
    }
}

// MARK: - Wire

extension Member {
    package func write(_ view: inout View, _ forest: Forest) {
        writeStanding(&view)
        view.put("name", name)
        view.put("admin_state_up", enabled)
        view.put("address", address)
        view.put("protocol_port", protocolPort)
        view.put("weight", weight)
        view.put("backup", backup)
        view.put("subnet_id", subnetID)
        view.put("monitor_address", monitorAddress)
        view.put("monitor_port", monitorPort)
        view.put("vnic_type", vnicType)
    }
}

/// A member as asked for.
package struct MemberDraft: Sendable {
    private(set) var template: Member
    private let asksHardware: Bool

    static func drafted(_ request: Request) async throws(Fault) -> Drafted<MemberDraft> {
        var body = try request.body("member")
        body.ignore("project_id", "tenant_id")
        let draft = try MemberDraft(&body, "member_.member")
        let pool = try await Member.around(request).part
        return Drafted(item: draft, balancer: try await Drafted<MemberDraft>.load(request, pool.loadBalancerID))
    }

    init(_ body: inout Body, _ argument: String) throws(Fault) {
        template = Member(
            id: "", projectID: "", loadBalancerID: "", poolID: "", name: "", provisioningStatus: .pendingCreate,
            operatingStatus: .noMonitor, enabled: true, address: try body.need("address", .ip),
            protocolPort: try body.need("protocol_port", .port), weight: 1, backup: false,
            subnetID: try body.option("subnet_id", .id), monitorAddress: nil, monitorPort: nil, vnicType: "normal",
            tags: [], createdAt: Timestamp(microseconds: 0), updatedAt: nil)
        try MemberDraft.read(&body, &template)
        asksHardware = try body.option("request_sriov", .truth) ?? false
        try body.finish(argument)
    }

    static func read(_ body: inout Body, _ row: inout Member) throws(Fault) {
        try body.set("name", .words(), &row.name, none: "")
        try body.set("admin_state_up", .truth, &row.enabled, none: false)
        try body.set("weight", .whole(0, 256), &row.weight, none: 1)
        try body.set("backup", .truth, &row.backup, none: false)
        try body.set("monitor_address", .ip, &row.monitorAddress)
        try body.set("monitor_port", .port, &row.monitorPort)
        try body.set("tags", .several(.words()), &row.tags, none: [])
    }

    /// What cannot be looked at inside a transaction.
    func lookUp(_ request: Request, _ balancer: LoadBalancer) async throws(Fault) {
        let reserved = request.balancing.options.reservedAddresses
        guard !reserved.contains(AddressText.canonical(template.address) ?? template.address) else {
            throw .invalidOption(template.address, "member address")
        }
        if let subnet = template.subnetID {
            _ = try await VIPLookup(request).subnet(subnet)
        } else {
            try await ProviderRules(balancer, request).requirePlace(of: template, request)
        }
        guard !asksHardware else {
            throw .badRequest("The load balancer flavor does not allow SR-IOV member ports.")
        }
    }

    func insert(
        _ transaction: Transaction, id: String, _ pool: Pool, isWatched: Bool, _ balancer: LoadBalancer,
        _ request: Request
    ) throws(Fault) {
        var row = template
        row.id = id
        row.projectID = balancer.projectID
        row.loadBalancerID = balancer.id
        row.poolID = pool.id
        row.createdAt = request.now
        row.operatingStatus = isWatched ? .offline : .noMonitor
        let twins = try transaction.count(
            Member.self,
            """
            pool_id = \(pool.id) AND address = \(row.address) AND protocol_port = \(row.protocolPort) \
            AND provisioning_status <> \(ProvisioningStatus.pendingDelete)
            """)
        guard twins == 0 else {
            throw .conflict(
                "Another member on this pool is already using ip \(row.address) on protocol_port "
                    + "\(row.protocolPort)")
        }
        try ProviderRules(balancer, request).check(row, in: pool)
        try row.insert(transaction)
    }
}
