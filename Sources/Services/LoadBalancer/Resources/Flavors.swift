// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What balancers an administrator offers: a profile under a name that users may choose.
package struct Flavor: Record {
    package static let table = "load_balancer_flavors"
    let id: String
    var name: String, description: String, enabled: Bool
    let flavorProfileID: String
}

extension Flavor: Offering {
    static let plural = "flavors"
    static let links = "flavors_links"
    static let title = "Flavor"
    static let key = "id"
    var keyValue: String { id }

    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/flavors") { path in
        [
            .get(path, "List flavors", of: OwnScope.from, allow: .read("flavor:get_all"), index),
            .post(path, "Create a flavor", of: OwnScope.from, allow: .operate("flavor:post"), create),
            .get(path + "/{id}", "Show flavor details", of: OwnScope.from, allow: .read("flavor:get_one"), show),
            .put(path + "/{id}", "Update a flavor", of: OwnScope.from, allow: .operate("flavor:put"), update),
            .delete(path + "/{id}", "Remove a flavor", of: OwnScope.from, allow: .operate("flavor:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer flavors
        CREATE TABLE load_balancer_flavors (
            id VARCHAR(36) PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, description VARCHAR(255) NOT NULL,
            enabled INTEGER NOT NULL, flavor_profile_id VARCHAR(36) NOT NULL)
        """
    ]

    static let filters: [PartFilter] = [
        .text("name"), .text("description"), .truth("enabled"), .text("flavor_profile_id"), .text("id"),
    ]

    func write(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("enabled", enabled)
        view.put("flavor_profile_id", flavorProfileID)
    }
}

extension Flavor {
    /// The profile behind the flavor that a new balancer asks for.
    static func choose(_ request: Request, _ id: String?) async throws(Fault) -> FlavorProfile? {
        guard let id else { return nil }
        let flavor = try await request.database.one(Flavor.self, "id = \(id)", or: .validation("Invalid flavor_id."))
        guard flavor.enabled else {
            throw .badRequest("The selected flavor is not allowed in this deployment: \(id)")
        }
        return try await FlavorProfile.one(request, flavor.flavorProfileID)
    }

    private static func show(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let flavor = try await one(request, request["id"])
        return .object("flavor") { flavor.write(&$0) }
    }

    private static func create(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        var body = try request.body("flavor")
        let flavor = Flavor(
            id: request.ids.uuid(), name: try body.need("name", .words()),
            description: try body.option("description", .words()) ?? "",
            enabled: try body.option("enabled", .truth) ?? true,
            flavorProfileID: try body.need("flavor_profile_id", .id))
        try body.finish("flavor_.flavor")
        let profile = flavor.flavorProfileID
        guard try await request.database.count(FlavorProfile.self, "id = \(profile)") > 0 else {
            throw .invalidOption(profile, "flavor_profile_id")
        }
        try await request.database.insert(flavor, or: .conflict("A flavor of \(flavor.name) already exists."))
        return .object("flavor") { flavor.write(&$0) }
    }

    private static func update(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        let body = try request.body("flavor")
        let flavor = try await request.database.transaction { transaction throws(Fault) in
            var flavor = try transaction.one(Flavor.self, "id = \(id)", or: notFound(id))
            var body = body
            try body.set("name", .words(), &flavor.name, none: flavor.name)
            try body.set("description", .words(), &flavor.description, none: "")
            try body.set("enabled", .truth, &flavor.enabled, none: false)
            try body.finish("flavor_.flavor")
            let (name, own) = (flavor.name, flavor.id)
            guard try transaction.count(Flavor.self, "name = \(name) AND id <> \(own)") == 0 else {
                throw .conflict("A flavor of \(name) already exists.")
            }
            try transaction.replace(flavor, where: "id = \(id)", or: notFound(id))
            return flavor
        }
        return .object("flavor") { flavor.write(&$0) }
    }

    private static func delete(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(LoadBalancer.self, "flavor_id = \(id)") == 0 else {
                throw .inUse("Flavor", id)
            }
            try transaction.delete(Flavor.self, "id = \(id)", or: notFound(id))
        }
        return .empty
    }
}
