// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What a zone asks of a provider.
package struct AvailabilityZoneProfile: Record {
    package static let table = "load_balancer_availability_zone_profiles"
    let id: String
    var name: String, providerName: String, availabilityZoneData: String

    /// The networks that balancers may have their addresses on; empty is any.
    var validNetworks: [String] {
        let data = try? ProfileText.read(availabilityZoneData, "availability_zone_data")
        return data?["valid_vip_networks"]?.array?.compactMap { $0.string?.lowercased() } ?? []
    }
}

extension AvailabilityZoneProfile: Offering {
    static let plural = "availability_zone_profiles"
    static let links = "availability_zone_profile_links"
    static let title = "Availability Zone Profile"
    static let key = "id"
    var keyValue: String { id }

    package static let routes: [Route] = LoadBalancerVersions.both("/lbaas/availabilityzoneprofiles") { path in
        [
            .get(
                path, "List availability zone profiles", of: OwnScope.from,
                allow: .operate("availability-zone-profile:get_all"), index),
            .post(
                path, "Create an availability zone profile", of: OwnScope.from,
                allow: .operate("availability-zone-profile:post"), create),
            .get(
                path + "/{id}", "Show availability zone profile details", of: OwnScope.from,
                allow: .operate("availability-zone-profile:get_one"),
                show),
            .put(
                path + "/{id}", "Update an availability zone profile", of: OwnScope.from,
                allow: .operate("availability-zone-profile:put"), update),
            .delete(
                path + "/{id}", "Remove an availability zone profile", of: OwnScope.from,
                allow: .operate("availability-zone-profile:delete"),
                delete),
        ]
    }

    package static let migrations: [Migration] = [
        """
        2026-11-29 load balancer availability zone profiles
        CREATE TABLE load_balancer_availability_zone_profiles (
            id VARCHAR(36) PRIMARY KEY, name VARCHAR(255) NOT NULL, provider_name VARCHAR(255) NOT NULL,
            availability_zone_data TEXT NOT NULL)
        """
    ]

    static let filters: [PartFilter] = [
        .text("name"), .text("provider_name"), .text("availability_zone_data"), .text("id"),
    ]

    func write(_ view: inout View) {
        view.put("id", id)
        view.put("name", name)
        view.put("provider_name", providerName)
        view.put("availability_zone_data", availabilityZoneData)
    }
}

extension AvailabilityZoneProfile {
    private func check(_ request: Request) throws(Fault) {
        let object = try ProfileText.read(availabilityZoneData, "availability_zone_data")
        let abilities = try request.balancing.providers.require(providerName).abilities
        try ProfileText.check(object, abilities.zoneCapabilities, providerName, "availability zone")
        // The processes run on one machine, so its zone is the only one that they can be wanted in.
        if let zone = object["compute_zone"]?.string, zone != request.balancing.options.computeZone {
            throw .badRequest("Nova availability zone \(zone) not found.")
        }
    }

    private static func show(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let profile = try await one(request, request["id"])
        return .object("availability_zone_profile") { profile.write(&$0) }
    }

    private static func create(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        var body = try request.body("availability_zone_profile")
        let profile = AvailabilityZoneProfile(
            id: request.ids.uuid(), name: try body.need("name", .words()),
            providerName: try body.need("provider_name", .words()),
            availabilityZoneData: try body.need("availability_zone_data", .words(4096)))
        try body.finish("availability_zone_profile_.availability_zone_profile")
        try profile.check(request)
        try await request.database.insert(profile)
        return .object("availability_zone_profile") { profile.write(&$0) }
    }

    private static func update(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        let body = try request.body("availability_zone_profile")
        let profile = try await request.database.transaction { transaction throws(Fault) in
            var profile = try transaction.one(AvailabilityZoneProfile.self, "id = \(id)", or: notFound(id))
            var body = body
            for name in ["name", "provider_name", "availability_zone_data"] where body.peek(name)?.isNull == true {
                throw .invalidOption("None", name)
            }
            let isDeep = body.has("provider_name") || body.has("availability_zone_data")
            let uses = isDeep ? try transaction.count(AvailabilityZone.self, "availability_zone_profile_id = \(id)") : 0
            guard uses == 0 else {
                throw .inUse("Availability Zone Profile", id)
            }
            try body.set("name", .words(), &profile.name, none: profile.name)
            try body.set("provider_name", .words(), &profile.providerName, none: profile.providerName)
            try body.set(
                "availability_zone_data", .words(4096), &profile.availabilityZoneData,
                none: profile.availabilityZoneData)
            try body.finish("availability_zone_profile_.availability_zone_profile")
            if isDeep { try profile.check(request) }
            try transaction.replace(profile, where: "id = \(id)", or: notFound(id))
            return profile
        }
        return .object("availability_zone_profile") { profile.write(&$0) }
    }

    private static func delete(_ request: Request, _ scope: OwnScope) async throws(Fault) -> Reply {
        let id = request["id"]
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(AvailabilityZone.self, "availability_zone_profile_id = \(id)") == 0 else {
                throw .inUse("Availability Zone Profile", id)
            }
            try transaction.delete(
                AvailabilityZoneProfile.self, "id = \(id)", or: .missing("Availability Zone Profile", id))
        }
        return .empty
    }
}
