// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Addresses added to servers, and taken from them, one at a time; interfaces do it since 2.44.
enum FixedAddresses: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "addFixedIp", "Add a fixed address to a server", of: Server.visible,
            allow: .member("os-multinic:add"), add, until: "2.44"),
        .action(
            ServerActions.path, "removeFixedIp", "Remove a fixed address from a server", of: Server.visible,
            allow: .member("os-multinic:remove"), remove, until: "2.44"),
    ]

    private static func add(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("addFixedIp")
        let network = try body.need("networkId", .networkID)
        try body.end()
        guard let port = server.ports.first(where: { $0.networkID == network }) else {
            throw .badRequest("Network could not be found for instance \(server.id).")
        }
        let had = port.addresses.count { $0.kind == "fixed" }
        let work = ChangeFixedAddress(server: server.id, port: port.portID, had: had)
        try await start(work, "add_fixed_ip", server, request)
        return .empty
    }

    private static func remove(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("removeFixedIp")
        let address = try body.need("address", .ipAddress)
        try body.end()
        let holding = server.ports.first { $0.addresses.contains { $0.kind == "fixed" && $0.address == address } }
        guard let port = holding else {
            throw .badRequest("Instance \(server.id) doesn't have fixed IP '\(address)'.")
        }
        let work = ChangeFixedAddress(server: server.id, port: port.portID, address: address)
        try await start(work, "remove_fixed_ip", server, request)
        return .empty
    }

    private static func start(
        _ work: ChangeFixedAddress, _ action: String, _ server: Server, _ request: Request
    ) async throws(Fault) {
        try server.refuseIfLocked(request)
        let (queue, requestID, now, userID) = (request.compute.queue, request.id, request.now, request.caller.userID)
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.insert(InstanceAction(action, on: server, by: userID, requestID: requestID, at: now))
            try queue.enqueue(work, requestID: requestID, in: transaction)
        }
    }
}

extension Format where Value == String {
    fileprivate static var networkID: Format {
        Format { value, _ throws(Misfit) in
            switch value {
            case .string(let text) where (1...36).contains(text.unicodeScalars.count): return text
            case .integer, .double: return value.text()
            default: throw Misfit("\(value.text()) is not of type 'string', 'number'")
            }
        }
    }
}
