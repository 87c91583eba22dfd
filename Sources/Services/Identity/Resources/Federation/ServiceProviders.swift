// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Other clouds that take this one's users: where an assertion about them is sent, and where a token is then had.
struct ServiceProvider: Record {
    static let table = "identity_service_providers"

    let id: String
    var authURL: String
    var spURL: String
    var enabled: Bool
    var description: String?
    var relayStatePrefix: String
}

extension ServiceProvider: Resource {
    static let routes: [Route] = [
        .get(path, "List service providers", of: Anything.from, allow: .inspector("list_service_providers"), index),
        .put(
            path + "/{sp_id}", "Create service provider", of: Anything.from,
            allow: .administrator("create_service_provider"), create, status: 201),
        .get(path + "/{sp_id}", "Show service provider", of: found, allow: .inspector("get_service_provider"), show),
        .patch(
            path + "/{sp_id}", "Update service provider", of: found, allow: .administrator("update_service_provider"),
            update),
        .delete(
            path + "/{sp_id}", "Delete service provider", of: found, allow: .administrator("delete_service_provider"),
            delete),
    ]

    static let path = "/OS-FEDERATION/service_providers"

    static let migrations: [Migration] = [
        """
        2026-11-21 identity service providers
        CREATE TABLE identity_service_providers (
            id VARCHAR(64) NOT NULL PRIMARY KEY, auth_url VARCHAR(256) NOT NULL, sp_url VARCHAR(256) NOT NULL,
            enabled INTEGER NOT NULL, description TEXT, relay_state_prefix VARCHAR(256) NOT NULL);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<ServiceProvider> {
        let id = request["sp_id"]
        let provider = try await request.database.first(ServiceProvider.self, "id = \(id)")
        return Found(provider, or: .noServiceProvider(id), [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("id"), .flag("enabled")])
        let all = try await request.database.all(ServiceProvider.self, page.condition(condition, table: table))
        return .list("service_providers", all.map { $0.details }, page: page, ids: all.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = try request.federationID("sp_id")
        var body = try request.body("service_provider")
        let provider = ServiceProvider(
            id: id, authURL: try body.need("auth_url", .address), spURL: try body.need("sp_url", .address),
            enabled: try body.take("enabled", .bool) ?? false,
            description: try body.option("description", .text),
            relayStatePrefix: try body.option("relay_state_prefix", .text(0...256))
                ?? request.identity.options.federation.relayStatePrefix)
        try body.end()
        try await request.change { transaction throws(Fault) in
            try transaction.insert(
                provider, or: .duplicate("service_provider", "Duplicate entry found with ID \(id)"))
        }
        return .object("service_provider", provider.details)
    }

    static func show(_ request: Request, _ found: Found<ServiceProvider>) async throws(Fault) -> Reply {
        .object("service_provider", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<ServiceProvider>) async throws(Fault) -> Reply {
        var provider = try found.get()
        var body = try request.body("service_provider")
        guard !body.isEmpty else { throw .badRequest("{} does not have enough properties") }
        provider.authURL = try body.take("auth_url", .address) ?? provider.authURL
        provider.spURL = try body.take("sp_url", .address) ?? provider.spURL
        provider.enabled = try body.take("enabled", .bool) ?? provider.enabled
        if let description = try body.patch("description", .text) { provider.description = description }
        if let prefix = try body.option("relay_state_prefix", .text(0...256)) { provider.relayStatePrefix = prefix }
        try body.end()
        try await request.change { [provider] transaction throws(Fault) in
            try transaction.replace(provider, where: "id = \(provider.id)", or: .noServiceProvider(provider.id))
        }
        return .object("service_provider", provider.details)
    }

    static func delete(_ request: Request, _ found: Found<ServiceProvider>) async throws(Fault) -> Reply {
        let id = try found.get().id
        try await request.change { transaction throws(Fault) in
            try transaction.delete(ServiceProvider.self, "id = \(id)", or: .noServiceProvider(id))
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("auth_url", authURL)
        view.put("sp_url", spURL)
        view.put("enabled", enabled)
        view.put("description", description)
        view.put("relay_state_prefix", relayStatePrefix)
        view.links("OS-FEDERATION/service_providers/" + Percent.encode(id))
    }

    /// As tokens name it.
    func reference(_ view: inout View) {
        view.put("auth_url", authURL)
        view.put("id", id)
        view.put("sp_url", spURL)
    }
}

extension Format where Value == String {
    fileprivate static var address: Format {
        text(0...225).map { text throws(Misfit) in
            let scheme = text.prefix { $0 != ":" }
            let isScheme =
                !scheme.isEmpty
                && scheme.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+.-".contains($0)) }
            guard isScheme, text.unicodeScalars.count > scheme.unicodeScalars.count + 1 else {
                throw Misfit("'\(text)' does not match '^[a-zA-Z0-9+.-]+:.+'")
            }
            return text
        }
    }
}

extension Fault {
    static func noServiceProvider(_ id: String) -> Fault { .notFound("Service Provider", id) }
}
