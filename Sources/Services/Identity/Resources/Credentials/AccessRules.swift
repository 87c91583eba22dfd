// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A call that application credentials may be restricted to. It belongs to the user, and stays when they go.
struct StoredAccessRule: Record {
    static let table = "identity_access_rules"

    let id: String
    let userID: String
    let service: String
    let method: String
    let path: String

    var json: JSON {
        ["id": .string(id), "path": .string(path), "method": .string(method), "service": .string(service)]
    }
}

extension StoredAccessRule: Resource {
    static let routes: [Route] = [
        .get(
            path, "List access rules", of: User.found,
            allow: .rule("list_access_rules", readers, scopes: [.system, .project]), index),
        .get(
            path + "/{access_rule_id}", "Show access rule", of: User.found,
            allow: .rule("get_access_rule", readers, scopes: [.system, .project]), show),
        .delete(
            path + "/{access_rule_id}", "Delete access rule", of: User.found,
            allow: .rule(
                "delete_access_rule", "(role:admin and system_scope:all) or user_id:%(target.user.id)s",
                scopes: [.system, .project]), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity access rules
        CREATE TABLE identity_access_rules (
            id VARCHAR(64) NOT NULL PRIMARY KEY, user_id VARCHAR(64) NOT NULL, service VARCHAR(64) NOT NULL,
            method VARCHAR(16) NOT NULL, path VARCHAR(255) NOT NULL);
        CREATE INDEX identity_access_rules_user ON identity_access_rules (user_id);
        """
    ]

    private static let path = "/users/{user_id}/access_rules"
    private static let readers = "(role:reader and system_scope:all) or user_id:%(target.user.id)s"

    // MARK: Handlers

    static func index(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: false)
        let user = try found.get()
        let page = try request.page()
        let condition = request.filtered([.text("service"), .text("path"), .text("method")], "user_id = \(user.id)")
        let rules = try await request.database.all(StoredAccessRule.self, page.condition(condition, table: table))
        return .list("access_rules", rules.map { $0.details }, page: page, ids: rules.map(\.id))
    }

    static func show(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: false)
        let (userID, id) = (try found.get().id, request["access_rule_id"])
        let rule = try await request.database.one(
            StoredAccessRule.self, "id = \(id) AND user_id = \(userID)", or: .notFound("Access Rule", id))
        return .object("access_rule", rule.details)
    }

    static func delete(_ request: Request, _ found: Found<User>) async throws(Fault) -> Reply {
        try request.requireUnrestricted(changes: true)
        let (userID, id) = (try found.get().id, request["access_rule_id"])
        try await request.change { transaction throws(Fault) in
            let users = try transaction.all(
                ApplicationCredential.self, "user_id = \(userID) AND access_rules IS NOT NULL")
            let isUsed = users.contains { $0.accessRules?.array?.contains { $0["id"]?.string == id } ?? false }
            guard !isUsed else {
                throw .forbidden("Unable to delete access rule \(id) while it is in use by an application credential.")
            }
            try transaction.delete(
                StoredAccessRule.self, "id = \(id) AND user_id = \(userID)", or: .notFound("Access Rule", id))
        }
        return .empty
    }

    // MARK: Wire

    /// The rules of an application credential's draft; one that only names an id has an empty path.
    static func take(_ body: inout Body, _ userID: String, _ ids: any Identifiers) throws(Fault) -> [StoredAccessRule]?
    {
        guard let bodies = try body.takeObjects("access_rules") else { return nil }
        let path = Format<String>.text(0...225).map { path throws(Misfit) in
            guard path.hasPrefix("/") else { throw Misfit("'\(path)' does not match '^/\\\\.*'") }
            return path
        }
        let method = Format<String>.oneOf("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        var rules: [StoredAccessRule] = []
        for var rule in bodies {
            let id = try rule.take("id", .text(1...64))
            if let id, rule.isEmpty {
                rules.append(StoredAccessRule(id: id, userID: userID, service: "", method: "", path: ""))
                continue
            }
            rules.append(
                StoredAccessRule(
                    id: id ?? ids.hex(), userID: userID, service: try rule.need("service", .text(1...64)),
                    method: try rule.need("method", method), path: try rule.need("path", path)))
            try rule.end()
        }
        return rules
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("path", path)
        view.put("method", method)
        view.put("service", service)
        view.links("users/\(userID)/access_rules/\(id)")
    }
}

extension Transaction {
    /// The rule as it is kept: an equal one that is there already, or a new row.
    func keep(_ rule: StoredAccessRule) throws(Fault) -> StoredAccessRule {
        if rule.path.isEmpty {
            return try one(
                StoredAccessRule.self, "id = \(rule.id) AND user_id = \(rule.userID)",
                or: .notFound("Access Rule", rule.id))
        }
        let same: SQL =
            """
            user_id = \(rule.userID) AND service = \(rule.service) AND method = \(rule.method) AND path = \(rule.path)
            """
        if let known = try first(StoredAccessRule.self, same) { return known }
        try insert(rule, or: .duplicate("access_rule", "Duplicate entry found with ID \(rule.id)"))
        return rule
    }
}
