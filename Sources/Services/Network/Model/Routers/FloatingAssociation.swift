// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a request says of the port that a floating address shall stand for.
struct FloatingAssociation: Sendable {
    let port: String?
    let fixed: IPAddress?
    /// Whether `port_id` was there at all, null included.
    let namesPort: Bool

    var isAsked: Bool { namesPort || fixed != nil }
    static let none = FloatingAssociation()

    private init() {
        port = nil
        fixed = nil
        namesPort = true
    }

    init(_ body: inout Body) throws(Fault) {
        namesPort = body.has("port_id")
        port = try body.option("port_id", .id)
        fixed = try body.option("fixed_ip_address", .address)
    }

    func apply(to floating: inout FloatingIP, _ transaction: Transaction, _ request: Request) throws(Fault) {
        guard fixed == nil || port != nil || (!namesPort && floating.portID != nil) else {
            throw .badResource("floatingip", "fixed_ip_address cannot be specified without a port_id")
        }
        try floating.checkUnforwarded(transaction, isNeeded: port != nil)
        // A new address for the port it has needs no naming of the port.
        let target = port ?? (namesPort ? nil : floating.portID)
        try floating.touchBoth(transaction, request)
        guard let target else {
            floating.portID = nil
            floating.fixedIPAddress = nil
            floating.routerID = nil
            floating.status = "DOWN"
            return
        }
        let (inner, entry) = try inside(target, floating, transaction, request)
        let taken = try transaction.count(
            FloatingIP.self,
            """
            port_id = \(target) AND fixed_ip_address = \(entry.address.description) \
            AND floating_network_id = \(floating.floatingNetworkID) AND id <> \(floating.id)
            """)
        guard let router = try FloatingAssociation.router(for: inner, entry, floating, transaction) else {
            throw .neutron(
                404, "ExternalGatewayForFloatingIPNotFound",
                "External network \(floating.floatingNetworkID) is not reachable from subnet \(entry.subnetID).  "
                    + "Therefore, cannot associate Port \(inner.id) with a Floating IP.")
        }
        guard taken == 0 else {
            throw .neutron(
                409, "FloatingIPPortAlreadyAssociated",
                "Cannot associate floating IP \(floating.floatingIPAddress) (\(floating.id)) with port \(target) using "
                    + "fixed IP \(entry.address), as that fixed IP already has a floating IP on external network "
                    + "\(floating.floatingNetworkID).")
        }
        floating.portID = target
        floating.fixedIPAddress = entry.address.description
        floating.routerID = router
        // It is up once the back end carries it.
        floating.status = "DOWN"
        try floating.touchBoth(transaction, request)
    }

    /// The port and the one of its addresses that is meant.
    private func inside(
        _ id: String, _ floating: FloatingIP, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> (Port, FixedIPs.Entry) {
        let port = try transaction.one(
            Port.self, "id = \(id) AND (\(sql: request.scope(Port.self)))", or: Port.notFound(id))
        guard port.projectID == floating.projectID || request.seesAll else {
            throw .badResource(
                "floatingip",
                "Cannot process floating IP association with Port \(id), since that port is owned by a "
                    + "different project"
            )
        }
        guard port.deviceOwner != DeviceOwner.dhcp else {
            throw .badResource("floatingip", "Port \(id) is unable to be assigned a floating IP")
        }
        if let fixed {
            guard fixed.version == .v4 else {
                throw .badResource(
                    "floatingip",
                    "Cannot process floating IP association with \(fixed), since that is not an IPv4 address")
            }
            guard let entry = port.fixedIPs.entries.first(where: { $0.address == fixed }) else {
                throw .badResource("floatingip", "Port \(id) does not have fixed ip \(fixed)")
            }
            return (port, entry)
        }
        let choices = port.fixedIPs.entries.filter { $0.address.version == .v4 }
        guard let entry = choices.first else {
            throw .badResource(
                "floatingip", "Cannot add floating IP to port \(id) that has no fixed IPv4 addresses")
        }
        guard choices.count == 1 else {
            throw .badResource(
                "floatingip",
                "Port \(id) has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a "
                    + "floating IP")
        }
        return (port, entry)
    }

    /// A router with a gateway on the floating network and an interface on the port's subnet; the subnet's own gateway
    /// when there are several.
    static func router(
        for port: Port, _ entry: FixedIPs.Entry, _ floating: FloatingIP, _ transaction: Transaction
    ) throws(Fault) -> String? {
        let subnet = try transaction.one(
            Subnet.self, "id = \(entry.subnetID)", or: Subnet.notFound(entry.subnetID))
        let interfaces = try transaction.all(
            Port.self,
            """
            network_id = \(port.networkID) AND device_owner = \(DeviceOwner.routerInterface) AND device_id IN \
            (SELECT device_id FROM network_ports WHERE network_id = \(floating.floatingNetworkID) \
            AND device_owner = \(DeviceOwner.routerGateway)) \
            ORDER BY created_at, id
            """
        ).filter { $0.fixedIPs.holds(subnet: subnet.id) }
        let best = interfaces.first { interface in
            interface.fixedIPs.entries.contains { $0.address == subnet.gatewayIP }
        }
        return (best ?? interfaces.first)?.deviceID
    }
}
