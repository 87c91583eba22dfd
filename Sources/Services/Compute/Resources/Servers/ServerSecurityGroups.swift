// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// The security groups on a server's ports; Network keeps them.
enum ServerSecurityGroups: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/os-security-groups", "List a server's security groups", of: Server.visible,
            allow: .reader("os-security-groups:list"), index),
        .action(
            ServerActions.path, "addSecurityGroup", "Add a security group to a server", of: Server.visible,
            allow: .member("os-security-groups:add")
        ) { request, server async throws(Fault) in try await change(request, server, "addSecurityGroup") },
        .action(
            ServerActions.path, "removeSecurityGroup", "Remove a security group from a server", of: Server.visible,
            allow: .member("os-security-groups:remove")
        ) { request, server async throws(Fault) in try await change(request, server, "removeSecurityGroup") },
    ]

    private static func index(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let network = request.compute.network
        let ports = try await network.ports([("device_id", server.id)], requestID: request.id)
        let ids = Set(ports.flatMap(\.securityGroups))
        let groups = try await network.securityGroupDocuments(project: server.projectID, requestID: request.id)
            .filter { ids.contains($0["id"]?.string ?? "") }
        let names = try await SecurityGroupProxy.names(of: groups, request)
        return .list("security_groups", groups.map { group in { SecurityGroupProxy.write(group, names, to: &$0) } })
    }

    private static func change(_ request: Request, _ server: Server, _ action: String) async throws(Fault) -> Reply {
        var body = try request.body(action)
        let name = try body.need("name", .text(1...255))
        try body.end()
        let isAdding = action == "addSecurityGroup"
        let network = request.compute.network
        let known = try await network.securityGroups(project: server.projectID, requestID: request.id)
            .filter { $0.id == name || $0.name == name }
        guard let group = known.first else {
            throw .notFound("Security group \(name) not found for project \(server.projectID).")
        }
        guard known.count == 1 else {
            throw .conflict("Multiple security groups found matching '\(name)'. Use an ID to be more specific.")
        }
        let ports = try await network.ports([("device_id", server.id)], requestID: request.id)
        guard !ports.isEmpty || !isAdding else {
            throw .badRequest("instance \(server.id) requires network to have security group \(name)")
        }
        var found = false
        for port in ports where port.securityGroups.contains(group.id) != isAdding {
            found = true
            let groups = isAdding ? port.securityGroups + [group.id] : port.securityGroups.filter { $0 != group.id }
            try await network.updatePort(
                port.id, ["security_groups": .array(groups.map(JSON.string))], requestID: request.id)
        }
        guard found || isAdding else {
            throw .notFound("Security group \(name) not associated with the instance \(server.id)")
        }
        try await note(isAdding, group, server, request)
        return .empty
    }

    private static func note(
        _ isAdding: Bool, _ group: (id: String, name: String), _ server: Server, _ request: Request
    ) async throws(Fault) {
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            let server = try transaction.one(
                Server.self, "id = \(server.id) AND deleted_at IS NULL", or: .serverNotFound(server.id))
            var names = server.securityGroups.filter { $0 != group.name && $0 != group.id }
            if isAdding { names.append(group.name) }
            let text = try JSON.column(names)
            _ = try transaction.update(
                Server.self, set: "security_groups = \(text), updated_at = \(now)", where: "id = \(server.id)")
        }
    }
}
