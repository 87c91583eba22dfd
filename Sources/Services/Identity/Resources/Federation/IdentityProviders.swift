// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Identity providers whose users may come here. Each has a domain that these users belong to.
struct IdentityProvider: Record {
    static let table = "identity_providers"

    let id: String
    let domainID: String
    var enabled: Bool
    var description: String?
    /// Minutes that memberships taken from assertions outlive them; nil is the cloud's own setting.
    var authorizationTTL: Int?
}

/// A name under which a provider speaks in its assertions (an issuer, an entity id); each belongs to one provider.
struct RemoteID: Record {
    static let table = "identity_remote_ids"

    let remoteID: String
    let idpID: String
}

extension IdentityProvider: Resource {
    static let routes: [Route] = [
        .get(
            path, "List identity providers", of: Anything.from, allow: .inspector("list_identity_providers"), index),
        .put(
            path + "/{idp_id}", "Create identity provider", of: Anything.from,
            allow: .administrator("create_identity_provider"), create, status: 201),
        .get(
            path + "/{idp_id}", "Show identity provider", of: found, allow: .inspector("get_identity_provider"), show),
        .patch(
            path + "/{idp_id}", "Update identity provider", of: found,
            allow: .administrator("update_identity_provider"), update),
        .delete(
            path + "/{idp_id}", "Delete identity provider", of: found,
            allow: .administrator("delete_identity_provider"), delete),
    ]

    static let path = "/OS-FEDERATION/identity_providers"

    static let migrations: [Migration] = [
        """
        2026-11-21 identity providers
        CREATE TABLE identity_providers (
            id VARCHAR(64) NOT NULL PRIMARY KEY, domain_id VARCHAR(64) NOT NULL, enabled INTEGER NOT NULL,
            description TEXT, authorization_ttl INTEGER);
        CREATE TABLE identity_remote_ids (
            remote_id VARCHAR(255) NOT NULL PRIMARY KEY, idp_id VARCHAR(64) NOT NULL);
        CREATE INDEX identity_remote_ids_idp ON identity_remote_ids (idp_id);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<IdentityProvider> {
        let id = request["idp_id"]
        let provider = try await request.database.first(IdentityProvider.self, "id = \(id)")
        return Found(provider, or: .noProvider(id), [:])
    }
}

// MARK: - Handlers

extension IdentityProvider {
    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("id"), .flag("enabled")])
        let providers = try await request.database.all(
            IdentityProvider.self, page.condition(condition, table: table))
        let names = try await request.database.all(
            RemoteID.self, "idp_id IN \(providers.map(\.id)) ORDER BY remote_id")
        let remote = Dictionary(grouping: names, by: \.idpID).mapValues { $0.map(\.remoteID) }
        let items = providers.map { provider in
            { (view: inout View) in provider.details(&view, remote[provider.id] ?? []) }
        }
        return .list("identity_providers", items, page: page, ids: providers.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let id = try request.federationID("idp_id")
        var body = try request.body("identity_provider")
        let asked = try Changes(&body)
        let domainID = try body.option("domain_id", .id)
        try body.end()
        let provider = IdentityProvider(
            id: id, domainID: domainID ?? request.ids.hex(), enabled: asked.enabled ?? false,
            description: asked.description ?? nil, authorizationTTL: asked.authorizationTTL ?? nil)
        let remote = asked.remoteIDs ?? []
        try await request.change { transaction throws(Fault) in
            if domainID != nil {
                try transaction.requireDomain(provider.domainID)
            } else {
                try transaction.insert(Project.domain(of: provider))
            }
            try transaction.insert(provider, or: .duplicate("identity_provider", "Duplicate entry: \(id)"))
            try transaction.save(remote, of: provider)
        }
        return .object("identity_provider") { provider.details(&$0, remote.sorted()) }
    }

    static func show(_ request: Request, _ found: Found<IdentityProvider>) async throws(Fault) -> Reply {
        let provider = try found.get()
        let remote = try await request.database.remoteIDs(of: provider.id)
        return .object("identity_provider") { provider.details(&$0, remote) }
    }

    static func update(_ request: Request, _ found: Found<IdentityProvider>) async throws(Fault) -> Reply {
        let old = try found.get()
        var body = try request.body("identity_provider")
        guard !body.isEmpty else { throw .badRequest("{} does not have enough properties") }
        let asked = try Changes(&body)
        try body.end()
        var provider = old
        provider.enabled = asked.enabled ?? old.enabled
        if let description = asked.description { provider.description = description }
        if let life = asked.authorizationTTL { provider.authorizationTTL = life }
        let options = request.identity.options.federation
        let remote = try await request.change { [provider] transaction throws(Fault) in
            try transaction.replace(provider, where: "id = \(provider.id)", or: .noProvider(provider.id))
            if let remote = asked.remoteIDs { try transaction.save(remote, of: provider) }
            if provider.authorizationTTL != old.authorizationTTL {
                let life = provider.membershipLife(options)
                try transaction.update(
                    ExpiringMembership.self, set: "expires_at = verified_at + \(life.microseconds)",
                    where: "idp_id = \(provider.id)")
            }
            return try transaction.all(RemoteID.self, "idp_id = \(provider.id) ORDER BY remote_id").map(\.remoteID)
        }
        return .object("identity_provider") { [provider] in provider.details(&$0, remote) }
    }

    static func delete(_ request: Request, _ found: Found<IdentityProvider>) async throws(Fault) -> Reply {
        let provider = try found.get()
        try await request.change { transaction throws(Fault) in try transaction.remove(provider) }
        return .empty
    }

    /// How long memberships taken from this provider's assertions hold.
    func membershipLife(_ options: FederationOptions) -> Duration {
        authorizationTTL.map { .seconds($0 * 60) } ?? options.authorizationLife
    }
}

extension Database {
    func remoteIDs(of provider: String) async throws(Fault) -> [String] {
        try await all(RemoteID.self, "idp_id = \(provider) ORDER BY remote_id").map(\.remoteID)
    }
}

extension Transaction {
    /// The names that a provider goes by from now on.
    func save(_ remoteIDs: [String], of provider: IdentityProvider) throws(Fault) {
        try delete(RemoteID.self, "idp_id = \(provider.id)")
        for id in remoteIDs {
            try insert(
                RemoteID(remoteID: id, idpID: provider.id),
                or: .duplicate("identity_provider", "Duplicate remote ID: \(id)"))
        }
    }

    /// Takes a provider away with its protocols and with the users whom only it knew.
    func remove(_ provider: IdentityProvider) throws(Fault) {
        try delete(FederationProtocol.self, "idp_id = \(provider.id)")
        try delete(RemoteID.self, "idp_id = \(provider.id)")
        try delete(IdentityProvider.self, "id = \(provider.id)")
        try removeFederatedUsers("idp_id = \(provider.id)")
        try delete(ExpiringMembership.self, "idp_id = \(provider.id)")
    }
}

extension Project {
    /// The domain made for a provider that was given none.
    static func domain(of provider: IdentityProvider) -> Project {
        Project(
            id: provider.domainID, name: provider.domainID, domainID: "", parentID: nil,
            isDomain: true, enabled: true,
            description: "Auto generated federated domain for Identity Provider: \(provider.id)", tags: [],
            options: [:], extra: [:])
    }
}

// MARK: - Wire

extension IdentityProvider {
    /// What a request says about a provider.
    struct Changes: Sendable {
        let enabled: Bool?, description: String??, authorizationTTL: Int??, remoteIDs: [String]?

        init(_ body: inout Body) throws(Fault) {
            enabled = try body.take("enabled", .bool)
            description = try body.patch("description", .text)
            authorizationTTL = try body.patch("authorization_ttl", .integer(0...Int(Int32.max)))
            let listed = body.peek("remote_ids")
            let asked = try body.patch("remote_ids", .list(.text(0...255)))
            if let ids = asked ?? nil, Set(ids).count < ids.count {
                throw body.refuse("remote_ids", listed, "\(PythonText.repr(listed ?? .null)) has non-unique elements")
            }
            remoteIDs = asked.map { $0 ?? [] }
        }
    }

    func details(_ view: inout View, _ remoteIDs: [String]) {
        view.put("id", id)
        view.put("enabled", enabled)
        view.put("description", description)
        view.put("remote_ids", remoteIDs)
        view.put("domain_id", domainID)
        view.put("authorization_ttl", authorizationTTL)
        let href = view.endpoint + IdentityProvider.path + "/" + Percent.encode(id)
        view.nest("links") {
            $0.put("self", href)
            $0.put("protocols", href + "/protocols")
        }
    }
}

extension Request {
    /// An id of federation's that the path chooses: any text, as long as its column.
    func federationID(_ name: String) throws(Fault) -> String {
        let id = self[name]
        guard (1...64).contains(id.unicodeScalars.count) else {
            throw index.wording.invalid(name, .string(id), "'\(id)' is too long")
        }
        return id
    }
}

extension Fault {
    static func noProvider(_ id: String) -> Fault { .notFound("Identity Provider", id) }
}
