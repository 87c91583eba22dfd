// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Answers guests at 169.254.169.254. Who asks is told by the network whose listener was reached and by the guest's
/// address on it; nothing the guest sends is believed. Another's proxy may name the server instead, if it signs the id
/// with the secret that both know (`[neutron] metadata_proxy_shared_secret`).
package struct MetadataService: Sendable {
    private let room: ComputeService

    package init(_ room: ComputeService) { self.room = room }

    /// Answers a request that came in through a network's own listener; nil is the one for proxies.
    package func handle(_ http: HTTPRequest, network: String?) async -> HTTPResponse {
        do throws(Fault) {
            if path(http).isEmpty, network == nil { return roots() }
            let server =
                if let network { try await server(http.peer, network) } else { try await signed(http) }
            guard let server else { return text(404, "No server has this address.") }
            let address = network == nil ? http.headers["X-Forwarded-For"] : http.peer
            return try await answer(http, server, address: address)
        } catch {
            room.log.error("metadata", ["error": error.description, "network": network ?? "", "peer": http.peer])
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

    /// The server that a proxy names.
    private func signed(_ http: HTTPRequest) async throws(Fault) -> Server? {
        guard let secret = room.options.metadata.proxySecret else { throw .notFound("Not Found") }
        func header(_ name: String) throws(Fault) -> String {
            guard let value = http.headers[name] else { throw .badRequest("\(name) header is missing from request.") }
            return value
        }
        let id = try header("X-Instance-ID")
        let signature = try header("X-Instance-ID-Signature")
        let project = try header("X-Tenant-ID")
        let expected = Hex.encode(HMAC.bytes(.sha256, key: Array(secret.utf8), Array(id.utf8)))
        guard HMAC.isSame(expected, signature) else {
            room.log.warning("a metadata request's signature is wrong", ["id": id, "peer": http.peer])
            throw .forbidden("Invalid proxy request signature.")
        }
        let server = try await room.database.first(Server.self, "id = \(id) AND deleted_at IS NULL")
        guard let server, server.projectID == project else { return nil }
        return server
    }

    // MARK: - Paths

    private func path(_ http: HTTPRequest) -> [String] {
        var parts: [String] = []
        for part in http.path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(String(part)) }
        }
        return parts
    }

    private func roots() -> HTTPResponse { lines(GuestDocuments.ec2Versions + ["latest"]) }

    private func answer(
        _ http: HTTPRequest, _ server: Server, address: String?
    ) async throws(Fault) -> HTTPResponse {
        var path = path(http)
        if path.first == "openstack" { return try await openStack(Array(path.dropFirst()), http, server) }
        if path.first == "ec2" { path.removeFirst() }
        guard let version = path.first else { return roots() }
        return ec2(version, Array(path.dropFirst()), server, address)
    }

    private func openStack(
        _ path: [String], _ http: HTTPRequest, _ server: Server
    ) async throws(Fault) -> HTTPResponse {
        let metadata = GuestMetadata(room)
        var documents = metadata.documents(of: server)
        guard let name = path.first else {
            // Upstream does not show versions that are in the future.
            let today = room.clock.now().iso8601.prefix(10)
            return lines(GuestDocuments.Version.allCases.map(\.rawValue).filter { $0 <= today } + ["latest"])
        }
        guard let version = GuestDocuments.Version.named(name) else { return text(404, "Not Found") }
        guard path.count > 1 else { return lines(documents.listing(version)) }
        let document = path.dropFirst().joined(separator: "/")
        let isKnown =
            ["network_data.json", "user_data"].contains(document) || documents.listing(version).contains(document)
        guard isKnown else { return text(404, "Not Found") }
        switch document {
        case "meta_data.json":
            documents.volumes = try await metadata.taggedVolumes(server)
            documents.places = await places(server, documents.volumes)
            return json(documents.metaData(version))
        // Upstream answers it at every version, and lists it from 2015-10-15 on.
        case "network_data.json": return json(try await metadata.networkData(server))
        case "vendor_data.json": return json(try await metadata.vendorData(server, needsSecond: false).first)
        case "vendor_data2.json": return json(try await metadata.vendorData(server).second)
        case "password": return try await password(http, server)
        default:
            guard let data = documents.userData else { return text(404, "Not Found") }
            return HTTPResponse(
                status: 200, headers: [("Content-Type", "application/octet-stream")], body: .bytes(data))
        }
    }

    /// Where tagged devices are in the guest; nobody else's answer waits for a host that does not give one.
    private func places(_ server: Server, _ volumes: [BlockDevice]) async -> [String: GuestDevicePlace] {
        guard !volumes.isEmpty || server.ports.contains(where: { $0.tag != nil }), let host = server.host,
            let driver = try? room.hosts.find(host) as? any GuestDevices
        else { return [:] }
        return (try? await driver.devicePlaces(of: server.id)) ?? [:]
    }

    /// The guest posts its password, encrypted with its user's key, once; whoever holds the key reads it by API.
    private func password(_ http: HTTPRequest, _ server: Server) async throws(Fault) -> HTTPResponse {
        if http.method == "GET" || http.method == "HEAD" { return text(200, server.guestPassword) }
        guard http.method == "POST" else { throw .badRequest("GET and POST only are supported.") }
        guard server.guestPassword.isEmpty else { return text(409, "The password is set already.") }
        let bytes: [UInt8]
        do throws(Fault) { bytes = try await http.body.collect(limit: 1020) } catch {
            throw error.status == 413 ? .badRequest("Request is too large.") : error
        }
        guard let password = String(validating: bytes, as: UTF8.self) else {
            throw .badRequest("The password is no text.")
        }
        _ = try await room.database.update(
            Server.self, set: "guest_password = \(password)", where: "id = \(server.id) AND guest_password = ''")
        return text(200, "")
    }

    // MARK: - EC2

    private func ec2(_ version: String, _ path: [String], _ server: Server, _ address: String?) -> HTTPResponse {
        let documents = GuestMetadata(room).documents(of: server)
        guard let tree = documents.ec2(version, address: address) else { return text(404, "Not Found") }
        guard let first = path.first else {
            return text(200, documents.userData == nil ? "meta-data/" : "meta-data/\nuser-data")
        }
        if first == "user-data" {
            guard path.count == 1, let data = documents.userData else { return text(404, "Not Found") }
            return HTTPResponse(status: 200, headers: [("Content-Type", "text/plain")], body: .bytes(data))
        }
        guard first == "meta-data" else { return text(404, "Not Found") }
        var node = tree
        for name in path.dropFirst() {
            guard let next = node[name] else { return text(404, "Not Found") }
            node = next
        }
        if let object = node.object { return text(200, MetadataService.listing(object)) }
        if let list = node.array { return lines(list.map { $0.string ?? $0.text() }) }
        return text(200, node.string ?? node.text())
    }

    /// A directory: what can be gone into ends in a slash, and keys say their name.
    private static func listing(_ object: JSONObject) -> String {
        object.filter { $0.key != "_name" }.sorted { $0.key < $1.key }.map { key, value in
            guard let inner = value.object else { return key }
            return inner["_name"]?.string ?? key + "/"
        }.joined(separator: "\n")
    }

    // MARK: - Answers

    private func lines(_ lines: [String]) -> HTTPResponse { text(200, lines.joined(separator: "\n")) }

    private func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(
            status: status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: .bytes(Array(text.utf8)))
    }

    private func json(_ document: JSON) -> HTTPResponse {
        HTTPResponse(
            status: 200, headers: [("Content-Type", "application/json")], body: .bytes(document.bytes()))
    }
}
