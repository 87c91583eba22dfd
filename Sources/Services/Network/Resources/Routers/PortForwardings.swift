// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Some ports of a floating address that lead to ports of an inner address: many guests behind one address.
package struct PortForwarding: Noun {
    package static let table = "network_port_forwardings"
    package static let noun = "port_forwarding"
    package static let plural = "port_forwardings"

    package let id: String
    /// The floating address's project, for the rules on it.
    package let projectID: String
    let floatingID: String
    var portID: String
    var fixedIPAddress: String
    var ipProtocol: String
    var externalFirst: Int
    var externalLast: Int
    var internalFirst: Int
    var internalLast: Int
    package var description: String
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package var tags: [String] {
        get { [] }
        set {}
    }

    var externals: ClosedRange<Int> { externalFirst...externalLast }
    var internals: ClosedRange<Int> { internalFirst...internalLast }
}

extension PortForwarding: Resource {
    private static let read = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"
    private static let edit = "(rule:admin_only) or (role:member and rule:ext_parent_owner)"
    private static let path = "/floatingips/{id}/port_forwardings"

    package static let routes: [Route] = [
        .get(
            path, "List port forwardings of a floating IP", of: parent,
            allow: .rule("get_floatingip_port_forwarding", read), list),
        .post(
            path, "Create port forwarding", of: parent, allow: .rule("create_floatingip_port_forwarding", edit),
            create),
        .get(
            path + "/{forwarding}", "Show port forwarding", of: found,
            allow: .rule("get_floatingip_port_forwarding", read),
            show),
        .put(
            path + "/{forwarding}", "Update port forwarding", of: found,
            allow: .rule("update_floatingip_port_forwarding", edit), update),
        .delete(
            path + "/{forwarding}", "Delete port forwarding", of: found,
            allow: .rule("delete_floatingip_port_forwarding", edit), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network port forwardings
        CREATE TABLE network_port_forwardings (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, floating_id VARCHAR(36) NOT NULL,
            port_id VARCHAR(36) NOT NULL, fixed_ip_address VARCHAR(64) NOT NULL, ip_protocol VARCHAR(40) NOT NULL,
            external_first INTEGER NOT NULL, external_last INTEGER NOT NULL, internal_first INTEGER NOT NULL,
            internal_last INTEGER NOT NULL, description VARCHAR(1024) NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE INDEX network_forwardings_by_floating_ip ON network_port_forwardings (floating_id);
        CREATE INDEX network_forwardings_by_port ON network_port_forwardings (port_id)
        """
    ]

    package static let filters: [Filter] = [
        .number("external_port", "external_first"), .text("protocol", "ip_protocol"),
        .text("internal_port_id", "port_id"), .text("description"),
        .other("external_port_range") { values in
            let ranges = values.compactMap { PortForwarding.range($0) }.map { range -> SQL in
                "(external_first = \(range.lowerBound) AND external_last = \(range.upperBound))"
            }
            return ranges.isEmpty ? "1 = 0" : ranges.joined(" OR ")
        },
        .text("id"),
    ]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "PortForwardingNotFound", "Port Forwarding \(id) could not be found.")
    }

    package func policyAttribute(_ name: String) -> JSON? {
        name == "ext_parent:project_id" || name == "project_id" ? .string(projectID) : nil
    }

    /// A floating address whose forwardings the request is about.
    struct Parent: PolicyTarget {
        let floating: FloatingIP
        func policyAttribute(_ name: String) -> JSON? {
            name == "ext_parent:project_id" ? .string(floating.projectID) : floating.policyAttribute(name)
        }
    }

    static func parent(_ request: Request) async throws(Fault) -> Parent {
        let id = request["id"]
        return Parent(
            floating: try await request.database.one(
                FloatingIP.self, "id = \(id) AND (\(sql: request.scope(FloatingIP.self)))",
                or: FloatingIP.notFound(id)))
    }

    static func found(_ request: Request) async throws(Fault) -> PortForwarding {
        let parent = try await parent(request).floating.id
        let id = request["forwarding"]
        return try await request.database.one(
            PortForwarding.self, "id = \(id) AND floating_id = \(parent)", or: notFound(id))
    }
}

// MARK: - Handlers

extension PortForwarding {
    private static func list(_ request: Request, _ parent: Parent) async throws(Fault) -> Reply {
        try await index(request, where: "floating_id = \(parent.floating.id)", rule: nil)
    }

    private static func create(_ request: Request, _ parent: Parent) async throws(Fault) -> Reply {
        let wish = try PortForwardingWish(request)
        let floatingID = parent.floating.id
        let made = try await request.database.transaction { transaction throws(Fault) in
            var floating = try transaction.one(
                FloatingIP.self, "id = \(floatingID)", or: FloatingIP.notFound(floatingID))
            let made = try wish.make(of: &floating, transaction, request)
            try transaction.insert(made)
            try floating.touchBoth(transaction, request)
            return made
        }
        return try await reply(request, made: [made])
    }

    private static func update(_ request: Request, _ found: PortForwarding) async throws(Fault) -> Reply {
        let changed = try await change(request, found.id) { transaction, forwarding throws(Fault) in
            let id = forwarding.floatingID
            let floating = try transaction.one(FloatingIP.self, "id = \(id)", or: FloatingIP.notFound(id))
            try PortForwardingWish(request, forwarding).apply(to: &forwarding, of: floating, transaction, request)
            try floating.touchBoth(transaction, request)
        }
        return try await changed.reply(request)
    }

    private static func delete(_ request: Request, _ found: PortForwarding) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            let id = found.id
            let forwarding = try transaction.one(PortForwarding.self, "id = \(id)", or: notFound(id))
            try forwarding.remove(transaction, request)
        }
        return .empty
    }

    /// Takes it away; the last one of a floating address frees the address from its router.
    private func remove(_ transaction: Transaction, _ request: Request) throws(Fault) {
        try transaction.delete(PortForwarding.self, "id = \(id)")
        guard var floating = try transaction.first(FloatingIP.self, "id = \(floatingID)") else { return }
        try floating.touchBoth(transaction, request)
        guard try transaction.count(PortForwarding.self, "floating_id = \(floatingID)") == 0 else { return }
        floating.routerID = nil
        floating.status = "DOWN"
        floating.revisionNumber += 1
        floating.updatedAt = request.now
        try transaction.replace(floating, where: "id = \(floating.id)", or: FloatingIP.notFound(floating.id))
    }

    /// Takes away those of a port that lead to addresses it has no longer.
    static func release(
        _ transaction: Transaction, port: String, keeping: FixedIPs?, _ request: Request
    ) throws(Fault) {
        for forwarding in try transaction.all(PortForwarding.self, "port_id = \(port)") {
            let kept = keeping?.entries.contains { $0.address.description == forwarding.fixedIPAddress }
            if kept != true { try forwarding.remove(transaction, request) }
        }
    }
}

// MARK: - Wire

extension PortForwarding {
    package func write(_ view: inout View, _ extra: Nothing) {
        writeShort(&view)
        view.put("external_port_range", "\(externalFirst):\(externalLast)")
        view.put("internal_port_range", "\(internalFirst):\(internalLast)")
        view.put("description", description)
    }

    /// What a floating address tells of its forwardings.
    func writeShort(_ view: inout View) {
        view.put("id", id)
        view.put("protocol", ipProtocol)
        view.put("internal_ip_address", fixedIPAddress)
        view.put("internal_port_id", portID)
        if externalFirst == externalLast { view.put("external_port", externalFirst) }
        if internalFirst == internalLast { view.put("internal_port", internalFirst) }
    }
}
