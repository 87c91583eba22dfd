// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The projects that a flavor which is not public is for.
enum FlavorAccess: Resource {
    static let routes: [Route] = [
        .get(
            "/flavors/{flavor_id}/os-flavor-access", "List who may use a flavor", of: Anything.from,
            allow: .adminOnly("os-flavor-access"), index),
        .action(
            "/flavors/{flavor_id}/action", "addTenantAccess", "Let a project use a flavor", of: Anything.from,
            allow: .adminOnly("os-flavor-access:add_tenant_access"), add, status: 200),
        .action(
            "/flavors/{flavor_id}/action", "removeTenantAccess", "Let a project use a flavor no more",
            of: Anything.from,
            allow: .adminOnly("os-flavor-access:remove_tenant_access"), remove, status: 200),
    ]

    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let flavor = try await Flavor.find(request["flavor_id"], request)
        guard !flavor.isPublic else { throw .notFound("Access list not available for public flavors.") }
        return reply(flavor)
    }

    private static func add(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let (project, isStrict) = (try tenant("addTenantAccess", request), request.version >= "2.7")
        return reply(
            try await Flavor.change(request) { flavor throws(Fault) in
                if isStrict, flavor.isPublic { throw .conflict("Can not add access to a public flavor.") }
                guard !flavor.projects.contains(project) else {
                    throw .conflict(
                        "Flavor access already exists for flavor \(flavor.id) and project \(project) combination.")
                }
                flavor.projects.append(project)
            })
    }

    private static func remove(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let project = try tenant("removeTenantAccess", request)
        return reply(
            try await Flavor.change(request) { flavor throws(Fault) in
                guard flavor.projects.contains(project) else {
                    throw .notFound("Flavor access not found for \(flavor.id) / \(project) combination.")
                }
                flavor.projects.removeAll { $0 == project }
            })
    }

    private static func tenant(_ action: String, _ request: Request) throws(Fault) -> String {
        var body = try request.body(action)
        let project = try body.need("tenant", .text(1...255))
        try body.end()
        return project
    }

    private static func reply(_ flavor: Flavor) -> Reply {
        .list(
            "flavor_access",
            flavor.projects.map { project in
                {
                    $0.put("flavor_id", flavor.id)
                    $0.put("tenant_id", project)
                }
            })
    }
}
