// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension Port {
    /// A port as asked for.
    package struct Draft: PolicyTarget {
        let network: Network
        let isShared: Bool
        let projectID: String
        private(set) var members: PortMembers

        init(_ request: Request, _ body: inout Body) async throws(Fault) {
            try body.refuseReadOnly("id", "status", "created_at", "updated_at", "revision_number", "data_plane_status")
            let networkID = try body.need("network_id", .id)
            let network = try await request.database.one(
                Network.self, "id = \(networkID) AND (\(sql: request.scope(Network.self)))",
                or: Network.notFound(networkID))
            self.network = network
            isShared = try await network.isShared(with: request)
            projectID = try body.takeProject(request)
            members = PortMembers()
            var members = try PortMembers(&body)
            members.tags = try body.takeTags()
            self.members = members
            try members.judge(request, "create_port", on: self)
        }

        package func policyAttribute(_ name: String) -> JSON? {
            switch name {
            case "project_id", "tenant_id": .string(projectID)
            case "network:project_id", "ext_parent:project_id": .string(network.projectID)
            case "shared": .bool(isShared)
            case "device_owner": .string(members.deviceOwner ?? "")
            default: nil
            }
        }
    }
}

extension Network {
    /// Whether a caller of another project may plug into it.
    func isShared(with request: Request) async throws(Fault) -> Bool {
        if shared || projectID == request.project { return shared }
        return try await !request.database.rows(
            """
            SELECT object_id FROM network_rbac WHERE object_type = 'network' AND object_id = \(id) \
            AND action = 'access_as_shared' AND (target_project = \(request.project) OR target_project = '*')
            """
        ).isEmpty
    }
}

extension Port.Draft {
    func insert(_ transaction: Transaction, _ request: Request) throws(Fault) -> Port {
        try Quotas.require("port", Port.self, project: projectID, transaction, request.network.options)
        // Read again: what was true when the rule was judged may be gone.
        let network = try transaction.one(
            Network.self, "id = \(network.id)", or: Network.notFound(network.id))
        let security = members.portSecurity ?? network.portSecurityEnabled
        let owner = members.deviceOwner ?? ""
        if !security, members.pairs?.isEmpty == false { throw PortRules.pairsNeedSecurity }
        var groups: [String] = []
        if security {
            if let asked = members.securityGroups {
                groups = try PortRules.groups(asked, transaction, request)
            } else if !DeviceOwner.isOwn(owner) {
                groups = [try SecurityGroup.ensureDefault(transaction, project: projectID, request)]
            }
        } else if members.securityGroups?.isEmpty == false {
            throw PortRules.groupsNeedSecurity
        }
        let wish = PortWish(
            projectID: projectID, deviceID: members.deviceID ?? "", deviceOwner: owner, fixedIPs: members.fixedIPs,
            mac: members.mac, host: members.host ?? "")
        var port = try wish.place(transaction, network, request)
        port.name = members.name ?? ""
        port.description = members.description ?? ""
        port.adminStateUp = members.adminStateUp ?? true
        port.portSecurityEnabled = security
        port.securityGroupIDs = groups
        port.allowedAddressPairs = PortRules.pairs(members.pairs ?? [], port.macAddress)
        port.extraDHCPOptions = PortRules.merge(members.dhcp ?? [], into: [])
        port.dnsName = members.dnsName ?? ""
        port.dnsDomain = members.dnsDomain ?? ""
        port.host = members.host ?? ""
        port.vnicType = members.vnicType ?? "normal"
        port.profile = members.profile ?? JSONObject()
        port.tags = members.tags
        members.extras.apply(to: &port.extras)
        if members.fixedIPs?.isEmpty == true { port.extras.allocation = "none" }
        try members.privacy.apply(to: &port, on: network)
        try port.insert(transaction, request)
        try QoSBinding.set(transaction, "port", port.id, to: members.qosPolicy, request)
        let domain = port.dnsDomain.isEmpty ? network.dnsDomain : port.dnsDomain
        if ResolvedDomain.hasKeywords(domain) { try ResolvedDomain.note(port, on: network, transaction, request) }
        return port
    }
}

/// What every new port has, whoever makes it: a user, a router, a floating address or the room itself.
struct PortWish {
    let projectID: String
    let deviceID: String
    let deviceOwner: String
    var fixedIPs: [AskedIP]?
    var mac: MACAddress?
    var status = "DOWN"
    var host = ""

    /// The port with its MAC address and its addresses, not yet in its table.
    func place(_ transaction: Transaction, _ network: Network, _ request: Request) throws(Fault) -> Port {
        let id = request.ids.uuid()
        let mac = try PortRules.mac(mac, on: network.id, transaction, request.ids)
        var book = try AddressBook(transaction, network: network.id, request.ids)
        var (asked, extras) = (fixedIPs, PortExtras())
        if book.isRouted, !DeviceOwner.isOwn(deviceOwner) {
            if host.isEmpty, fixedIPs == nil {
                (asked, extras.allocation) = ([], "deferred")
            } else if !host.isEmpty {
                book = try book.reached(from: host, of: network.id, transaction)
            }
        }
        let addresses = try book.assign(asked, to: id, mac: mac, owner: deviceOwner)
        return Port(
            id: id, projectID: projectID, networkID: network.id, networkProjectID: network.projectID, name: "",
            description: "", macAddress: mac, adminStateUp: true, status: status, deviceID: deviceID,
            deviceOwner: deviceOwner, fixedIPs: addresses, securityGroupIDs: [],
            portSecurityEnabled: false, allowedAddressPairs: [], extraDHCPOptions: [], dnsName: "", dnsDomain: "",
            host: "", vnicType: "normal", profile: JSONObject(), extras: extras, tags: [], createdAt: request.now,
            updatedAt: request.now, revisionNumber: 1)
    }

    /// The port, written.
    func make(_ transaction: Transaction, _ network: Network, _ request: Request) throws(Fault) -> Port {
        var port = try place(transaction, network, request)
        try AskedPrivacy().apply(to: &port, on: network)
        try port.insert(transaction, request)
        return port
    }
}

extension Port {
    fileprivate func insert(_ transaction: Transaction, _ request: Request) throws(Fault) {
        try transaction.insert(self, or: PortRules.macInUse(macAddress, networkID))
        for group in securityGroupIDs {
            try transaction.execute("INSERT INTO network_port_groups VALUES (\(id), \(group))")
        }
        if !tags.isEmpty { try Tag.set(transaction, id, tags) }
        try transaction.touch(new: .port, id, request)
    }

    /// Deletes the port with all that hangs on it; floating addresses that point at it become free.
    func remove(_ transaction: Transaction, _ request: Request) throws(Fault) {
        try FloatingIP.release(transaction, port: id, keeping: nil, request)
        try transaction.delete(HeldAddress.self, "port_id = \(id)")
        try QoSBinding.forget(transaction, id)
        try NetworkLog.forget(transaction, of: id, request)
        try transaction.delete(PortBinding.self, "port_id = \(id)")
        try transaction.execute("DELETE FROM network_port_groups WHERE port_id = \(id)")
        if !tags.isEmpty { try Tag.set(transaction, id, []) }
        if !dnsName.isEmpty { try ResolvedDomain.forget(self, transaction) }
        try transaction.delete(Port.self, "id = \(id)")
        try transaction.touch(.port, id, request)
    }

    /// Takes the addresses of a subnet that goes away from the port.
    func drop(subnet: String, _ transaction: Transaction, _ request: Request) throws(Fault) {
        var port = self
        port.fixedIPs.entries.removeAll { $0.subnetID == subnet }
        port.revisionNumber += 1
        port.updatedAt = request.now
        try transaction.delete(HeldAddress.self, "port_id = \(id) AND subnet_id = \(subnet)")
        try transaction.replace(port, where: "id = \(id)", or: Port.notFound(id))
        try transaction.touch(.port, id, request)
    }
}

/// The port of each network behind which the metadata service listens on every host.
enum MetadataPorts {
    static func device(_ network: String) -> String { "ovnmeta-\(network)" }

    static func create(_ transaction: Transaction, _ network: Network, _ request: Request) throws(Fault) {
        let wish = PortWish(
            projectID: network.projectID, deviceID: device(network.id), deviceOwner: DeviceOwner.metadata, fixedIPs: [])
        _ = try wish.make(transaction, network, request)
    }

    /// Gives the port an address in every IPv4 subnet that serves DHCP, and takes back those of subnets that do not.
    static func refresh(_ transaction: Transaction, network id: String, _ request: Request) throws(Fault) {
        guard
            var port = try transaction.first(
                Port.self, "device_id = \(device(id)) AND device_owner = \(DeviceOwner.metadata)")
        else { return }
        let book = try AddressBook(transaction, network: id, request.ids)
        let served = book.subnets.filter { $0.ipVersion == 4 && $0.enableDHCP }
        let leaving = port.fixedIPs.entries.filter { entry in !served.contains { $0.id == entry.subnetID } }
        let missing = served.filter { !port.fixedIPs.holds(subnet: $0.id) }
        guard !leaving.isEmpty || !missing.isEmpty else { return }
        try book.release(leaving)
        port.fixedIPs.entries.removeAll { leaving.contains($0) }
        for subnet in missing {
            // A subnet whose pools are used up goes without metadata; its guests keep their addresses.
            let found = try? book.assign(
                [AskedIP(subnetID: subnet.id)], to: port.id, mac: port.macAddress, owner: port.deviceOwner,
                keeping: port.fixedIPs)
            port.fixedIPs.entries += found?.entries.filter { $0.subnetID == subnet.id } ?? []
        }
        port.revisionNumber += 1
        port.updatedAt = request.now
        try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
        try transaction.touch(.port, port.id, request)
    }
}
