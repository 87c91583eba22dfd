// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A way in which a provider's users may come, and the mapping that their assertions go through.
struct FederationProtocol: Record {
    static let table = "identity_federation_protocols"

    let idpID: String
    let id: String
    var mappingID: String
    /// The attribute of assertions that says which provider speaks; nil is the cloud's own setting.
    var remoteIDAttribute: String?
}

extension FederationProtocol: Resource {
    static let routes: [Route] = [
        .get(path, "List protocols", of: Anything.from, allow: .inspector("list_protocols"), index),
        .put(
            path + "/{protocol_id}", "Create protocol", of: Anything.from, allow: .administrator("create_protocol"),
            create, status: 201),
        .get(path + "/{protocol_id}", "Show protocol", of: found, allow: .inspector("get_protocol"), show),
        .patch(
            path + "/{protocol_id}", "Update protocol", of: found, allow: .administrator("update_protocol"), update),
        .delete(
            path + "/{protocol_id}", "Delete protocol", of: found, allow: .administrator("delete_protocol"), delete),
    ]

    static let path = IdentityProvider.path + "/{idp_id}/protocols"

    static let migrations: [Migration] = [
        """
        2026-11-21 identity federation protocols
        CREATE TABLE identity_federation_protocols (
            idp_id VARCHAR(64) NOT NULL, id VARCHAR(64) NOT NULL, mapping_id VARCHAR(64) NOT NULL,
            remote_id_attribute VARCHAR(64), PRIMARY KEY (idp_id, id));
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<FederationProtocol> {
        let (provider, id) = (request["idp_id"], request["protocol_id"])
        let found = try await request.database.first(
            FederationProtocol.self, "idp_id = \(provider) AND id = \(id)")
        return Found(found, or: .noProtocol(id, of: provider), [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = request["idp_id"]
        let all = try await request.database.all(FederationProtocol.self, "idp_id = \(provider) ORDER BY id")
        return .list(
            "protocols",
            all.map { item in
                {
                    $0.put("idp_id", item.idpID)
                    $0.put("remote_id_attribute", item.remoteIDAttribute)
                    item.details(&$0)
                }
            }, page: try request.page())
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let provider = request["idp_id"]
        let id = try request.federationID("protocol_id")
        var body = try request.body("protocol")
        let made = FederationProtocol(
            idpID: provider, id: id, mappingID: try body.need("mapping_id", .text(1...64)),
            remoteIDAttribute: try body.option("remote_id_attribute", .text(0...64)))
        try body.end()
        try await request.change { transaction throws(Fault) in
            try transaction.requireMapping(made.mappingID)
            guard try transaction.count(IdentityProvider.self, "id = \(provider)") > 0 else {
                throw .noProvider(provider)
            }
            try transaction.insert(
                made, or: .duplicate("federation_protocol", "Duplicate entry found with ID \(id)"))
        }
        return .object("protocol", made.details)
    }

    static func show(_ request: Request, _ found: Found<FederationProtocol>) async throws(Fault) -> Reply {
        .object("protocol", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<FederationProtocol>) async throws(Fault) -> Reply {
        var changed = try found.get()
        var body = try request.body("protocol")
        changed.mappingID = try body.need("mapping_id", .text(1...64))
        if let attribute = try body.take("remote_id_attribute", .text(0...64)) {
            changed.remoteIDAttribute = attribute
        }
        try body.end()
        try await request.change { [changed] transaction throws(Fault) in
            try transaction.requireMapping(changed.mappingID)
            try transaction.replace(
                changed, where: "idp_id = \(changed.idpID) AND id = \(changed.id)",
                or: .noProtocol(changed.id, of: changed.idpID))
        }
        return .object("protocol", changed.details)
    }

    static func delete(_ request: Request, _ found: Found<FederationProtocol>) async throws(Fault) -> Reply {
        let gone = try found.get()
        try await request.change { transaction throws(Fault) in
            try transaction.delete(FederationProtocol.self, "idp_id = \(gone.idpID) AND id = \(gone.id)")
            try transaction.removeFederatedUsers("idp_id = \(gone.idpID) AND protocol_id = \(gone.id)")
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("mapping_id", mappingID)
        let provider = view.endpoint + IdentityProvider.path + "/" + Percent.encode(idpID)
        view.nest("links") {
            $0.put("self", provider + "/protocols/" + Percent.encode(id))
            $0.put("identity_provider", provider)
        }
    }
}

extension Transaction {
    fileprivate func requireMapping(_ id: String) throws(Fault) {
        guard try count(FederationMapping.self, "id = \(id)") == 0 else { return }
        throw .badRequest("Invalid mapping id: \(id)")
    }
}

extension Fault {
    static func noProtocol(_ id: String, of provider: String) -> Fault {
        .notFound("Could not find federated protocol \(id) for Identity Provider: \(provider).")
    }
}
