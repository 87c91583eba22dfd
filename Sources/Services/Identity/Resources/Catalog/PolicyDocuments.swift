// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Policies that services may keep here; Identity itself does not read them.
struct PolicyDocument: Record {
    static let table = "identity_policies"

    let id: String
    var type: String
    var blob: String
    var extra: JSONObject
}

extension PolicyDocument: Resource {
    static let routes: [Route] = [
        .get("/policies", "List policies", of: Anything.from, allow: .inspector("list_policies"), index),
        .post("/policies", "Create policy", of: Anything.from, allow: .administrator("create_policy"), create),
        .get("/policies/{policy_id}", "Show policy", of: found, allow: .inspector("get_policy"), show),
        .patch("/policies/{policy_id}", "Update policy", of: found, allow: .administrator("update_policy"), update),
        .delete("/policies/{policy_id}", "Delete policy", of: found, allow: .administrator("delete_policy"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity policies
        CREATE TABLE identity_policies (
            id VARCHAR(64) NOT NULL PRIMARY KEY, type VARCHAR(255) NOT NULL, blob TEXT NOT NULL, extra TEXT NOT NULL);
        """
    ]

    static func found(_ request: Request) async throws(Fault) -> Found<PolicyDocument> {
        let id = request["policy_id"]
        let policy = try await request.database.first(PolicyDocument.self, "id = \(id)")
        return Found(policy, or: .notFound("policy", id), [:])
    }

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.text("type")])
        let policies = try await request.database.all(PolicyDocument.self, page.condition(condition, table: table))
        return .list("policies", policies.map { $0.details }, page: page, ids: policies.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("policy")
        let policy = PolicyDocument(
            id: request.ids.hex(), type: try body.need("type", .text(0...255)), blob: try body.need("blob", .text),
            extra: body.takeExtra())
        try await request.database.insert(policy)
        return .object("policy", policy.details)
    }

    static func show(_ request: Request, _ found: Found<PolicyDocument>) async throws(Fault) -> Reply {
        .object("policy", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<PolicyDocument>) async throws(Fault) -> Reply {
        var policy = try found.get()
        var body = try request.body("policy")
        try body.requireSame("id", as: policy.id, or: "Cannot change policy ID")
        policy.type = try body.take("type", .text(0...255)) ?? policy.type
        policy.blob = try body.take("blob", .text) ?? policy.blob
        policy.extra = policy.extra.merging(body.takeExtra())
        try await request.database.replace(policy, where: "id = \(policy.id)", or: .notFound("policy", policy.id))
        return .object("policy", policy.details)
    }

    static func delete(_ request: Request, _ found: Found<PolicyDocument>) async throws(Fault) -> Reply {
        let id = try found.get().id
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(PolicyAssociation.self, "policy_id = \(id)")
            try transaction.delete(PolicyDocument.self, "id = \(id)", or: .notFound("policy", id))
        }
        return .empty
    }

    func details(_ view: inout View) {
        view.put("id", id)
        view.put("type", type)
        view.put("blob", blob)
        view.finish(extra, "policies/\(id)")
    }
}
