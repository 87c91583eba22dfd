// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A program that users may let act for them (OAuth 1.0), known by its key and secret.
struct OAuthConsumer: Record {
    static let table = "identity_oauth_consumers"

    let id: String
    var description: String?
    let secret: String
    var extra: JSONObject
}

extension OAuthConsumer: Resource {
    static let routes: [Route] = [
        .get("/OS-OAUTH1/consumers", "List consumers", of: Anything.from, allow: .inspector("list_consumers"), index),
        .post(
            "/OS-OAUTH1/consumers", "Create consumer", of: Anything.from, allow: .administrator("create_consumer"),
            create),
        .get(path, "Show consumer", of: found, allow: .inspector("get_consumer"), show),
        .patch(path, "Update consumer", of: found, allow: .administrator("update_consumer"), update),
        .delete(path, "Delete consumer", of: found, allow: .administrator("delete_consumer"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity oauth consumers
        CREATE TABLE identity_oauth_consumers (
            id VARCHAR(64) NOT NULL PRIMARY KEY, description TEXT, secret VARCHAR(64) NOT NULL, extra TEXT NOT NULL);
        """
    ]

    private static let path = "/OS-OAUTH1/consumers/{consumer_id}"
    static let missing = Fault.notFound("Consumer not found")

    static func found(_ request: Request) async throws(Fault) -> Found<OAuthConsumer> {
        let id = request["consumer_id"]
        return Found(try await request.database.first(OAuthConsumer.self, "id = \(id)"), or: missing, [:])
    }

    // MARK: Handlers

    static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let page = try request.page()
        let consumers = try await request.database.all(OAuthConsumer.self, page.condition("", table: table))
        return .list("consumers", consumers.map { $0.details }, page: page, ids: consumers.map(\.id))
    }

    static func create(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body("consumer")
        body.ignore("secret")
        let consumer = OAuthConsumer(
            id: request.ids.hex(), description: try body.option("description", .text), secret: request.ids.hex(),
            extra: body.takeExtra())
        try await request.database.insert(consumer)
        return .object("consumer") {
            $0.put("secret", consumer.secret)
            consumer.details(&$0)
        }
    }

    static func show(_ request: Request, _ found: Found<OAuthConsumer>) async throws(Fault) -> Reply {
        .object("consumer", try found.get().details)
    }

    static func update(_ request: Request, _ found: Found<OAuthConsumer>) async throws(Fault) -> Reply {
        var consumer = try found.get()
        var body = try request.body("consumer")
        guard !body.isEmpty else { throw body.refuse("consumer", [:], "{} does not have enough properties") }
        guard !body.has("secret") else {
            throw body.refuse("secret", nil, "the secret of a consumer cannot be changed")
        }
        try body.requireSame("id", as: consumer.id, or: "Cannot change consumer ID")
        if let description = try body.patch("description", .text) { consumer.description = description }
        consumer.extra = consumer.extra.merging(body.takeExtra())
        try await request.database.replace(consumer, where: "id = \(consumer.id)", or: missing)
        return .object("consumer", consumer.details)
    }

    static func delete(_ request: Request, _ found: Found<OAuthConsumer>) async throws(Fault) -> Reply {
        let (id, now) = (try found.get().id, request.now)
        try await request.change { transaction throws(Fault) in
            try transaction.revoke(consumerID: id, at: now)
            try transaction.delete(OAuthRequestToken.self, "consumer_id = \(id)")
            try transaction.delete(OAuthAccessToken.self, "consumer_id = \(id)")
            try transaction.delete(OAuthConsumer.self, "id = \(id)", or: missing)
        }
        return .empty
    }

    /// Everything but the secret, which only its making shows.
    func details(_ view: inout View) {
        view.put("id", id)
        view.put("description", description)
        view.finish(extra, "OS-OAUTH1/consumers/\(id)")
    }
}
