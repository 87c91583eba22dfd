// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What a flavor asks of a provider.
package struct FlavorProfile: Record {
    package static let table = "load_balancer_flavor_profiles"
    let id: String
    var name: String, providerName: String, flavorData: String

    /// The most connections that a balancer of this profile holds.
    var connectionsMax: Int? {
        (try? ProfileText.read(flavorData, "flavor_data"))?["maximum_connections"]?.integer
    }
}

extension FlavorProfile: Offering {
    static let plural = "flavorprofiles"
    static let links = "flavorprofile_links"
    static let title = "Flavor Profile"
    static let key = "id"
    var keyValue: String { id }

    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/flavorprofiles") { path in
        [
            .get(path, "List flavor profiles", of: OwnScope.from, allow: .operate("flavor-profile:get_all"), index),
            .post(path, "Create a flavor profile", of: OwnScope.from, allow: .operate("flavor-profile:post"), create),
            .get(
                path + "/{id}", "Show flavor profile details", of: OwnScope.from,
                allow: .operate("flavor-profile:get_one"),
                show),
            .put(
                path + "/{id}", "Update a flavor profile", of: OwnScope.from, allow: .operate("flavor-profile:put"),
                update),
            .delete(
                path + "/{id}", "Remove a flavor profile", of: OwnScope.from, allow: .operate("flavor-profile:delete"),
                delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer flavor profiles
        CREATE TABLE load_balancer_flavor_profiles (
            id VARCHAR(36) PRIMARY KEY, name VARCHAR(255) NOT NULL, provider_name VARCHAR(255) NOT NULL,
            flavor_data TEXT NOT NULL)
        """
    ]

    static let filters: [PartFilter] = [
        .text("name"), .text("provider_name"), .text("flavor_data"), .text("id"),
    ]

    func write(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("provider_name", providerName)
        view.put("flavor_data", flavorData)
    }
}

extension FlavorProfile {
    private func check(_ request: Request) throws(Fault) {
        let object = try ProfileText.read(flavorData, "flavor_data")
        let abilities = try request.balancing.providers.require(providerName).abilities
        try ProfileText.check(object, abilities.flavorCapabilities, providerName, "flavor")
    }

    private static func show(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let profile = try await one(request, request["id"])
        return .object("flavorprofile") { profile.write(&$0) }
    }

    private static func create(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        var body = try request.body("flavorprofile")
        let profile = FlavorProfile(
            id: request.ids.uuid(), name: try body.need("name", .words()),
            providerName: try body.need("provider_name", .words()),
            flavorData: try body.need("flavor_data", .words(4096)))
        try body.finish("flavor_profile_.flavorprofile")
        try profile.check(request)
        try await request.database.insert(profile)
        return .object("flavorprofile") { profile.write(&$0) }
    }

    private static func update(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        let body = try request.body("flavorprofile")
        let profile = try await request.database.transaction { transaction throws(Fault) in
            var profile = try transaction.one(FlavorProfile.self, "id = \(id)", or: notFound(id))
            var body = body
            for name in ["name", "provider_name", "flavor_data"] where body.peek(name)?.isNull == true {
                throw .invalidOption("None", name)
            }
            let isDeep = body.has("provider_name") || body.has("flavor_data")
            let uses = isDeep ? try transaction.count(Flavor.self, "flavor_profile_id = \(id)") : 0
            guard uses == 0 else {
                throw .inUse("Flavor profile", id)
            }
            try body.set("name", .words(), &profile.name, none: profile.name)
            try body.set("provider_name", .words(), &profile.providerName, none: profile.providerName)
            try body.set("flavor_data", .words(4096), &profile.flavorData, none: profile.flavorData)
            try body.finish("flavor_profile_.flavorprofile")
            if isDeep { try profile.check(request) }
            try transaction.replace(profile, where: "id = \(id)", or: notFound(id))
            return profile
        }
        return .object("flavorprofile") { profile.write(&$0) }
    }

    private static func delete(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(Flavor.self, "flavor_profile_id = \(id)") == 0 else {
                throw .inUse("Flavor profile", id)
            }
            try transaction.delete(FlavorProfile.self, "id = \(id)", or: .missing("Flavor profile", id))
        }
        return .empty
    }
}
