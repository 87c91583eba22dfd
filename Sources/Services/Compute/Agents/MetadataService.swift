// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Answers guests at 169.254.169.254. Who asks is told by the network whose listener was reached and by the guest's
/// address on it; nothing the guest sends is believed.
package struct MetadataService: Sendable {
    private let room: ComputeService

    package init(_ room: ComputeService) { self.room = room }

    /// Answers a request that came in through a network's own listener.
    package func handle(_ http: HTTPRequest, network: String) async -> HTTPResponse {
        do throws(Fault) {
            guard let server = try await server(http.peer, network) else {
                return text(404, "No server has this address.")
            }
            return try await answer(http, server)
        } catch {
            room.log.error("metadata", ["error": error.description, "network": network, "peer": http.peer])
            return text(error.status, error.status == 500 ? "The metadata service failed." : error.message)
        }
    }

    private func server(_ address: String, _ network: String) async throws(Fault) -> Server? {
        let requestID = "req-" + room.ids.uuid()
        let ports = try await room.network.ports(
            [("network_id", network), ("fixed_ips", "ip_address=\(address)")], requestID: requestID)
        guard let device = ports.first?.deviceID, !device.isEmpty else { return nil }
        return try await room.database.first(Server.self, "id = \(device) AND deleted_at IS NULL")
    }

    private func answer(_ http: HTTPRequest, _ server: Server) async throws(Fault) -> HTTPResponse {
        let path = http.path.split(separator: "/").map(String.init)
        if path.isEmpty { return text(200, (GuestMetadata.ec2Versions + ["latest"]).joined(separator: "\n")) }
        if path[0] == "openstack" { return try await openStack(Array(path.dropFirst()), http, server) }
        guard GuestMetadata.ec2Versions.contains(path[0]) || path[0] == "latest" else { return text(404, "Not Found") }
        return ec2(Array(path.dropFirst()), server)
    }

    private func openStack(
        _ path: [String], _ http: HTTPRequest, _ server: Server
    ) async throws(Fault) -> HTTPResponse {
        let documents = GuestMetadata(room)
        guard let version = path.first else {
            return text(200, (GuestMetadata.versions + ["latest"]).joined(separator: "\n"))
        }
        guard version == "latest" || GuestMetadata.versions.contains(version) else { return text(404, "Not Found") }
        switch path.dropFirst().first {
        case nil:
            var names = ["meta_data.json", "network_data.json", "password", "vendor_data.json", "vendor_data2.json"]
            if server.userData != nil { names.append("user_data") }
            return text(200, names.joined(separator: "\n"))
        case "meta_data.json": return json(documents.metaData(server))
        case "network_data.json": return json(try await documents.networkData(server))
        case "vendor_data.json": return json([:])
        case "vendor_data2.json": return json(["static": [:]])
        case "user_data":
            guard let data = documents.userData(server) else { return text(404, "Not Found") }
            return HTTPResponse(
                status: 200, headers: [("Content-Type", "application/octet-stream")], body: .bytes(data))
        case "password": return try await password(http, server)
        default: return text(404, "Not Found")
        }
    }

    /// The guest posts its password, encrypted with its user's key, once; whoever holds the key reads it by API.
    private func password(_ http: HTTPRequest, _ server: Server) async throws(Fault) -> HTTPResponse {
        guard http.method == "POST" else { return text(200, server.guestPassword) }
        guard server.guestPassword.isEmpty else { return text(409, "The password is set already.") }
        let bytes = try await http.body.collect(limit: 1020)
        guard let password = String(validating: bytes, as: UTF8.self) else {
            return text(400, "The password is no text.")
        }
        _ = try await room.database.update(
            Server.self, set: "guest_password = \(password)", where: "id = \(server.id)")
        return text(200, "")
    }

    private func ec2(_ path: [String], _ server: Server) -> HTTPResponse {
        guard let first = path.first else {
            return text(200, server.userData == nil ? "meta-data/" : "meta-data/\nuser-data")
        }
        if first == "user-data" {
            guard let data = GuestMetadata(room).userData(server) else { return text(404, "Not Found") }
            return HTTPResponse(status: 200, headers: [("Content-Type", "text/plain")], body: .bytes(data))
        }
        guard first == "meta-data" else { return text(404, "Not Found") }
        var node = GuestMetadata(room).ec2(server)
        for name in path.dropFirst() {
            guard let next = node[name] else { return text(404, "Not Found") }
            node = next
        }
        if let object = node.object { return text(200, MetadataService.listing(object)) }
        return text(200, node.string ?? node.text())
    }

    /// A directory: what can be gone into ends in a slash, and keys say their name.
    private static func listing(_ object: JSONObject) -> String {
        object.filter { $0.key != "_name" }.map { key, value in
            guard let inner = value.object else { return key }
            return inner["_name"]?.string ?? key + "/"
        }.sorted().joined(separator: "\n")
    }

    private func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: .bytes(Array(text.utf8)))
    }

    private func json(_ document: JSON) -> HTTPResponse {
        HTTPResponse(
            status: 200, headers: [("Content-Type", "application/json")], body: .bytes(document.bytes()))
    }
}
