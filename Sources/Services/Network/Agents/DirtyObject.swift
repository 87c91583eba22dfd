// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A note that an object was written and the back end does not know yet; made in the transaction that wrote it.
/// The generation tells a note from a newer one of the same object.
struct DirtyObject: Record {
    static let table = "network_dirty"

    enum Kind: String, Codable, SQLBindable, Sendable {
        case network, port, router, securityGroup
        /// A port whose addresses changed in a way that its server is to be told of.
        case addresses
    }

    let kind: Kind
    let objectID: String
    let generation: Int
    let requestID: String
}

extension DirtyObject: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-21 network dirty objects
        CREATE TABLE network_dirty (
            kind VARCHAR(20) NOT NULL, object_id VARCHAR(36) NOT NULL, generation BIGINT NOT NULL,
            request_id VARCHAR(64) NOT NULL, PRIMARY KEY (kind, object_id))
        """,
        Tag.migration,
    ]

    var reference: TopologyReference? {
        switch kind {
        case .addresses: nil
        case .network: .network(objectID)
        case .port: .port(objectID)
        case .router: .router(objectID)
        case .securityGroup: .securityGroup(objectID)
        }
    }
}

extension Transaction {
    /// Says that an object changed; the sync loop is woken once that is durable.
    func touch(_ kind: DirtyObject.Kind, _ id: String, _ request: Request) throws(Fault) {
        try touch(kind, id, requestID: request.id, request.network.dirty)
    }

    func touch(_ kind: DirtyObject.Kind, _ id: String, requestID: String, _ wake: Wake) throws(Fault) {
        let known = try update(
            DirtyObject.self, set: "generation = generation + 1, request_id = \(requestID)",
            where: "kind = \(kind) AND object_id = \(id)")
        if known == 0 {
            try insert(DirtyObject(kind: kind, objectID: id, generation: 1, requestID: requestID))
        }
        afterCommit { wake.signal() }
    }
}
