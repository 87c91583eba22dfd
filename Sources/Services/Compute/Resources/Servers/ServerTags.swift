// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Words that users mark servers with.
enum ServerTags: Resource {
    static let routes: [Route] = [
        .get(
            path, "List a server's tags", of: Server.visible, allow: .reader("os-server-tags:index"), index,
            since: "2.26"),
        .put(
            path, "Replace a server's tags", of: Server.visible, allow: .member("os-server-tags:update_all"), replace,
            since: "2.26"),
        .delete(
            path, "Delete a server's tags", of: Server.visible, allow: .member("os-server-tags:delete_all"), deleteAll,
            since: "2.26"),
        .get(
            item, "Check a tag", of: Server.visible, allow: .reader("os-server-tags:show"), show, status: 204,
            since: "2.26"),
        .put(item, "Add a tag", of: Server.visible, allow: .member("os-server-tags:update"), add, since: "2.26"),
        .delete(
            item, "Delete a tag", of: Server.visible, allow: .member("os-server-tags:delete"), delete, since: "2.26"),
    ]

    private static let path = "/servers/{server_id}/tags"
    private static let item = "/servers/{server_id}/tags/{tag}"
    private static let most = 50

    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        .bare { $0.put("tags", server.tags) }
    }

    private static func show(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        guard server.tags.contains(request["tag"]) else { throw missing(server, request["tag"]) }
        return .empty
    }

    private static func replace(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body()
        let tags = try body.need("tags", .list(.tag, 0...most))
        try body.end()
        guard Set(tags).count == tags.count else { throw body.refuse("tags", nil, "the tags are not unique") }
        try await write(server, request) { _ in tags }
        return .bare { $0.put("tags", tags) }
    }

    private static func add(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let tag = request["tag"]
        guard tag.unicodeScalars.count <= 60, !tag.contains(",") else {
            throw .badRequest(
                "Tag '\(tag)' is invalid. It must be a non empty string without characters '/' and ','. Validation "
                    + "error message: '\(tag)' is too long or holds ','")
        }
        if server.tags.contains(tag) { return Reply.empty.status(204) }
        guard server.tags.count < most else {
            throw .badRequest("The number of tags exceeded the per-server limit \(most)")
        }
        try await write(server, request) { $0.contains(tag) ? $0 : $0 + [tag] }
        return Reply.empty.status(201)
            .header("Location", request.endpoint + "/servers/\(server.id)/tags/" + Percent.encode(tag))
    }

    private static func delete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let tag = request["tag"]
        guard server.tags.contains(tag) else { throw missing(server, tag) }
        try await write(server, request) { old in old.filter { $0 != tag } }
        return .empty
    }

    private static func deleteAll(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try await write(server, request) { _ in [] }
        return .empty
    }

    private static func write(
        _ server: Server, _ request: Request, _ change: @escaping @Sendable ([String]) -> [String]
    ) async throws(Fault) {
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            let server = try transaction.one(
                Server.self, "id = \(server.id) AND deleted_at IS NULL", or: .serverNotFound(server.id))
            let text = try JSON.column(change(server.tags))
            _ = try transaction.update(
                Server.self, set: "tags = \(text), updated_at = \(now)", where: "id = \(server.id)")
        }
    }

    private static func missing(_ server: Server, _ tag: String) -> Fault {
        .notFound("Server \(server.id) has no tag '\(tag)'")
    }
}
