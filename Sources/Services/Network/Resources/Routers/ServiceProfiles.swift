// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Which driver serves a flavor, and with what settings.
package struct ServiceProfile: Noun {
    package static let table = "network_service_profiles"
    package static let noun = "service_profile"
    package static let plural = "service_profiles"

    package let id: String
    package var description: String
    var driver: String
    var metainfo: String
    var enabled: Bool
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package var projectID: String { "" }
    package var tags: [String] {
        get { [] }
        set {}
    }

    package struct Extra: Sendable { let flavors: [NetworkFlavor] }

    private enum CodingKeys: String, CodingKey {
        case id, description, driver, metainfo, enabled, createdAt, updatedAt, revisionNumber
    }
}

extension ServiceProfile: Resource {
    private static let admin = NetworkRules.admin

    package static let routes: [Route] = [
        .get(
            "/service_profiles", "List service profiles", of: OwnScope.from, allow: .anyone("list_service_profiles"),
            index),
        .post(
            "/service_profiles", "Create service profile", of: Anything.from,
            allow: .rule("create_service_profile", admin), create),
        .get(
            "/service_profiles/{id}", "Show service profile", of: visible, allow: .rule("get_service_profile", admin),
            show),
        .put(
            "/service_profiles/{id}", "Update service profile", of: visible,
            allow: .rule("update_service_profile", admin), update),
        .delete(
            "/service_profiles/{id}", "Delete service profile", of: visible,
            allow: .rule("delete_service_profile", admin), delete),
    ]

    package static let filters: [Filter] = [
        .text("description"), .text("driver"), .truth("enabled"), .text("metainfo"), .text("id"),
    ]

    package static func scope(_ project: String) -> SQL { "1 = 1" }
    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "ServiceProfileNotFound", "Service Profile \(id) could not be found.")
    }
    static func noDriver(_ driver: String) -> Fault {
        .neutron(404, "ServiceProfileDriverNotFound", "Service Profile driver \(driver) could not be found.")
    }

    package static func extra(_ request: Request, _ rows: [ServiceProfile]) async throws(Fault) -> Extra {
        Extra(flavors: try await request.database.all(NetworkFlavor.self, "1 = 1 ORDER BY id"))
    }

    package func write(_ view: inout View, _ extra: Extra) {
        view.put("id", id)
        view.put("description", description)
        view.put("driver", driver)
        view.put("metainfo", metainfo)
        view.put("enabled", enabled)
        view.put("flavors", extra.flavors.filter { $0.profiles.contains(id) }.map(\.id))
    }
}

// MARK: - Handlers

extension ServiceProfile {
    private mutating func take(_ body: inout Body) throws(Fault) {
        description = try body.option("description", .string(1024)) ?? description
        driver = try body.take("driver", .string(1024)) ?? driver
        metainfo = try body.take("metainfo", .string(4096)) ?? metainfo
        enabled = try body.option("enabled", .truth) ?? enabled
        guard driver.isEmpty || driver == ServiceProviders.router.driver else { throw ServiceProfile.noDriver(driver) }
    }

    private static func create(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        var body = try request.body("service_profile")
        var profile = ServiceProfile(
            id: request.ids.uuid(), description: "", driver: "", metainfo: "", enabled: true, createdAt: request.now,
            updatedAt: request.now, revisionNumber: 0)
        body.ignore("project_id", "tenant_id")
        try profile.take(&body)
        try body.end()
        guard !profile.driver.isEmpty || !profile.metainfo.isEmpty else {
            throw .neutron(400, "ServiceProfileEmpty", "Service Profile needs either a driver or metainfo.")
        }
        let made = profile
        try await request.database.transaction { transaction throws(Fault) in try transaction.insert(made) }
        return try await made.reply(request)
    }

    private static func update(_ request: Request, _ found: ServiceProfile) async throws(Fault) -> Reply {
        let profile = try await change(request, found.id) { transaction, profile throws(Fault) in
            var body = try request.body("service_profile")
            try profile.take(&body)
            try body.end()
            try profile.checkFree(transaction)
        }
        return try await profile.reply(request)
    }

    private static func delete(_ request: Request, _ found: ServiceProfile) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try found.checkFree(transaction)
            try transaction.delete(ServiceProfile.self, "id = \(found.id)", or: notFound(found.id))
        }
        return .empty
    }

    /// Flavors keep the profiles that they lead by.
    private func checkFree(_ transaction: Transaction) throws(Fault) {
        guard try transaction.all(NetworkFlavor.self).contains(where: { $0.profiles.contains(id) }) else { return }
        throw .neutron(409, "ServiceProfileInUse", "Service Profile \(id) is used by some service instance.")
    }
}
