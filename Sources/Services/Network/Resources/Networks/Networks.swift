// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A layer 2 segment that ports are plugged into.
package struct Network: SharedNoun {
    package static let table = "network_networks"
    package static let noun = "network"
    package static let plural = "networks"

    package let id: String, projectID: String
    var name: String
    package var description: String
    var adminStateUp: Bool
    var status: String
    /// Seen and used by every project.
    package var shared: Bool
    /// Leads out of the cloud: routers have their gateways here.
    var external: Bool
    var isDefault: Bool
    var portSecurityEnabled: Bool
    var mtu: Int
    var networkType: String
    var physicalNetwork: String?
    var segmentationID: Int?
    /// Whether frames keep the tags that guests put on them.
    var vlanTransparent: Bool?
    var qinq: Bool?
    /// Whether ports have places that say who hears whom.
    var pvlan: Bool
    var dnsDomain: String
    var zoneHints: [String]
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable {
        let subnets: [String: [String]]
        let scopes: [String: (v4: String?, v6: String?)]
        let provider: (type: Bool, physical: Bool, id: Bool)
        let zone: String
        let policies: [String: String]
        /// The segments of networks that have several.
        let segments: [String: [Segment]]
    }
}

extension Network: Resource {
    package static let routes: [Route] =
        [
            .get(
                "/networks", "List networks", of: OwnScope.from,
                allow: .anyone("list_networks"), index),
            .post(
                "/networks", "Create networks", of: drafts,
                allow: .rule("create_network", NetworkRules.adminOrMember), create),
            .get(
                "/networks/{id}", "Show network", of: visible,
                allow: .rule("get_network", NetworkRules.getNetwork), show),
            .put(
                "/networks/{id}", "Update network", of: visible,
                allow: .rule("update_network", NetworkRules.adminOrMember), update),
            .delete(
                "/networks/{id}", "Delete network", of: visible,
                allow: .rule("delete_network", NetworkRules.adminOrMember), delete),
        ] + tagRoutes(read: NetworkRules.getNetworkTags, write: NetworkRules.adminOrMember)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network networks
        CREATE TABLE network_networks (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, admin_state_up INTEGER NOT NULL, status VARCHAR(16) NOT NULL,
            shared INTEGER NOT NULL, external INTEGER NOT NULL, is_default INTEGER NOT NULL,
            port_security_enabled INTEGER NOT NULL, mtu INTEGER NOT NULL, network_type VARCHAR(32) NOT NULL,
            physical_network VARCHAR(64), segmentation_id INTEGER, dns_domain VARCHAR(255) NOT NULL,
            zone_hints TEXT NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL);
        CREATE INDEX network_networks_by_project ON network_networks (project_id);
        CREATE TABLE network_segments (
            network_type VARCHAR(32) NOT NULL, physical_network VARCHAR(64) NOT NULL, segmentation_id INTEGER NOT NULL,
            network_id VARCHAR(36) NOT NULL, PRIMARY KEY (network_type, physical_network, segmentation_id))
        """,
        """
        2026-11-29 network tags of guests
        ALTER TABLE network_networks ADD COLUMN vlan_transparent INTEGER;
        ALTER TABLE network_networks ADD COLUMN qinq INTEGER
        """,
        """
        2026-11-30 network private networks
        ALTER TABLE network_networks ADD COLUMN pvlan INTEGER NOT NULL DEFAULT 0
        """,
    ]

    package static let filters = Filter.standard([
        .text("name"), .truth("admin_state_up"), .text("status"), .truth("router:external", "external"),
        .truth("is_default"), .truth("port_security_enabled"), .number("mtu"),
        .text("provider:network_type", "network_type"), .text("provider:physical_network", "physical_network"),
        .number("provider:segmentation_id", "segmentation_id"), .text("dns_domain"),
        .lent("network"), .truth("pvlan"),
        .other("subnets") { "id IN (SELECT network_id FROM network_subnets WHERE id IN \($0))" },
    ])

    package static func scope(_ project: String) -> SQL {
        """
        project_id = \(project) OR \
        id IN (\(sql: RBACPolicy.granted("network", to: project)))
        """
    }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "NetworkNotFound", "Network \(id) could not be found.")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "network:project_id", "ext_parent:project_id": .string(projectID)
        case "router:external": .bool(external)
        default: sharedAttribute(name)
        }
    }
}

// MARK: - Handlers

extension Network {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in try Draft(request, &body) }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in try draft.insert(transaction, request) }
        }
        return try await reply(request, made: made)
    }

    static func update(_ request: Request, _ found: Network) async throws(Fault) -> Reply {
        let allocations = try await PortAllocation.all(request, found)
        var taken: [PortAllocation] = []
        do throws(Fault) {
            for allocation in allocations {
                try await allocation.take()
                taken.append(allocation)
            }
            let network = try await change(request, found.id) { transaction, network throws(Fault) in
                var body = try request.body("network")
                try network.apply(&body, request, transaction)
                try body.end()
                for allocation in allocations { try allocation.note(transaction) }
                try transaction.touch(.network, network.id, request)
            }
            return try await network.reply(request)
        } catch {
            for allocation in taken { await allocation.giveBack() }
            throw error
        }
    }

    private mutating func apply(_ body: inout Body, _ request: Request, _ transaction: Transaction) throws(Fault) {
        name = try body.take("name", .string()) ?? name
        description = try body.take("description", .string()) ?? description
        adminStateUp = try body.take("admin_state_up", .truth) ?? adminStateUp
        if let asked = try body.take("mtu", .whole(0...65_535)) {
            try request.network.options.check(mtu: asked, of: networkType)
            for subnet in try transaction.all(Subnet.self, "network_id = \(id)") {
                try SubnetRules.checkMTU(asked, of: id, version: subnet.ipVersion)
            }
            mtu = asked
        }
        dnsDomain = try body.take("dns_domain", .dnsDomain) ?? dnsDomain
        let wasShared = shared
        shared = try body.take("shared", .truth, rule: "update_network:shared", on: self) ?? shared
        if wasShared, !shared { try checkUnsharing(transaction) }
        let wasExternal = external
        external =
            try body.take("router:external", .truth, rule: "update_network:router:external", on: self) ?? external
        if wasExternal, !external,
            try transaction.count(Port.self, "network_id = \(id) AND device_owner = \(DeviceOwner.routerGateway)") > 0
        {
            throw .neutron(
                409, "ExternalNetworkInUse",
                "External network \(id) cannot be updated to be made non-external, since it has existing gateway ports."
            )
        }
        try publish(wasShared: wasShared, wasExternal: wasExternal, request, transaction)
        isDefault = try body.take("is_default", .truth, rule: "update_network:is_default", on: self) ?? isDefault
        portSecurityEnabled =
            try body.take("port_security_enabled", .truth, rule: "update_network:port_security_enabled", on: self)
            ?? portSecurityEnabled
        if let asked = try body.take("pvlan", .truth, rule: "update_network:pvlan", on: self) {
            try makePrivate(asked, transaction, request)
        }
        for name in ["provider:network_type", "provider:physical_network", "provider:segmentation_id"] {
            guard try body.take(name, .any, rule: "update_network:\(name)", on: self) != nil else { continue }
            throw .invalidInput("Plugin does not support updating provider attributes")
        }
        try QoSBinding.set(transaction, "network", id, to: try body.patch("qos_policy_id", .id), request)
    }

    /// Writes the policies that `shared` and `router:external` stand for.
    private func publish(
        wasShared: Bool, wasExternal: Bool, _ request: Request, _ transaction: Transaction
    ) throws(Fault) {
        for (action, was, now) in [
            ("access_as_shared", wasShared, shared), ("access_as_external", wasExternal, external),
        ] where was != now {
            if now {
                try RBACPolicy.open(transaction, "network", id, action, project: projectID, request)
            } else {
                try RBACPolicy.close(transaction, id, action)
            }
        }
    }

    /// A network stays shared while others than its owner have ports on it.
    private func checkUnsharing(_ transaction: Transaction) throws(Fault) {
        let others = try transaction.count(
            Port.self,
            """
            network_id = \(id) AND project_id <> \(projectID) AND project_id <> '' \
            AND device_owner NOT LIKE 'network:%'
            """)
        guard others == 0 else {
            throw .neutron(
                409, "InvalidSharedSetting",
                "Unable to reconfigure sharing settings for network \(id). Multiple projects are using it.")
        }
    }

    static func delete(_ request: Request, _ network: Network) async throws(Fault) -> Reply {
        let id = network.id
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let network = try transaction.one(Network.self, "id = \(id)", or: notFound(id))
            try network.checkConstraint(expected)
            try network.remove(transaction, request)
        }
        return .empty
    }

    /// Takes it away with what is its own; ports of others keep it.
    func remove(_ transaction: Transaction, _ request: Request) throws(Fault) {
        try FloatingIP.removeUnused(transaction, of: id, request)
        let ports = try transaction.all(Port.self, "network_id = \(id)")
        guard ports.allSatisfy({ DeviceOwner.goesWithNetwork.contains($0.deviceOwner) }) else {
            let left = ports.filter { !DeviceOwner.goesWithNetwork.contains($0.deviceOwner) }.map(\.id)
            throw .neutron(
                409, "NetworkInUse",
                "Unable to complete operation on network \(id). There are one or more ports still in use on the "
                    + "network, id for these ports is: \(left.joined(separator: ",")).")
        }
        for port in ports { try port.remove(transaction, request) }
        for subnet in try transaction.all(Subnet.self, "network_id = \(id)") {
            try Tag.set(transaction, subnet.id, [])
        }
        try transaction.delete(Subnet.self, "network_id = \(id)")
        try transaction.execute("DELETE FROM network_segments WHERE network_id = \(id)")
        try Segment.forget(transaction, network: id)
        try RBACPolicy.forget(transaction, "network", id)
        try QoSBinding.forget(transaction, id)
        try Tag.set(transaction, id, [])
        try transaction.delete(Network.self, "id = \(id)", or: Network.notFound(id))
        try transaction.touch(.network, id, request)
    }
}

// MARK: - Wire

extension Network {
    package static func extra(_ request: Request, _ rows: [Network]) async throws(Fault) -> Extra {
        let subnets = try await request.database.all(Subnet.self, "network_id", in: rows.map(\.id))
        let pools = try await SubnetPool.scopes(request.database, subnets.compactMap(\.subnetpoolID))
        var ids: [String: [String]] = [:]
        var scopes: [String: (v4: String?, v6: String?)] = [:]
        for subnet in subnets {
            ids[subnet.networkID, default: []].append(subnet.id)
            guard let pool = subnet.subnetpoolID, let scope = pools[pool] else { continue }
            if subnet.ipVersion == 4 {
                scopes[subnet.networkID, default: (nil, nil)].v4 = scope
            } else {
                scopes[subnet.networkID, default: (nil, nil)].v6 = scope
            }
        }
        func sees(_ name: String) -> Bool {
            rows.first.map { request.may("get_network:provider:\(name)", on: $0) } ?? false
        }
        return Extra(
            subnets: ids, scopes: scopes,
            provider: (sees("network_type"), sees("physical_network"), sees("segmentation_id")),
            zone: request.network.options.zone,
            policies: try await QoSBinding.policies(request.database, of: rows.map(\.id)),
            segments: try await Segment.several(request.database, rows.map(\.id)))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("admin_state_up", adminStateUp)
        view.put("status", status)
        view.put("subnets", extra.subnets[id] ?? [])
        view.put("shared", shared)
        view.put("router:external", external)
        if external { view.put("is_default", isDefault) }
        view.put("mtu", mtu)
        view.put("port_security_enabled", portSecurityEnabled)
        view.put("dns_domain", dnsDomain)
        view.put("qos_policy_id", extra.policies[id])
        view.put("availability_zone_hints", zoneHints)
        view.put("availability_zones", [extra.zone])
        view.put("pvlan", pvlan)
        view.put("ipv4_address_scope", extra.scopes[id]?.v4)
        view.put("ipv6_address_scope", extra.scopes[id]?.v6)
        view.put("vlan_transparent", vlanTransparent)
        view.put("qinq", qinq)
        view.put("l2_adjacency", extra.segments[id] == nil)
        if let segments = extra.segments[id] {
            if extra.provider.type { view.list("segments", segments) { $1.writeProvider(&$0) } }
            return writeStandard(&view)
        }
        if extra.provider.type { view.put("provider:network_type", networkType) }
        if extra.provider.physical { view.put("provider:physical_network", physicalNetwork) }
        if extra.provider.id { view.put("provider:segmentation_id", segmentationID) }
        writeStandard(&view)
    }
}
