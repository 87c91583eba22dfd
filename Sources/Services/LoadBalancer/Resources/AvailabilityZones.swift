// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where an administrator lets balancers be: a profile under a name that users may choose.
package struct AvailabilityZone: Record {
    package static let table = "load_balancer_availability_zones"
    let name: String
    var description: String, enabled: Bool
    let availabilityZoneProfileID: String
}

extension AvailabilityZone: Offering {
    static let plural = "availability_zones"
    static let links = "availability_zones_links"
    static let title = "Availability Zone"
    static let key = "name"
    var keyValue: String { name }

    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/availabilityzones") { path in
        [
            .get(path, "List availability zones", of: OwnScope.from, allow: .read("availability-zone:get_all"), index),
            .post(
                path, "Create an availability zone", of: OwnScope.from, allow: .operate("availability-zone:post"),
                create),
            .get(
                path + "/{name}", "Show availability zone details", of: OwnScope.from,
                allow: .read("availability-zone:get_one"), show),
            .put(
                path + "/{name}", "Update an availability zone", of: OwnScope.from,
                allow: .operate("availability-zone:put"), update),
            .delete(
                path + "/{name}", "Remove an availability zone", of: OwnScope.from,
                allow: .operate("availability-zone:delete"), delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer availability zones
        CREATE TABLE load_balancer_availability_zones (
            name VARCHAR(255) PRIMARY KEY, description VARCHAR(255) NOT NULL,
            enabled INTEGER NOT NULL, availability_zone_profile_id VARCHAR(36) NOT NULL)
        """
    ]

    static let filters: [PartFilter] = [
        .text("description"), .truth("enabled"), .text("availability_zone_profile_id"), .text("name"),
    ]

    func write(_ view: inout View) {
        view.put("name", name)
        view.put("description", description)
        view.put("enabled", enabled)
        view.put("availability_zone_profile_id", availabilityZoneProfileID)
    }
}

extension AvailabilityZone {
    /// The profile behind the zone that a new balancer asks for.
    static func choose(_ request: Request, _ name: String?) async throws(Fault) -> AvailabilityZoneProfile? {
        guard let name else { return nil }
        let zone = try await request.database.one(
            AvailabilityZone.self, "name = \(name)", or: .validation("Invalid availability zone."))
        guard zone.enabled else {
            throw .badRequest("The selected availability_zone is not allowed in this deployment: \(name)")
        }
        return try await AvailabilityZoneProfile.one(request, zone.availabilityZoneProfileID)
    }

    private static func show(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let zone = try await one(request, request["name"])
        return .object("availability_zone") { zone.write(&$0) }
    }

    private static func create(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        var body = try request.body("availability_zone")
        let zone = AvailabilityZone(
            name: try body.need("name", .words()),
            description: try body.option("description", .words()) ?? "",
            enabled: try body.option("enabled", .truth) ?? true,
            availabilityZoneProfileID: try body.need("availability_zone_profile_id", .id))
        try body.finish("availability_zone_.availability_zone")
        let profile = zone.availabilityZoneProfileID
        guard try await request.database.count(AvailabilityZoneProfile.self, "id = \(profile)") > 0 else {
            throw .invalidOption(profile, "availability_zone_profile_id")
        }
        try await request.database.insert(zone, or: .conflict("An availability zone of \(zone.name) already exists."))
        return .object("availability_zone") { zone.write(&$0) }
    }

    private static func update(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let name = request["name"]
        let body = try request.body("availability_zone")
        let zone = try await request.database.transaction { transaction throws(Fault) in
            var zone = try transaction.one(AvailabilityZone.self, "name = \(name)", or: notFound(name))
            var body = body
            try body.set("description", .words(), &zone.description, none: "")
            try body.set("enabled", .truth, &zone.enabled, none: false)
            try body.finish("availability_zone_.availability_zone")
            try transaction.replace(zone, where: "name = \(name)", or: notFound(name))
            return zone
        }
        return .object("availability_zone") { zone.write(&$0) }
    }

    private static func delete(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let name = request["name"]
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(LoadBalancer.self, "availability_zone = \(name)") == 0 else {
                throw .inUse("Availability Zone", name)
            }
            try transaction.delete(AvailabilityZone.self, "name = \(name)", or: notFound(name))
        }
        return .empty
    }
}
