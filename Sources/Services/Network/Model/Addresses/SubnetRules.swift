// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What makes a subnet's members sound, worded as upstream words it.
enum SubnetRules {
    static func dnsServers(_ body: inout Body, _ id: String) throws(Fault) -> [String]? {
        guard body.has("dns_nameservers") else { return nil }
        let servers = try body.option("dns_nameservers", .strings(.string())) ?? []
        for server in servers where IPAddress(server) == nil {
            throw .httpBadRequest(
                "Invalid input for dns_nameservers. Reason: '\(server)' is not a valid nameserver. "
                    + "'\(server)' is not a valid IP address.")
        }
        guard servers.count <= 5 else {
            throw .neutron(
                400, "DNSNameServersExhausted",
                "Unable to complete operation for \(id). The number of DNS nameservers exceeds the limit 5.")
        }
        return servers
    }

    static func hostRoutes(_ body: inout Body, _ id: String) throws(Fault) -> [RouteSpec]? {
        guard let routes = try routes(&body, "host_routes") else { return nil }
        guard routes.count <= 20 else {
            throw .neutron(
                400, "HostRoutesExhausted",
                "Unable to complete operation for \(id). The number of host routes exceeds the limit 20.")
        }
        return routes
    }

    /// A list of `{"destination", "nexthop"}`, also a router's `routes`.
    static func routes(_ body: inout Body, _ member: String) throws(Fault) -> [RouteSpec]? {
        guard body.peek(member)?.isNull != true else {
            body.ignore(member)
            return []
        }
        guard let entries = try body.takeObjects(member) else { return nil }
        var routes: [RouteSpec] = []
        for var entry in entries {
            let route = RouteSpec(
                destination: try entry.need("destination", .route), nextHop: try entry.need("nexthop", .address))
            try entry.end()
            guard route.destination.version == route.nextHop.version else {
                throw .httpBadRequest(
                    "Invalid input for \(member). Reason: destination and nexthop are of two address families.")
            }
            guard !routes.contains(route) else {
                throw .httpBadRequest(
                    "Invalid input for \(member). Reason: Duplicate hostroute '\(route.destination)'.")
            }
            routes.append(route)
        }
        return routes
    }

    static func pools(_ body: inout Body) throws(Fault) -> [AllocationPool]? {
        guard body.peek("allocation_pools")?.isNull != true else {
            body.ignore("allocation_pools")
            return nil
        }
        guard let entries = try body.takeObjects("allocation_pools") else { return nil }
        var pools: [AllocationPool] = []
        for var entry in entries {
            let start = try entry.need("start", .address)
            let end = try entry.need("end", .address)
            try entry.end()
            guard let pool = AllocationPool(start: start, end: end) else {
                throw .neutron(
                    400, "InvalidAllocationPool", "The allocation pool \(start)-\(end) is not valid.")
            }
            pools.append(pool)
        }
        return pools
    }

    static func checkPools(_ pools: [AllocationPool], _ cidr: CIDR, _ gateway: IPAddress?) throws(Fault) {
        switch AllocationPools(pools).problem(in: cidr, gateway: gateway) {
        case nil: return
        case .family(let pool):
            throw .neutron(
                400, "InvalidAllocationPool", "The allocation pool \(pool.start)-\(pool.end) is not valid.")
        case .outside(let pool, let cidr):
            throw .neutron(
                400, "OutOfBoundsAllocationPool",
                "The allocation pool \(pool.start)-\(pool.end) spans beyond the subnet cidr \(cidr).")
        case .overlap(let one, let other):
            throw .neutron(
                409, "OverlappingAllocationPools",
                "Found overlapping allocation pools: \(one.start)-\(one.end) \(other.start)-\(other.end) for subnet "
                    + "\(cidr).")
        case .gateway(let pool, let gateway):
            throw .neutron(
                409, "GatewayConflictWithAllocationPools",
                "Gateway ip \(gateway) conflicts with allocation pool \(pool.start)-\(pool.end).")
        }
    }

    static func checkGateway(_ gateway: IPAddress, _ cidr: CIDR) throws(Fault) {
        guard gateway.version == cidr.version else {
            throw .invalidInput(
                "gateway_ip '\(gateway)' does not match the ip_version '\(cidr.version.rawValue)'")
        }
        let isSpecial =
            cidr.contains(gateway) && cidr.prefix < cidr.version.bits - 1
            && (gateway == cidr.broadcast || (gateway == cidr.network && cidr.version == .v4))
        guard !isSpecial else { throw .invalidInput("Gateway is not valid on subnet") }
    }

    static func checkDHCP(_ cidr: CIDR) throws(Fault) {
        guard cidr.prefix <= (cidr.version == .v4 ? 30 : 126) else {
            throw .invalidInput("Subnet has a prefix length that is incompatible with DHCP service enabled")
        }
        guard !cidr.network.isMulticast else {
            throw .invalidInput("Multicast IP subnet is not supported if enable_dhcp is True")
        }
        guard !cidr.network.isLoopback else {
            throw .invalidInput("Loopback IP subnet is not supported if enable_dhcp is True")
        }
        guard cidr.version == .v6 || !cidr.network.isUnspecified else {
            throw .invalidInput("First IP '0.0.0.0' of network is not supported if enable_dhcp is True.")
        }
    }

    /// IPv4 needs packets of 68 bytes (RFC 791), IPv6 of 1280 (RFC 8200).
    static func checkMTU(_ mtu: Int, of network: String, version: Int) throws(Fault) {
        let minimum = version == 4 ? 68 : 1280
        guard mtu < minimum, mtu > 0 else { return }
        throw .neutron(
            409, "NetworkMTUSubnetConflict",
            "MTU of \(network) is not valid, subnet requires a minimum of \(minimum) bytes.")
    }

    /// The two IPv6 modes only go with IPv6 and DHCP, and with each other when both are given.
    static func checkModes(_ version: Int, dhcp: Bool, address: IPv6Mode?, advertisement: IPv6Mode?) throws(Fault) {
        guard address != nil || advertisement != nil else { return }
        guard version == 6 else {
            throw .invalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when ip_version is set to 4")
        }
        guard dhcp else {
            throw .invalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
        }
        if let address, let advertisement, address != advertisement {
            throw .invalidInput(
                "ipv6_ra_mode set to '\(advertisement.rawValue)' with ipv6_address_mode set to '\(address.rawValue)' "
                    + "is not valid. If both attributes are set, they must be the same value")
        }
    }
}
