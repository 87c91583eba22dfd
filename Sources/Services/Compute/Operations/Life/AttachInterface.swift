// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Plugs a port, bound already, into a server's guest. When that fails the port is given back.
struct AttachInterface: Operation {
    static let kind = "compute.attach-interface"

    let server: String
    let port: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("attach_interface", do: plug, undo: unplug)] }

    private func plug(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        guard let port = server.ports.first(where: { $0.portID == port }) else {
            throw .notFound("Port id \(port) could not be found.")
        }
        if port.card != nil,
            let known = try await site.room.network.port(port.portID, requestID: site.requestID)
        {
            // Which card it is was decided with the port.
            try await ServerWiring(site.room, requestID: site.requestID).allocate(known, of: server)
        }
        try await site.hypervisor(of: server).plug(server.nic(port), into: server.id)
    }

    private func unplug(_ site: ComputeSite) async throws(Fault) {
        try await DetachInterface(server: server, port: port).detach(site)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}

/// Takes a port out of a server's guest and gives it back to Network.
struct DetachInterface: Operation {
    static let kind = "compute.detach-interface"

    let server: String
    let port: String

    var subject: String { server }

    var steps: [Step<ComputeSite>] { [Step("detach_interface", attempts: 5, do: detach)] }

    func detach(_ site: ComputeSite) async throws(Fault) {
        let server = try await site.server(server)
        if server.host != nil { try await site.hypervisor(of: server).unplug(port: port, from: server.id) }
        try await ServerWiring(site.room, requestID: site.requestID).drop(port, of: server)
        let (id, port, now) = (server.id, port, site.clock.now())
        try await site.database.transaction { transaction throws(Fault) in
            let server = try transaction.one(Server.self, "id = \(id)", or: .serverNotFound(id))
            let text = try ServerWiring.text(server.ports.filter { $0.portID != port })
            let devices = try HardwareBooks.text(server.hostDevices.filter { $0.portID != port }) ?? "[]"
            _ = try transaction.update(
                Server.self, set: "ports = \(text), host_devices = \(devices), updated_at = \(now)",
                where: "id = \(id)")
        }
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}

extension ComputeSite {
    /// Ends the action that started this operation; the server's state is as it was.
    func finish(_ server: String, _ message: String?) async throws(Fault) {
        let (now, request) = (clock.now(), requestID)
        try await database.transaction { transaction throws(Fault) in
            try InstanceAction.finish(server, request, message, now, transaction)
        }
    }
}
