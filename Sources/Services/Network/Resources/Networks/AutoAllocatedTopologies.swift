// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A network that works, made for a project on its first asking: subnets of the default pools behind a router that
/// leads to the default external network.
package struct AutoAllocatedTopology: Record {
    package static let table = "network_auto_topologies"
    let projectID: String, networkID: String, routerID: String
}

extension AutoAllocatedTopology: Resource {
    private static let path = "/auto-allocated-topology/{project}"

    package static let routes: [Route] = [
        .get(
            path, "Show auto-allocated topology", of: Owner.from,
            allow: .rule("get_auto_allocated_topology", NetworkRules.adminOrReader), show),
        .delete(
            path, "Delete auto-allocated topology", of: Owner.from,
            allow: .rule("delete_auto_allocated_topology", NetworkRules.adminOrMember), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network auto-allocated topologies
        CREATE TABLE network_auto_topologies (
            project_id VARCHAR(255) PRIMARY KEY, network_id VARCHAR(36) NOT NULL, router_id VARCHAR(36) NOT NULL)
        """
    ]

    /// The project the path names; `None` is the caller's.
    package struct Owner: ProjectOwned, Asked {
        package let projectID: String
        package init(_ request: Request) {
            let named = request["project"]
            projectID = named == "None" ? request.project : named
        }
    }

    private static func failure(_ reason: String) -> Fault {
        .neutron(409, "AutoAllocationFailure", "Deployment error: \(reason).")
    }

    private static func reply(_ id: String, _ project: String) -> Reply {
        .object("auto_allocated_topology") {
            $0.put("id", id)
            $0.put("project_id", project)
            $0.put("tenant_id", project)
        }
    }
}

// MARK: - Handlers

extension AutoAllocatedTopology {
    private static func show(_ request: Request, _ owner: Owner) async throws(Fault) -> Reply {
        let fields = request.queryAll("fields")
        let checksOnly = fields.contains("dry-run")
        guard checksOnly || fields.isEmpty else { throw .badResource("auto_allocate", "Unrecognized field") }
        let project = owner.projectID
        let network = try await request.database.transaction { transaction throws(Fault) -> String? in
            if checksOnly {
                _ = try requirements(transaction)
                return nil
            }
            if let known = try transaction.first(AutoAllocatedTopology.self, "project_id = \(project)") {
                if try transaction.count(Network.self, "id = \(known.networkID)") > 0 { return known.networkID }
                try transaction.delete(AutoAllocatedTopology.self, "project_id = \(project)")
            }
            return try build(project, transaction, request)
        }
        // The fields that the client names here are no members: all are shown.
        guard let network else {
            return .bare {
                $0.nest("auto_allocated_topology") {
                    $0.put("id", "dry-run=pass")
                    $0.put("project_id", project)
                    $0.put("tenant_id", project)
                }
            }
        }
        return reply(network, project)
    }

    private static func delete(_ request: Request, _ owner: Owner) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            let project = owner.projectID
            guard let known = try transaction.first(AutoAllocatedTopology.self, "project_id = \(project)") else {
                return
            }
            try transaction.delete(AutoAllocatedTopology.self, "project_id = \(project)")
            if let router = try transaction.first(Router.self, "id = \(known.routerID)") {
                for port in try router.ports(transaction) where port.networkID == known.networkID {
                    try port.remove(transaction, request)
                }
                try router.remove(transaction, request)
            }
            if let network = try transaction.first(Network.self, "id = \(known.networkID)") {
                try network.remove(transaction, request)
            }
        }
        return .empty
    }

    /// The network to lead to, and the pools to cut from.
    private static func requirements(
        _ transaction: Transaction
    ) throws(Fault) -> (outside: Network, pools: [SubnetPool]) {
        guard let outside = try transaction.first(Network.self, "external = 1 AND is_default = 1 ORDER BY id") else {
            throw failure("No default router:external network")
        }
        let pools = try transaction.all(SubnetPool.self, "is_default = 1 ORDER BY ip_version")
        guard !pools.isEmpty else { throw failure("No default subnetpools defined") }
        return (outside, pools)
    }

    private static func build(
        _ project: String, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> String {
        let (outside, pools) = try requirements(transaction)
        var body = Body(["name": "auto_allocated_network"], path: "", request: request)
        var draft = try Network.Draft(request, &body)
        draft.projectID = project
        let network = try draft.insert(transaction, request)
        var router = Router(request, project: project, name: "auto_allocated_router")
        try router.lead(to: GatewayWish(network: outside.id, snat: nil, fixedIPs: nil), transaction, request)
        try transaction.insert(router)
        for pool in pools {
            let wish = Subnet.Draft(network, pool, name: "auto_allocated_subnet_v\(pool.ipVersion)")
            let subnet = try wish.insert(transaction, request)
            _ = try RouterInterfaces.plug(subnet: subnet.id, router, transaction, request)
        }
        try transaction.touch(.router, router.id, request)
        try transaction.insert(
            AutoAllocatedTopology(projectID: project, networkID: network.id, routerID: router.id))
        return network.id
    }
}
