// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A change asked of a port, applied inside the transaction that writes it.
struct PortChange {
    let request: Request
    let members: PortMembers

    init(_ request: Request, _ port: Port) throws(Fault) {
        self.request = request
        var body = try request.body("port")
        for name in ["network_id", "project_id", "tenant_id", "status", "id"] where body.peek(name) != nil {
            throw .httpBadRequest("Cannot update read-only attribute \(name)")
        }
        members = try PortMembers(&body)
        try members.extras.checkUpdate()
        try body.end()
        // The rule on the owner looks at the owner that is to be.
        var target = port
        target.deviceOwner = members.deviceOwner ?? port.deviceOwner
        try members.judge(request, "update_port", on: target)
    }

    mutating func apply(to port: inout Port, _ transaction: Transaction) throws(Fault) {
        port.name = members.name ?? port.name
        port.description = members.description ?? port.description
        port.adminStateUp = members.adminStateUp ?? port.adminStateUp
        port.deviceID = members.deviceID ?? port.deviceID
        port.deviceOwner = members.deviceOwner ?? port.deviceOwner
        port.dnsName = members.dnsName ?? port.dnsName
        port.dnsDomain = members.dnsDomain ?? port.dnsDomain
        port.vnicType = members.vnicType ?? port.vnicType
        port.profile = members.profile ?? port.profile
        members.extras.apply(to: &port.extras)
        if let dhcp = members.dhcp { port.extraDHCPOptions = PortRules.merge(dhcp, into: port.extraDHCPOptions) }
        try bind(&port, transaction)
        try move(&port, transaction)
        try secure(&port, transaction)
        let network = try transaction.one(
            Network.self, "id = \(port.networkID)", or: Network.notFound(port.networkID))
        try members.privacy.apply(to: &port, on: network)
        if members.dnsName != nil || members.dnsDomain != nil {
            try ResolvedDomain.note(port, on: network, transaction, request)
        }
        try QoSBinding.set(transaction, "port", port.id, to: members.qosPolicy, request)
        try transaction.touch(.port, port.id, request)
    }

    /// A port that changes hosts is down until its new host says otherwise.
    private func bind(_ port: inout Port, _ transaction: Transaction) throws(Fault) {
        guard let host = members.host, host != port.host else { return }
        port.host = host
        if !DeviceOwner.isOwn(port.deviceOwner) {
            // Of a whole card nobody tells, so it counts as up while it is bound.
            let isWhole = port.vnicType == PortFunctions.whole && !host.isEmpty
            port.status = isWhole ? "ACTIVE" : "DOWN"
        }
        try settle(&port, transaction)
        try SubportRules.follow(port, transaction, request)
    }

    private func move(_ port: inout Port, _ transaction: Transaction) throws(Fault) {
        try readdress(&port, transaction)
        guard let asked = members.fixedIPs else { return }
        let book = try AddressBook(transaction, network: port.networkID, request.ids)
        let before = port.fixedIPs
        // What the request names stays; the rest goes first, so that an address may move within one request.
        let named = before.entries.filter { entry in
            asked.contains { $0.address == entry.address || ($0.address == nil && $0.subnetID == entry.subnetID) }
        }
        try book.release(before.entries.filter { !named.contains($0) })
        port.fixedIPs = try book.assign(
            asked, to: port.id, mac: port.macAddress, owner: port.deviceOwner, keeping: FixedIPs(named))
        try book.release(named.filter { !port.fixedIPs.entries.contains($0) })
        try FloatingIP.release(transaction, port: port.id, keeping: port.fixedIPs, request)
        if port.fixedIPs != before { try transaction.touch(.addresses, port.id, request) }
        if DeviceOwner.isRouter(port.deviceOwner) { try transaction.touch(.router, port.deviceID, request) }
    }

    /// On a routed network a port's host says which addresses it has, and those it has say where it may be.
    private func settle(_ port: inout Port, _ transaction: Transaction) throws(Fault) {
        guard !port.host.isEmpty, !DeviceOwner.isOwn(port.deviceOwner) else { return }
        let book = try AddressBook(transaction, network: port.networkID, request.ids)
        guard book.isRouted else { return }
        let near = try book.reached(from: port.host, of: port.networkID, transaction)
        if port.fixedIPs.entries.isEmpty, port.extras.allocation == "deferred", members.fixedIPs == nil {
            port.fixedIPs = try near.assign(nil, to: port.id, mac: port.macAddress, owner: port.deviceOwner)
            port.extras.allocation = "immediate"
            return
        }
        guard port.fixedIPs.entries.allSatisfy({ entry in near.subnets.contains { $0.id == entry.subnetID } }) else {
            throw .neutron(
                409, "HostNotCompatibleWithFixedIps",
                "Host \(port.host) is not connected to a segment where the existing fixed_ips on port \(port.id) will "
                    + "function given the routed network topology.")
        }
    }

    /// Gives the port the MAC address asked for, or the one that its device has already.
    private func readdress(_ port: inout Port, _ transaction: Transaction) throws(Fault) {
        let isDevice = port.vnicType == "direct-physical"
        let burnt = isDevice && !port.host.isEmpty ? port.profile["device_mac_address"]?.string : nil
        if let mac = burnt.flatMap({ MACAddress($0) }) {
            if mac != port.macAddress {
                port.macAddress = try PortRules.mac(mac, on: port.networkID, transaction, request.ids)
            }
            return
        }
        // A device that leaves takes its address along.
        let isLeft = isDevice && members.host == ""
        guard members.mac != nil || members.wantsNewMAC || isLeft, members.mac != port.macAddress else { return }
        guard port.host.isEmpty else {
            throw .neutron(
                409, "PortBound",
                "Unable to complete operation on port \(port.id), port is already bound, port type: ovs, "
                    + "old_mac \(port.macAddress), new_mac \(members.mac?.description ?? "None").")
        }
        port.macAddress = try PortRules.mac(members.mac, on: port.networkID, transaction, request.ids)
    }

    private func secure(_ port: inout Port, _ transaction: Transaction) throws(Fault) {
        let security = members.portSecurity ?? port.portSecurityEnabled
        if let pairs = members.pairs { port.allowedAddressPairs = PortRules.pairs(pairs, port.macAddress) }
        if !security, !port.allowedAddressPairs.isEmpty { throw PortRules.pairsNeedSecurity }
        var groups = port.securityGroupIDs
        if let asked = members.securityGroups {
            guard security || asked.isEmpty else { throw PortRules.groupsNeedSecurity }
            groups = try PortRules.groups(asked, transaction, request)
        }
        if !security, !groups.isEmpty {
            throw .neutron(
                409, "PortSecurityPortHasSecurityGroup",
                "Port has security group associated. Cannot disable port security or IP address until security group "
                    + "is removed.")
        }
        port.portSecurityEnabled = security
        guard groups != port.securityGroupIDs else { return }
        port.securityGroupIDs = groups
        try transaction.execute("DELETE FROM network_port_groups WHERE port_id = \(port.id)")
        for group in groups {
            try transaction.execute("INSERT INTO network_port_groups VALUES (\(port.id), \(group))")
        }
    }
}
