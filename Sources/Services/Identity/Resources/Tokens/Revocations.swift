// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What makes tokens worthless before their time: one token by its audit id, or all those of a user, a project, a
/// domain, a trust or an OAuth consumer that were issued up to a moment.
///
/// The key is what an event is about, so a token is judged by looking up the few things it is about, however many
/// events there are.
struct Revocation: Record {
    static let table = "identity_revocations"

    let id: String
    let auditID: String?
    let userID: String?
    let projectID: String?
    let domainID: String?
    var trustID: String?
    var consumerID: String?
    let issuedBefore: Timestamp
    let revokedAt: Timestamp
}

extension Revocation: Resource {
    static let routes: [Route] = [
        .get(
            "/OS-REVOKE/events", "List revocation events", of: Anything.from,
            allow: .rule("list_revoke_events", "rule:service_or_admin", scopes: [.system, .project]), index)
    ]

    static let migrations: [Migration] = [
        """
        2026-11-20 identity revocations
        CREATE TABLE identity_revocations (
            id VARCHAR(64) NOT NULL PRIMARY KEY, audit_id VARCHAR(64), user_id VARCHAR(64), project_id VARCHAR(64),
            domain_id VARCHAR(64), issued_before BIGINT NOT NULL, revoked_at BIGINT NOT NULL);
        CREATE INDEX identity_revocations_time ON identity_revocations (revoked_at);
        """,
        """
        2026-11-21 identity revocations by delegation
        ALTER TABLE identity_revocations ADD COLUMN trust_id VARCHAR(64);
        ALTER TABLE identity_revocations ADD COLUMN consumer_id VARCHAR(64);
        """,
    ]

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var condition: SQL = "1 = 1"
        if let text = request.query("since") {
            guard let since = Timestamp(text) else {
                throw .badRequest("invalidate date format \(text)")
            }
            condition = "revoked_at >= \(since)"
        }
        let events = try await request.database.all(Revocation.self, condition + " ORDER BY revoked_at, id")
        return .list("events", events.map { $0.details }, page: try request.page())
    }

    func details(_ view: inout View) {
        if let auditID { view.put("audit_id", auditID) }
        if let userID { view.put("user_id", userID) }
        if let projectID { view.put("project_id", projectID) }
        if let domainID { view.put("domain_id", domainID) }
        if let trustID { view.put("OS-TRUST:trust_id", trustID) }
        if let consumerID { view.put("OS-OAUTH1:consumer_id", consumerID) }
        view.put("issued_before", issuedBefore.iso8601Micro)
        view.put("revoked_at", revokedAt.iso8601Micro)
    }
}

extension Transaction {
    func revoke(
        auditID: String? = nil, userID: String? = nil, projectID: String? = nil, domainID: String? = nil,
        trustID: String? = nil, consumerID: String? = nil, at now: Timestamp
    ) throws(Fault) {
        // One event says it as well as many: what came before the last one came before it, too.
        let subjects = [("u", userID), ("p", projectID), ("d", domainID), ("t", trustID), ("c", consumerID)]
        guard let id = auditID ?? subjects.lazy.compactMap({ kind, id in id.map { kind + $0 } }).first else { return }
        try delete(Revocation.self, "id = \(id)")
        try insert(
            Revocation(
                id: id, auditID: auditID, userID: userID, projectID: projectID, domainID: domainID, trustID: trustID,
                consumerID: consumerID, issuedBefore: now, revokedAt: now))
    }
}
