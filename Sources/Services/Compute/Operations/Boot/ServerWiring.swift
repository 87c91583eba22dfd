// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A server's ports in Network: made or taken at boot, given back at delete. Both may be repeated.
struct ServerWiring {
    let room: ComputeService
    let requestID: String

    init(_ room: ComputeService, requestID: String) {
        self.room = room
        self.requestID = requestID
    }

    static func text(_ ports: [ServerPort]) throws(Fault) -> String {
        do {
            return try JSON.encode(ports).text()
        } catch {
            throw .internalError("a server's ports could not be stored: \(error)")
        }
    }

    /// Makes or takes the ports the server asked for and binds them to its host.
    func connect(_ server: Server) async throws(Fault) -> [ServerPort] {
        guard server.networkMode != "none" else { return [] }
        let groups = try await securityGroups(server)
        let networks = try await room.network.networks(for: server.projectID, requestID: requestID)
        // What an interrupted run made already; each is used once.
        var made = try await room.network.ports([("device_id", server.id)], requestID: requestID)
        var ports: [ServerPort] = []
        var wishes = try wishes(server, networks)
        if wishes.isEmpty, server.networkMode == "auto" { wishes = [try await allocated(server)] }
        for wish in wishes {
            let port: NetworkClient.Port
            if let id = wish.portID {
                port = try await room.network.updatePort(id, binding(server), requestID: requestID)
                try await allocate(port, of: server)
            } else if let at = made.firstIndex(where: { $0.networkID == wish.networkID }) {
                port = try await room.network.updatePort(made.remove(at: at).id, binding(server), requestID: requestID)
            } else {
                port = try await create(wish, server, groups)
            }
            let network = try await network(port.networkID, among: networks)
            ports.append(
                ServerPort(
                    portID: port.id, networkID: port.networkID, label: network.name, mac: port.mac, mtu: network.mtu,
                    addresses: ServerWiring.fixed(port), isOurs: wish.portID == nil, tag: wish.tag,
                    card: PortCard(port, on: network)))
        }
        return ports
    }

    /// Deletes the ports Compute made for the server and lets go of the others.
    func disconnect(_ server: Server) async throws(Fault) {
        let given = Set(server.requested.compactMap(\.portID) + server.ports.filter { !$0.isOurs }.map(\.portID))
        for port in try await room.network.ports([("device_id", server.id)], requestID: requestID) {
            if given.contains(port.id) {
                try await room.network.updatePort(port.id, ServerWiring.freed(port), requestID: requestID)
            } else {
                try await room.network.deletePort(port.id, requestID: requestID)
            }
        }
    }

    /// The ports as Network has them now, with floating addresses: after it said that something changed.
    func refresh(_ server: Server) async throws(Fault) -> [ServerPort] {
        let known = try await room.network.ports([("device_id", server.id)], requestID: requestID)
        var ports: [ServerPort] = []
        for old in server.ports {
            guard let port = known.first(where: { $0.id == old.portID }) else { continue }
            var new = old
            new.mac = port.mac
            new.addresses = ServerWiring.fixed(port)
            for floating in try await room.network.floatingIPs(port: port.id, requestID: requestID) {
                new.addresses.append(
                    .init(address: floating.address, version: 4, kind: "floating"))
            }
            ports.append(new)
        }
        return ports
    }

    /// Deletes a port that Compute made, or lets go of one that it was given.
    func drop(_ port: String, of server: Server) async throws(Fault) {
        if server.ports.first(where: { $0.portID == port })?.isOurs ?? false {
            return try await room.network.deletePort(port, requestID: requestID)
        }
        guard let known = try await room.network.port(port, requestID: requestID), known.deviceID == server.id else {
            return
        }
        try await release(known, of: server)
        try await room.network.updatePort(port, ServerWiring.freed(known), requestID: requestID)
    }

    /// Plugs one more port into a server that runs.
    func add(_ wish: RequestedNetwork, to server: Server) async throws(Fault) -> ServerPort {
        let port: NetworkClient.Port
        if let id = wish.portID {
            port = try await room.network.updatePort(id, binding(server), requestID: requestID)
            do throws(Fault) { try await claim(port, for: server) } catch {
                try await room.network.updatePort(id, ServerWiring.freed(port), requestID: requestID)
                throw error
            }
        } else {
            port = try await create(wish, server, [])
        }
        let network = try await network(port.networkID, among: [])
        return ServerPort(
            portID: port.id, networkID: port.networkID, label: network.name, mac: port.mac, mtu: network.mtu,
            addresses: ServerWiring.fixed(port), isOurs: wish.portID == nil, tag: wish.tag,
            card: PortCard(port, on: network))
    }
}

extension ServerWiring {
    private func wishes(
        _ server: Server, _ networks: [NetworkClient.Network]
    ) throws(Fault) -> [RequestedNetwork] {
        guard server.requested.isEmpty else { return server.requested }
        let own = networks.filter { (!$0.isExternal || $0.isShared) && $0.hasSubnets }
        if own.count > 1 {
            throw .conflict("Multiple possible networks found, use a Network ID to be more specific.")
        }
        return own.map { RequestedNetwork(networkID: $0.id) }
    }

    /// The network that Network makes for a project that has none.
    private func allocated(_ server: Server) async throws(Fault) -> RequestedNetwork {
        let project = server.projectID
        guard let id = try await room.network.allocatedNetwork(for: project, requestID: requestID) else {
            throw .noAllocation(project)
        }
        return RequestedNetwork(networkID: id)
    }

    private func create(
        _ wish: RequestedNetwork, _ server: Server, _ groups: [String]
    ) async throws(Fault) -> NetworkClient.Port {
        guard let networkID = wish.networkID else { throw .badRequest("a port needs a network") }
        var members = binding(server).object ?? JSONObject()
        members["network_id"] = .string(networkID)
        members["project_id"] = .string(server.projectID)
        members["admin_state_up"] = true
        if !groups.isEmpty { members["security_groups"] = .array(groups.map(JSON.string)) }
        if let address = wish.fixedIP { members["fixed_ips"] = [["ip_address": .string(address)]] }
        return try await room.network.createPort(.object(members), requestID: requestID)
    }

    private func binding(_ server: Server) -> JSON {
        [
            "device_id": .string(server.id),
            "device_owner": .string("compute:\(server.zone ?? AvailabilityZones.usual)"),
            "binding:host_id": .string(server.host ?? ""), "dns_name": .string(server.hostname),
        ]
    }

    /// Ids of the groups asked for by name or id. The default group is Network's own affair.
    private func securityGroups(_ server: Server) async throws(Fault) -> [String] {
        let wanted = server.securityGroups
        if wanted.isEmpty || wanted == ["default"] { return [] }
        let known = try await room.network.securityGroups(project: server.projectID, requestID: requestID)
        return try wanted.mapping { name throws(Fault) in
            let found = known.filter { $0.id == name || $0.name == name }
            guard let first = found.first else { throw .badRequest("Security group \(name) not found.") }
            guard found.count == 1 else {
                throw .conflict("Multiple security groups named '\(name)' found; use an ID to be more specific.")
            }
            return first.id
        }
    }

    private func network(
        _ id: String, among networks: [NetworkClient.Network]
    ) async throws(Fault) -> NetworkClient.Network {
        if let known = networks.first(where: { $0.id == id }) { return known }
        guard let network = try await room.network.network(id, requestID: requestID) else {
            throw .notFound("Network \(id) could not be found.")
        }
        return network
    }

    private static func fixed(_ port: NetworkClient.Port) -> [ServerPort.Address] {
        port.fixedIPs.map {
            .init(address: $0.address, version: AddressText.version($0.address) ?? 4, kind: "fixed")
        }
    }
}

extension Fault {
    static func noAllocation(_ project: String) -> Fault {
        .badRequest("Unable to automatically allocate a network for project \(project)")
    }
}
