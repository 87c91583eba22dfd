// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A place on a network: a MAC address, its IP addresses, and what may pass.
package struct Port: Noun {
    package static let table = "network_ports"
    package static let noun = "port"
    package static let plural = "ports"

    package let id: String, projectID: String, networkID: String
    let networkProjectID: String
    var name: String
    package var description: String
    var macAddress: MACAddress
    var adminStateUp: Bool
    var status: String
    var deviceID: String
    var deviceOwner: String
    var fixedIPs: FixedIPs
    var securityGroupIDs: [String]
    var portSecurityEnabled: Bool
    var allowedAddressPairs: [AllowedPair]
    var extraDHCPOptions: [DHCPOption]
    var dnsName: String
    var dnsDomain: String
    /// The host whose hypervisor plugs the port (`binding:host_id`); empty while unbound.
    var host: String
    var vnicType: String
    var profile: JSONObject
    var extras: PortExtras
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    struct AllowedPair: Codable, Sendable, Hashable {
        let ipAddress: String, macAddress: String
    }

    struct DHCPOption: Codable, Sendable, Hashable {
        let name: String, value: String, ipVersion: Int
    }

    package struct Extra: Sendable {
        let binding: (type: Bool, details: Bool, host: Bool, profile: Bool)
        let bridge: String
        let domain: String
        /// What is inside the ports that are trunks.
        let trunks: [String: Carried]
        /// By port and by network.
        let policies: [String: String]
        let requests: [String: JSON]
        /// The networks of those that are functions of cards.
        let wires: [String: PortFunctions.Wire]
        let sees: (hints: Bool, trusted: Bool, request: Bool)
    }

    /// A trunk's content, as its port shows it.
    struct Carried: Sendable {
        let trunk: String
        let inside: [(subport: Subport, mac: String)]
    }
}

extension Port: Resource {
    package static let routes: [Route] =
        [
            .get(
                "/ports", "List ports", of: OwnScope.from,
                allow: .anyone("list_ports"), index),
            .post(
                "/ports", "Create ports", of: drafts, allow: .rule("create_port", NetworkRules.createPort), create),
            .get("/ports/{id}", "Show port", of: visible, allow: .rule("get_port", NetworkRules.getPort), show),
            .put(
                "/ports/{id}", "Update port", of: visible, allow: .rule("update_port", NetworkRules.updatePort),
                update),
            .delete(
                "/ports/{id}", "Delete port", of: visible, allow: .rule("delete_port", NetworkRules.deletePort),
                delete),
        ] + tagRoutes(read: NetworkRules.getPort, write: NetworkRules.updatePort, delete: NetworkRules.deletePort)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network ports
        CREATE TABLE network_ports (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, network_id VARCHAR(36) NOT NULL,
            network_project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL,
            mac_address VARCHAR(17) NOT NULL, admin_state_up INTEGER NOT NULL, status VARCHAR(16) NOT NULL,
            device_id VARCHAR(255) NOT NULL, device_owner VARCHAR(255) NOT NULL, fixed_ips TEXT NOT NULL,
            security_group_ids TEXT NOT NULL, port_security_enabled INTEGER NOT NULL,
            allowed_address_pairs TEXT NOT NULL, extra_dhcp_options TEXT NOT NULL, dns_name VARCHAR(255) NOT NULL,
            dns_domain VARCHAR(255) NOT NULL, host VARCHAR(255) NOT NULL, vnic_type VARCHAR(64) NOT NULL,
            profile TEXT NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL);
        CREATE UNIQUE INDEX network_ports_by_mac ON network_ports (network_id, mac_address);
        CREATE INDEX network_ports_by_project ON network_ports (project_id);
        CREATE INDEX network_ports_by_device ON network_ports (device_id);
        CREATE TABLE network_port_groups (
            port_id VARCHAR(36) NOT NULL, security_group_id VARCHAR(36) NOT NULL,
            PRIMARY KEY (port_id, security_group_id));
        CREATE INDEX network_port_groups_by_group ON network_port_groups (security_group_id)
        """,
        HeldAddress.migration,
        """
        2026-11-29 network ports' rarer members
        ALTER TABLE network_ports ADD COLUMN extras TEXT NOT NULL DEFAULT '{}'
        """,
    ]

    package static let filters = Filter.standard([
        .other("pvlan_type") { PortExtras.holding("pvlanType", $0) },
        .other("pvlan_community") { PortExtras.holding("pvlanCommunity", $0) },
        .text("name"), .text("network_id"), .text("mac_address"), .truth("admin_state_up"), .text("status"),
        .text("device_id"), .text("device_owner"), .truth("port_security_enabled"), .text("binding:host_id", "host"),
        .text("binding:vnic_type", "vnic_type"), .text("dns_name"), .text("dns_domain"),
        .other("binding:vif_type") { values in
            var kinds: [SQL] = []
            if values.contains("unbound") { kinds.append("host = ''") }
            let functions = PortFunctions.kinds.sorted()
            if values.contains("ovs") { kinds.append("(host <> '' AND vnic_type NOT IN \(functions))") }
            if values.contains("hw_veb") {
                kinds.append("(host <> '' AND vnic_type IN \(functions.filter { $0 != PortFunctions.whole }))")
            }
            if values.contains("hostdev_physical") {
                kinds.append("(host <> '' AND vnic_type = \(PortFunctions.whole))")
            }
            return kinds.isEmpty ? "1 = 0" : kinds.joined(" OR ")
        },
        .other("security_groups") {
            "id IN (SELECT port_id FROM network_port_groups WHERE security_group_id IN \($0))"
        },
        .other("fixed_ips", fixedIPs),
    ])

    /// `fixed_ips=ip_address=10.0.0.5&fixed_ips=subnet_id=...`: of one kind any, of both kinds each.
    private static func fixedIPs(_ values: [String]) -> SQL {
        var addresses: [String] = []
        var subnets: [String] = []
        var parts: [String] = []
        for value in values {
            let pair = value.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2 else { continue }
            switch pair[0] {
            case "ip_address": addresses.append(IPAddress(pair[1])?.description ?? pair[1])
            case "subnet_id": subnets.append(pair[1])
            case "ip_address_substr": parts.append(pair[1])
            default: break
            }
        }
        var conditions: [SQL] = []
        if !addresses.isEmpty { conditions.append("address IN \(addresses)") }
        if !subnets.isEmpty { conditions.append("subnet_id IN \(subnets)") }
        let likes: [SQL] = parts.map { part in
            "address LIKE \("%" + part.filter { $0 != "%" && $0 != "_" } + "%")"
        }
        if !likes.isEmpty { conditions.append("(\(sql: likes.joined(" OR ")))") }
        guard !conditions.isEmpty else { return "1 = 0" }
        return "id IN (SELECT port_id FROM network_addresses WHERE \(sql: conditions.joined(" AND ")))"
    }

    package static func scope(_ project: String) -> SQL { "project_id = \(project) OR network_project_id = \(project)" }

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "PortNotFound", "Port \(id) could not be found.")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "project_id", "tenant_id": .string(projectID)
        case "network:project_id", "ext_parent:project_id": .string(networkProjectID)
        case "device_owner": .string(deviceOwner)
        default: nil
        }
    }
}

// MARK: - Handlers

extension Port {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body async throws(Fault) in try await Draft(request, &body) }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in try draft.insert(transaction, request) }
        }
        return try await reply(request, made: made)
    }

    static func update(_ request: Request, _ found: Port) async throws(Fault) -> Reply {
        let allocation = try await PortAllocation(request, found)
        try await allocation?.take()
        do throws(Fault) {
            let port = try await change(request, found.id) { transaction, port throws(Fault) in
                var change = try PortChange(request, port)
                try change.apply(to: &port, transaction)
                allocation?.note(in: &port)
            }
            return try await port.reply(request)
        } catch {
            await allocation?.giveBack()
            throw error
        }
    }

    static func delete(_ request: Request, _ found: Port) async throws(Fault) -> Reply {
        let id = found.id
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let port = try transaction.one(Port.self, "id = \(id)", or: notFound(id))
            try port.checkConstraint(expected)
            guard !DeviceOwner.isServed.contains(port.deviceOwner) else {
                throw .neutron(
                    409, "ServicePortInUse",
                    "Port \(id) cannot be deleted directly via the port API: has device owner \(port.deviceOwner).")
            }
            try SubportRules.checkDeletable(id, transaction)
            try port.remove(transaction, request)
            try TapMirror.forget(port: id, transaction, request)
        }
        return .empty
    }
}

// MARK: - Wire

extension Port {
    package static func extra(_ request: Request, _ rows: [Port]) async throws(Fault) -> Extra {
        try await extra(request, rows, trunks: try await Trunk.carried(request.database, rows))
    }

    package static func extra(_ request: Request, made rows: [Port]) async throws(Fault) -> Extra {
        try await extra(request, rows, trunks: [:])
    }

    private static func extra(
        _ request: Request, _ rows: [Port], trunks: [String: Carried]
    ) async throws(Fault) -> Extra {
        func sees(_ name: String) -> Bool {
            rows.first.map { request.may("get_port:binding:\(name)", on: $0) } ?? false
        }
        func member(_ name: String) -> Bool { rows.first.map { request.may("get_port:\(name)", on: $0) } ?? false }
        let options = request.network.options
        let policies = try await QoSBinding.policies(request.database, of: rows.flatMap { [$0.id, $0.networkID] })
        let shown = (hints: member("hints"), trusted: member("trusted"), request: member("resource_request"))
        return Extra(
            binding: (sees("vif_type"), sees("vif_details"), sees("host_id"), sees("profile")),
            bridge: options.integrationBridge, domain: options.dnsDomain,
            trunks: trunks, policies: policies,
            requests: try await ResourceRequests.all(request.database, rows, policies),
            wires: try await PortFunctions.wires(request.database, rows), sees: shown)
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("name", name)
        view.put("network_id", networkID)
        view.put("mac_address", macAddress.description)
        view.put("admin_state_up", adminStateUp)
        view.put("status", status)
        view.put("device_id", deviceID)
        view.put("device_owner", deviceOwner)
        view.list("fixed_ips", fixedIPs.entries) {
            $0.put("subnet_id", $1.subnetID)
            $0.put("ip_address", $1.address.description)
        }
        view.put("security_groups", securityGroupIDs)
        view.put("port_security_enabled", portSecurityEnabled)
        view.list("allowed_address_pairs", allowedAddressPairs) {
            $0.put("ip_address", $1.ipAddress)
            $0.put("mac_address", $1.macAddress)
        }
        view.list("extra_dhcp_opts", extraDHCPOptions) {
            $0.put("opt_name", $1.name)
            $0.put("opt_value", $1.value)
            $0.put("ip_version", $1.ipVersion)
        }
        writeBinding(&view, extra)
        view.put("qos_policy_id", extra.policies[id])
        view.put("qos_network_policy_id", extra.policies[networkID])
        extras.write(&view, sees: (extra.sees.hints, extra.sees.trusted))
        if extra.sees.request { view.put("resource_request", extra.requests[id]) }
        if let carried = extra.trunks[id] { carried.write(&view) }
        view.put("dns_name", dnsName)
        view.put("dns_domain", dnsDomain)
        view.list("dns_assignment", fixedIPs.entries) { view, ip in
            let host = dnsName.isEmpty ? ip.address.hostName : dnsName
            view.put("ip_address", ip.address.description)
            view.put("hostname", host)
            view.put("fqdn", "\(host).\(extra.domain)")
        }
        writeStandard(&view)
    }

    private func writeBinding(_ view: inout View, _ extra: Extra) {
        view.put("binding:vnic_type", vnicType)
        if extra.binding.profile { view.put("binding:profile", JSON.object(shownProfile)) }
        if extra.binding.host { view.put("binding:host_id", host) }
        if extra.binding.type { view.put("binding:vif_type", vifType(extra)) }
        guard extra.binding.details else { return }
        view.nest("binding:vif_details") { if isPlugged { writeDetails(&$0, extra) } }
    }

    /// What is said of the port's trust stands in the profile, where hosts look for it.
    private var shownProfile: JSONObject {
        guard let trusted = extras.trusted else { return profile }
        var profile = profile
        profile["trusted"] = .bool(trusted)
        return profile
    }

    /// Whether a host has it.
    var isPlugged: Bool { !host.isEmpty }

    /// How a host plugs it.
    func writeDetails(_ view: inout View, _ extra: Extra) {
        guard !isFunction else { return writeFunction(&view, extra) }
        view.put("port_filter", true)
        view.put("connectivity", "l2")
        view.put("bridge_name", extra.bridge)
        view.put("datapath_type", "system")
        view.nest("bound_drivers") { $0.put("0", "ovn") }
    }
}
