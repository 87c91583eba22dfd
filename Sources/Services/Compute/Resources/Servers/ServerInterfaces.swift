// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Ports of a server: seen, plugged in and taken out while it runs.
enum ServerInterfaces: Resource {
    static let routes: [Route] = [
        .get(
            path, "List a server's interfaces", of: Server.visible, allow: .reader("os-attach-interfaces:list"), index),
        .post(
            path, "Attach an interface", of: Server.visible, allow: .member("os-attach-interfaces:create"), create,
            status: 200),
        .get(item, "Show an interface", of: Server.visible, allow: .reader("os-attach-interfaces:show"), show),
        .delete(
            item, "Detach an interface", of: Server.visible, allow: .member("os-attach-interfaces:delete"), delete,
            status: 202),
    ]

    private static let path = "/servers/{server_id}/os-interface"
    private static let item = "/servers/{server_id}/os-interface/{port_id}"
    private static let states: [VMState] = [.active, .paused, .stopped]

    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let ports = try await request.compute.network.ports([("device_id", server.id)], requestID: request.id)
        return .list("interfaceAttachments", ports.map { port in { write(port, server, &$0) } })
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let id = request["port_id"]
        guard let port = try await request.compute.network.port(id, requestID: request.id) else {
            throw .notFound("Port id \(id) could not be found.")
        }
        guard port.deviceID == server.id else {
            throw .notFound("Instance \(server.id) does not have a port with id \(id)")
        }
        return .object("interfaceAttachment") { write(port, server, &$0) }
    }

    private static func create(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let wish = try wish(request)
        try server.refuseIfLocked(request)
        try server.require(states, "attach_interface")
        let room = request.compute
        let resolved = try await resolve(wish, server, request)
        let wiring = ServerWiring(room, requestID: request.id)
        let added = try await wiring.add(resolved, to: server)
        let options = room.options
        let (queue, requestID, now, userID) = (room.queue, request.id, request.now, request.caller.userID)
        let changed: Server
        do throws(Fault) {
            changed = try await request.database.transaction { transaction throws(Fault) in
                var server = try transaction.one(
                    Server.self, "id = \(server.id) AND deleted_at IS NULL", or: .serverNotFound(server.id))
                try server.require(states, "attach_interface")
                server.ports.append(added)
                try server.take(added, options, transaction)
                let (text, devices) = (
                    try ServerWiring.text(server.ports), try HardwareBooks.text(server.hostDevices) ?? "[]"
                )
                _ = try transaction.update(
                    Server.self, set: "ports = \(text), host_devices = \(devices), updated_at = \(now)",
                    where: "id = \(server.id)")
                try transaction.insert(
                    InstanceAction("attach_interface", on: server, by: userID, requestID: requestID, at: now))
                try queue.enqueue(
                    AttachInterface(server: server.id, port: added.portID), requestID: requestID, in: transaction)
                return server
            }
        } catch {
            var holding = server
            holding.ports.append(added)
            try await wiring.drop(added.portID, of: holding)
            throw error
        }
        guard let port = try await room.network.port(added.portID, requestID: requestID) else {
            throw .notFound("Port id \(added.portID) could not be found.")
        }
        return .object("interfaceAttachment") { write(port, changed, &$0) }
    }

    private static func delete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let id = request["port_id"]
        try server.refuseIfLocked(request)
        try server.require(states, "detach_interface")
        guard server.ports.contains(where: { $0.portID == id }) else {
            throw .notFound("Port id \(id) could not be found.")
        }
        let (queue, requestID, now, userID) = (request.compute.queue, request.id, request.now, request.caller.userID)
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.insert(
                InstanceAction("detach_interface", on: server, by: userID, requestID: requestID, at: now))
            try queue.enqueue(DetachInterface(server: server.id, port: id), requestID: requestID, in: transaction)
        }
        return .empty
    }
}

extension ServerInterfaces {
    private static func wish(_ request: Request) throws(Fault) -> RequestedNetwork {
        guard request.json?["interfaceAttachment"] != nil else { return RequestedNetwork() }
        var body = try request.body("interfaceAttachment")
        var wish = RequestedNetwork(
            networkID: try body.take("net_id", .uuid), portID: try body.take("port_id", .uuid),
            tag: try body.take("tag", .tag, since: "2.49"))
        if let addresses = try body.takeObjects("fixed_ips") {
            guard addresses.count == 1, var address = addresses.first else {
                throw body.refuse("fixed_ips", nil, "exactly one address is expected")
            }
            wish.fixedIP = try address.need("ip_address", .ipAddress)
            try address.end()
        }
        try body.end()
        if wish.networkID != nil, wish.portID != nil { throw .badRequest("Must not input both network_id and port_id") }
        if wish.fixedIP != nil, wish.networkID == nil {
            throw .badRequest("Must input network_id when request IP address")
        }
        return wish
    }

    /// The port or network asked for, if the project may use it; its only network when it asked for none.
    private static func resolve(
        _ wish: RequestedNetwork, _ server: Server, _ request: Request
    ) async throws(Fault) -> RequestedNetwork {
        let network = request.compute.network
        if let id = wish.portID {
            guard let port = try await network.port(id, requestID: request.id),
                port.projectID == server.projectID || request.caller.has(role: "admin")
            else { throw .notFound("Port id \(id) could not be found.") }
            guard port.deviceID.isEmpty else { throw .conflict("Port \(id) is still in use.") }
            guard !port.vnicType.hasPrefix("accelerator-") else {
                throw .badRequest("Feature not supported with Ports that have accelerators.")
            }
            return wish
        }
        let visible = network.acting(as: request.caller)
        if let id = wish.networkID {
            guard let found = try await visible.network(id, requestID: request.id) else {
                throw .notFound("Network \(id) could not be found.")
            }
            try found.admit(request)
            return wish
        }
        let own = try await visible.networks(for: server.projectID, requestID: request.id).filter {
            !$0.isExternal || $0.isShared
        }
        guard own.count < 2 else {
            throw .badRequest(
                "More than one possible network found. Specify network ID(s) to select which one(s) to connect to.")
        }
        guard let only = own.first else {
            throw .badRequest("No specific network was requested and none are available.")
        }
        var found = wish
        found.networkID = only.id
        return found
    }

    private static func write(_ port: NetworkClient.Port, _ server: Server, _ view: inout View) {
        view.put("net_id", port.networkID)
        view.put("port_id", port.id)
        view.put("mac_addr", port.mac)
        view.put("port_state", port.status)
        view.list("fixed_ips", port.fixedIPs) {
            $0.put("subnet_id", $1.subnetID)
            $0.put("ip_address", $1.address)
        }
        view.put("tag", server.ports.first { $0.portID == port.id }?.tag, since: "2.70")
    }
}

extension Server {
    /// Takes a device of its host's for a port that must be one.
    fileprivate mutating func take(
        _ port: ServerPort, _ options: ComputeOptions, _ transaction: Transaction
    ) throws(Fault) {
        guard let card = port.card else { return }
        let place = try transaction.one(
            ComputeHost.self, "name = \(host ?? "") AND deleted_at IS NULL",
            or: .conflict("Instance \(id) has no host."))
        let request = PCIRequest(port: port.portID, card)
        hostDevices.append(try HardwareBooks.attach(request, to: self, on: place, options, transaction))
    }
}
