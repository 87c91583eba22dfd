// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A block of addresses of one network, and what its ports are told about it.
package struct Subnet: Noun {
    package static let table = "network_subnets"
    package static let noun = "subnet"
    package static let plural = "subnets"

    package let id: String, projectID: String, networkID: String
    /// Whose the network is; it never changes, so it is kept here for the rules.
    let networkProjectID: String
    var name: String
    package var description: String
    let ipVersion: Int
    let cidr: CIDR
    var gatewayIP: IPAddress?
    var enableDHCP: Bool
    let ipv6AddressMode: IPv6Mode?
    let ipv6RAMode: IPv6Mode?
    var dnsServers: [String]
    var hostRoutes: [RouteSpec]
    var allocationPools: [AllocationPool]
    var subnetpoolID: String?
    var serviceTypes: [String]
    /// The segment of a routed network that its addresses are reached on.
    var segmentID: String?
    var dnsPublishFixedIP: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable {
        /// Which networks are external, by id.
        let external: Set<String>
        let seesSegment: Bool
    }

    var pools: AllocationPools { AllocationPools(allocationPools) }

    /// Ports make their own address from their MAC address here (SLAAC, or DHCPv6 for the rest only).
    var isAutomatic: Bool {
        guard ipVersion == 6 else { return false }
        return ipv6AddressMode == .slaac || ipv6AddressMode == .stateless
            || (ipv6AddressMode == nil && (ipv6RAMode == .slaac || ipv6RAMode == .stateless))
    }

    /// Whether a port may have the address: not the network's own, nor the one for all.
    func admits(_ address: IPAddress) -> Bool {
        guard cidr.prefix < cidr.version.bits - 1 else { return true }
        return address != cidr.network && address != cidr.broadcast
    }
}

extension Subnet: Resource {
    package static let routes: [Route] =
        [
            .get(
                "/subnets", "List subnets", of: OwnScope.from,
                allow: .anyone("list_subnets"), index),
            .post(
                "/subnets", "Create subnets", of: drafts,
                allow: .rule("create_subnet", NetworkRules.adminOrNetworkMember), create),
            .get(
                "/subnets/{id}", "Show subnet", of: placed, allow: .rule("get_subnet", NetworkRules.getSubnet), show),
            .put(
                "/subnets/{id}", "Update subnet", of: placed, allow: .rule("update_subnet", NetworkRules.ownSubnet),
                update),
            .delete(
                "/subnets/{id}", "Delete subnet", of: placed, allow: .rule("delete_subnet", NetworkRules.ownSubnet),
                delete),
        ] + tagRoutes(read: NetworkRules.getSubnet, write: NetworkRules.ownSubnet)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network subnets
        CREATE TABLE network_subnets (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, network_id VARCHAR(36) NOT NULL,
            network_project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL,
            ip_version INTEGER NOT NULL, cidr VARCHAR(64) NOT NULL, gateway_ip VARCHAR(45),
            enable_dhcp INTEGER NOT NULL, ipv6_address_mode VARCHAR(16), ipv6_ra_mode VARCHAR(16),
            dns_servers TEXT NOT NULL, host_routes TEXT NOT NULL, allocation_pools TEXT NOT NULL,
            subnetpool_id VARCHAR(36), service_types TEXT NOT NULL, dns_publish_fixed_ip INTEGER NOT NULL,
            tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL);
        CREATE INDEX network_subnets_by_network ON network_subnets (network_id);
        CREATE INDEX network_subnets_by_project ON network_subnets (project_id)
        """,
        """
        2026-11-29 network subnets on segments
        ALTER TABLE network_subnets ADD COLUMN segment_id VARCHAR(36)
        """,
    ]

    package static let filters = Filter.standard([
        .text("name"), .text("network_id"), .number("ip_version"), .text("cidr"), .text("gateway_ip"),
        .truth("enable_dhcp"), .text("ipv6_address_mode"), .text("ipv6_ra_mode"), .text("subnetpool_id"),
        .truth("dns_publish_fixed_ip"),
        .text("segment_id"),
        .other("router:external") { onNetwork("external", $0) },
        .other("shared") { onNetwork("shared", $0) },
    ])

    /// Those whose network is marked so.
    private static func onNetwork(_ mark: String, _ values: [String]) -> SQL {
        let wanted = values.compactMap { Format<Bool>.truth($0) }
        return "network_id IN (SELECT id FROM network_networks WHERE \(raw: mark) IN \(wanted))"
    }

    package static func scope(_ project: String) -> SQL {
        """
        project_id = \(project) OR network_id IN (SELECT id FROM network_networks WHERE \
        \(sql: Network.scope(project)))
        """
    }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "SubnetNotFound", "Subnet \(id) could not be found.")
    }

    /// A subnet that the caller's scope holds is on a network that is theirs or shared: what makes it visible.
    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": .string(projectID)
        case "network:project_id", "ext_parent:project_id": .string(networkProjectID)
        case "shared", "router:external": true
        default: nil
        }
    }
}

// MARK: - Handlers

extension Subnet {
    static func placed(_ request: Request) async throws(Fault) -> Subnet { try await visible(request) }

    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in try await Draft(request, &body) }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in try draft.insert(transaction, request) }
        }
        return try await reply(request, made: made)
    }

    static func update(_ request: Request, _ found: Subnet) async throws(Fault) -> Reply {
        let subnet = try await change(request, found.id) { transaction, subnet throws(Fault) in
            var body = try request.body("subnet")
            try subnet.apply(&body, request, transaction)
            try body.end()
            try Network.bump(transaction, subnet.networkID, at: request.now)
            try transaction.touch(.network, subnet.networkID, request)
            // The metadata port is served by what this subnet now says of DHCP.
            let later = subnet
            try transaction.replace(later, where: "id = \(later.id)", or: notFound(later.id))
            try MetadataPorts.refresh(transaction, network: later.networkID, request)
        }
        return try await subnet.reply(request)
    }

    private mutating func apply(_ body: inout Body, _ request: Request, _ transaction: Transaction) throws(Fault) {
        name = try body.take("name", .string()) ?? name
        description = try body.take("description", .string()) ?? description
        let wasServed = enableDHCP
        enableDHCP = try body.take("enable_dhcp", .truth) ?? enableDHCP
        if enableDHCP, !wasServed { try SubnetRules.checkDHCP(cidr) }
        dnsServers = try SubnetRules.dnsServers(&body, id) ?? dnsServers
        hostRoutes = try SubnetRules.hostRoutes(&body, id) ?? hostRoutes
        let gateway = try body.patch("gateway_ip", .address)
        let pools = try SubnetRules.pools(&body)
        serviceTypes = try body.take("service_types", .strings(.string())) ?? serviceTypes
        dnsPublishFixedIP = try body.take("dns_publish_fixed_ip", .truth) ?? dnsPublishFixedIP
        if body.has("segment_id") {
            guard request.may("update_subnet:segment_id", on: self) else {
                throw request.index.envelope.refusal("update_subnet:segment_id")
            }
            try place(on: try body.option("segment_id", .id), transaction)
        }
        for name in ["cidr", "ip_version", "network_id", "ipv6_ra_mode", "ipv6_address_mode", "subnetpool_id"]
        where body.peek(name) != nil {
            throw .httpBadRequest("Cannot update read-only attribute \(name)")
        }
        if let gateway, gateway != gatewayIP {
            try checkGatewayIsFree(transaction)
            gatewayIP = gateway
            if let gateway { try SubnetRules.checkGateway(gateway, cidr) }
        }
        if let pools { allocationPools = pools }
        if pools != nil || gateway != nil { try SubnetRules.checkPools(allocationPools, cidr, gatewayIP) }
    }

    /// A gateway that is a router's interface cannot be moved away from it.
    private func checkGatewayIsFree(_ transaction: Transaction) throws(Fault) {
        guard let gatewayIP else { return }
        let holder = try transaction.first(
            HeldAddress.self, "subnet_id = \(id) AND address = \(gatewayIP.description)")
        guard let holder,
            let port = try transaction.first(Port.self, "id = \(holder.portID)"),
            port.deviceOwner == DeviceOwner.routerInterface
        else { return }
        throw .neutron(
            409, "GatewayIpInUse",
            "Current gateway ip \(gatewayIP) already in use by port \(port.id). Unable to update.")
    }

    static func delete(_ request: Request, _ found: Subnet) async throws(Fault) -> Reply {
        let id = found.id
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let subnet = try transaction.one(Subnet.self, "id = \(id)", or: notFound(id))
            try subnet.checkConstraint(expected)
            let holders = try transaction.all(HeldAddress.self, "subnet_id = \(id)")
            for port in try transaction.all(Port.self, "id", in: holders.map(\.portID)) {
                let leaves = DeviceOwner.goesWithNetwork.contains(port.deviceOwner)
                guard leaves || (subnet.isAutomatic && !DeviceOwner.isRouter(port.deviceOwner)) else {
                    throw .neutron(
                        409, "SubnetInUse",
                        "Unable to complete operation on subnet \(id): One or more ports have an IP allocation from "
                            + "this subnet.")
                }
                try port.drop(subnet: id, transaction, request)
            }
            try Tag.set(transaction, id, [])
            try transaction.delete(Subnet.self, "id = \(id)", or: notFound(id))
            try Network.bump(transaction, subnet.networkID, at: request.now)
            try transaction.touch(.network, subnet.networkID, request)
        }
        return .empty
    }
}

// MARK: - Wire

extension Subnet {
    package static func extra(_ request: Request, _ rows: [Subnet]) async throws(Fault) -> Extra {
        let networks = try await request.database.all(
            Network.self, "id", in: Array(Set(rows.map(\.networkID))), and: "external = 1")
        return Extra(
            external: Set(networks.map(\.id)),
            seesSegment: rows.first.map { request.may("get_subnet:segment_id", on: $0) } ?? false)
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("network_id", networkID)
        view.put("ip_version", ipVersion)
        view.put("subnetpool_id", subnetpoolID)
        view.put("enable_dhcp", enableDHCP)
        view.put("ipv6_ra_mode", ipv6RAMode?.rawValue)
        view.put("ipv6_address_mode", ipv6AddressMode?.rawValue)
        view.put("gateway_ip", gatewayIP?.description)
        view.put("cidr", cidr.description)
        view.list("allocation_pools", allocationPools) {
            $0.put("start", $1.start.description)
            $0.put("end", $1.end.description)
        }
        view.list("host_routes", hostRoutes) {
            $0.put("destination", $1.destination.description)
            $0.put("nexthop", $1.nextHop.description)
        }
        view.put("dns_nameservers", dnsServers)
        view.put("service_types", serviceTypes)
        view.put("dns_publish_fixed_ip", dnsPublishFixedIP)
        view.put("router:external", extra.external.contains(networkID))
        if extra.seesSegment { view.put("segment_id", segmentID) }
        writeStandard(&view)
    }
}
