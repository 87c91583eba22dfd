// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The id that clients see of a user or group that a directory keeps: made of the domain and the directory's own id,
/// so that it is the same however often it is forgotten. No call shows this table.
struct IdentityMapping: Record {
    static let table = "identity_mappings"

    enum Entity: String, Codable, Sendable, CaseIterable { case user, group }

    let publicID: String
    let domainID: String
    let localID: String
    let entityType: Entity

    init(_ localID: String, _ entityType: Entity, of domainID: String) {
        publicID = IdentityMapping.publicID(localID, entityType, of: domainID)
        self.domainID = domainID
        self.localID = localID
        self.entityType = entityType
    }

    /// Upstream's `sha256` generator: the digest of the values in the order of their names.
    static func publicID(_ localID: String, _ entityType: Entity, of domainID: String) -> String {
        Digest.hex(.sha256, domainID + entityType.rawValue + localID)
    }
}

extension IdentityMapping: Resource {
    static let routes: [Route] = []

    static let migrations: [Migration] = [
        """
        2026-11-21 identity mappings
        CREATE TABLE identity_mappings (
            public_id VARCHAR(64) NOT NULL PRIMARY KEY, domain_id VARCHAR(64) NOT NULL,
            local_id VARCHAR(255) NOT NULL, entity_type VARCHAR(8) NOT NULL,
            UNIQUE (domain_id, local_id, entity_type));
        """
    ]
}

extension Transaction {
    /// Notes ids that are not known yet.
    func note(_ mappings: [IdentityMapping]) throws(Fault) {
        for mapping in mappings where try count(IdentityMapping.self, "public_id = \(mapping.publicID)") == 0 {
            try insert(mapping)
        }
    }

    /// Takes away what hangs on the users and groups of a domain that a directory keeps, and what is known of them.
    func forgetDirectory(of domainID: String) throws(Fault) {
        let ids: SQL = "(SELECT public_id FROM identity_mappings WHERE domain_id = \(domainID))"
        try delete(Assignment.self, "actor_id IN \(sql: ids)")
        try delete(Credential.self, "user_id IN \(sql: ids)")
        try delete(ApplicationCredential.self, "user_id IN \(sql: ids)")
        try delete(StoredAccessRule.self, "user_id IN \(sql: ids)")
        try delete(Trust.self, "trustor_user_id IN \(sql: ids) OR trustee_user_id IN \(sql: ids)")
        try delete(IdentityMapping.self, "domain_id = \(domainID)")
    }
}
