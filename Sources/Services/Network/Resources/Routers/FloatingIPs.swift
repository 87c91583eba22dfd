// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// An address of an external network that stands for a port's address on an inner one.
package struct FloatingIP: Noun {
    package static let table = "network_floating_ips"
    package static let noun = "floatingip"
    package static let plural = "floatingips"

    package let id: String, projectID: String
    package var description: String
    let floatingNetworkID: String
    let floatingIPAddress: String
    /// The port on the external network that holds the address.
    let floatingPortID: String
    var routerID: String?
    var portID: String?
    var fixedIPAddress: String?
    var status: String
    var dnsName: String
    var dnsDomain: String
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package struct Extra: Sendable {
        let ports: [String: Port]
        let forwardings: [String: [PortForwarding]]
        /// By floating address and by network.
        let policies: [String: String]
    }
}

extension FloatingIP: Resource {
    package static let routes: [Route] =
        [
            .get(
                "/floatingips", "List floating IPs", of: OwnScope.from,
                allow: .anyone("list_floatingips"), index),
            .post(
                "/floatingips", "Create floating IPs", of: drafts,
                allow: .rule("create_floatingip", NetworkRules.adminOrMember), create),
            .get(
                "/floatingips/{id}", "Show floating IP", of: visible,
                allow: .rule("get_floatingip", NetworkRules.adminOrReader), show),
            .put(
                "/floatingips/{id}", "Update floating IP", of: visible,
                allow: .rule("update_floatingip", NetworkRules.adminOrMember), update),
            .delete(
                "/floatingips/{id}", "Delete floating IP", of: visible,
                allow: .rule("delete_floatingip", NetworkRules.adminOrMember), delete),
        ] + tagRoutes(read: NetworkRules.adminOrReader, write: NetworkRules.adminOrMember)

    package static let migrations: [Migration] = [
        """
        2026-11-21 network floating ips
        CREATE TABLE network_floating_ips (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, description VARCHAR(255) NOT NULL,
            floating_network_id VARCHAR(36) NOT NULL, floating_ip_address VARCHAR(64) NOT NULL,
            floating_port_id VARCHAR(36) NOT NULL, router_id VARCHAR(36), port_id VARCHAR(36),
            fixed_ip_address VARCHAR(64), status VARCHAR(16) NOT NULL, dns_name VARCHAR(255) NOT NULL,
            dns_domain VARCHAR(255) NOT NULL, tags TEXT NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE INDEX network_floating_ips_by_project ON network_floating_ips (project_id);
        CREATE INDEX network_floating_ips_by_port ON network_floating_ips (port_id);
        CREATE INDEX network_floating_ips_by_router ON network_floating_ips (router_id)
        """
    ]

    package static let filters = Filter.standard([
        .text("floating_network_id"), .text("floating_ip_address"), .text("router_id"), .text("port_id"),
        .text("fixed_ip_address"), .text("status"), .text("dns_name"), .text("dns_domain"),
    ])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "FloatingIPNotFound", "Floating IP \(id) could not be found")
    }

    struct Draft: ProjectOwned {
        let projectID: String, network: String, description: String
        let address: IPAddress?
        let subnet: String?
        let association: FloatingAssociation
        let dnsName: String, dnsDomain: String
        let tags: [String]
        let qosPolicy: String??
    }
}

// MARK: - Handlers

extension FloatingIP {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<Draft> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let network = try body.need("floating_network_id", .id)
            let project = try body.takeProject(request)
            let owned = OwnedTarget(projectID: project)
            let address: IPAddress? =
                body.peek("floating_ip_address")?.isNull == true
                ? nil
                : try body.take(
                    "floating_ip_address", .address, rule: "create_floatingip:floating_ip_address", on: owned)
            if address == nil { body.ignore("floating_ip_address") }
            let draft = Draft(
                projectID: project, network: network, description: try body.take("description", .string()) ?? "",
                address: address, subnet: try body.option("subnet_id", .id),
                association: try FloatingAssociation(&body), dnsName: try body.take("dns_name", .relativeName) ?? "",
                dnsDomain: try body.take("dns_domain", .dnsDomain) ?? "", tags: try body.takeTags(),
                qosPolicy: try body.patch("qos_policy_id", .id))
            return draft
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<Draft>) async throws(Fault) -> Reply {
        let made = try await request.database.transaction { transaction throws(Fault) in
            try drafts.items.mapping { draft throws(Fault) in try insert(draft, transaction, request) }
        }
        return try await reply(request, made: made)
    }

    private static func insert(
        _ draft: Draft, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> FloatingIP {
        if request.network.options.externalDNS != nil, draft.dnsName.isEmpty != draft.dnsDomain.isEmpty {
            let (given, missing) = draft.dnsName.isEmpty ? ("dns_domain", "dns_name") : ("dns_name", "dns_domain")
            throw .badResource("floatingip", "\(given) cannot be specified without a \(missing)")
        }
        try Quotas.require(
            "floatingip", FloatingIP.self, project: draft.projectID, transaction, request.network.options)
        let network = try transaction.one(
            Network.self, "id = \(draft.network) AND (\(sql: request.scope(Network.self)))",
            or: Network.notFound(draft.network))
        guard network.external else {
            throw .badResource("floatingip", "Network \(network.id) is not a valid external network")
        }
        guard try transaction.count(Subnet.self, "network_id = \(network.id) AND ip_version = 4") > 0 else {
            throw .badResource("floatingip", "Network \(network.id) does not contain any IPv4 subnet")
        }
        let id = request.ids.uuid()
        var asked: [AskedIP]?
        if draft.address != nil || draft.subnet != nil {
            asked = [AskedIP(subnetID: draft.subnet, address: draft.address)]
        }
        let port = try PortWish(
            projectID: "", deviceID: id, deviceOwner: DeviceOwner.floatingIP, fixedIPs: asked, status: "N/A"
        ).make(transaction, network, request)
        guard let address = port.fixedIPs.first(.v4)?.address else {
            throw .neutron(
                400, "ExternalIpAddressExhausted",
                "Unable to find any IP address on external network \(network.id).")
        }
        var floating = FloatingIP(
            id: id, projectID: draft.projectID, description: draft.description, floatingNetworkID: network.id,
            floatingIPAddress: address.description, floatingPortID: port.id, status: "DOWN", dnsName: draft.dnsName,
            dnsDomain: draft.dnsDomain, tags: draft.tags, createdAt: request.now, updatedAt: request.now,
            revisionNumber: 0)
        try draft.association.apply(to: &floating, transaction, request)
        try transaction.insert(floating)
        try QoSBinding.set(transaction, "floatingip", id, to: draft.qosPolicy, request)
        if !draft.tags.isEmpty { try Tag.set(transaction, id, draft.tags) }
        return floating
    }

    static func update(_ request: Request, _ found: FloatingIP) async throws(Fault) -> Reply {
        let floating = try await change(request, found.id) { transaction, floating throws(Fault) in
            var body = try request.body("floatingip")
            let association = try FloatingAssociation(&body)
            floating.description = try body.take("description", .string()) ?? floating.description
            if let policy = try body.patch("qos_policy_id", .id) {
                try QoSBinding.set(transaction, "floatingip", floating.id, to: policy, request)
                if let router = floating.routerID {
                    try Router.bump(transaction, router, at: request.now)
                    try transaction.touch(.router, router, request)
                }
            }
            for name in ["floating_network_id", "floating_ip_address", "router_id", "status", "dns_name", "dns_domain"]
            where body.peek(name) != nil {
                throw .httpBadRequest("Cannot update read-only attribute \(name)")
            }
            try body.end()
            // An empty change lets the address go: it once had nothing else to be changed.
            let isBlank = request.json?["floatingip"]?.object?.isEmpty == true
            guard isBlank || association.isAsked else { return }
            try (isBlank ? .none : association).apply(to: &floating, transaction, request)
        }
        return try await floating.reply(request)
    }

    static func delete(_ request: Request, _ found: FloatingIP) async throws(Fault) -> Reply {
        let id = found.id
        let expected = try request.constraint()
        try await request.database.transaction { transaction throws(Fault) in
            let floating = try transaction.one(FloatingIP.self, "id = \(id)", or: notFound(id))
            try floating.checkConstraint(expected)
            try floating.checkUnforwarded(transaction)
            try transaction.delete(FloatingIP.self, "id = \(id)", or: notFound(id))
            try Tag.set(transaction, id, [])
            try QoSBinding.forget(transaction, id)
            if let port = try transaction.first(Port.self, "id = \(floating.floatingPortID)") {
                try port.remove(transaction, request)
            }
            try floating.touchBoth(transaction, request)
        }
        return .empty
    }
}

// MARK: - What others do to floating addresses

extension FloatingIP {
    /// Tells the sync loop of the router, and of the port, whose server is told that its addresses changed.
    func touchBoth(_ transaction: Transaction, _ request: Request) throws(Fault) {
        if let routerID {
            try Router.bump(transaction, routerID, at: request.now)
            try transaction.touch(.router, routerID, request)
        }
        if let portID { try transaction.touch(.addresses, portID, request) }
    }

    /// Forwardings keep the address that they are on, as it is.
    func checkUnforwarded(_ transaction: Transaction, isNeeded: Bool = true) throws(Fault) {
        guard isNeeded, try transaction.count(PortForwarding.self, "floating_id = \(id)") > 0 else { return }
        throw .neutron(
            409, "FipInUseByPortForwarding", "Floating IP \(id) in use by Port Forwarding resources.")
    }

    /// Deletes the floating addresses of a network that goes away which stand for nothing.
    static func removeUnused(_ transaction: Transaction, of network: String, _ request: Request) throws(Fault) {
        for floating in try transaction.all(FloatingIP.self, "floating_network_id = \(network) AND router_id IS NULL") {
            try transaction.delete(FloatingIP.self, "id = \(floating.id)")
            try Tag.set(transaction, floating.id, [])
            if let port = try transaction.first(Port.self, "id = \(floating.floatingPortID)") {
                try port.remove(transaction, request)
            }
        }
    }

    /// Frees the floating addresses of a port whose fixed address is not kept.
    static func release(
        _ transaction: Transaction, port: String, keeping: FixedIPs?, _ request: Request
    ) throws(Fault) {
        try PortForwarding.release(transaction, port: port, keeping: keeping, request)
        try NDPProxy.release(transaction, port: port, keeping: keeping, request)
        for var floating in try transaction.all(FloatingIP.self, "port_id = \(port)") {
            if let keeping, keeping.entries.contains(where: { $0.address.description == floating.fixedIPAddress }) {
                continue
            }
            try floating.touchBoth(transaction, request)
            floating.portID = nil
            floating.fixedIPAddress = nil
            floating.routerID = nil
            floating.status = "DOWN"
            floating.revisionNumber += 1
            floating.updatedAt = request.now
            try transaction.replace(floating, where: "id = \(floating.id)", or: notFound(floating.id))
        }
    }
}

// MARK: - Wire

extension FloatingIP {
    package static func extra(_ request: Request, _ rows: [FloatingIP]) async throws(Fault) -> Extra {
        let ports = try await request.database.all(Port.self, "id", in: rows.compactMap(\.portID))
        let forwardings = try await request.database.all(PortForwarding.self, "floating_id", in: rows.map(\.id))
        return Extra(
            ports: Dictionary(ports.map { ($0.id, $0) }) { first, _ in first },
            forwardings: Dictionary(grouping: forwardings.sorted { $0.id < $1.id }, by: \.floatingID),
            policies: try await QoSBinding.policies(
                request.database, of: rows.flatMap { [$0.id, $0.floatingNetworkID] }))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("floating_ip_address", floatingIPAddress)
        view.put("floating_network_id", floatingNetworkID)
        view.put("router_id", routerID)
        view.put("port_id", portID)
        view.put("fixed_ip_address", fixedIPAddress)
        view.put("status", status)
        view.put("dns_name", dnsName)
        view.put("dns_domain", dnsDomain)
        view.put("qos_policy_id", extra.policies[id])
        view.put("qos_network_policy_id", extra.policies[floatingNetworkID])
        if let portID, let port = extra.ports[portID] {
            view.nest("port_details") {
                $0.put("name", port.name)
                $0.put("network_id", port.networkID)
                $0.put("mac_address", port.macAddress.description)
                $0.put("admin_state_up", port.adminStateUp)
                $0.put("status", port.status)
                $0.put("device_id", port.deviceID)
                $0.put("device_owner", port.deviceOwner)
            }
        } else {
            view.put("port_details", String?.none)
        }
        view.list("port_forwardings", extra.forwardings[id] ?? []) { $1.writeShort(&$0) }
        writeStandard(&view)
    }
}
