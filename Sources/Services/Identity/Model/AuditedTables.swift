// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The table whose change is what a call is told of for, and how what is new in it is called.
struct AuditedTable: Sendable {
    let table: WatchedTable
    private let change: @Sendable (RowChanges) -> (isThere: Bool, made: String?)

    private init<R: Record>(_ type: R.Type, id: @escaping @Sendable (R) -> String) {
        table = WatchedTable(type) { "id = \(id($0))" }
        change = { changes in
            let all = changes.of(type)
            return (!all.isEmpty, all.first { $0.old == nil }?.new.map(id))
        }
    }

    /// One of what has no id.
    private init<R: Record>(_ type: R.Type, find: @escaping @Sendable (R) -> SQL) {
        table = WatchedTable(type, find: find)
        change = { changes in (!changes.of(type).isEmpty, nil) }
    }

    /// Whether a transaction changed the table, and the id of what it made.
    func seen(in changes: RowChanges) -> (isThere: Bool, made: String?) { change(changes) }

    /// The one of a call; nil when there is none to watch.
    static func of(_ method: String, _ path: String) -> AuditedTable? {
        if AuditEvent.isAssignment(method, path) { return assignments }
        if path == AuditEvent.membership { return memberships }
        if path == AuditEvent.password { return tables["user"] }
        return AuditEvent.collection(method, path).flatMap { tables[$0] }
    }

    private static let assignments = AuditedTable(
        Assignment.self,
        find: {
            """
            actor = \($0.actor) AND actor_id = \($0.actorID) AND target = \($0.target) AND target_id = \($0.targetID)
            AND role_id = \($0.roleID) AND inherited = \($0.inherited)
            """
        })

    private static let memberships = AuditedTable(
        Membership.self, find: { "group_id = \($0.groupID) AND user_id = \($0.userID)" })

    private static let tables: [String: AuditedTable] = [
        "user": AuditedTable(User.self, id: { $0.id }),
        "group": AuditedTable(Group.self, id: { $0.id }),
        "project": AuditedTable(Project.self, id: { $0.id }),
        "domain": AuditedTable(Project.self, id: { $0.id }),
        "role": AuditedTable(Role.self, id: { $0.id }),
        "region": AuditedTable(Region.self, id: { $0.id }),
        "endpoint": AuditedTable(Endpoint.self, id: { $0.id }),
        "service": AuditedTable(CatalogService.self, id: { $0.id }),
        "policy": AuditedTable(PolicyDocument.self, id: { $0.id }),
        "credential": AuditedTable(Credential.self, id: { $0.id }),
        "OS-TRUST:trust": AuditedTable(Trust.self, id: { $0.id }),
        "OS-OAUTH1:consumer": AuditedTable(OAuthConsumer.self, id: { $0.id }),
        "OS-OAUTH1:access_token": AuditedTable(OAuthAccessToken.self, id: { $0.id }),
        "application_credential": AuditedTable(ApplicationCredential.self, id: { $0.id }),
        "identity_provider": AuditedTable(IdentityProvider.self, id: { $0.id }),
        "mapping": AuditedTable(FederationMapping.self, id: { $0.id }),
        "service_provider": AuditedTable(ServiceProvider.self, id: { $0.id }),
    ]
}
