// SPDX-License-Identifier: Apache-2.0
import Kernel

/// File shares that are mounted into servers. They need a shared file system service and hosts with virtiofs; this
/// cloud has neither, so nothing can be attached, and nothing is. Upstream asks for the hosts' abilities before it asks
/// the service, and answers the same.
enum ServerShares: Resource {
    static let routes: [Route] = [
        .get(
            path, "List a server's shares", of: Server.visible, allow: .reader("os-server-shares:index"),
            { _, _ in .list("shares", []) }, since: "2.97"),
        .post(
            path, "Attach a share", of: Server.visible, allow: .member("os-server-shares:create"), create,
            since: "2.97"),
        .get(
            item, "Show a share of a server", of: Server.visible, allow: .reader("os-server-shares:show"),
            { request, _ async throws(Fault) in throw absent(request) }, since: "2.97"),
        .delete(
            item, "Detach a share", of: Server.visible, allow: .member("os-server-shares:delete"), delete, status: 200,
            since: "2.97"),
    ]

    private static let path = "/servers/{server_id}/shares"
    private static let item = "/servers/{server_id}/shares/{share_id}"

    private static func create(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("share")
        _ = try body.need("share_id", .uuid)
        _ = try body.take("tag", .shareTag)
        try body.end()
        guard server.vmState == .stopped else {
            throw .serverState(server.id, "vm_state", server.vmState.rawValue, "create share")
        }
        throw .conflict(
            "Feature not supported because either compute or instance are not configured correctly.")
    }

    private static func delete(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        guard server.vmState == .stopped || server.vmState == .error else {
            throw .serverState(server.id, "vm_state", server.vmState.rawValue, "delete share")
        }
        throw absent(request)
    }

    private static func absent(_ request: Request) -> Fault {
        .notFound("Share \(request["share_id"]) could not be found.")
    }
}

extension Format where Value == String {
    /// What a guest mounts a share by.
    fileprivate static var shareTag: Format {
        text(1...255).map { text throws(Misfit) in
            let isClean = text.unicodeScalars.allSatisfy {
                ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || $0 == "-"
            }
            guard isClean else { throw Misfit("'\(text)' does not match '^[a-zA-Z0-9-]*$'") }
            return text
        }
    }
}
