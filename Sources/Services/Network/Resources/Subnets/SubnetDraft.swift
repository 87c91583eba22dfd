// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension Subnet {
    /// A subnet as asked for. Its rule is judged on the network it is asked for.
    package struct Draft: PolicyTarget {
        let network: Network
        let projectID: String, name: String, description: String
        let ipVersion: Int
        let cidr: CIDR?
        let prefix: Int?
        let subnetpoolID: String?
        /// Nil: left to us. `.some(nil)`: none.
        let gateway: IPAddress??
        let enableDHCP: Bool
        let addressMode: IPv6Mode?
        let advertisementMode: IPv6Mode?
        let dnsServers: [String]
        let hostRoutes: [RouteSpec]
        let pools: [AllocationPool]?
        private(set) var serviceTypes: [String] = []
        private(set) var segmentID: String?
        let dnsPublishFixedIP: Bool
        let tags: [String]

        init(_ request: Request, _ body: inout Body) async throws(Fault) {
            try body.refuseReadOnly("id", "created_at", "updated_at", "revision_number")
            let networkID = try body.need("network_id", .id)
            network = try await request.database.one(
                Network.self, "id = \(networkID) AND (\(sql: request.scope(Network.self)))",
                or: Network.notFound(networkID))
            projectID = try body.takeProject(request)
            name = try body.take("name", .string()) ?? ""
            description = try body.take("description", .string()) ?? ""
            let pool = try body.option("subnetpool_id", .string())
            guard pool != "prefix_delegation" else {
                throw .badResource("subnets", "Prefix delegation is not supported: name a cidr or a subnet pool")
            }
            guard pool.map(Hex.isUUID) ?? true else {
                throw .httpBadRequest("Invalid input for subnetpool_id. Reason: '\(pool ?? "")' is not a valid UUID.")
            }
            let useDefault = try body.take("use_default_subnetpool", .truth) ?? false
            cidr = try body.option("cidr", .looseCIDR)
            prefix = try body.option("prefixlen", .whole(0...128))
            let version = try body.take("ip_version", .whole(4...6))
            guard let version = version ?? (pool == nil && !useDefault ? cidr?.version.rawValue : 4) else {
                throw .httpBadRequest("Failed to parse request. Required attribute 'ip_version' not specified")
            }
            guard version != 5 else {
                throw .httpBadRequest("Invalid input for ip_version. Reason: '5' is not in [4, 6].")
            }
            ipVersion = version
            subnetpoolID = try await SubnetPool.find(request, pool, useDefault: useDefault, version: version)
            gateway = try body.patch("gateway_ip", .address)
            enableDHCP = try body.take("enable_dhcp", .truth) ?? true
            addressMode = try Draft.mode(&body, "ipv6_address_mode")
            advertisementMode = try Draft.mode(&body, "ipv6_ra_mode")
            dnsServers = try SubnetRules.dnsServers(&body, "") ?? []
            hostRoutes = try SubnetRules.hostRoutes(&body, "") ?? []
            pools = try SubnetRules.pools(&body)
            dnsPublishFixedIP = try body.take("dns_publish_fixed_ip", .truth) ?? false
            tags = try body.takeTags()
            // Upstream has a rule for it and does not ask it.
            serviceTypes = try body.take("service_types", .strings(.string())) ?? []
            if body.peek("segment_id")?.isNull == false {
                segmentID = try body.take("segment_id", .id, rule: "create_subnet:segment_id", on: self)
            } else {
                body.ignore("segment_id")
            }
            try check()
        }

        package func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "project_id", "tenant_id": .string(projectID)
            case "network:project_id", "ext_parent:project_id": .string(network.projectID)
            default: nil
            }
        }

        private static func mode(_ body: inout Body, _ name: String) throws(Fault) -> IPv6Mode? {
            try body.option(name, .among("dhcpv6-stateful", "dhcpv6-stateless", "slaac")).flatMap {
                IPv6Mode(rawValue: $0)
            }
        }

        private func check() throws(Fault) {
            try SubnetRules.checkModes(
                ipVersion, dhcp: enableDHCP, address: addressMode, advertisement: advertisementMode)
            guard let cidr else {
                guard subnetpoolID != nil else {
                    throw .badResource("subnets", "a subnetpool must be specified in the absence of a cidr")
                }
                return
            }
            guard prefix == nil else {
                throw .badResource("subnets", "cidr and prefixlen must not be supplied together")
            }
            guard cidr.version.rawValue == ipVersion else {
                throw .invalidInput("cidr '\(cidr)' does not match the ip_version '\(ipVersion)'")
            }
            let isAutomatic = [addressMode, advertisementMode].contains { $0 == .slaac || $0 == .stateless }
            guard !isAutomatic || cidr.prefix == 64 else {
                throw .invalidInput(
                    "Invalid CIDR \(cidr) for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
                        + "requires the prefix to be /64")
            }
            guard cidr.prefix > 0 else { throw .invalidInput("0 is not allowed as CIDR prefix length") }
            if enableDHCP { try SubnetRules.checkDHCP(cidr) }
            if case .some(.some(let gateway)) = gateway { try SubnetRules.checkGateway(gateway, cidr) }
        }
    }
}

extension Subnet.Draft {
    /// A block of a pool, with everything else left to the cloud.
    init(_ network: Network, _ pool: SubnetPool, name: String) {
        self.network = network
        projectID = network.projectID
        self.name = name
        description = ""
        ipVersion = pool.ipVersion
        cidr = nil
        prefix = nil
        subnetpoolID = pool.id
        gateway = nil
        enableDHCP = true
        addressMode = nil
        advertisementMode = nil
        dnsServers = []
        hostRoutes = []
        pools = nil
        dnsPublishFixedIP = false
        tags = []
    }

    func insert(_ transaction: Transaction, _ request: Request) throws(Fault) -> Subnet {
        let options = request.network.options
        try Quotas.require("subnet", Subnet.self, project: projectID, transaction, options)
        let network = try transaction.one(
            Network.self, "id = \(network.id)", or: Network.notFound(network.id))
        try SubnetRules.checkMTU(network.mtu, of: network.id, version: ipVersion)
        let block = try SubnetPool.block(transaction, self)
        try checkOverlap(transaction, block, network)
        let gatewayIP: IPAddress? =
            switch gateway {
            case nil: block.size == 1 ? block.first : block.first.next
            case .some(let wanted): wanted
            }
        let allocation = pools ?? AllocationPools(of: block, gateway: gatewayIP).pools
        if pools != nil { try SubnetRules.checkPools(allocation, block, gatewayIP) }
        let subnet = Subnet(
            id: request.ids.uuid(), projectID: projectID, networkID: network.id, networkProjectID: network.projectID,
            name: name, description: description, ipVersion: ipVersion, cidr: block, gatewayIP: gatewayIP,
            enableDHCP: enableDHCP, ipv6AddressMode: addressMode, ipv6RAMode: advertisementMode,
            dnsServers: dnsServers, hostRoutes: hostRoutes, allocationPools: AllocationPools(allocation).pools,
            subnetpoolID: subnetpoolID, serviceTypes: serviceTypes, segmentID: segmentID,
            dnsPublishFixedIP: dnsPublishFixedIP, tags: tags,
            createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
        try Subnet.checkPlace(segmentID, of: network.id, transaction)
        try transaction.insert(subnet)
        if !tags.isEmpty { try Tag.set(transaction, subnet.id, tags) }
        try MetadataPorts.refresh(transaction, network: network.id, request)
        if subnet.isAutomatic { try subnet.joinPorts(transaction, request) }
        try Network.bump(transaction, network.id, at: request.now)
        try transaction.touch(.network, network.id, request)
        return subnet
    }

    private func checkOverlap(_ transaction: Transaction, _ block: CIDR, _ network: Network) throws(Fault) {
        for other in try transaction.all(Subnet.self, "network_id = \(network.id)") where other.cidr.overlaps(block) {
            throw .invalidInput(
                "Requested subnet with cidr: \(block) for network: \(network.id) overlaps with another subnet")
        }
    }
}

extension Subnet {
    /// Ports that are there already make themselves an address in an automatic subnet, too.
    fileprivate func joinPorts(_ transaction: Transaction, _ request: Request) throws(Fault) {
        for var port in try transaction.all(Port.self, "network_id = \(networkID)")
        where !DeviceOwner.isOwn(port.deviceOwner) {
            guard let address = port.macAddress.eui64(in: cidr) else { continue }
            try transaction.insert(HeldAddress(subnetID: id, address: address.description, portID: port.id))
            port.fixedIPs.entries.append(FixedIPs.Entry(subnetID: id, address: address))
            port.revisionNumber += 1
            try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            try transaction.touch(.port, port.id, request)
        }
    }
}
