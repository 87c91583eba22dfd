// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Secrets that users keep here: EC2 keys, second factors, certificates. What they hold is encrypted at rest.
struct Credential: Record {
    static let table = "identity_credentials"

    let id: String
    let userID: String
    let projectID: String?
    let type: String
    var encryptedBlob: String
    var extra: JSONObject
    /// Which key the blob is under; nil in rows from before this was noted.
    var keyHash: String?
    /// The window of the last one-time password that was taken.
    var lastWindow: Int64?
}

extension Credential: Resource {
    static let routes: [Route] = [
        .get("/credentials", "List credentials", of: OwnCredentials.from, allow: read("list_credentials"), index),
        .post("/credentials", "Create credential", of: Draft.from, allow: change("create_credential"), create),
        .get("/credentials/{credential_id}", "Show credential", of: found, allow: read("get_credential"), show),
        .patch(
            "/credentials/{credential_id}", "Update credential", of: found, allow: change("update_credential"), update),
        .delete(
            "/credentials/{credential_id}", "Delete credential", of: found, allow: change("delete_credential"), delete),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 identity credentials
        CREATE TABLE identity_credentials (
            id VARCHAR(64) NOT NULL PRIMARY KEY, user_id VARCHAR(64) NOT NULL, project_id VARCHAR(64),
            type VARCHAR(255) NOT NULL, encrypted_blob TEXT NOT NULL, extra TEXT NOT NULL);
        CREATE INDEX identity_credentials_user ON identity_credentials (user_id);
        """,
        """
        2026-11-21 identity credentials under keys
        ALTER TABLE identity_credentials ADD COLUMN key_hash VARCHAR(64);
        ALTER TABLE identity_credentials ADD COLUMN last_window BIGINT;
        """,
    ]

    private static let owner = "user_id:%(target.credential.user_id)s"
    private static func read<Target: PolicyTarget>(_ name: String) -> Rule<Target> { .inspector(name, or: owner) }
    private static func change<Target: PolicyTarget>(_ name: String) -> Rule<Target> {
        .administrator(name, or: owner)
    }

    /// The caller as the owner that lists are judged by.
    struct OwnCredentials: Asked {
        let userID: String

        init(_ request: Request) { userID = request.caller.userID }
        func policyAttribute(_ name: String) -> JSON? {
            name == "target.credential.user_id" ? .string(userID) : nil
        }
    }

    static func found(_ request: Request) async throws(Fault) -> Found<Credential> {
        let id = request["credential_id"]
        let credential = try await request.database.first(Credential.self, "id = \(id)")
        if let credential { try credential.requireReach(of: request.caller) }
        return Found(credential, or: .notFound("credential", id), credential?.attributes ?? [:])
    }

    var attributes: [String: JSON] { ["target.credential.user_id": .string(userID)] }

    /// A delegated token reaches only the credentials of the project it is for.
    func requireReach(of caller: Caller) throws(Fault) {
        guard caller.trustID != nil || caller.applicationCredentialID != nil, projectID != caller.projectID else {
            return
        }
        throw .forbidden(
            "You are not authorized to perform the requested action: Credential project does not match the project "
                + "scope of the delegated token.")
    }

    // MARK: Handlers

    static func index(_ request: Request, _: OwnCredentials) async throws(Fault) -> Reply {
        let page = try request.page()
        let condition = request.filtered([.reference("user_id"), .text("type")])
        let all = try await request.database.all(Credential.self, page.condition(condition, table: table))
        let seen = all.filter { credential in
            guard request.may("get_credential", on: credential.attributes) else { return false }
            do { try credential.requireReach(of: request.caller) } catch { return false }
            return true
        }
        let keys = request.identity.credentialKeys
        return .list(
            "credentials", seen.map { credential in { credential.details(&$0, keys) } }, page: page, ids: all.map(\.id))
    }

    static func create(_ request: Request, _ draft: Draft) async throws(Fault) -> Reply {
        let keys = request.identity.credentialKeys
        let credential = Credential(
            id: draft.id, userID: draft.userID, projectID: draft.projectID, type: draft.type,
            encryptedBlob: keys.encrypt(Array(draft.blob.utf8), at: request.now), extra: draft.extra,
            keyHash: keys.keys.first?.fingerprint)
        try credential.requireReach(of: request.caller)
        try await request.database.insert(
            credential, or: .duplicate("credential", "Duplicate entry found with ID \(credential.id)"))
        return .object("credential") { credential.details(&$0, keys) }
    }

    static func show(_ request: Request, _ found: Found<Credential>) async throws(Fault) -> Reply {
        let credential = try found.get()
        let keys = request.identity.credentialKeys
        return .object("credential") { credential.details(&$0, keys) }
    }

    static func update(_ request: Request, _ found: Found<Credential>) async throws(Fault) -> Reply {
        var credential = try found.get()
        let keys = request.identity.credentialKeys
        var body = try request.body("credential")
        let fixed = [
            ("id", credential.id), ("type", credential.type), ("user_id", credential.userID),
            ("project_id", credential.projectID),
        ]
        for (name, value) in fixed {
            try body.requireSame(name, as: value, or: "\(name) can not be updated for credential")
        }
        if let blob = try body.take("blob", .text) {
            if credential.type.lowercased() == "ec2" { try credential.requireSameScope(blob, keys) }
            credential.encryptedBlob = keys.encrypt(Array(blob.utf8), at: request.now)
            credential.keyHash = keys.keys.first?.fingerprint
        }
        credential.extra = credential.extra.merging(body.takeExtra())
        try await request.database.replace(
            credential, where: "id = \(credential.id)", or: .notFound("credential", credential.id))
        return .object("credential") { [credential] in credential.details(&$0, keys) }
    }

    static func delete(_ request: Request, _ found: Found<Credential>) async throws(Fault) -> Reply {
        let id = try found.get().id
        try await request.database.delete(Credential.self, "id = \(id)", or: .notFound("credential", id))
        return .empty
    }
}

// MARK: - Wire

extension Credential {
    struct Draft: Asked {
        let id: String, userID: String, projectID: String?, type: String, blob: String, extra: JSONObject

        init(_ request: Request) throws(Fault) {
            var body = try request.body("credential")
            userID = try body.need("user_id", .id)
            projectID = try body.option("project_id", .id)
            type = try body.need("type", .text(1...255))
            let asked = try body.need("blob", .text)
            extra = body.takeExtra()
            guard type.lowercased() == "ec2" else {
                id = request.ids.hex()
                blob = asked
                return
            }
            guard projectID != nil else { throw .expecting("project_id", in: "credential") }
            var members = try Credential.object(asked)
            guard let access = members["access"]?.string else { throw .expecting("access", in: "credential") }
            id = Digest.hex(.sha256, access)
            // Who later logs in with these keys gets no more than what made them had.
            if let trust = request.caller.trustID { members["trust_id"] = .string(trust) }
            if let parent = request.caller.applicationCredentialID { members["app_cred_id"] = .string(parent) }
            let isDelegated = request.caller.trustID != nil || request.caller.applicationCredentialID != nil
            blob = isDelegated ? JSON.object(members).text() : asked
        }

        func policyAttribute(_ name: String) -> JSON? {
            name == "target.credential.user_id" ? .string(userID) : nil
        }
    }

    static func object(_ blob: String) throws(Fault) -> JSONObject {
        guard let object = (try? JSON.parse(Array(blob.utf8)))?.object else {
            throw .badRequest("Invalid blob in credential")
        }
        return object
    }

    /// What a key was made from stays.
    func requireSameScope(_ blob: String, _ keys: FernetKeys) throws(Fault) {
        let (old, new) = (try Credential.object(self.blob(keys)), try Credential.object(blob))
        guard new["access"]?.string != nil else { throw .expecting("access", in: "credential") }
        for key in ["trust_id", "app_cred_id", "access_token_id", "access_id"] where old[key] != new[key] {
            throw .badRequest("\(key) can not be updated for credential")
        }
    }

    /// Empty when the keys it was kept under are lost.
    func blob(_ keys: FernetKeys) -> String {
        keys.decrypt(encryptedBlob).map { String(decoding: $0.payload, as: UTF8.self) } ?? ""
    }

    func details(_ view: inout View, _ keys: FernetKeys) {
        view.put("id", id)
        view.put("user_id", userID)
        view.put("project_id", projectID)
        view.put("type", type)
        view.put("blob", blob(keys))
        view.finish(extra, "credentials/\(id)")
    }
}
