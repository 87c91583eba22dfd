// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Another host that a port may be bound to beside the one it is on: where its server is moving to. The binding in
/// use is in the port's own row.
package struct PortBinding: Record {
    package static let table = "network_port_bindings"
    let portID: String
    let host: String
    var vnicType: String
    var profile: JSONObject
    /// That the port was there before and has moved on.
    var wasLeft = false
}

extension PortBinding: Resource {
    private static let get = "(rule:admin_only) or (rule:service_api)"

    package static let routes: [Route] = [
        .get(
            "/ports/{id}/bindings", "List a port's bindings", of: Port.visible,
            allow: .rule("get_port_binding", get), list),
        .post(
            "/ports/{id}/bindings", "Bind a port to another host", of: Port.visible,
            allow: .rule("create_port_binding", NetworkRules.service), create, status: 201),
        .get(
            "/ports/{id}/bindings/{host}", "Show a port's binding to a host", of: Port.visible,
            allow: .rule("get_port_binding", get), show),
        .put(
            "/ports/{id}/bindings/{host}", "Update a port's binding to a host", of: Port.visible,
            allow: .rule("update_port_binding", NetworkRules.service), update),
        .put(
            "/ports/{id}/bindings/{host}/activate", "Make a port's binding to a host the one in use",
            of: Port.visible, allow: .rule("activate", NetworkRules.service), activate),
        .delete(
            "/ports/{id}/bindings/{host}", "Delete a port's binding to a host", of: Port.visible,
            allow: .rule("delete_port_binding", NetworkRules.service), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network port bindings
        CREATE TABLE network_port_bindings (
            port_id VARCHAR(36) NOT NULL, host VARCHAR(255) NOT NULL, vnic_type VARCHAR(64) NOT NULL,
            profile TEXT NOT NULL, was_left INTEGER NOT NULL, PRIMARY KEY (port_id, host))
        """
    ]
}

// MARK: - Handlers

extension PortBinding {
    private static func list(_ request: Request, _ port: Port) async throws(Fault) -> Reply {
        try port.checkMovable()
        let others = try await request.database.all(PortBinding.self, "port_id = \(port.id) ORDER BY host")
        let (all, extra) = (port.activeBinding + others, try await Port.extra(request, [port]))
        let wanted = request.queryAll("host")
        let states = request.queryAll("status")
        let shown = all.filter { binding in
            (wanted.isEmpty || wanted.contains(binding.host))
                && (states.isEmpty || states.contains(binding.status(of: port)))
        }
        return .list("bindings", shown.map { binding in { binding.write(&$0, port, extra) } })
    }

    private static func show(_ request: Request, _ port: Port) async throws(Fault) -> Reply {
        try port.checkMovable()
        let host = request["host"]
        let others = try await request.database.all(PortBinding.self, "port_id = \(port.id) AND host = \(host)")
        guard let binding = (port.activeBinding + others).first(where: { $0.host == host }) else {
            throw notFound(port.id, host)
        }
        return try await binding.reply(request, port)
    }

    private static func create(_ request: Request, _ found: Port) async throws(Fault) -> Reply {
        var body = try request.body("binding")
        let host = try body.need("host", .string())
        let vnicType = try body.take("vnic_type", PortMembers.vnicTypes)
        let profile = try body.option("profile", .object)
        body.ignore("project_id", "tenant_id")
        try body.end()
        guard !host.isEmpty else { throw .badResource("port", "host must be provided") }
        let (port, binding) = try await request.database.transaction { transaction throws(Fault) in
            var port = try transaction.one(Port.self, "id = \(found.id)", or: Port.notFound(found.id))
            try port.checkMovable()
            let binding = PortBinding(
                portID: port.id, host: host, vnicType: vnicType ?? port.vnicType, profile: profile ?? JSONObject())
            guard port.host != host else { throw exists(port.id, host) }
            if port.host.isEmpty {
                port.take(binding, at: request.now)
                try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            } else {
                try transaction.insert(binding, or: exists(port.id, host))
            }
            try transaction.touch(.port, port.id, request)
            return (port, binding)
        }
        return try await binding.reply(request, port)
    }

    private static func update(_ request: Request, _ found: Port) async throws(Fault) -> Reply {
        let host = request["host"]
        var body = try request.body("binding")
        let vnicType = try body.take("vnic_type", PortMembers.vnicTypes)
        let profile = try body.option("profile", .object)
        let named = try body.take("host", .string())
        try body.end()
        guard named == nil || named == host else {
            throw .httpBadRequest("Cannot update read-only attribute host")
        }
        let (port, binding) = try await request.database.transaction { transaction throws(Fault) in
            var port = try transaction.one(Port.self, "id = \(found.id)", or: Port.notFound(found.id))
            try port.checkMovable()
            let others = try transaction.all(PortBinding.self, "port_id = \(port.id) AND host = \(host)")
            guard var binding = (port.activeBinding + others).first(where: { $0.host == host }) else {
                throw notFound(port.id, host)
            }
            binding.vnicType = vnicType ?? binding.vnicType
            binding.profile = profile ?? binding.profile
            if host == port.host {
                port.take(binding, at: request.now)
                try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            } else {
                try transaction.replace(
                    binding, where: "port_id = \(port.id) AND host = \(host)", or: notFound(port.id, host))
            }
            try transaction.touch(.port, port.id, request)
            return (port, binding)
        }
        return try await binding.reply(request, port)
    }

    /// The port is the other host's from now on; the host it leaves keeps a binding that is not in use.
    private static func activate(_ request: Request, _ found: Port) async throws(Fault) -> Reply {
        let host = request["host"]
        let (port, binding) = try await request.database.transaction { transaction throws(Fault) in
            var port = try transaction.one(Port.self, "id = \(found.id)", or: Port.notFound(found.id))
            try port.checkMovable()
            guard port.host != host else {
                throw .neutron(
                    409, "PortBindingAlreadyActive",
                    "Binding for port \(port.id) on host \(host) is already active.")
            }
            let binding = try transaction.one(
                PortBinding.self, "port_id = \(port.id) AND host = \(host)", or: notFound(port.id, host))
            try transaction.delete(PortBinding.self, "port_id = \(port.id) AND host = \(host)")
            for var left in port.activeBinding {
                left.wasLeft = true
                try transaction.insert(left)
            }
            port.take(binding, at: request.now)
            try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            try SubportRules.follow(port, transaction, request)
            try transaction.touch(.port, port.id, request)
            return (port, binding)
        }
        // Upstream answers an action with the bare members.
        let extra = try await Port.extra(request, [port])
        return .bare { binding.write(&$0, port, extra) }
    }

    private static func delete(_ request: Request, _ found: Port) async throws(Fault) -> Reply {
        let host = request["host"]
        try await request.database.transaction { transaction throws(Fault) in
            var port = try transaction.one(Port.self, "id = \(found.id)", or: Port.notFound(found.id))
            try port.checkMovable()
            if port.host == host, !host.isEmpty {
                port.take(
                    PortBinding(portID: port.id, host: "", vnicType: port.vnicType, profile: JSONObject()),
                    at: request.now)
                try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
            } else {
                try transaction.delete(PortBinding.self, "port_id = \(port.id) AND host = \(host)")
            }
            try transaction.touch(.port, port.id, request)
        }
        return .empty
    }

    private static func notFound(_ port: String, _ host: String) -> Fault {
        .neutron(404, "PortBindingNotFound", "Binding for port \(port) for host \(host) could not be found.")
    }
    private static func exists(_ port: String, _ host: String) -> Fault {
        .neutron(409, "PortBindingAlreadyExists", "Binding for port \(port) on host \(host) already exists.")
    }
}

extension PortBinding {
    /// The hosts that ports are moving to, by port.
    static func moves(_ database: Database, _ ports: [String]?) async throws(Fault) -> [String: String] {
        let bindings =
            if let ports {
                try await database.all(PortBinding.self, "port_id", in: ports, and: "was_left = 0")
            } else {
                try await database.all(PortBinding.self, "was_left = 0")
            }
        return Dictionary(bindings.map { ($0.portID, $0.host) }) { first, _ in first }
    }
}

extension Port {
    /// The binding in use; none while the port is on no host.
    fileprivate var activeBinding: [PortBinding] {
        host.isEmpty ? [] : [PortBinding(portID: id, host: host, vnicType: vnicType, profile: profile)]
    }

    fileprivate func checkMovable() throws(Fault) {
        guard deviceOwner.hasPrefix("compute:") || deviceOwner.hasPrefix("manila:") else {
            throw .badResource(
                "port", "Invalid port \(id). Operation only valid on compute and shared filesystem ports")
        }
    }

    fileprivate mutating func take(_ binding: PortBinding, at now: Timestamp) {
        if host != binding.host { status = "DOWN" }
        host = binding.host
        vnicType = binding.vnicType
        profile = binding.profile
        revisionNumber += 1
        updatedAt = now
    }
}

// MARK: - Wire

extension PortBinding {
    private func status(of port: Port) -> String { host == port.host ? "ACTIVE" : "INACTIVE" }

    private func reply(_ request: Request, _ port: Port) async throws(Fault) -> Reply {
        let extra = try await Port.extra(request, [port])
        return .object("binding") { write(&$0, port, extra) }
    }

    private func write(_ view: inout View, _ port: Port, _ extra: Port.Extra) {
        view.put("host", host)
        view.put("vif_type", port.vifType(extra))
        view.put("vnic_type", vnicType)
        view.put("status", status(of: port))
        view.put("profile", JSON.object(profile))
        view.nest("vif_details") { port.writeDetails(&$0, extra) }
    }
}
