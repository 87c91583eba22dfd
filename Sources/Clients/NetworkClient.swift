// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Network's API as other rooms use it.
package struct NetworkClient: Sendable {
    private let client: ServiceClient
    private let transport: any Transport

    package init(over transport: any Transport, as caller: Caller) {
        self.transport = transport
        client = ServiceClient("network", base: "/v2.0", over: transport, as: caller)
    }

    package struct Network: Sendable {
        package let id: String
        package let name: String
        package let projectID: String
        package let isExternal: Bool
        package let isShared: Bool
        package let mtu: Int
        package let hasSubnets: Bool
        /// The wires outside that it is on, and the VLAN there.
        package let physicalNetwork: String?
        package let vlan: Int?
    }

    package struct Port: Sendable {
        package struct FixedIP: Sendable {
            package let subnetID: String
            package let address: String
        }

        package let id: String
        package let networkID: String
        package let projectID: String
        package let mac: String
        package let status: String
        package let isAdminUp: Bool
        /// `normal`, `direct`, ...: what is to be behind the guest's card.
        package let vnicType: String
        package let deviceID: String
        package let deviceOwner: String
        package let host: String
        package let fixedIPs: [FixedIP]
        package let securityGroups: [String]
        /// What hosts and schedulers say to each other about it.
        package let profile: JSONObject
        /// What it asks of Placement; null when that is nothing.
        package let resourceRequest: JSON
    }

    package struct Subnet: Sendable {
        package struct Route: Sendable {
            package let destination: String
            package let nextHop: String
        }

        package let id: String
        package let version: Int
        package let cidr: String
        package let gateway: String?
        package let hasDHCP: Bool
        /// IPv6: `slaac`, `dhcpv6-stateful`, `dhcpv6-stateless`.
        package let addressMode: String?
        package let nameservers: [String]
        package let routes: [Route]
    }

    package struct FloatingIP: Sendable {
        package let id: String
        package let address: String
        package let fixedAddress: String
        package let portID: String
    }
}

// MARK: - Networks

extension NetworkClient {
    package func network(_ id: String, requestID: String) async throws(Fault) -> Network? {
        try await orNil { () async throws(Fault) in
            Network(try await client.call("GET", "/networks/\(id)", requestID: requestID)["network"] ?? .null)
        }
    }

    /// The networks a project may plug servers into: its own, and shared ones; external ones are marked.
    package func networks(for project: String, requestID: String) async throws(Fault) -> [Network] {
        let own = try await list("/networks", "networks", [("project_id", project)], requestID)
        let shared = try await list("/networks", "networks", [("shared", "True")], requestID)
        let external = try await list("/networks", "networks", [("router:external", "True")], requestID)
        var seen = Set<String>()
        return (own + shared + external).map { Network($0) }.filter { seen.insert($0.id).inserted }
    }
}

// MARK: - Subnets

extension NetworkClient {
    package func subnets(of network: String, requestID: String) async throws(Fault) -> [Subnet] {
        try await list("/subnets", "subnets", [("network_id", network)], requestID).map { Subnet($0) }
    }
}

// MARK: - Ports

extension NetworkClient {
    package func port(_ id: String, requestID: String) async throws(Fault) -> Port? {
        try await orNil { () async throws(Fault) in
            Port(try await client.call("GET", "/ports/\(id)", requestID: requestID)["port"] ?? .null)
        }
    }

    /// Ports by any of Neutron's filters: `device_id`, `network_id`, `fixed_ips`.
    package func ports(_ filters: [(String, String)], requestID: String) async throws(Fault) -> [Port] {
        try await list("/ports", "ports", filters, requestID).map { Port($0) }
    }

    package func createPort(_ members: JSON, requestID: String) async throws(Fault) -> Port {
        Port(try await client.call("POST", "/ports", body: ["port": members], requestID: requestID)["port"] ?? .null)
    }

    @discardableResult
    package func updatePort(_ id: String, _ members: JSON, requestID: String) async throws(Fault) -> Port {
        Port(
            try await client.call("PUT", "/ports/\(id)", body: ["port": members], requestID: requestID)["port"] ?? .null
        )
    }

    /// Deletes a port; one that is gone already is fine.
    package func deletePort(_ id: String, requestID: String) async throws(Fault) {
        _ = try await orNil { () async throws(Fault) in
            try await client.call("DELETE", "/ports/\(id)", requestID: requestID)
        }
    }

    package func floatingIPs(port id: String, requestID: String) async throws(Fault) -> [FloatingIP] {
        try await list("/floatingips", "floatingips", [("port_id", id)], requestID).map { FloatingIP($0) }
    }

    /// Security groups of a project, whole.
    package func securityGroupDocuments(project: String, requestID: String) async throws(Fault) -> [JSON] {
        try await list("/security-groups", "security_groups", [("project_id", project)], requestID)
    }

    /// Security groups of a project by name or id.
    package func securityGroups(
        project: String, requestID: String
    ) async throws(Fault) -> [(id: String, name: String)] {
        try await list("/security-groups", "security_groups", [("project_id", project)], requestID).map {
            ($0["id"]?.string ?? "", $0["name"]?.string ?? "")
        }
    }
}

extension NetworkClient {
    /// The same API in another's name, judged by Network's own rules.
    package func acting(as caller: Caller) -> NetworkClient { NetworkClient(over: transport, as: caller) }

    /// Any call, for those who translate another API into Network's.
    package func document(
        _ method: String, _ path: String, _ body: JSON? = nil, query: [(String, String)] = [], requestID: String
    ) async throws(Fault) -> JSON {
        try await client.call(method, path, query: query, body: body, requestID: requestID)
    }

    private func list(
        _ path: String, _ name: String, _ query: [(String, String)], _ requestID: String
    ) async throws(Fault) -> [JSON] {
        try await client.call("GET", path, query: query, requestID: requestID)[name]?.array ?? []
    }
}

extension NetworkClient.Subnet {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        version = json["ip_version"]?.integer ?? 4
        cidr = json["cidr"]?.string ?? ""
        gateway = json["gateway_ip"]?.string
        hasDHCP = json["enable_dhcp"]?.bool ?? false
        addressMode = json["ipv6_address_mode"]?.string
        nameservers = (json["dns_nameservers"]?.array ?? []).compactMap(\.string)
        routes = (json["host_routes"]?.array ?? []).map {
            Route(destination: $0["destination"]?.string ?? "", nextHop: $0["nexthop"]?.string ?? "")
        }
    }
}

extension NetworkClient.Network {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        name = json["name"]?.string ?? ""
        projectID = json["project_id"]?.string ?? ""
        isExternal = json["router:external"]?.bool ?? false
        isShared = json["shared"]?.bool ?? false
        mtu = json["mtu"]?.integer ?? 1500
        hasSubnets = !(json["subnets"]?.array ?? []).isEmpty
        physicalNetwork = json["provider:physical_network"]?.string
        vlan = json["provider:network_type"]?.string == "vlan" ? json["provider:segmentation_id"]?.integer : nil
    }
}

extension NetworkClient.Port {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        networkID = json["network_id"]?.string ?? ""
        projectID = json["project_id"]?.string ?? ""
        mac = json["mac_address"]?.string ?? ""
        status = json["status"]?.string ?? ""
        isAdminUp = json["admin_state_up"]?.bool ?? true
        vnicType = json["binding:vnic_type"]?.string ?? "normal"
        deviceID = json["device_id"]?.string ?? ""
        deviceOwner = json["device_owner"]?.string ?? ""
        host = json["binding:host_id"]?.string ?? ""
        fixedIPs = (json["fixed_ips"]?.array ?? []).map {
            FixedIP(subnetID: $0["subnet_id"]?.string ?? "", address: $0["ip_address"]?.string ?? "")
        }
        securityGroups = (json["security_groups"]?.array ?? []).compactMap(\.string)
        profile = json["binding:profile"]?.object ?? JSONObject()
        resourceRequest = json["resource_request"] ?? .null
    }
}

extension NetworkClient.FloatingIP {
    init(_ json: JSON) {
        id = json["id"]?.string ?? ""
        address = json["floating_ip_address"]?.string ?? ""
        fixedAddress = json["fixed_ip_address"]?.string ?? ""
        portID = json["port_id"]?.string ?? ""
    }
}
