// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A realm in which addresses are unique: its subnet pools may be routed to each other without translation.
package struct AddressScope: SharedNoun {
    package static let table = "network_address_scopes"
    package static let noun = "address_scope"
    package static let plural = "address_scopes"
    package static let collection = "address-scopes"

    package let id: String, projectID: String
    var name: String
    package var description: String
    let ipVersion: Int
    package var shared: Bool
    package var tags: [String]
    package let createdAt: Timestamp
    package var updatedAt: Timestamp
    package var revisionNumber: Int

    package typealias Extra = Nothing
}

extension AddressScope: Resource {
    private static let get =
        "rule:admin_only or role:reader and project_id:%(project_id)s or rule:shared_address_scopes"

    package static let routes: [Route] = [
        .get(
            "/address-scopes", "List address scopes", of: OwnScope.from,
            allow: .anyone("list_address_scopes"), index),
        .post(
            "/address-scopes", "Create address scopes", of: drafts,
            allow: .rule("create_address_scope", NetworkRules.adminOrMember), create),
        .get(
            "/address-scopes/{id}", "Show address scope", of: visible, allow: .rule("get_address_scope", get), show),
        .put(
            "/address-scopes/{id}", "Update address scope", of: visible,
            allow: .rule("update_address_scope", NetworkRules.adminOrMember), update),
        .delete(
            "/address-scopes/{id}", "Delete address scope", of: visible,
            allow: .rule("delete_address_scope", NetworkRules.adminOrMember), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-21 network address scopes
        CREATE TABLE network_address_scopes (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            description VARCHAR(255) NOT NULL, ip_version INTEGER NOT NULL, shared INTEGER NOT NULL,
            tags TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
            revision_number INTEGER NOT NULL)
        """
    ]

    package static let filters = Filter.standard([.text("name"), .number("ip_version"), .lent("address_scope")])

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "AddressScopeNotFound", "Address scope \(id) could not be found.")
    }
}

extension AddressScope {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<AddressScope> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            let project = try body.takeProject(request)
            let version = try body.need("ip_version", .whole(4...6))
            guard version != 5 else {
                throw .httpBadRequest("Invalid input for ip_version. Reason: '5' is not in [4, 6].")
            }
            return AddressScope(
                id: request.ids.uuid(), projectID: project, name: try body.need("name", .string()), description: "",
                ipVersion: version,
                shared: try body.take(
                    "shared", .truth, usually: false, rule: "create_address_scope:shared",
                    on: OwnedTarget(projectID: project)),
                tags: [], createdAt: request.now, updatedAt: request.now, revisionNumber: 0)
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<AddressScope>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for scope in drafts.items {
                try transaction.insert(scope)
                guard scope.shared else { continue }
                try RBACPolicy.open(
                    transaction, "address_scope", scope.id, "access_as_shared", project: scope.projectID, request)
            }
        }
        return try await reply(request, made: drafts.items)
    }

    static func update(_ request: Request, _ found: AddressScope) async throws(Fault) -> Reply {
        let scope = try await change(request, found.id) { _, scope throws(Fault) in
            var body = try request.body("address_scope")
            scope.name = try body.take("name", .string()) ?? scope.name
            let shared = try body.take("shared", .truth, rule: "update_address_scope:shared", on: scope)
            try body.end()
            guard !scope.shared || shared != false else {
                throw .neutron(
                    400, "AddressScopeUpdateError",
                    "Unable to update address scope \(scope.id) : Shared address scope can't be unshared.")
            }
            scope.shared = shared ?? scope.shared
        }
        return try await scope.reply(request)
    }

    static func delete(_ request: Request, _ found: AddressScope) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            guard try transaction.count(SubnetPool.self, "address_scope_id = \(found.id)") == 0 else {
                throw .neutron(
                    409, "AddressScopeInUse",
                    "Unable to complete operation on address scope \(found.id). There are one or more subnet pools in "
                        + "use on the address scope.")
            }
            try RBACPolicy.forget(transaction, "address_scope", found.id)
            try transaction.delete(AddressScope.self, "id = \(found.id)", or: notFound(found.id))
        }
        return .empty
    }

    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("ip_version", ipVersion)
        view.put("shared", shared)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}
