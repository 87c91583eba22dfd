// SPDX-License-Identifier: Apache-2.0
import Kernel

/// SSH and X.509 keypairs that servers boot with. A keypair belongs to a user, never to a project.
struct Keypair: Record {
    static let table = "compute_key_pairs"
    enum Kind: String, Codable, Sendable, CaseIterable { case ssh, x509 }

    let userID: String
    let name: String
    let type: Kind
    let publicKey: String
    let fingerprint: String
    /// Counts keypairs; shown as `id` in details.
    let number: Int
    let createdAt: Timestamp
}

extension Keypair: Resource {
    static let routes: [Route] = [
        .get("/os-keypairs", "List keypairs", of: KeypairOwner.from, allow: .userOrAdmin("os-keypairs:index"), index),
        .post(
            "/os-keypairs", "Create or import a keypair", of: KeypairDraft.from,
            allow: .userOrAdmin("os-keypairs:create"), create, status: ["2.1": 200, "2.2": 201]),
        .get(
            "/os-keypairs/{name}", "Show a keypair", of: KeypairOwner.from, allow: .userOrAdmin("os-keypairs:show"),
            show),
        .delete(
            "/os-keypairs/{name}", "Delete a keypair", of: KeypairOwner.from,
            allow: .userOrAdmin("os-keypairs:delete"), delete, status: ["2.1": 202, "2.2": 204]),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 compute keypairs
        CREATE TABLE compute_key_pairs (
            user_id VARCHAR(64) NOT NULL, name VARCHAR(255) NOT NULL, type VARCHAR(4) NOT NULL,
            public_key TEXT NOT NULL, fingerprint VARCHAR(95) NOT NULL, number BIGINT NOT NULL,
            created_at BIGINT NOT NULL, PRIMARY KEY (user_id, name))
        """
    ]
}

// MARK: - Handlers

extension Keypair {
    static func index(_ request: Request, _ owner: KeypairOwner) async throws(Fault) -> Reply {
        guard request.version >= "2.35" else {
            let keypairs = try await request.database.all(Keypair.self, "user_id = \(owner.userID) ORDER BY name")
            return .list("keypairs", keypairs.map { $0.entry })
        }
        let page = try request.page(
            sortable: [.text("name")], defaults: ["name"], maximum: request.compute.options.maxLimit)
        if let marker = page.marker {
            _ = try await find(marker, owner, request, or: .badRequest("marker [\(marker)] not found"))
        }
        // Names are unique per user only, so the marker is the name itself rather than a row looked up by it.
        var filter: SQL = "user_id = \(owner.userID)"
        if let marker = page.marker { filter += " AND name > \(marker)" }
        let limit = page.limit ?? request.compute.options.maxLimit
        let keypairs = try await request.database.all(Keypair.self, filter + " ORDER BY name LIMIT \(limit)")
        return .list("keypairs", keypairs.map { $0.entry }, page: page, ids: keypairs.map(\.name))
    }

    static func create(_ request: Request, _ draft: KeypairDraft) async throws(Fault) -> Reply {
        let room = request.compute
        let made = try await key(draft, room)
        let (now, project, quota) = (request.now, request.caller.projectID ?? "", try await request.quota())
        let (notices, verb) = (room.notices, draft.publicKey == nil ? "create" : "import")
        let keypair = try await request.database.transaction { transaction throws(Fault) in
            let count = try transaction.count(Keypair.self, "user_id = \(draft.userID)")
            try quota.require(
                "key_pairs", used: count, more: 1, of: project, transaction,
                or: .forbidden("Quota exceeded, too many key pairs."))
            let keypair = Keypair(
                userID: draft.userID, name: draft.name, type: draft.type, publicKey: made.text,
                fingerprint: made.fingerprint, number: try transaction.nextNumber(Keypair.self), createdAt: now)
            try transaction.insert(keypair, or: .conflict("Key pair '\(draft.name)' already exists."))
            try notices.keypair(keypair, verb, transaction)
            return keypair
        }
        return .object("keypair") { view in
            if let secret = made.secret { view.put("private_key", secret) }
            keypair.summary(&view)
            view.put("user_id", keypair.userID)
        }
    }

    /// The key that the user brought, or one made here.
    private static func key(
        _ draft: KeypairDraft, _ room: ComputeService
    ) async throws(Fault) -> (text: String, secret: String?, fingerprint: String) {
        let user = draft.userID
        switch (draft.type, draft.publicKey) {
        case (.ssh, let text?):
            guard let key = SSHKey(importing: text) else { break }
            return (key.publicKey, nil, key.fingerprint)
        case (.x509, let text?):
            guard let pair = X509Pair(importing: text) else { break }
            return (pair.certificate, nil, pair.fingerprint)
        case (.ssh, nil):
            let key = try await room.pool.run { () throws(Fault) in try SSHKey.generate() }
            return (key.publicKey, key.privateKey, key.fingerprint)
        case (.x509, nil):
            let pair = try await room.pool.run { () throws(Fault) in try X509Pair.generate(user: user) }
            return (pair.certificate, pair.privateKey, pair.fingerprint)
        }
        throw .badRequest("Keypair data is invalid: failed to generate fingerprint")
    }

    static func show(_ request: Request, _ owner: KeypairOwner) async throws(Fault) -> Reply {
        .object("keypair", try await find(request["name"], owner, request).details)
    }

    static func delete(_ request: Request, _ owner: KeypairOwner) async throws(Fault) -> Reply {
        let name = request["name"]
        let notices = request.compute.notices
        try await request.database.transaction { transaction throws(Fault) in
            let mine: SQL = "user_id = \(owner.userID) AND name = \(name)"
            let keypair = try transaction.one(Keypair.self, mine, or: .keypairNotFound(name, owner.userID))
            try transaction.delete(Keypair.self, mine)
            try notices.keypair(keypair, "delete", transaction)
        }
        return .empty
    }

    private static func find(
        _ name: String, _ owner: KeypairOwner, _ request: Request, or fault: Fault? = nil
    ) async throws(Fault) -> Keypair {
        try await request.database.one(
            Keypair.self, "user_id = \(owner.userID) AND name = \(name)",
            or: fault ?? .keypairNotFound(name, owner.userID))
    }
}

// MARK: - Wire

/// Whose keypairs: the caller's, or since 2.10 those of the user an administrator names.
struct KeypairOwner: UserOwned, Asked {
    let userID: String

    init(_ request: Request) {
        userID = request.query("user_id", since: "2.10") ?? request.caller.userID
    }
}

/// A keypair as asked for. Until 2.92 the key may be left out: the cloud then makes one.
struct KeypairDraft: UserOwned, Asked {
    let name: String
    let type: Keypair.Kind
    let publicKey: String?
    let userID: String

    init(_ request: Request) throws(Fault) {
        var body = try request.body("keypair")
        name = try body.need("name", .keypairName(isWide: request.version >= "2.92"))
        type = try body.take("type", .choice(Keypair.Kind.self), since: "2.2") ?? .ssh
        userID = try body.take("user_id", .text, since: "2.10") ?? request.caller.userID
        publicKey = try body.take("public_key", .text, neededSince: "2.92")
        try body.end()
    }
}

extension Format where Value == String {
    /// Letters, digits, blanks, `_` and `-`; since 2.92 also `@` and `.`.
    fileprivate static func keypairName(isWide: Bool) -> Format {
        name.map { text throws(Misfit) in
            let isClean = text.unicodeScalars.allSatisfy { mark in
                mark.properties.isAlphabetic || ("0"..."9").contains(mark) || mark == " " || mark == "_" || mark == "-"
                    || (isWide && (mark == "@" || mark == "."))
            }
            guard isClean else {
                throw Misfit(
                    "'\(text)' may hold letters, digits, blanks, '_' and '-'\(isWide ? ", '@' and '.'" : "") only")
            }
            return text
        }
    }
}

extension Keypair {
    fileprivate func summary(_ view: inout View) {
        view.put("name", name)
        view.put("public_key", publicKey)
        view.put("fingerprint", fingerprint)
        view.put("type", type.rawValue, since: "2.2")
    }

    fileprivate func entry(_ view: inout View) { view.nest("keypair", summary) }

    fileprivate func details(_ view: inout View) {
        summary(&view)
        view.put("user_id", userID)
        view.put("created_at", createdAt.iso8601Naive)
        view.put("deleted", false)
        view.put("deleted_at", String?.none)
        view.put("id", number)
        view.put("updated_at", String?.none)
    }
}

extension Fault {
    static func keypairNotFound(_ name: String, _ user: String) -> Fault {
        .notFound("Keypair \(name) not found for user \(user)")
    }
}
