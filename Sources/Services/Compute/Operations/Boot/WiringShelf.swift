// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

extension ServerWiring {
    /// Takes a server's ports off its host; they stay the server's, addresses and all.
    func unbind(_ server: String) async throws(Fault) {
        for port in try await room.network.ports([("device_id", server)], requestID: requestID) {
            try await room.network.updatePort(port.id, ["binding:host_id": ""], requestID: requestID)
        }
    }

    /// Puts a server's ports on a host, and tells what they are now.
    func rebind(_ server: Server, to host: String) async throws(Fault) -> [ServerPort] {
        for port in try await room.network.ports([("device_id", server.id)], requestID: requestID) {
            let bound = try await room.network.updatePort(
                port.id, ["binding:host_id": .string(host)], requestID: requestID)
            var there = server
            there.host = host
            try await allocate(bound, of: there)
        }
        return try await refresh(server)
    }
}
