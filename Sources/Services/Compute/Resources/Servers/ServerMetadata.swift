// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Free pairs that users keep with a server; the guest reads them from the metadata service.
enum ServerMetadata: Resource {
    static let routes: [Route] = [
        .get(path, "List a server's metadata", of: Server.visible, allow: .reader("server-metadata:index"), index),
        .post(
            path, "Add to a server's metadata", of: Server.visible, allow: .member("server-metadata:create"), create,
            status: 200),
        .put(
            path, "Replace a server's metadata", of: Server.visible, allow: .member("server-metadata:update_all"),
            replace),
        .get(item, "Show a metadata item", of: Server.visible, allow: .reader("server-metadata:show"), show),
        .put(item, "Set a metadata item", of: Server.visible, allow: .member("server-metadata:update"), update),
        .delete(item, "Delete a metadata item", of: Server.visible, allow: .member("server-metadata:delete"), delete),
    ]

    private static let path = "/servers/{server_id}/metadata"
    private static let item = "/servers/{server_id}/metadata/{key}"

    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        .bare { $0.put("metadata", server.metadata) }
    }

    private static func create(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let given = try pairs(request)
        let all = try await write(server, request, "update metadata") { $0.merging(given) { $1 } }
        return .bare { $0.put("metadata", all) }
    }

    private static func replace(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let given = try pairs(request)
        let all = try await write(server, request, "update metadata") { _ in given }
        return .bare { $0.put("metadata", all) }
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let key = request["key"]
        guard let value = server.metadata[key] else { throw .notFound("Metadata item was not found") }
        return .object("meta") { $0.put(named: key, value) }
    }

    private static func update(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let key = request["key"]
        var body = try request.body()
        let meta = try body.need("meta", .pairs())
        try body.end()
        guard meta.count == 1 else { throw body.refuse("meta", nil, "exactly one item is expected") }
        guard meta[key] != nil else { throw .badRequest("Request body and URI mismatch") }
        _ = try await write(server, request, "update metadata") { $0.merging(meta) { $1 } }
        return .bare { $0.put("meta", meta) }
    }

    private static func delete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let key = request["key"]
        guard server.metadata[key] != nil else { throw .notFound("Metadata item was not found") }
        _ = try await write(server, request, "delete metadata") { old in old.filter { $0.key != key } }
        return .empty
    }

    private static func pairs(_ request: Request) throws(Fault) -> [String: String] {
        var body = try request.body()
        let pairs = try body.need("metadata", .pairs())
        try body.end()
        return pairs
    }

    private static func write(
        _ server: Server, _ request: Request, _ action: String,
        _ change: @escaping @Sendable ([String: String]) -> [String: String]
    ) async throws(Fault) -> [String: String] {
        try server.refuseIfLocked(request)
        let (quota, now) = (try await request.quota(), request.now)
        return try await request.database.transaction { transaction throws(Fault) in
            var server = try transaction.one(
                Server.self, "id = \(server.id) AND deleted_at IS NULL", or: .serverNotFound(server.id))
            try server.admit(ActionRule(action, [.active, .paused, .suspended, .stopped]).amid(nil))
            server.metadata = change(server.metadata)
            let limit = try quota.options.limit("metadata_items", server.projectID, transaction)
            try quota.require(
                "metadata_items", used: 0, more: server.metadata.count, of: server.projectID, transaction,
                or: .forbidden("Maximum number of metadata items exceeds \(limit)"))
            let text = try JSON.column(server.metadata)
            _ = try transaction.update(
                Server.self, set: "metadata = \(text), updated_at = \(now)", where: "id = \(server.id)")
            return server.metadata
        }
    }
}

extension JSON {
    /// A value as a nested column holds it.
    static func column(_ value: some Encodable) throws(Fault) -> String {
        do {
            return try JSON.encode(value).text()
        } catch {
            throw .internalError("a value could not be stored: \(error)")
        }
    }
}
