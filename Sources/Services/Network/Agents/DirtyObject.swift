// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A note that an object was written and the back end does not know yet; made in the transaction that wrote it.
/// The generation tells a note from a newer one of the same object.
struct DirtyObject: Record {
    static let table = "network_dirty"

    let kind: TopologyKind
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

    /// What changed; nil for a note that says nothing to the back end.
    var reference: TopologyReference? { kind == .addresses ? nil : TopologyReference(kind, objectID) }
}

extension TopologyKind: SQLBindable {
    static let network = SwitchSpec.kind
    static let port = PortSpec.kind
    static let router = RouterSpec.kind
    static let securityGroup = SecurityGroupSpec.kind
    /// A port whose addresses changed in a way that its server is to be told of.
    static let addresses = TopologyKind("addresses")
}

extension Transaction {
    /// Says that an object changed; the sync loop is woken once that is durable.
    func touch(_ kind: TopologyKind, _ id: String, _ request: Request) throws(Fault) {
        try touch(kind, id, requestID: request.id, request.network.dirty)
        guard request.network.options.externalDNS != nil else { return }
        let names = request.network.names
        afterCommit { names.signal() }
    }

    /// The same of an object that this transaction makes: no note of it can be there yet.
    func touch(new kind: TopologyKind, _ id: String, _ request: Request) throws(Fault) {
        try insert(DirtyObject(kind: kind, objectID: id, generation: 1, requestID: request.id))
        let wake = request.network.dirty
        afterCommit { wake.signal() }
    }

    func touch(_ kind: TopologyKind, _ id: String, requestID: String, _ wake: Wake) throws(Fault) {
        let known = try update(
            DirtyObject.self, set: "generation = generation + 1, request_id = \(requestID)",
            where: "kind = \(kind) AND object_id = \(id)")
        if known == 0 {
            try insert(DirtyObject(kind: kind, objectID: id, generation: 1, requestID: requestID))
        }
        afterCommit { wake.signal() }
    }
}
