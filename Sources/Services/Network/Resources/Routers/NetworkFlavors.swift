// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A kind of router (or other service) that an administrator offers: which provider serves it, by service profiles.
package struct NetworkFlavor: Noun {
    package static let table = "network_flavors"
    package static let noun = "flavor"
    package static let plural = "flavors"

    package let id: String
    var name: String
    package var description: String
    let serviceType: String
    var enabled: Bool
    var profiles: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package var projectID: String { "" }
    package var tags: [String] {
        get { [] }
        set {}
    }

    private enum CodingKeys: String, CodingKey {
        case id, name, description, serviceType, enabled, profiles, createdAt, updatedAt, revisionNumber
    }
}

extension NetworkFlavor: Resource {
    private static let admin = NetworkRules.admin

    package static let routes: [Route] = [
        .get("/flavors", "List network flavors", of: OwnScope.from, allow: .anyone("list_flavors"), index),
        .post("/flavors", "Create network flavor", of: Anything.from, allow: .rule("create_flavor", admin), create),
        .get("/flavors/{id}", "Show network flavor", of: visible, allow: .rule("get_flavor", "role:reader"), show),
        .put("/flavors/{id}", "Update network flavor", of: visible, allow: .rule("update_flavor", admin), update),
        .delete("/flavors/{id}", "Delete network flavor", of: visible, allow: .rule("delete_flavor", admin), delete),
        .post(
            "/flavors/{id}/service_profiles", "Associate flavor with service profile", of: visible,
            allow: .rule("create_flavor_service_profile", admin), associate),
        .delete(
            "/flavors/{id}/service_profiles/{profile}", "Disassociate flavor from service profile", of: visible,
            allow: .rule("delete_flavor_service_profile", admin), disassociate),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-29 network flavors
        CREATE TABLE network_flavors (
            id VARCHAR(36) PRIMARY KEY, name VARCHAR(255) NOT NULL, description VARCHAR(1024) NOT NULL,
            service_type VARCHAR(36) NOT NULL, enabled INTEGER NOT NULL, profiles TEXT NOT NULL,
            created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, revision_number INTEGER NOT NULL);
        CREATE TABLE network_service_profiles (
            id VARCHAR(36) PRIMARY KEY, description VARCHAR(1024) NOT NULL, driver VARCHAR(1024) NOT NULL,
            metainfo TEXT NOT NULL, enabled INTEGER NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL)
        """
    ]

    package static let filters: [Filter] = [
        .text("name"), .text("description"), .text("service_type"), .truth("enabled"), .text("id"),
    ]

    package static func scope(_ project: String) -> SQL { "1 = 1" }
    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "FlavorNotFound", "Flavor \(id) could not be found.")
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", description)
        view.put("service_type", serviceType)
        view.put("enabled", enabled)
        view.put("service_profiles", profiles)
    }
}

// MARK: - Handlers

extension NetworkFlavor {
    private static func create(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        var body = try request.body("flavor")
        let flavor = NetworkFlavor(
            id: request.ids.uuid(), name: try body.take("name", .string()) ?? "",
            description: try body.option("description", .string(1024)) ?? "",
            serviceType: try body.need("service_type", .service), enabled: try body.option("enabled", .truth) ?? true,
            profiles: [], createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
        body.ignore("service_profiles", "project_id", "tenant_id")
        try body.end()
        try await request.database.transaction { transaction throws(Fault) in try transaction.insert(flavor) }
        return try await flavor.reply(request)
    }

    private static func update(_ request: Request, _ found: NetworkFlavor) async throws(Fault) -> Reply {
        let flavor = try await change(request, found.id) { _, flavor throws(Fault) in
            var body = try request.body("flavor")
            flavor.name = try body.take("name", .string()) ?? flavor.name
            flavor.description = try body.option("description", .string(1024)) ?? flavor.description
            flavor.enabled = try body.option("enabled", .truth) ?? flavor.enabled
            body.ignore("service_profiles")
            if body.peek("service_type") != nil {
                throw .httpBadRequest("Cannot update read-only attribute service_type")
            }
            try body.end()
        }
        return try await flavor.reply(request)
    }

    private static func delete(_ request: Request, _ found: NetworkFlavor) async throws(Fault) -> Reply {
        let id = found.id
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(Router.self, "flavor_id = \(id)") == 0 else {
                throw .neutron(409, "FlavorInUse", "Flavor \(id) is used by some service instance.")
            }
            try transaction.delete(NetworkFlavor.self, "id = \(id)", or: notFound(id))
        }
        return .empty
    }

    private static func associate(_ request: Request, _ found: NetworkFlavor) async throws(Fault) -> Reply {
        var body = try request.body("service_profile")
        let profile = try body.need("id", .id)
        body.ignore("project_id", "tenant_id")
        try body.end()
        let flavor = try await change(request, found.id) { transaction, flavor throws(Fault) in
            _ = try transaction.one(ServiceProfile.self, "id = \(profile)", or: ServiceProfile.notFound(profile))
            guard !flavor.profiles.contains(profile) else {
                throw .neutron(
                    409, "FlavorServiceProfileBindingExists",
                    "Service Profile \(profile) is already associated with flavor \(flavor.id).")
            }
            flavor.profiles.append(profile)
        }
        return .object("service_profile") { flavor.write(&$0, Nothing()) }
    }

    private static func disassociate(_ request: Request, _ found: NetworkFlavor) async throws(Fault) -> Reply {
        let profile = request["profile"]
        _ = try await change(request, found.id) { _, flavor throws(Fault) in
            guard flavor.profiles.contains(profile) else { throw unbound(profile, flavor.id) }
            flavor.profiles.removeAll { $0 == profile }
        }
        return .empty
    }

    private static func unbound(_ profile: String, _ flavor: String) -> Fault {
        .neutron(
            404, "FlavorServiceProfileBindingNotFound",
            "Service Profile \(profile) is not associated with flavor \(flavor).")
    }

    /// Whether routers may be made of a flavor: it leads by an enabled profile to a provider of routers.
    static func check(_ id: String, _ transaction: Transaction) throws(Fault) {
        let flavor = try transaction.one(NetworkFlavor.self, "id = \(id)", or: notFound(id))
        guard flavor.serviceType == ServiceProviders.router.type else {
            throw .neutron(400, "InvalidServiceType", "Invalid service type \(flavor.serviceType).")
        }
        guard flavor.enabled else { throw .neutron(503, "FlavorDisabled", "Flavor is not enabled.") }
        guard let first = flavor.profiles.first else { throw unbound("", id) }
        let profile = try transaction.one(ServiceProfile.self, "id = \(first)", or: ServiceProfile.notFound(first))
        guard profile.enabled else { throw .neutron(503, "ServiceProfileDisabled", "Service Profile is not enabled.") }
        guard profile.driver == ServiceProviders.router.driver else { throw ServiceProfile.noDriver(profile.driver) }
    }
}

extension Format where Value == String {
    /// The services that flavors may be of.
    fileprivate static var service: Format {
        .among("CORE", "FLAVORS", "L3_ROUTER_NAT", "LOADBALANCERV2", "METERING", "PORTFORWARDING", "QOS", "TRUNK")
    }
}
