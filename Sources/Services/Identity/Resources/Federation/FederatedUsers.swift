// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a user is called at an identity provider. Whoever comes from there for the first time is given a user.
struct FederatedUser: Record {
    static let table = "identity_federated_users"

    let userID: String
    let idpID: String
    let protocolID: String
    let uniqueID: String
    var displayName: String?
    /// Whether the user was made for this, and goes with it.
    let madeUser: Bool
}

/// A membership that an assertion brought, for as long as the provider's assertions are believed.
struct ExpiringMembership: Record {
    static let table = "identity_expiring_memberships"

    let userID: String
    let groupID: String
    let idpID: String
    let verifiedAt: Timestamp
    let expiresAt: Timestamp
}

extension FederatedUser: Resource {
    static let routes: [Route] = []

    static let migrations: [Migration] = [
        """
        2026-11-21 identity federated users
        CREATE TABLE identity_federated_users (
            user_id VARCHAR(64) NOT NULL, idp_id VARCHAR(64) NOT NULL, protocol_id VARCHAR(64) NOT NULL,
            unique_id VARCHAR(255) NOT NULL, display_name VARCHAR(255), made_user INTEGER NOT NULL,
            PRIMARY KEY (idp_id, protocol_id, unique_id));
        CREATE INDEX identity_federated_users_user ON identity_federated_users (user_id);
        CREATE TABLE identity_expiring_memberships (
            user_id VARCHAR(64) NOT NULL, group_id VARCHAR(64) NOT NULL, idp_id VARCHAR(64) NOT NULL,
            verified_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, PRIMARY KEY (user_id, group_id, idp_id));
        """
    ]

    /// What a user's body says under `federated`: `[{"idp_id", "protocols": [{"protocol_id", "unique_id"}]}]`.
    struct Name: Sendable {
        let idpID: String, protocolID: String, uniqueID: String
    }

    static func take(_ body: inout Body) throws(Fault) -> [Name]? {
        if body.peek("federated")?.isNull == true { body.ignore("federated") }
        guard let providers = try body.takeObjects("federated") else { return nil }
        var names: [Name] = []
        for var provider in providers {
            let id = try provider.need("idp_id", .text(1...64))
            for var item in try provider.takeObjects("protocols") ?? [] {
                names.append(
                    Name(
                        idpID: id, protocolID: try item.need("protocol_id", .text(1...64)),
                        uniqueID: try item.need("unique_id", .text(1...255))))
                try item.end()
            }
            try provider.end()
        }
        return names
    }

    /// The condition of a users' list that asks for somebody's name at a provider; nil when it does not.
    static func condition(_ request: Request) -> SQL? {
        var conditions: [SQL] = []
        for name in ["idp_id", "protocol_id", "unique_id"] {
            if let value = request.query(name) { conditions.append("\(raw: name) = \(value)") }
        }
        guard !conditions.isEmpty else { return nil }
        return "id IN (SELECT user_id FROM identity_federated_users WHERE \(sql: conditions.joined(" AND ")))"
    }
}

extension [FederatedUser] {
    /// As users show it.
    func write(_ view: inout View) {
        guard !isEmpty else { return }
        var order: [String] = []
        for item in self where !order.contains(item.idpID) { order.append(item.idpID) }
        view.list("federated", order) { view, provider in
            view.put("idp_id", provider)
            view.list("protocols", filter { $0.idpID == provider }) {
                $0.put("protocol_id", $1.protocolID)
                $0.put("unique_id", $1.uniqueID)
            }
        }
    }
}

extension Database {
    func federatedNames(of userID: String) async throws(Fault) -> [FederatedUser] {
        try await all(FederatedUser.self, "user_id = \(userID) ORDER BY idp_id, protocol_id")
    }

    /// When the next of a user's memberships ends.
    func membershipEnd(of userID: String, after now: Timestamp) async throws(Fault) -> Timestamp? {
        try await first(
            ExpiringMembership.self, "user_id = \(userID) AND expires_at > \(now) ORDER BY expires_at LIMIT 1")?
            .expiresAt
    }
}

extension Transaction {
    /// Replaces a user's names at identity providers; an empty list leaves them as they are, as upstream has it.
    func save(_ names: [FederatedUser.Name]?, of user: User) throws(Fault) {
        guard let names, !names.isEmpty else { return }
        try delete(FederatedUser.self, "user_id = \(user.id)")
        for name in names {
            guard try count(IdentityProvider.self, "id = \(name.idpID)") > 0 else {
                throw .badRequest("Could not find Identity Provider: \(name.idpID).")
            }
            guard try count(FederationProtocol.self, "idp_id = \(name.idpID) AND id = \(name.protocolID)") > 0 else {
                throw .badRequest(
                    "Could not find federated protocol \(name.protocolID) for Identity Provider: \(name.idpID).")
            }
            try insert(
                FederatedUser(
                    userID: user.id, idpID: name.idpID, protocolID: name.protocolID, uniqueID: name.uniqueID,
                    displayName: user.name, madeUser: false),
                or: .duplicate("federated_user", "Duplicate entry"))
        }
    }

    /// Forgets names at providers, and the users who had no other existence.
    func removeFederatedUsers(_ condition: SQL) throws(Fault) {
        let gone = try all(FederatedUser.self, condition)
        try delete(FederatedUser.self, condition)
        for item in gone where item.madeUser {
            guard try count(FederatedUser.self, "user_id = \(item.userID)") == 0,
                let user = try first(User.self, "id = \(item.userID)")
            else { continue }
            try remove(user)
        }
    }
}
