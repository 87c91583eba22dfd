// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a request says of a port forwarding; nil is what it does not say.
struct PortForwardingWish: Sendable {
    let port: String?
    let address: IPAddress?
    let ipProtocol: String?
    let externals: ClosedRange<Int>?
    let internals: ClosedRange<Int>?
    let description: String?

    /// - Parameter before: what is to be changed; nil for a new one, which needs all of it.
    init(_ request: Request, _ before: PortForwarding? = nil) throws(Fault) {
        var body = try request.body("port_forwarding")
        let isNew = before == nil
        body.ignore("project_id", "tenant_id")
        port = isNew ? try body.need("internal_port_id", .id) : try body.take("internal_port_id", .id)
        address =
            isNew ? try body.need("internal_ip_address", .address) : try body.take("internal_ip_address", .address)
        ipProtocol = isNew ? try body.need("protocol", .forwarded) : try body.take("protocol", .forwarded)
        externals = try PortForwardingWish.ports(&body, "external_port")
        internals = try PortForwardingWish.ports(&body, "internal_port")
        description = try body.take("description", .string(1024))
        try body.end()
        if isNew {
            guard externals != nil else { throw .httpBadRequest(PortForwardingWish.missing("external_port")) }
            guard internals != nil else { throw .httpBadRequest(PortForwardingWish.missing("internal_port")) }
        }
        let inner = internals ?? before?.internals ?? 1...1
        let outer = externals ?? before?.externals ?? 1...1
        guard inner.count == 1 || inner.count == outer.count else {
            throw PortForwardingWish.bad(
                "Invalid ranges of internal and/or external ports. The relation between internal and external ports "
                    + "must be N-N or 1-N")
        }
    }

    private static func missing(_ member: String) -> String {
        "Failed to parse request. Required attribute '\(member)' not specified"
    }

    static func bad(_ message: String) -> Fault { .badResource("port_forwarding", message) }

    /// One port by its number, or several as a range.
    private static func ports(_ body: inout Body, _ name: String) throws(Fault) -> ClosedRange<Int>? {
        let one = try body.option(name, .whole(1...65_535))
        let several = try body.option(name + "_range", .portRange)
        return several ?? one.map { $0...$0 }
    }
}

extension Format where Value == String {
    /// The protocols that can be forwarded by their ports.
    fileprivate static var forwarded: Format {
        Format { value, _ throws(Misfit) in
            let names = ["tcp", "udp", "sctp"]
            let numbers = ["6": "tcp", "17": "udp", "132": "sctp"]
            let text = value.bare.lowercased()
            guard let name = names.contains(text) ? text : numbers[text] else {
                throw Misfit("'\(value.bare)' is not in ['tcp', 'udp', 'sctp']")
            }
            return name
        }
    }
}

extension Format where Value == ClosedRange<Int> {
    /// `80` or `80:89`.
    static var portRange: Format {
        Format { value, _ throws(Misfit) in
            let parts = value.bare.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2, !parts.contains("") else {
                throw Misfit("Port range must be two integers separated by a colon")
            }
            var numbers: [Int] = []
            for part in parts {
                guard let number = Int(part), (1...65_535).contains(number) else {
                    throw Misfit("Invalid port: \(part)")
                }
                numbers.append(number)
            }
            guard numbers[0] <= numbers[numbers.count - 1] else {
                throw Misfit("First port in a port range must be lower than the second port")
            }
            return numbers[0]...numbers[numbers.count - 1]
        }
    }
}

extension PortForwarding {
    /// The range of a filter; nil matches nothing.
    static func range(_ text: String) -> ClosedRange<Int>? {
        let ends = text.split(separator: ":").compactMap { Int($0) }
        guard let first = ends.first, let last = ends.last, ends.count <= 2, first <= last else { return nil }
        return first...last
    }
}

// MARK: - Applied

extension PortForwardingWish {
    func make(
        of floating: inout FloatingIP, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> PortForwarding {
        let made = PortForwarding(
            id: request.ids.uuid(), projectID: floating.projectID, floatingID: floating.id, portID: port ?? "",
            fixedIPAddress: address?.description ?? "", ipProtocol: ipProtocol ?? "",
            externalFirst: externals?.lowerBound ?? 0, externalLast: externals?.upperBound ?? 0,
            internalFirst: internals?.lowerBound ?? 0, internalLast: internals?.upperBound ?? 0,
            description: description ?? "", createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
        try made.checkCollisions(transaction)
        try made.checkUnbound(transaction)
        guard floating.portID == nil else {
            throw .neutron(
                409, "FloatingIPPortAlreadyAssociated",
                "Cannot associate floating IP \(floating.floatingIPAddress) (\(floating.id)) with port \(made.portID) "
                    + "using fixed IP \(made.fixedIPAddress), as that fixed IP already has a floating IP on external "
                    + "network \(floating.floatingNetworkID).")
        }
        let router = try made.router(floating, transaction, request)
        if floating.routerID == nil {
            floating.routerID = router
            floating.revisionNumber += 1
            floating.updatedAt = request.now
            try transaction.replace(floating, where: "id = \(floating.id)", or: FloatingIP.notFound(floating.id))
        }
        return made
    }

    func apply(
        to forwarding: inout PortForwarding, of floating: FloatingIP, _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        let moves = port.map { $0 != forwarding.portID } ?? false
        forwarding.portID = port ?? forwarding.portID
        forwarding.fixedIPAddress = address?.description ?? forwarding.fixedIPAddress
        forwarding.ipProtocol = ipProtocol ?? forwarding.ipProtocol
        forwarding.description = description ?? forwarding.description
        if let externals {
            (forwarding.externalFirst, forwarding.externalLast) = (externals.lowerBound, externals.upperBound)
        }
        if let internals {
            (forwarding.internalFirst, forwarding.internalLast) = (internals.lowerBound, internals.upperBound)
        }
        if port != nil { try forwarding.checkUnbound(transaction) }
        if moves || address != nil { _ = try forwarding.router(floating, transaction, request) }
        try forwarding.checkCollisions(transaction)
    }
}

extension PortForwarding {
    /// No two may claim one port of the floating address, nor lead to one port of an inner one.
    fileprivate func checkCollisions(_ transaction: Transaction) throws(Fault) {
        let others = try transaction.all(
            PortForwarding.self,
            """
            ip_protocol = \(ipProtocol) AND id <> \(id) AND (floating_id = \(floatingID) \
            OR (port_id = \(portID) AND fixed_ip_address = \(fixedIPAddress)))
            """)
        func refuse(_ key: String, _ one: ClosedRange<Int>, _ other: ClosedRange<Int>) -> Fault {
            PortForwardingWish.bad(
                "There is a port collision with the \(key). The following ranges collide: "
                    + "\(one.lowerBound):\(one.upperBound) and \(other.lowerBound):\(other.upperBound)")
        }
        for other in others {
            if other.portID == portID, other.fixedIPAddress == fixedIPAddress, other.internals.overlaps(internals) {
                throw refuse("internal_port_range", other.internals, internals)
            }
            if other.floatingID == floatingID, other.externals.overlaps(externals) {
                throw refuse("external_port_range", other.externals, externals)
            }
        }
    }

    /// A port that has a floating address of its own needs no forwarding.
    fileprivate func checkUnbound(_ transaction: Transaction) throws(Fault) {
        guard let bound = try transaction.first(FloatingIP.self, "port_id = \(portID)") else { return }
        throw .neutron(
            409, "PortHasBindingFloatingIP",
            "Cannot create port forwarding to floating IP \(bound.floatingIPAddress) (\(bound.id)) with port \(portID) "
                + "using fixed IP \(fixedIPAddress), as that port already has a binding floating IP.")
    }

    /// The router that leads from the floating address to the inner one.
    fileprivate func router(
        _ floating: FloatingIP, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> String {
        let port = try transaction.one(
            Port.self, "id = \(portID) AND (\(sql: request.scope(Port.self)))", or: Port.notFound(portID))
        let inner = port.fixedIPs.entries.filter { $0.address.version == .v4 }
        guard !inner.isEmpty else {
            throw PortForwardingWish.bad("Requested internal port \(portID) must allocate an IPv4 address at least.")
        }
        guard let entry = inner.first(where: { $0.address.description == fixedIPAddress }) else {
            throw PortForwardingWish.bad(
                "Requested internal IP address \(fixedIPAddress) is not suitable for internal neutron port \(portID), "
                    + "as its fixed_ips are \(inner.map(\.address.description).joined(separator: ", "))")
        }
        guard let router = try FloatingAssociation.router(for: port, entry, floating, transaction) else {
            throw PortForwardingWish.bad(
                "External network \(floating.floatingNetworkID) is not reachable from subnet \(entry.subnetID). Cannot "
                    + "set Port forwarding for port \(portID) with Floating IP \(floating.id)")
        }
        guard floating.routerID == nil || floating.routerID == router else {
            throw PortForwardingWish.bad(
                "The Floating IP \(floating.id) had been set on router \(floating.routerID ?? ""), the internal "
                    + "Neutron port \(portID) can not reach it")
        }
        return router
    }
}
