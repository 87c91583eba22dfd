// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Where a balancer's address is to be, as asked for.
struct VIPDraft: Sendable {
    private let address: String?, portID: String?, subnetID: String?, networkID: String?, qosPolicyID: String?
    private let additional: [AdditionalVIP]
    let securityGroups: [String]
    let namesGroups: Bool

    init(_ body: inout Body) throws(Fault) {
        address = try body.option("vip_address", .ip)
        portID = try body.option("vip_port_id", .id)
        subnetID = try body.option("vip_subnet_id", .id)
        networkID = try body.option("vip_network_id", .id)
        qosPolicyID = try body.option("vip_qos_policy_id", .id)
        namesGroups = body.has("vip_sg_ids")
        securityGroups = try body.option("vip_sg_ids", .several(.id)) ?? []
        if body.peek("additional_vips")?.isNull == true { body.ignore("additional_vips") }
        additional = try (body.takeObjects("additional_vips") ?? []).mapping { item throws(Fault) in
            var item = item
            let vip = AdditionalVIP(
                subnetID: try item.need("subnet_id", .id), address: try item.option("ip_address", .ip),
                portID: try item.option("port_id", .id))
            try item.finish("load_balancer.loadbalancer.additional_vips")
            return vip
        }
    }

    /// Where it will be, once Network was asked in the caller's name what the draft names.
    struct Place: Sendable {
        var networkID = "", subnetID = ""
        var address: String?, portID: String?, qosPolicyID: String?
        var additional: [AdditionalVIP] = []
    }

    func place(_ request: Request) async throws(Fault) -> Place {
        let lookup = VIPLookup(request)
        var place = Place(address: address, portID: portID, qosPolicyID: qosPolicyID, additional: additional)
        if let portID {
            try await fromPort(portID, lookup, &place)
        } else if let networkID {
            try await fromNetwork(networkID, lookup, &place)
        } else if let subnetID {
            place.subnetID = subnetID
            place.networkID = try await lookup.subnet(subnetID).networkID
        } else {
            throw .badRequest(
                "Validation failure: VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id.")
        }
        if let policy = place.qosPolicyID, qosPolicyID != nil {
            try await lookup.requireQuality()
            try await lookup.quality(policy)
        }
        try await checkSubnets(place, lookup)
        for group in securityGroups { try await lookup.securityGroup(group) }
        return place
    }

    private func fromPort(_ id: String, _ lookup: VIPLookup, _ place: inout Place) async throws(Fault) {
        let port = try await lookup.port(id)
        guard port.device.isEmpty else {
            throw .validation("Port \(id) is already used by device \(port.device) ")
        }
        place.networkID = port.networkID
        if qosPolicyID == nil { place.qosPolicyID = port.qosPolicyID }
        if let subnetID {
            _ = try await lookup.subnet(subnetID)
            guard let found = port.addresses.first(where: { $0.subnetID == subnetID }) else {
                throw .validation("No VIP address found on the specified VIP port within the specified subnet.")
            }
            (place.subnetID, place.address) = (subnetID, found.address)
        } else if let address {
            let wanted = AddressText.canonical(address)
            guard let found = port.addresses.first(where: { AddressText.canonical($0.address) == wanted }) else {
                throw .validation("Specified VIP address not found on the specified VIP port.")
            }
            place.subnetID = found.subnetID
        } else if port.addresses.count == 1 {
            (place.subnetID, place.address) = (port.addresses[0].subnetID, port.addresses[0].address)
        } else {
            throw .validation(
                "VIP port's subnet could not be determined. Please specify either a VIP subnet or address.")
        }
    }

    private func fromNetwork(_ id: String, _ lookup: VIPLookup, _ place: inout Place) async throws(Fault) {
        let subnets = try await lookup.network(id)
        place.networkID = id
        if let subnetID {
            guard subnets.contains(subnetID) else { throw .subresource("Subnet", subnetID) }
            place.subnetID = subnetID
        } else if let address {
            for candidate in subnets where AddressText.isInside(address, try await lookup.subnet(candidate).cidr) {
                place.subnetID = candidate
                break
            }
            guard !place.subnetID.isEmpty else {
                throw .validation("Supplied network does not contain a subnet for VIP address specified.")
            }
        } else {
            guard let first = subnets.first else { throw .validation("Supplied network does not contain a subnet.") }
            place.subnetID = first
            for candidate in subnets where try await lookup.subnet(candidate).isFour {
                place.subnetID = candidate
                break
            }
        }
    }

    private func checkSubnets(_ place: Place, _ lookup: VIPLookup) async throws(Fault) {
        let subnets = [place.subnetID] + additional.map(\.subnetID)
        guard Set(subnets).count == subnets.count else {
            throw .validation("Duplicate VIP subnet(s) specified. Only one IP can be bound per subnet.")
        }
        for subnet in additional.map(\.subnetID) where try await lookup.subnet(subnet).networkID != place.networkID {
            throw .validation("All VIP subnets must belong to the same network.")
        }
    }
}

/// Asks Network, in the caller's name, for what a request names: what the caller may not see is not there.
struct VIPLookup: Sendable {
    private let client: NetworkClient
    private let requestID: String

    init(_ request: Request) {
        client = request.balancing.network.acting(as: request.caller)
        requestID = request.id
    }

    struct Subnet: Sendable {
        let networkID: String, cidr: String, isFour: Bool
    }
    struct Port: Sendable {
        let networkID: String, device: String, qosPolicyID: String?
        let addresses: [(subnetID: String, address: String)]
    }

    func subnet(_ id: String) async throws(Fault) -> Subnet {
        let found = try await get("/subnets/\(id)", "subnet", "Subnet", id)
        return Subnet(
            networkID: found["network_id"]?.string ?? "", cidr: found["cidr"]?.string ?? "",
            isFour: found["ip_version"]?.integer == 4)
    }

    /// The ids of its subnets.
    func network(_ id: String) async throws(Fault) -> [String] {
        try await get("/networks/\(id)", "network", "Network", id)["subnets"]?.array?.compactMap(\.string) ?? []
    }

    func port(_ id: String) async throws(Fault) -> Port {
        let found = try await get("/ports/\(id)", "port", "Port", id)
        return Port(
            networkID: found["network_id"]?.string ?? "", device: found["device_id"]?.string ?? "",
            qosPolicyID: found["qos_policy_id"]?.string,
            addresses: (found["fixed_ips"]?.array ?? []).map {
                ($0["subnet_id"]?.string ?? "", $0["ip_address"]?.string ?? "")
            })
    }

    func securityGroup(_ id: String) async throws(Fault) {
        _ = try await get("/security-groups/\(id)", "security_group", "Security Group", id)
    }

    func quality(_ id: String) async throws(Fault) {
        _ = try await get("/qos/policies/\(id)", "policy", "qos_policy", id)
    }

    func requireQuality() async throws(Fault) {
        do throws(Fault) {
            _ = try await client.document("GET", "/extensions/qos", nil, requestID: requestID)
        } catch {
            guard error.status == 404 else { throw error }
            throw .validation("VIP QoS policy is not allowed in this deployment.")
        }
    }

    private func get(
        _ path: String, _ noun: String, _ resource: String, _ id: String
    ) async throws(Fault) -> JSON {
        do throws(Fault) {
            return try await client.document("GET", path, nil, requestID: requestID)[noun] ?? .null
        } catch {
            guard error.status < 500 else { throw error }
            throw .subresource(resource, id)
        }
    }
}
